"""The command line of ops/bench/run."""

import argparse
import contextlib
import os
import pathlib
import sys

from . import backend, figures, gateways, machine, plot, report, rounds, store
from .processes import Broken, free_port

NAMES = list(dict.fromkeys(gateway.name.partition(",")[0] for gateway in gateways.GATEWAYS))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ops/bench/run", description="CPU time per request, beside other gateways.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (5)")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="how long each time, 1 to 20 (4)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 second; written under target/bench")
    parser.add_argument("--gateways", nargs="+", choices=NAMES, default=NAMES, help="only these")
    parser.add_argument("--works", nargs="+", choices=list(rounds.WORKS), default=list(rounds.WORKS), help="only these")
    parser.add_argument("--out", type=pathlib.Path, help="the directory of RESULTS.md and results.svg (ops/bench)")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds = 2, 1
    if not (given.rounds >= 1 and 1 <= given.seconds <= 20):
        parser.error("at least one round, of 1 to 20 seconds")
    if given.out is None:
        whole = not given.quick and given.gateways == NAMES and given.works == list(rounds.WORKS)
        given.out = gateways.HERE if whole else gateways.TARGET / "bench"
    return given


def main() -> None:
    given = arguments()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This needs two cores: one for the gateway, one for the load and the backend.")
    load_before = machine.load_average()
    chosen = rounds.subjects(given.gateways)
    port = free_port()
    try:
        with backend.start(port), store.start() if "shared" in given.works else contextlib.nullcontext():
            samples = rounds.run(chosen, given.works, port, given.seconds, given.rounds)
    except Broken as why:
        sys.exit(f"This run is invalid: {why}")
    given.out.mkdir(parents=True, exist_ok=True)
    text = report.render(samples, chosen, given, load_before)
    (given.out / "RESULTS.md").write_text(text)
    (given.out / "results.svg").write_text(plot.render(samples))
    print(f"\n{text}\nWritten: {given.out}/RESULTS.md and results.svg")
    missed = [ratio.what for ratio in figures.ratios(samples) if not ratio.met]
    if missed:
        print(f"Bounds missed: {'; '.join(missed)}")


main()
