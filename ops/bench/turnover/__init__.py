"""Figures of reloads. ops/bench/reloads starts it."""
