"""FANOUT.md: what was found, against what was to be reached."""

import dataclasses

from rig import figures, machine
from rig.figures import Figure
from rig.report import grid

from . import servers, works
from .works import Sample, Scale

Rounds = list[list[Sample]]

TITLES = {
    "idle": "An idle stream: KiB of user memory",
    "one": "One event to all: CPU µs a delivered event",
    "each": "Events to one user each: CPU µs a delivered event",
    "fan": "Events to all, in a row: CPU µs a delivered event",
}

METHOD = """\
Each server on one core, the devices and the backend in one process (`ops/bench/fan_load`) on the other; {rounds} rounds,
interleaved, a fresh process in every turn. A turn in which an event is lost, a stream ends or one fails to open is not
counted: the run ends. Figures are medians (least–most); ratios are taken within each round.

What is compared: a payload of {payload} bytes from its publisher to every device. Portcullis hashes and signs each event,
once, and sends it in protobuf with hash, signature and position ({wire} bytes more; as SSE in JSON); its devices have
passed a session lookup and a signature check. Centrifugo (memory engine, no history, every connection admitted) and
Pushpin (WebSocket-over-HTTP) send the payload alone in their JSON and as text; nothing is signed. Centrifugo is published
to by `/api/batch`, Pushpin by its control port, Portcullis by its gRPC feed; each gets what is due every 10 ms in one
call, and its CPU time includes receiving it. Memory is private anonymous memory of all processes of the server: the
kernel's socket buffers, which are alike for all, are not in it. Times are from the publisher's call to the device's read,
and hold the reading of one core's devices: they compare, and are no floor.
"""


@dataclasses.dataclass(frozen=True)
class Target:
    """What is to be reached."""

    what: str
    value: Figure
    most: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value.median <= self.most


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """What holds of a whole run, as it was ahead of it."""

    command: str
    load: float
    commit: str
    absent: dict[str, str]
    """Which of the other servers are not there, and why."""


def of(rounds: Rounds, work: str, name: str, field: str) -> Figure:
    return figures.figure([s.figures[field] for samples in rounds for s in samples if (s.work, s.name) == (work, name)])


def names(rounds: Rounds, work: str) -> list[str]:
    return list(dict.fromkeys(sample.name for samples in rounds for sample in samples if sample.work == work))


def ratio(rounds: Rounds, work: str, over: str, under: str, field: str) -> Figure | None:
    values = []
    for samples in rounds:
        found = {s.name: s.figures[field] for s in samples if s.work == work}
        if over in found and found.get(under):
            values.append(found[over] / found[under])
    return figures.figure(values) if values else None


def targets(rounds: Rounds, scale: Scale) -> list[Target]:
    found = []
    websocket, centrifugo = "portcullis, WebSocket", "centrifugo, WebSocket"
    weights = {"portcullis, gRPC, 100 a connection": 12, "portcullis, gRPC": 24, "portcullis, SSE": 24, websocket: 24}
    for name, most in weights.items():
        if name in names(rounds, "idle"):
            found.append(Target(f"idle: {name}", of(rounds, "idle", name, "kib"), most, "KiB"))
    ratios = [("idle", "kib", 1.0), ("one", "cpu_us", 0.5), ("each", "cpu_us", 0.5), ("fan", "cpu_us", 0.5)]
    for work, field, most in ratios:
        if value := ratio(rounds, work, websocket, centrifugo, field):
            found.append(Target(f"{work}: WebSocket / Centrifugo's", value, most))
    for work in ("one session", f"a user's {works.STREAMS_PER_CONNECTION}", "a user's all"):
        for name in names(rounds, work):
            found.append(Target(f"revocation of {work}, {name}", of(rounds, work, name, "own_p99_ms"), 50, "ms"))
    if "beside stuck" in names(rounds, "slow"):
        found.append(Target("slow: memory / the bound", bound_share(rounds, scale), 1.25))
        if value := ratio(rounds, "slow", "beside stuck", "beside readers", "p99_ms"):
            found.append(Target("slow: readers' p99 / beside readers", value, 1.05))
    return found


def bound_share(rounds: Rounds, scale: Scale) -> Figure:
    held = of(rounds, "slow", "beside stuck", "held_kib")
    bound = works.STUCK_QUEUE_BYTES / 1024
    return Figure(held.median / bound, held.least / bound, held.most / bound)


