"""Runs h2spec against the listeners of gateway.yaml, and fails where what it finds is not what known.txt says."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import stage

HERE = Path(__file__).parent
# No case waits for the time to be over, so that a slow machine costs nothing but patience.
EVENT_SECONDS = 10
RUN_SECONDS = 60
TOTALS = re.compile(r"^\d+ tests, \d+ passed, \d+ skipped, \d+ failed$", re.MULTILINE)

EVERYTHING = ("generic", "http2", "hpack")
FORWARD = "/"
# h2spec cannot name a media type, so that commands are refused on their heads (415). RFC 9113 section 8.1 lets a server
# end such a stream with RST_STREAM(NO_ERROR), and a case of `http2` that goes on to break it would find the error that
# it waits for or not, as it happens. Those cases run against the forward, which answers when a request has ended.
COMMAND = "/edge.v1.Gateway/ExecuteCommand"
WITHOUT_ERRORS_OF_STREAMS = ("generic", "hpack")

# Name, listener, path, what of h2spec.
RUNS = (
    ("public", "public", FORWARD, EVERYTHING),
    ("public_h2c", "public_h2c", FORWARD, EVERYTHING),
    ("public_tls", "public_tls", FORWARD, EVERYTHING),
    ("edge", "edge", FORWARD, EVERYTHING),
    ("edge_h2c", "edge_h2c", FORWARD, EVERYTHING),
    ("edge_tls", "edge_tls", FORWARD, EVERYTHING),
    ("commands", "edge", COMMAND, WITHOUT_ERRORS_OF_STREAMS),
    ("commands_h2c", "edge_h2c", COMMAND, WITHOUT_ERRORS_OF_STREAMS),
    ("commands_tls", "edge_tls", COMMAND, WITHOUT_ERRORS_OF_STREAMS),
)


class Backend(BaseHTTPRequestHandler):
    """Answers a request when it has ended, and not before."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    # Head and body are two writes, and the second would wait for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self):
        try:
            self.read_body()
        except (ValueError, OSError):
            # It was cut off: most cases break their request.
            self.close_connection = True
            return
        body = b"An answer of some bytes."
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def read_body(self):
        if "Transfer-Encoding" not in self.headers:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + len("\r\n"))
        while self.rfile.readline().strip():
            pass

    def log_message(self, *_):
        """A suite's output is its checks."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """The gateway has cut a request off."""


def h2spec(address, is_tls, path, sections, report):
    """What h2spec prints of one run, and the cases that did not pass."""
    host, port = address.rsplit(":", 1)
    command = [os.environ["H2SPEC"], *sections, "--strict", "--timeout", str(EVENT_SECONDS)]
    command += ["--host", host, "--port", port, "--path", path, "--junit-report", report]
    command += ["--tls", "--insecure"] if is_tls else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, stdin=subprocess.DEVNULL)
    totals = TOTALS.findall(done.stdout)
    if not totals:
        sys.exit(f"h2spec ended before its totals:\n{done.stdout}{done.stderr}")
    return done.stdout, totals[-1], set(not_passed(report))


def not_passed(report):
    """The cases of a JUnit report that failed or were skipped, as h2spec's command line names them."""
    for section in ElementTree.parse(report).iter("testsuite"):
        for number, case in enumerate(section.iter("testcase"), 1):
            if len(case):
                yield f"{case.get('package')}/{number}"


def known():
    """The cases that are known to fail, each with its run."""
    for line in (HERE / "known.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            runs, case, _reason = line.split(maxsplit=2)
            yield from ((run, case) for run in runs.split(","))


def run_all(listeners, folder, expected):
    """Makes every run, prints its totals and what was not expected, and gives every case that did not pass."""
    found = set()
    for name, listener, path, sections in RUNS:
        address, is_tls = listeners[listener], listener.endswith("_tls")
        output, totals, cases = h2spec(address, is_tls, path, sections, f"{folder}/{name}.xml")
        print(f"{name:13} {totals}", flush=True)
        outcome = {(name, case) for case in cases}
        if outcome - expected:
            print(output[output.rfind("Failures:"):], flush=True)
        found |= outcome
    return found


def main():
    # As an exit, so that whoever stops the suite stops the gateway too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    expected = set(known())
    with tempfile.TemporaryDirectory() as folder, stage.serving(Server(("127.0.0.1", 0), Backend)) as backend:
        certificate, key = stage.self_signed(folder)
        variables = {"BACKEND": backend, "TLS_CERTIFICATE": certificate, "TLS_KEY": key}
        with stage.serving_gateway(HERE / "gateway.yaml", **variables) as listeners:
            found = run_all(listeners, folder, expected)
    for run, case in sorted(found - expected):
        print(f"{run} {case} did not pass.")
    for run, case in sorted(expected - found):
        print(f"{run} {case} is in known.txt, and did not fail.")
    sys.exit(found != expected)


if __name__ == "__main__":
    main()
