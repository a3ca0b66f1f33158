"""From samples to figures: medians with their range, and ratios taken within each round."""

import dataclasses
import statistics

from .measure import Sample

TOGETHER = "all in one process"
PARTS = ("cryptography", "session call", "backend call", "local answer")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median, with the least and the most of the rounds."""

    median: float
    least: float
    most: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.least:{spec}}–{self.most:{spec}})"


@dataclasses.dataclass(frozen=True)
class Ratio:
    """What must be at most so many times something else."""

    what: str
    value: Figure
    most: float

    @property
    def met(self) -> bool:
        return self.value.median <= self.most


Rounds = list[list[Sample]]


def figure(values: list[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def of(rounds: Rounds, work: str, name: str, field: str = "cpu_us") -> Figure:
    return figure([getattr(sample, field) for samples in rounds for sample in samples if is_of(sample, work, name)])


def is_of(sample: Sample, work: str, name: str) -> bool:
    return (sample.work, sample.name) == (work, name)


def names(rounds: Rounds, work: str) -> list[str]:
    """Who took part in a work, cheapest first."""
    found = {sample.name for sample in rounds[0] if sample.work == work}
    return sorted(found, key=lambda name: of(rounds, work, name).median)


def ratios(rounds: Rounds) -> list[Ratio]:
    """The bounds that Portcullis is held to, as far as this run measured both sides."""
    bounds = (
        ("pass-through / bare Pingora", [("pass", "portcullis")], [("pass", "bare")], 1.15),
        ("pass-through / Envoy", [("pass", "portcullis")], [("pass", "envoy")], 0.75),
        ("per-IP budget / Envoy", [("budget", "portcullis")], [("budget", "envoy")], 0.75),
        ("gRPC-Web to gRPC / Envoy", [("rpc", "portcullis")], [("rpc", "envoy")], 0.8),
        ("signed command, Redis / memory", [("shared", "portcullis, Redis")], [("shared", "portcullis")], 1.15),
        ("signed command / sum of its parts", [("signed", "portcullis")], [("part", part) for part in PARTS], 1.25),
        ("signed command / its parts in one process", [("signed", "portcullis")], [("part", TOGETHER)], 1.25),
    )
    found = []
    for what, over, under, most in bounds:
        values = [cost(samples, over) / cost(samples, under) for samples in rounds if has(samples, over + under)]
        if values:
            found.append(Ratio(what, figure(values), most))
    return found


def has(samples: list[Sample], wanted: list[tuple[str, str]]) -> bool:
    return set(wanted) <= {(sample.work, sample.name) for sample in samples}


def cost(samples: list[Sample], summed: list[tuple[str, str]]) -> float:
    return sum(sample.cpu_us for sample in samples if (sample.work, sample.name) in summed)
