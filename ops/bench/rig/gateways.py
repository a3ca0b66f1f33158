"""The gateways: how each is started, and which configuration it has for which work."""

import dataclasses
import os
import pathlib
import re
import string
import subprocess
import sys
import sysconfig

from .processes import free_port

HERE = pathlib.Path(__file__).resolve().parent.parent
CONFIGS = HERE / "configs"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
RELEASE = TARGET / "release"
SCRATCH = TARGET / "bench" / "run"
SESSIONS_FILE = SCRATCH / "sessions"

PORTCULLIS = RELEASE / "portcullis"
BARE_PROXY = RELEASE / "examples" / "bare_proxy"
SIGNED_LOAD = RELEASE / "examples" / "signed_load"
ENVOY = pathlib.Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy"

REDIS_PORT = free_port()
GRPC_PORT = free_port()
RPC_PATH = "/grpc.health.v1.Health/Check"
GRPC_ANSWER = SCRATCH / RPC_PATH[1:]
DESCRIPTORS = HERE.parent / "descriptors" / "health.binpb"

# So many in a second that no budget ever refuses, and few enough for each gateway's own arithmetic.
LIMIT_NEVER_REACHED = 1_000_000


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A program that can stand between the load and the backend."""

    name: str
    command: tuple
    """With `{config}`, `{port}` and `{backend}` to be filled in."""
    version: tuple = ()
    """What prints its version."""
    configs: dict = dataclasses.field(default_factory=dict)
    """By the name of the work. A gateway takes part in the works that it has here."""
    access_log: str = "off"
    store: str = "{ memory: {} }"


def portcullis(name: str, works: tuple, **settings: str) -> Gateway:
    configs = {work: f"portcullis-{work}.yaml" for work in works}
    return Gateway(name, (PORTCULLIS, "run", "{config}"), (PORTCULLIS, "--version"), configs, **settings)


GATEWAYS = (
    Gateway(
        "nginx",
        ("nginx", "-e", "stderr", "-p", SCRATCH, "-c", "{config}"),
        ("nginx", "-v"),
        {"pass": "nginx-pass.conf", "budget": "nginx-budget.conf"},
    ),
    Gateway(
        "haproxy",
        ("haproxy", "-db", "-f", "{config}"),
        ("haproxy", "-v"),
        {"pass": "haproxy-pass.cfg", "budget": "haproxy-budget.cfg"},
    ),
    Gateway(
        "envoy",
        (ENVOY, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", "{config}"),
        (ENVOY, "--version"),
        {"pass": "envoy-pass.yaml", "budget": "envoy-budget.yaml", "rpc": "envoy-rpc.yaml"},
    ),
    Gateway("bare", (BARE_PROXY, "forward", "127.0.0.1:{port}", "127.0.0.1:{backend}"), (), {"pass": None}),
    portcullis("portcullis", ("pass", "budget", "rpc", "signed", "shared")),
    portcullis("portcullis, logging", ("pass", "signed"), access_log="stdout"),
    portcullis("portcullis, Redis", ("shared",), store=f'{{ redis: {{ url: "redis://127.0.0.1:{REDIS_PORT}" }} }}'),
)

BARE_ANSWER = Gateway("bare answer", (BARE_PROXY, "answer", "127.0.0.1:{port}"))
BARE_COMMAND = Gateway(
    "bare command", (BARE_PROXY, "command", "127.0.0.1:{port}", "127.0.0.1:{backend}", SESSIONS_FILE)
)


def command(gateway: Gateway, work: str, port: int, backend: int, limit: int = LIMIT_NEVER_REACHED) -> list[str]:
    """The command line, with the configuration written where it points to."""
    config = SCRATCH
    if template := gateway.configs.get(work):
        settings = {
            "PORT": port,
            "BACKEND_PORT": backend,
            "GRPC_PORT": GRPC_PORT,
            "DESCRIPTORS": DESCRIPTORS,
            "DIRECTORY": SCRATCH,
            "ACCESS_LOG": gateway.access_log,
            "STORE": gateway.store,
            "LIMIT": limit,
            # nginx counts in milliseconds: within one of them the burst is all there is.
            "BURST": max(1, limit // 1000),
        }
        config = fill(template, settings)
    return [str(part).format(config=config, port=port, backend=backend) for part in gateway.command]


def fill(template: str, settings: dict) -> pathlib.Path:
    """The configuration with its `${NAMES}` filled in. Names that are not settings are the gateway's own."""
    filled = SCRATCH / template
    filled.write_text(string.Template((CONFIGS / template).read_text()).safe_substitute(settings))
    return filled


def version(gateway: Gateway) -> str:
    run = subprocess.run(gateway.version, capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+\.\d+[\w.+~-]*", run.stdout + run.stderr)
    return found.group() if found else sys.exit(f"{gateway.name} does not say its version")
