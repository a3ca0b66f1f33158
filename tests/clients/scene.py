#!/usr/bin/env python3
"""Starts a backend and the gateway of PORTCULLIS in front of it, runs a suite against them and ends with its exit code.

    scene.py COMMAND...

The suite finds in its environment, beside what stage.py gives every suite: EDGE, the URL of the edge API.
"""

import contextlib
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import backend
import pushing
import stage


@contextlib.contextmanager
def serving(configuration, **variables):
    """The addresses, by listener, of a gateway with its backend, REST and push, until the block ends."""
    with (
        pushing.serving() as (push, push_url),
        stage.serving(backend.listen(push)) as backend_url,
        stage.serving_gateway(configuration, BACKEND=backend_url, PUSH=push_url, **variables) as listeners,
    ):
        await_feed(listeners["admin"])
        yield listeners


def await_feed(admin):
    """Returns when the gateway is ready, which it is not without the backend's stream."""
    give_up = time.monotonic() + stage.READY_SECONDS
    while time.monotonic() < give_up:
        try:
            urllib.request.urlopen(f"http://{admin}/readyz", timeout=stage.READY_SECONDS).close()
            return
        except urllib.error.HTTPError:
            time.sleep(0.02)
    sys.exit(f"The gateway had no feed within {stage.READY_SECONDS} s.")


def main():
    if "PORTCULLIS" not in os.environ or len(sys.argv) < 2:
        sys.exit("Usage: PORTCULLIS=target/debug/portcullis scene.py COMMAND...")
    stage.end_with_exit()
    with serving(Path(__file__).with_name("gateway.yaml")) as listeners:
        code = stage.run(sys.argv[1:], EDGE=f"http://{listeners['edge']}")
    sys.exit(code)


if __name__ == "__main__":
    main()
