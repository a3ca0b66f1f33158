"""The works: each gives the samples of one turn, in a fresh process."""

import dataclasses
import re
import time

from rig.processes import Broken

from .loader import Loader
from .servers import Running, Subject, start

# What is allocated once for all, such as buffers of the first streams, is no stream's weight.
FIRST_STREAMS = 100
SETTLE_SECONDS = 3
PAYLOAD_BYTES = 128
STREAMS_PER_CONNECTION = 100

# In `slow`: what is sent ahead to each that does not read, in a queue that holds it with room to spare.
STUCK_EVENTS, STUCK_PAYLOAD_BYTES = 12, 4096
STUCK_QUEUE_EVENTS, STUCK_QUEUE_BYTES = 64, 64 << 10
STUCK_PER_SECOND = 10_000
READERS = 100

REST_SECONDS_MAX = 60


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of everything."""

    streams: int = 5_000
    to_all: int = 20
    to_all_per_second: int = 4
    some_streams: int = 1_000
    seconds: int = 5
    each_per_second: int = 1_000
    fan_per_second: int = 50
    revoked_streams: int = 10_000
    revoked_sessions: int = 200
    stuck: int = 10_000


QUICK = Scale(streams=500, to_all=5, some_streams=200, seconds=1, revoked_streams=500, revoked_sessions=50, stuck=300)


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a turn gave, by the name of the figure."""

    work: str
    name: str
    figures: dict


def idle_and_one(loader: Loader, subject: Subject, scale: Scale) -> list[Sample]:
    """What idle streams weigh, and then what one event to all of them costs."""
    with start(subject.server, loader) as running:
        open_streams(loader, running, subject, 0, FIRST_STREAMS, scale.streams)
        time.sleep(SETTLE_SECONDS)
        before = running.anonymous_kib()
        # On connections of many streams they begin with a connection of their own.
        open_streams(loader, running, subject, FIRST_STREAMS, scale.streams - FIRST_STREAMS, scale.streams)
        time.sleep(SETTLE_SECONDS)
        grown = running.anonymous_kib() - before
        publish(loader, running, "all", scale.streams, 2, scale.to_all_per_second)
        one = measured(loader, running, "all", scale.streams, scale.to_all, scale.to_all_per_second)
        loader.ask("close")
    idle = {"kib": grown / (scale.streams - FIRST_STREAMS)}
    return [Sample("idle", subject.name, idle), Sample("one", subject.name, one)]


def many(loader: Loader, subject: Subject, scale: Scale) -> list[Sample]:
    """Many events in a second: each to one user, and each to all."""
    streams = scale.some_streams
    each = {"users": {"first": 0, "count": streams}}
    with start(subject.server, loader) as running:
        open_streams(loader, running, subject, 0, streams, streams)
        publish(loader, running, each, 1, scale.each_per_second, scale.each_per_second)
        to_one = measured(loader, running, each, 1, scale.each_per_second * scale.seconds, scale.each_per_second)
        publish(loader, running, "all", streams, scale.fan_per_second, scale.fan_per_second)
        to_all = measured(loader, running, "all", streams, scale.fan_per_second * scale.seconds, scale.fan_per_second)
        loader.ask("close")
    return [Sample("each", subject.name, to_one), Sample("fan", subject.name, to_all)]


def revocation(loader: Loader, subject: Subject, scale: Scale) -> list[Sample]:
    """One session among many, a user of a hundred devices, and a user who has all that are open."""
    streams, users = scale.revoked_streams, scale.revoked_streams // STREAMS_PER_CONNECTION
    samples = []
    with start("portcullis", loader) as running:
        open_streams(loader, running, subject, 0, streams, users)
        seen = loader.ask("revoke", what="sessions", first=0, count=scale.revoked_sessions, users=users, streams=1)
        samples.append(Sample("one session", subject.name, revoked(running, seen)))
        loader.ask("close")
    # Sessions of the first users are gone above: these are others.
    with start("portcullis", loader) as running:
        open_streams(loader, running, subject, 0, streams, users)
        each = STREAMS_PER_CONNECTION
        seen = loader.ask("revoke", what="users", first=0, count=min(users, 50), users=users, streams=each)
        samples.append(Sample(f"a user's {each}", subject.name, revoked(running, seen)))
        loader.ask("close")
    with start("portcullis", loader) as running:
        open_streams(loader, running, subject, 0, streams, 1)
        seen = loader.ask("revoke", what="users", first=0, count=1, users=1, streams=streams)
        samples.append(Sample("a user's all", subject.name, revoked(running, seen)))
        loader.ask("close")
    return samples


