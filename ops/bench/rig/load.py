"""The load: wrk for plain HTTP, signed_load for commands and for the parts of a command's cost."""

import contextlib
import http.client
import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator

from . import backend, gateways
from .processes import LOAD_CORE, Broken, cpu_seconds, pinned

CONNECTIONS = 64

# Preparing signs every command ahead, at some 20 µs each.
WORK_SECONDS_MAX = 120


PLAIN = ("report.lua", "/bench")
RPC = ("rpc.lua", gateways.RPC_PATH)


def wrk_command(port: int, seconds: int, request: tuple = PLAIN) -> list:
    name, path = request
    script = pathlib.Path(__file__).with_name(name)
    return ["wrk", "-t", 1, "-c", CONNECTIONS, "-d", f"{seconds}s", "-s", script, f"http://127.0.0.1:{port}{path}"]


def wrk(port: int, seconds: int, request: tuple = PLAIN) -> dict:
    """One request again and again for so long."""
    command = pinned(LOAD_CORE, wrk_command(port, seconds, request))
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + WORK_SECONDS_MAX)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not lines:
        raise Broken(f"wrk failed: {run.stdout}{run.stderr}")
    return counted(json.loads(lines[-1]))


class Prepared:
    """A signed_load that has everything ready and waits for its start."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._line()

    def work(self) -> dict:
        self._process.stdin.write("start\n")
        self._process.stdin.flush()
        return counted(self._line())

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def _line(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise Broken(f"signed_load ended early: {self._process.stderr.read()}")
        return json.loads(line)


@contextlib.contextmanager
def signed_load(core: int, *arguments) -> Iterator[Prepared]:
    """A signed_load on this core, prepared; it ends with the `with` block."""
    pipe = subprocess.PIPE
    command = pinned(core, [gateways.SIGNED_LOAD, *arguments])
    # `timeout` bounds it whatever happens here, with the freshness window in mind.
    command = ["timeout", str(WORK_SECONDS_MAX), *command]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Prepared(process)
        finally:
            # The end of its input is what ends it.
            process.stdin.close()


def counted(result: dict) -> dict:
    """The result, where it counts: one error is enough that it does not."""
    if result["errors"] or not result["count"]:
        first = result.get("first_error") or "wrk does not say which"
        raise Broken(f"{result['errors']} errors in {result['count']} requests: {first}")
    return result


def prove_forward(port: int) -> None:
    """That the gateway passes on what the backend says."""
    with get(port) as ask:
        if (answer := ask()) != (200, backend.BODY.encode()):
            raise Broken(f"a request through the gateway gave {answer}")


def prove_rpc(port: int) -> None:
    """That the gateway makes gRPC of gRPC-Web, and gRPC-Web of the answer."""
    headers = {"Content-Type": "application/grpc-web+proto"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("POST", gateways.RPC_PATH, b"\0\0\0\0\7\n\5bench", headers)
        answer = connection.getresponse()
        body = answer.read()
    trailers = body.removeprefix(backend.MESSAGE_FRAME)
    is_good = trailers != body and trailers[:1] == b"\x80" and b"grpc-status:0" in trailers.replace(b" ", b"")
    if answer.status != 200 or not is_good:
        raise Broken(f"a call through the gateway gave {answer.status} {body}")


def prove_budget(port: int, limit: int) -> None:
    """That a gateway with this budget refuses, and not at once."""
    with get(port) as ask:
        statuses = [ask()[0] for _ in range(10 * limit)]
    if statuses[0] != 200 or 429 not in statuses:
        raise Broken(f"a budget of {limit} a second gave {statuses}")


@contextlib.contextmanager
def get(port: int) -> Iterator[Callable[[], tuple[int, bytes]]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def ask() -> tuple[int, bytes]:
        connection.request("GET", "/bench")
        answer = connection.getresponse()
        return answer.status, answer.read()

    with contextlib.closing(connection):
        yield ask