def render(rounds: Rounds, scale: Scale, run: Circumstances) -> str:
    method = METHOD.format(rounds=len(rounds), payload=works.PAYLOAD_BYTES, wire="some 180")
    rows = [[t.what, f"{t.value:.2f} {t.unit}", f"{t.most:g} {t.unit}", "yes" if t.met else "**no**"]
            for t in targets(rounds, scale)]  # fmt: skip
    sections = [
        f"# Results of ops/bench/fanout\n\n![Memory and CPU time](fanout.svg)\n\n{method}",
        "## Figures to reach\n\n" + grid(["", "found", "at most", "met"], rows),
        f"## Idle streams, and one event to all of them\n\n{scale.streams:,} streams.\n\n{idle(rounds)}",
        f"## Many events\n\n{scale.some_streams:,} streams, {scale.seconds} s: {scale.each_per_second:,} events/s to one user "
        f"each, then {scale.fan_per_second} events/s to all.\n\n{many(rounds)}",
        f"## Revocation\n\n{REVOCATION.format(streams=scale.revoked_streams)}\n{revocation(rounds)}",
        f"## Devices that do not read\n\n{SLOW.format(scale=scale, works=works)}\n{slow(rounds)}",
        f"## Machine and versions\n\n{circumstances(run)}",
    ]
    return "\n".join(sections)


REVOCATION = """\
{streams:,} streams. The gateway's own time is from the receipt of the invalidation to the last stream closed; its p99 is
the bound of the histogram's bucket that 99 % are within, and of a single one the time itself. The device's is from the
backend's call to the end that the last device reads, one revocation after the other.
"""

SLOW = """\
{works.READERS} readers with 500 events/s among them, beside {scale.stuck:,} streams, 100 a connection, which are sent 200
events/s. Ahead of that each of these was sent {works.STUCK_EVENTS} events of {works.STUCK_PAYLOAD_BYTES} bytes. Those that
do not read have a window of 1 KiB, so that what is sent waits in the gateway. The bound is that of the configuration,
`queue.bytes` of {works.STUCK_QUEUE_BYTES} a stream; the history is off.
"""


def idle(rounds: Rounds) -> str:
    rows = []
    for name in names(rounds, "idle"):
        value = {field: of(rounds, "one", name, field) for field in ("cpu_us", "p50_ms", "last_p50_ms", "last_p99_ms")}
        rows.append([name, f"{of(rounds, 'idle', name, 'kib'):.1f}", f"{value['cpu_us']:.2f}",
                     *(f"{value[field].median:.1f}" for field in ("p50_ms", "last_p50_ms", "last_p99_ms"))])  # fmt: skip
    heads = ["", "KiB an idle stream", "CPU µs a delivered event", "p50 ms", "last device p50 ms", "last device p99 ms"]
    return grid(heads, rows)


def many(rounds: Rounds) -> str:
    rows = []
    for name in names(rounds, "each"):
        cells = [name]
        for work in ("each", "fan"):
            cells.append(f"{of(rounds, work, name, 'cpu_us'):.2f}")
            cells += [f"{of(rounds, work, name, field).median:.2f}" for field in ("p50_ms", "p99_ms", "busy")]
        rows.append(cells)
    heads = ["CPU µs a delivered event", "p50 ms", "p99 ms", "busy"]
    return grid(["", *(f"one each: {head}" for head in heads), *(f"all: {head}" for head in heads)], rows)


def revocation(rounds: Rounds) -> str:
    rows = []
    for work in ("one session", f"a user's {works.STREAMS_PER_CONNECTION}", "a user's all"):
        for name in names(rounds, work):
            fields = ("own_mean_ms", "own_p99_ms", "p50_ms", "p99_ms")
            rows.append([work, name, *(f"{of(rounds, work, name, field):.2f}" for field in fields)])
    return grid(["", "transport", "own mean ms", "own p99 ms", "device p50 ms", "device p99 ms"], rows)


def slow(rounds: Rounds) -> str:
    rows = []
    for name in names(rounds, "slow"):
        held = of(rounds, "slow", name, "held_kib")
        p50, p99 = (of(rounds, "slow", name, field) for field in ("p50_ms", "p99_ms"))
        rows.append([name, f"{held:.1f}", f"{p50:.2f}", f"{p99:.2f}"])
    return grid(["readers", "KiB held for each of the others", "p50 ms", "p99 ms"], rows)


def circumstances(run: Circumstances) -> str:
    found = ["portcullis", *(server for server in ("centrifugo", "pushpin") if server not in run.absent)]
    versions = ", ".join(f"{server} {servers.version(server)}" for server in found)
    rows = [
        ["machine", machine.description()],
        ["load average ahead of the run", f"{run.load:.2f}"],
        ["versions", f"{versions}; {run.commit}"],
        ["not there", "; ".join(f"{server}: {why}" for server, why in run.absent.items()) or "none"],
        ["command", f"`{run.command}`"],
    ]
    return grid(["", ""], rows)
