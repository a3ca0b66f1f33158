"""RESULTS.md."""

import argparse

from . import figures, load, machine
from .figures import PARTS, TOGETHER, Ratio, Rounds
from .gateways import Gateway

TITLES = {
    "pass": "Pass-through",
    "budget": "Pass-through with a budget for each client IP",
    "rpc": "A unary call, gRPC-Web to gRPC",
    "signed": "A signed command",
    "shared": "A signed command with a replay store and three shared budgets",
}

NOTES = {
    "pass": "Each gateway writes `X-Forwarded-For`, `X-Forwarded-Proto` and a fresh `X-Request-Id`; the bare proxy "
    "writes nothing. The answer is 200 bytes of JSON.",
    "budget": "The limit is never reached; that each budget does refuse is proved ahead of the rounds with a small "
    "limit. nginx: `limit_req` by address. HAProxy: a stick table of request rates by address. Envoy: "
    "`local_ratelimit` with a bucket for each remote address, made on demand. Portcullis: the `budget` filter with "
    "the key `client.ip`.",
    "rpc": "`grpc.health.v1.Health/Check` in gRPC-Web over HTTP/1.1, made a gRPC call over HTTP/2 in cleartext, with the "
    "`grpc_web` filter in Envoy and an `rpc` route in Portcullis. nginx answers with a message of two bytes.",
    "signed": "`ExecuteCommand` over Connect on HTTP/1.1, from 256 devices, through the whole chain: budgets, session "
    "lookup at the backend, payload hash, strict signature, freshness, replay; then the backend call and the signed "
    "answer.",
    "shared": "As above, with three budgets by session, user and message type that the store counts beside the replay ids: "
    "in memory, or in Redis on loopback, on the core of the load.",
}

METHOD = """\
CPU time is user and system time of the gateway's processes from `/proc/PID/stat`, over the requests that were
answered. Each gateway has one worker thread on core 0; load and backend (nginx, fixed answers) have core 1. {load}
keep-alive connections, keep-alive to the backend, access log off unless stated. {rounds} rounds of {seconds} s,
interleaved, a fresh process after a warm-up in every turn; a run with a single error is not reported. Figures are
medians (least–most); ratios are taken within each round. Where `busy` is below 1.00, load and backend were what
limited the rate.
"""


def render(rounds: Rounds, chosen: list[Gateway], given: argparse.Namespace, load_before: float) -> str:
    method = METHOD.format(load=load.CONNECTIONS, rounds=given.rounds, seconds=given.seconds)
    sections = [f"# Results of ops/bench\n\n![CPU time per request](results.svg)\n\n{method}"]
    if ratios := figures.ratios(rounds):
        sections.append(bounds(ratios))
    for work in TITLES:
        if found := figures.names(rounds, work):
            sections.append(f"## {TITLES[work]}\n\n{NOTES[work]}\n\n{table(rounds, work, found)}")
    if figures.names(rounds, "part"):
        sections.append(parts(rounds))
    sections.append(f"## Machine and versions\n\n{circumstances(chosen, given, load_before)}")
    return "\n".join(sections)


def bounds(ratios: list[Ratio]) -> str:
    rows = [[r.what, f"{r.value:.2f}", f"{r.most:.2f}", "yes" if r.met else "**no**"] for r in ratios]
    return "## Bounds\n\n" + grid(["Portcullis", "ratio", "at most", "met"], rows)


def table(rounds: Rounds, work: str, found: list[str]) -> str:
    rows = []
    for name in found:
        value = {field: figures.of(rounds, work, name, field) for field in
                 ("cpu_us", "per_second", "p50_us", "p99_us", "rss_kib", "hwm_kib", "busy")}  # fmt: skip
        rows.append([
            name,
            f"{value['cpu_us']:.1f}",
            f"{value['per_second'].median:,.0f}",
            f"{value['p50_us'].median / 1000:.2f}",
            f"{value['p99_us'].median / 1000:.2f}",
            f"{value['rss_kib'].median / 1024:.1f}",
            f"{value['hwm_kib'].median / 1024:.1f}",
            f"{value['busy'].median:.2f}",
        ])  # fmt: skip
    heads = ["", "CPU µs a request", "requests/s", "p50 ms", "p99 ms", "RSS MiB", "most RSS MiB", "busy"]
    return grid(heads, rows)


def parts(rounds: Rounds) -> str:
    rows = [[name, f"{figures.of(rounds, 'part', name):.1f}"] for name in PARTS]
    total = figures.figure([figures.cost(samples, [("part", name) for name in PARTS]) for samples in rounds])
    rows.append(["sum", f"{total:.1f}"])
    rows.append([TOGETHER, f"{figures.of(rounds, 'part', TOGETHER):.1f}"])
    intro = """\
### Its parts, each alone

Cryptography is `verify_strict`, a signature and two SHA-256 in a loop. The calls are made with hyper's HTTP/1.1
connections, the local answer by Pingora from its request filter with the loader of the signed command. Alone, a
part has its caches to itself, and its peer is never asleep when it sends. In one process (`bare_proxy command`:
session call, hash and verification, backend call, hash and signature, with no check, no chain and no limits) they
cost what they cost together; what lies above that is the gateway's own.

"""
    return intro + grid(["", "CPU µs"], rows)


def circumstances(chosen: list[Gateway], given: argparse.Namespace, load_before: float) -> str:
    # Without its script and the address, which say nothing here.
    wrk = " ".join(map(str, load.wrk_command(0, given.seconds)[:-3]))
    return grid(
        ["", ""],
        [
            ["machine", machine.description()],
            ["load average ahead of the run", f"{load_before:.2f}"],
            ["versions", machine.versions(chosen)],
            ["command", f"`ops/bench/run {options(given)}`"],
            ["load", f"`{wrk}` for plain HTTP, `ops/bench/signed_load` for commands"],
            ["configurations", "`ops/bench/configs`"],
        ],
    )


def options(given: argparse.Namespace) -> str:
    works, gateways = " ".join(given.works), " ".join(given.gateways)
    return f"--rounds {given.rounds} --seconds {given.seconds} --works {works} --gateways {gateways}"


def grid(heads: list[str], rows: list[list[str]]) -> str:
    # Figures stand to the right, under each other.
    rule = ["---"] + ["--:"] * (len(heads) - 1) if heads[-1] else ["---"] * len(heads)
    return "".join(f"| {' | '.join(row)} |\n" for row in [heads, rule, *rows])
