"""One turn: a fresh process, warmed up, then measured on one work."""

import dataclasses
from collections.abc import Callable

from . import gateways, load, store
from .backend import SESSIONS
from .gateways import Gateway
from .processes import GATEWAY_CORE, LOAD_CORE, Daemon, free_port

WARM_UP_SECONDS = 1
WARM_UP_COMMANDS = 4_000
COMMANDS_MAX = 200_000

# Enough for a second or so of each, at what they cost on a core of 2024.
CRYPTO_PER_SECOND = 8_000
CALLS_PER_SECOND = 25_000


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a turn gave. Latencies and memory are those of gateways; a part has only its CPU time."""

    work: str
    name: str
    cpu_us: float
    per_second: float = 0.0
    p50_us: int = 0
    p99_us: int = 0
    rss_kib: int = 0
    hwm_kib: int = 0
    busy: float = 0.0
    """The share of its core that the gateway used: below 1, the load was what limited the rate."""


def around(daemon: Daemon, work: str, name: str, run: Callable[[], dict]) -> Sample:
    """Runs the load, and reads the gateway's accounting before and after it."""
    before = daemon.cpu_seconds()
    result = run()
    spent = daemon.cpu_seconds() - before
    memory = daemon.memory_kib()
    return Sample(
        work=work,
        name=name,
        cpu_us=spent / result["count"] * 1e6,
        per_second=result["count"] / result["seconds"],
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        rss_kib=memory["VmRSS"],
        hwm_kib=memory["VmHWM"],
        busy=spent / result["seconds"],
    )


def gateway(subject: Gateway, work: str, backend: int, limit: int = gateways.LIMIT_NEVER_REACHED) -> Daemon:
    port = free_port()
    command = gateways.command(subject, work, port, backend, limit)
    return Daemon(command, GATEWAY_CORE, port, gateways.SCRATCH / "gateway.log")


def plain(subject: Gateway, work: str, backend: int, seconds: int) -> Sample:
    """GETs through the gateway."""
    with gateway(subject, work, backend) as daemon:
        load.prove_forward(daemon.port)
        load.wrk(daemon.port, WARM_UP_SECONDS)
        return around(daemon, work, subject.name, lambda: load.wrk(daemon.port, seconds))


def rpc(subject: Gateway, work: str, backend: int, seconds: int) -> Sample:
    """Unary calls in gRPC-Web through the gateway, to gRPC."""
    with gateway(subject, work, backend) as daemon:
        load.prove_rpc(daemon.port)
        load.wrk(daemon.port, WARM_UP_SECONDS, load.RPC)
        return around(daemon, work, subject.name, lambda: load.wrk(daemon.port, seconds, load.RPC))


def signed(subject: Gateway, work: str, backend: int, seconds: int, *options: str) -> Sample:
    """Signed commands to the gateway, as many as it takes to fill the time."""
    with gateway(subject, work, backend) as daemon:
        if "redis" in subject.store:
            store.await_gateway()

        def commands(count: int):
            return load.signed_load(
                LOAD_CORE, "commands", "--target", f"127.0.0.1:{daemon.port}", "--count", count,
                "--connections", load.CONNECTIONS, "--sessions", SESSIONS, *options,
            )  # fmt: skip

        with commands(WARM_UP_COMMANDS) as warm_up:
            result = warm_up.work()
        rate = result["count"] / result["seconds"]
        with commands(min(COMMANDS_MAX, int(rate * seconds))) as prepared:
            return around(daemon, work, subject.name, prepared.work)


def part(name: str, *arguments) -> Sample:
    """A part of a command's cost by itself, on the gateway's core."""
    with load.signed_load(GATEWAY_CORE, *arguments) as prepared:
        before = prepared.cpu_seconds()
        result = prepared.work()
        spent = prepared.cpu_seconds() - before
    return Sample(work="part", name=name, cpu_us=spent / result["count"] * 1e6)


def parts(backend: int, seconds: int) -> list[Sample]:
    """What a signed command consists of, each measured alone."""
    target = ("--target", f"127.0.0.1:{backend}", "--connections", load.CONNECTIONS)
    calls = ("--count", CALLS_PER_SECOND * seconds)
    answer = signed(gateways.BARE_ANSWER, "part", backend, seconds, "--fixed-answers")
    together = signed(gateways.BARE_COMMAND, "part", backend, seconds, "--fixed-answers")
    return [
        part("cryptography", "crypto", "--count", CRYPTO_PER_SECOND * seconds, "--sessions", SESSIONS),
        part("session call", "calls", *target, *calls, "--path", "/api/v1/internal/sessions/bench-{n}"),
        part("backend call", "calls", *target, *calls, "--path", "/api/v1/user/account"),
        dataclasses.replace(answer, name="local answer"),
        dataclasses.replace(together, name="all in one process"),
    ]
