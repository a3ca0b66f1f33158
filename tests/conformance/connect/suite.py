"""Runs connectconformance against the listeners of gateway.yaml, with one callee after the other behind them, and fails
where a case fails that is not known to, or where there are not as many cases as there should be. The cases that are
known to fail with a callee are in known-CALLEE.txt."""

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import stage

HERE = Path(__file__).parent
TOOLS, OUTPUT = Path(os.environ["TOOLS"]), Path(os.environ["OUTPUT"])
READY_SECONDS = 20
RUN_SECONDS = 900
SHOWN_LINES = 200

# The suite's own servers, as upstreams; and the service of `service/`, within the gateway.
UPSTREAMS = ("grpcserver", "referenceserver")
NATIVE = "native"
NOBODY = "http://127.0.0.1:9"
# Each listener, and how many cases the suite has for it, so that it does not go unnoticed where a part is not run any
# more. Of those in cleartext 180 are calls of grpc-go; it makes none over TLS. All others are of connect-go.
LISTENERS = {"cleartext": 3704, "tls": 3524}

# What the suite would ask of its servers. They are let take more than the gateway does, so that it is the gateway that
# holds clients to the limit.
ASKED = {"protocol": "PROTOCOL_GRPC", "httpVersion": "HTTP_VERSION_2", "messageReceiveLimit": 1 << 20}


@contextlib.contextmanager
def serving(upstream):
    """The URL of a server of the suite that serves gRPC until the block ends."""
    with subprocess.Popen([TOOLS / upstream, "-json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            server.stdin.write(json.dumps(ASKED).encode())
            server.stdin.close()
            answer = json.loads(first_answer(upstream, server.stdout.fileno()))
            yield f"http://{answer['host']}:{answer['port']}"
        finally:
            server.kill()


def first_answer(upstream, stdout):
    """What a server says once it serves: a JSON object of several lines."""
    answer = b""
    while not answer.endswith(b"}\n"):
        readable, _, _ = select.select([stdout], [], [], READY_SECONDS)
        piece = os.read(stdout, 4096) if readable else b""
        if not piece:
            sys.exit(f"{upstream} was not ready within {READY_SECONDS} s, or ended before it was.")
        answer += piece
    return answer


def server_under_test(answer, address, certificate):
    """The command that connectconformance starts for each protocol and version, and that says where these are served:
    here they all are at one address. It says so with a ServerCompatResponse (`host` is field 1, `port` is 2 and
    `pem_cert` is 3) behind its length, which is kept in the file `answer`, and then waits to be ended."""
    host, port = address.rsplit(":", 1)
    message = field(1, host.encode()) + bytes([2 << 3]) + varint(int(port)) + field(3, certificate)
    Path(answer).write_bytes(len(message).to_bytes(4, "big") + message)
    return ["sh", "-c", 'cat "$0" && exec tail -f /dev/null --pid=$PPID', answer]


def field(number, value):
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(number):
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


@contextlib.contextmanager
def connectconformance(callee, listener, server, arguments):
    """A run of connectconformance, which prints nothing before its end; ended with the block."""
    command = [TOOLS / "connectconformance", "--mode", "server", "--conf", HERE / f"{listener}.yaml"]
    known = HERE / f"known-{callee}.txt"
    if known.exists() and not arguments:
        command += ["--known-failing", f"@{known}"]
    command += [*arguments, "--", *server]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def count(output):
    """How many cases passed, failed, and failed as they are known to. One that could not be run is none of these, and
    connectconformance is content with it."""
    totals = re.search(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    if not totals:
        sys.exit(f"connectconformance ended before its totals:\n{output}")
    known = re.search(r"\(Another (\d+) failed as expected", output)
    return int(totals[1]), int(totals[2]), int(known[1]) if known else 0


def report(callee, listener, process, arguments):
    """Waits for a run, prints its totals and what failed, and says whether it went as it should."""
    output, _ = process.communicate(timeout=RUN_SECONDS)
    is_content = process.returncode == 0
    passed, failed, known = count(output)
    cases = passed + failed + known
    way = "native path" if callee == NATIVE else f"generic route, {callee}"
    totals = f"{cases} cases, {passed} passed, {failed} failed" + (f", {known} known to fail" if known else "")
    print(f"{way}, {listener}: {totals}", flush=True)
    if arguments:
        print(output)
        return is_content
    if not is_content:
        log = OUTPUT / f"{callee}-{listener}.txt"
        log.write_text(output)
        print(*output.splitlines()[:SHOWN_LINES], f"All of it is in {log}.", sep="\n", flush=True)
    if cases != LISTENERS[listener]:
        print(f"There should be {LISTENERS[listener]} cases.")
        return False
    return is_content


@contextlib.contextmanager
def serving_gateway(callee, **variables):
    """The addresses, by listener, of a gateway that has calls answered by this callee until the block ends."""
    configuration = HERE / "gateway.yaml"
    if callee == NATIVE:
        with stage.serving_gateway(configuration, os.environ["SERVICE"], UPSTREAM=NOBODY, **variables) as addresses:
            yield addresses
    else:
        with serving(callee) as url, stage.serving_gateway(configuration, UPSTREAM=url, **variables) as addresses:
            yield addresses


def run_all(folder, arguments):
    """Makes every run, and says of each whether it went as it should."""
    certificate, key = stage.self_signed(folder)
    certificates = {"cleartext": b"", "tls": Path(certificate).read_bytes()}
    variables = {"TLS_CERTIFICATE": certificate, "TLS_KEY": key, "DESCRIPTORS": f"{OUTPUT}/descriptors.binpb"}
    for callee in (*UPSTREAMS, NATIVE):
        with serving_gateway(callee, **variables) as addresses, contextlib.ExitStack() as runs:
            # At once: most of the time the suite compares messages of 200 KiB, on one core.
            processes = {}
            for listener, pem in certificates.items():
                server = server_under_test(f"{folder}/{listener}", addresses[listener], pem)
                processes[listener] = runs.enter_context(connectconformance(callee, listener, server, arguments))
            for listener, process in processes.items():
                yield report(callee, listener, process, arguments)


def main():
    stage.end_with_exit()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not all(list(run_all(folder, sys.argv[1:]))))


if __name__ == "__main__":
    main()
