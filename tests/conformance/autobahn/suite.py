#!/usr/bin/env python3
"""Runs the Autobahn suite of WSTEST against an echo, but for the cases of compression, and fails where one fails.

    suite.py URL
"""

import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = 301
# 12 and 13 are those of permessage-deflate.
COMPRESSION = ["12.*", "13.*"]
SUITE_SECONDS = 900
# NON-STRICT: what the standard allows, though not as early as could be. INFORMATIONAL: where it says nothing.
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
BEHAVIORS = "behavior", "behaviorClose"


def report(url, folder):
    """What the suite says of each case, by its number."""
    specification = Path(folder, "specification.json")
    servers = [{"agent": "echo", "url": url}]
    told = {"outdir": folder, "servers": servers, "cases": ["*"], "exclude-cases": COMPRESSION, "exclude-agent-cases": {}}
    specification.write_text(json.dumps(told))
    command = [os.environ["WSTEST"], "--mode", "fuzzingclient", "--spec", specification]
    with open(Path(folder, "log"), "w") as log:
        subprocess.run(command, check=True, timeout=SUITE_SECONDS, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return json.loads(Path(folder, "index.json").read_text())["echo"]


def main():
    (url,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        cases = report(url, folder)
    for case, result in cases.items():
        told = [result[behavior] for behavior in BEHAVIORS]
        if told != ["OK", "OK"]:
            print(f"{case}: {', its close '.join(told)}")
    for behavior in BEHAVIORS:
        print(behavior, dict(collections.Counter(result[behavior] for result in cases.values())))
    failed = [case for case, result in cases.items() if not {result[behavior] for behavior in BEHAVIORS} <= PASSED]
    print(f"{len(cases) - len(failed)} of {CASES} cases passed")
    sys.exit(len(cases) != CASES or bool(failed))


main()
