"""The command line of ops/bench/fanout."""

import argparse
import os
import pathlib
import sys
from collections.abc import Callable

from rig import gateways, machine
from rig.processes import Broken

from . import chart, report, servers, works
from .loader import Loader
from .report import Circumstances
from .servers import SUBJECTS, Subject
from .works import Sample, Scale

REVOKED = ("portcullis, WebSocket", "portcullis, gRPC, 100 a connection")
MANY_LEAVES_OUT = ("portcullis, gRPC",)
WORKS = ("idle", "many", "revocation", "slow")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ops/bench/fanout", description="Event streams, beside Centrifugo and Pushpin.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured (3)")
    parser.add_argument("--quick", action="store_true", help="1 round of little; written under target/bench")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), help="only these")
    parser.add_argument("--out", type=pathlib.Path, help="the directory of FANOUT.md and fanout.svg (ops/bench)")
    given = parser.parse_args()
    if given.quick:
        given.rounds = 1
    if given.rounds < 1:
        parser.error("at least one round")
    if given.out is None:
        is_whole = not given.quick and given.works == list(WORKS)
        given.out = gateways.HERE if is_whole else gateways.TARGET / "bench"
    return given


def turns(loader: Loader, chosen: list[Subject], given: argparse.Namespace, scale: Scale) -> list[Callable]:
    found = []
    for subject in chosen:
        if "idle" in given.works:
            found.append(lambda subject=subject: works.idle_and_one(loader, subject, scale))
        if "many" in given.works and subject.name not in MANY_LEAVES_OUT:
            found.append(lambda subject=subject: works.many(loader, subject, scale))
        if "revocation" in given.works and subject.name in REVOKED:
            found.append(lambda subject=subject: works.revocation(loader, subject, scale))
    if "slow" in given.works:
        found += [lambda reads=reads: works.slow(loader, scale, reads) for reads in (True, False)]
    return found


def one_round(number: int, takes: list[Callable]) -> list[Sample]:
    # Each round begins elsewhere, so that none always follows the same neighbour's heat.
    shift = number % len(takes)
    samples = []
    for take in takes[shift:] + takes[:shift]:
        for sample in take():
            samples.append(sample)
            shown = "  ".join(f"{name} {value:.2f}" for name, value in sample.figures.items())
            print(f"round {number + 1}  {sample.work:12} {sample.name:36} {shown}", flush=True)
    return samples


def main() -> None:
    given = arguments()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This needs two cores: one for the gateway, one for the devices and the backend.")
    scale = works.QUICK if given.quick else Scale()
    absent = servers.missing()
    for server, why in absent.items():
        print(f"Without {server}: {why}", file=sys.stderr)
    chosen = [subject for subject in SUBJECTS if subject.server not in absent]
    options = " --quick" if given.quick else f" --rounds {given.rounds} --works {' '.join(given.works)}"
    run = Circumstances(f"ops/bench/fanout{options}", machine.load_average(), machine.commit(), absent)
    rounds = []
    given.out.mkdir(parents=True, exist_ok=True)
    for number in range(given.rounds):
        try:
            # Its ports and its sessions are new in each round.
            with Loader() as loader:
                rounds.append(one_round(number, turns(loader, chosen, given, scale)))
        except Broken as why:
            sys.exit(f"Round {number + 1} is invalid: {why}")
        # Each time: a run that is cut short has what it came to.
        text = report.render(rounds, scale, run)
        (given.out / "FANOUT.md").write_text(text)
        (given.out / "fanout.svg").write_text(chart.render(rounds))
    print(f"\n{text}\nWritten: {given.out}/FANOUT.md and fanout.svg")
    missed = [target.what for target in report.targets(rounds, scale) if not target.met]
    if missed:
        print(f"Missed: {'; '.join(missed)}")


main()