def revoked(running: Running, seen: dict) -> dict:
    """What the client saw, and the gateway's own histogram: its mean, and the bound that 99 % are within."""
    total, buckets = own_times(running, seen["count"])
    within = next(bound for bound, below in buckets if int(below) >= 0.99 * seen["count"])
    # A bucket says no more than its bound; of a single revocation the sum is the time itself.
    own = total if seen["count"] == 1 else float(within)
    return {"own_mean_ms": total / seen["count"] * 1e3, "own_p99_ms": own * 1e3,
            "p50_ms": seen["p50_us"] / 1e3, "p99_ms": seen["p99_us"] / 1e3, "most_ms": seen["most_us"] / 1e3}  # fmt: skip


def own_times(running: Running, count: int) -> tuple[float, list[tuple[str, str]]]:
    """Sum and buckets, once so many revocations are over for the gateway: a device knows a little sooner."""
    name = "portcullis_event_revocation_seconds"
    deadline = time.monotonic() + REST_SECONDS_MAX
    while time.monotonic() < deadline:
        found = running.metrics()
        if re.search(rf"{name}_count{{[^}}]*}} {count}\b", found):
            total = re.search(rf"{name}_sum{{[^}}]*}} (\S+)", found)
            return float(total.group(1)), re.findall(rf'{name}_bucket{{[^}}]*le="([^"]+)"[^}}]*}} (\d+)', found)
        time.sleep(0.1)
    raise Broken(f"the gateway does not know of {count} revocations")


def slow(loader: Loader, scale: Scale, reads: bool) -> list[Sample]:
    """Readers beside as many others, which read or never do."""
    users = READERS + scale.stuck
    settings = {"queue_events": STUCK_QUEUE_EVENTS, "queue_bytes": STUCK_QUEUE_BYTES, "history": 0}
    grpc = Subject("", "portcullis", "grpc", STREAMS_PER_CONNECTION)
    others = {"users": {"first": READERS, "count": scale.stuck}}
    with start("portcullis", loader, **settings) as running:
        open_streams(loader, running, grpc, 0, READERS, users)
        open_streams(loader, running, grpc, READERS, scale.stuck, users, reads=reads)
        time.sleep(SETTLE_SECONDS)
        idle = running.anonymous_kib()
        for _ in range(STUCK_EVENTS):
            publish(loader, running, others, 0, scale.stuck, STUCK_PER_SECOND, STUCK_PAYLOAD_BYTES)
        await_rest(running)
        held = running.anonymous_kib() - idle
        readers = {"users": {"first": 0, "count": READERS}}
        beside = {"to": others, "per_second": 200}
        seconds = 2 * scale.seconds
        seen = measured(loader, running, readers, 1, 500 * seconds, 500, beside=beside)
        loader.ask("close")
    return [Sample("slow", "beside stuck" if not reads else "beside readers", seen | {"held_kib": held / scale.stuck})]


def open_streams(
    loader: Loader, running: Running, subject: Subject, first: int, streams: int, users: int, reads: bool = True
) -> None:
    opened = loader.ask(
        "open", how=subject.how, target=running.target, first=first, streams=streams, users=users,
        per_connection=subject.per_connection, channels=["all", "user"], reads=reads,
    )  # fmt: skip
    if opened["opened"] != streams:
        raise Broken(f"{opened['opened']} of {streams} streams opened")


def publish(
    loader: Loader, running: Running, to, receivers: int, count: int, per_second: int,
    payload_bytes: int = PAYLOAD_BYTES, beside: dict | None = None,
) -> dict:  # fmt: skip
    return loader.ask(
        "publish", via=running.via, to=to, receivers=receivers, count=count, per_second=per_second,
        bytes=payload_bytes, beside=beside,
    )  # fmt: skip


def measured(loader: Loader, running: Running, *arguments, **more) -> dict:
    """Publishes, with the server's accounting around it."""
    before = running.daemon.cpu_seconds()
    seen = publish(loader, running, *arguments, **more)
    spent = running.daemon.cpu_seconds() - before
    return {
        "cpu_us": spent / seen["delivered"] * 1e6,
        "busy": spent / seen["seconds"],
        **{name.replace("_us", "_ms"): seen[name] / 1e3 for name in ("p50_us", "p99_us", "last_p50_us", "last_p99_us")},
    }


def await_rest(running: Running) -> None:
    """Until the server has nothing more to do."""
    deadline = time.monotonic() + REST_SECONDS_MAX
    spent = running.daemon.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(0.5)
        before, spent = spent, running.daemon.cpu_seconds()
        if spent - before < 0.02:
            return
    raise Broken("the server does not come to rest")
