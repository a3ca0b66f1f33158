"""The command line of ops/bench/reloads."""

import argparse
import pathlib
import sys

from rig import gateways, machine
from rig.processes import Broken
from rig.report import grid

from .works import QUICK, WORKS, Found, Scale

TEXT = """\
# Results of ops/bench/reloads

The gateway on one core, load and backend (nginx) on the other. A run in which anything but a counted figure goes wrong
ends there.

{figures}
## Machine and versions

{circumstances}"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ops/bench/reloads", description="Reloads: what fails, what is cut, what they cost.")
    parser.add_argument("--quick", action="store_true", help="little of each; written under target/bench")
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS), help="only these")
    given = parser.parse_args()
    is_whole = not given.quick and given.works == list(WORKS)
    given.out = gateways.HERE if is_whole else gateways.TARGET / "bench"
    return given


def take(given: argparse.Namespace) -> list[Found]:
    found = []
    for work in given.works:
        print(f"{work}: {WORKS[work].__doc__}", flush=True)
        for figure in WORKS[work](QUICK if given.quick else Scale()):
            print(f"  {figure.what}: {figure.value:g} {figure.unit}", flush=True)
            found.append(figure)
    return found


def render(found: list[Found], command: str, load: float) -> str:
    rows = []
    for figure in found:
        most = "" if figure.most is None else f"{figure.most:g} {figure.unit}"
        met = "" if figure.most is None else "yes" if figure.met else "**no**"
        value = f"{figure.value:,.2f}".rstrip("0").rstrip(".")
        rows.append([figure.what, f"{value} {figure.unit}", most, met])
    about = [
        ["machine", machine.description()],
        ["load average ahead of the run", f"{load:.2f}"],
        ["version", f"portcullis, {machine.commit()}"],
        ["command", f"`{command}`"],
    ]
    return TEXT.format(figures=grid(["", "found", "at most", "met"], rows), circumstances=grid(["", ""], about))


def main() -> None:
    given = arguments()
    load = machine.load_average()
    try:
        found = take(given)
    except Broken as why:
        sys.exit(f"The run is invalid: {why}")
    text = render(found, " ".join(["ops/bench/reloads", *sys.argv[1:]]), load)
    pathlib.Path(given.out).mkdir(parents=True, exist_ok=True)
    (given.out / "RELOADS.md").write_text(text)
    print(f"\n{text}\nWritten: {given.out}/RELOADS.md")
    if missed := [figure.what for figure in found if not figure.met]:
        sys.exit(f"Missed: {'; '.join(missed)}")


main()
