"""The servers of events: how each is started, opened streams to and published through."""

import base64
import contextlib
import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

from rig import gateways
from rig.processes import GATEWAY_CORE, Broken, Daemon, free_port

from .loader import Loader

READY_SECONDS_MAX = 20

QUEUE_EVENTS, QUEUE_BYTES = 256, 1 << 20
HISTORY_EVENTS = 1024

CENTRIFUGO = os.environ.get("CENTRIFUGO", "centrifugo")
PUSHPIN = "pushpin"
PUSHPIN_INTERNAL = pathlib.Path("/usr/lib/pushpin/internal.conf")


@dataclasses.dataclass
class Running:
    """A server that runs, and how to reach it."""

    daemon: Daemon
    via: object
    """What fan_load publishes by."""
    admin: int = 0

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.daemon.port}"

    def anonymous_kib(self) -> int:
        """The private memory of all its processes that is no file's."""
        return self.daemon.smaps_kib("Anonymous")

    def metrics(self) -> str:
        return get(self.admin, "/metrics")[1]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A server with a transport."""

    name: str
    server: str
    how: str
    per_connection: int = 1


SUBJECTS = (
    Subject("portcullis, WebSocket", "portcullis", "websocket"),
    Subject("portcullis, SSE", "portcullis", "sse"),
    Subject("portcullis, gRPC", "portcullis", "grpc"),
    Subject("portcullis, gRPC, 100 a connection", "portcullis", "grpc", 100),
    Subject("centrifugo, WebSocket", "centrifugo", "centrifugo"),
    Subject("pushpin, WebSocket", "pushpin", "pushpin"),
)


def missing() -> dict[str, str]:
    """Which of the others cannot take part, and why."""
    found = {}
    if not shutil.which(CENTRIFUGO):
        found["centrifugo"] = "no `centrifugo` on the PATH, and CENTRIFUGO names none"
    if not shutil.which(PUSHPIN) or not PUSHPIN_INTERNAL.exists():
        found["pushpin"] = "the package pushpin is not installed"
    return found


def version(server: str) -> str:
    command = {"portcullis": [gateways.PORTCULLIS, "--version"], "centrifugo": [CENTRIFUGO, "version"]}
    run = subprocess.run(command.get(server, [PUSHPIN, "--version"]), capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+\S*", run.stdout + run.stderr)
    return found.group() if found else "unknown"


@contextlib.contextmanager
def start(server: str, loader: Loader, **settings) -> Iterator[Running]:
    gateways.SCRATCH.mkdir(parents=True, exist_ok=True)
    with {"portcullis": portcullis, "centrifugo": centrifugo, "pushpin": pushpin}[server](loader, **settings) as running:
        yield running


@contextlib.contextmanager
def portcullis(
    loader: Loader, queue_events: int = QUEUE_EVENTS, queue_bytes: int = QUEUE_BYTES, history: int = HISTORY_EVENTS
) -> Iterator[Running]:
    port, admin = free_port(), free_port()
    (gateways.SCRATCH / "signer.pem").write_text(signer())
    settings = {
        "PORT": port,
        "ADMIN_PORT": admin,
        "REST_PORT": loader.rest,
        "PUSH_PORT": loader.push,
        "DIRECTORY": gateways.SCRATCH,
        "QUEUE_EVENTS": queue_events,
        "QUEUE_BYTES": queue_bytes,
        "HISTORY_EVENTS": history,
    }
    config = gateways.fill("portcullis-fanout.yaml", settings)
    with daemon([gateways.PORTCULLIS, "run", config], port) as running:
        await_status(admin, "/readyz", 200)
        yield Running(running, "push", admin)


@contextlib.contextmanager
def centrifugo(_: Loader) -> Iterator[Running]:
    port = free_port()
    config = gateways.fill("centrifugo.json", {"PORT": port})
    with daemon([CENTRIFUGO, "--config", config], port) as running:
        yield Running(running, {"centrifugo": f"127.0.0.1:{port}"})


@contextlib.contextmanager
def pushpin(loader: Loader) -> Iterator[Running]:
    # Its processes leave sockets behind, and each turn is a fresh one.
    directory = gateways.SCRATCH / "pushpin"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    port, control = free_port(), free_port()
    # Debian has zurl as a service of its own; here it is one of Pushpin's processes.
    internal = PUSHPIN_INTERNAL.read_text().replace("ipc:///var/run/zurl/zurl-", "ipc://{rundir}/{ipc_prefix}zurl-")
    (directory / "internal.conf").write_text(internal)
    (directory / "routes").write_text(f"* 127.0.0.1:{loader.rest},over_http\n")
    settings = {"PORT": port, "DIRECTORY": directory, "CONTROL_PORT": control, "PUBLISH_PORT": free_port(),
                "SUBSCRIBE_PORT": free_port(), "COMMAND_PORT": free_port()}  # fmt: skip
    config = gateways.fill("pushpin.conf", settings)
    with daemon([PUSHPIN, f"--config={config}"], port) as running:
        # Its port is there ahead of its other processes. The backend has no page.
        await_status(port, "/", 404)
        yield Running(running, {"pushpin": f"127.0.0.1:{control}"})


def daemon(command: list, port: int) -> Daemon:
    return Daemon(command, GATEWAY_CORE, port, gateways.SCRATCH / "gateway.log")


def signer() -> str:
    """A signing key as public as this file, in PKCS#8 (RFC 8410)."""
    key = bytes.fromhex("302e020100300506032b657004220420") + b"portcullis bench, not a secret.."
    return f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(key).decode()}\n-----END PRIVATE KEY-----\n"


def await_status(port: int, path: str, status: int) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if get(port, path)[0] == status:
            return
        time.sleep(0.02)
    raise Broken(f"{path} does not come to be {status}")


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
