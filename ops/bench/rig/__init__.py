"""Measures gateways beside each other: what each costs in CPU time, on the same work, in interleaved rounds."""
