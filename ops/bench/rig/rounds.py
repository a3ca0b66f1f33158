"""Interleaved rounds: every turn once a round, so that what the machine does meanwhile touches all alike."""

from collections.abc import Callable

from . import load, measure
from .gateways import GATEWAYS, Gateway
from .measure import Sample

WORKS = {
    "pass": measure.plain,
    "budget": measure.plain,
    "rpc": measure.rpc,
    "signed": measure.signed,
    "shared": measure.signed,
}

PROOF_LIMIT = 5


def prove_budgets(subjects: list[Gateway], backend: int) -> None:
    """That each budget is one: with a small limit the same configuration refuses."""
    for subject in subjects:
        if "budget" in subject.configs:
            with measure.gateway(subject, "budget", backend, PROOF_LIMIT) as daemon:
                load.prove_budget(daemon.port, PROOF_LIMIT)


def subjects(names: list[str]) -> list[Gateway]:
    return [gateway for gateway in GATEWAYS if gateway.name.partition(",")[0] in names]


def run(chosen: list[Gateway], works: list[str], backend: int, seconds: int, rounds: int) -> list[list[Sample]]:
    """The samples of each round."""
    if "budget" in works:
        prove_budgets(chosen, backend)
    turns = [turn(gateway, work, backend, seconds) for work in works for gateway in chosen if work in gateway.configs]
    if "signed" in works:
        turns.append(lambda: measure.parts(backend, seconds))
    return [one_round(number, turns) for number in range(rounds)]


def turn(gateway: Gateway, work: str, backend: int, seconds: int) -> Callable[[], list[Sample]]:
    return lambda: [WORKS[work](gateway, work, backend, seconds)]


def one_round(number: int, turns: list[Callable[[], list[Sample]]]) -> list[Sample]:
    # Each round begins elsewhere, so that none always follows the same neighbour's heat.
    shift = number % len(turns)
    samples = []
    for take in turns[shift:] + turns[:shift]:
        for sample in take():
            samples.append(sample)
            print(f"round {number + 1}  {sample.work:7} {sample.name:20} {sample.cpu_us:7.2f} µs", flush=True)
    return samples
