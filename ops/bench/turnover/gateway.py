"""A gateway with a configuration of its own to be replaced, and the backend of all."""

import contextlib
import http.client
import itertools
import pathlib
import re
import time
from collections.abc import Iterator

from rig import gateways
from rig.processes import GATEWAY_CORE, LOAD_CORE, Broken, Daemon, free_port

SCRATCH = gateways.SCRATCH / "reloads"
WAIT_SECONDS_MAX = 30

BACKEND = """\
daemon off;
worker_processes 1;
pid {folder}/backend.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "served\\n"; }} }}
}}
"""

CONFIG = """\
version: 1
listeners:
  public: {{ bind: "127.0.0.1:{port}"{tls} }}
  admin: {{ bind: "127.0.0.1:{admin}", admin: true }}
connections: {{ per_ip: 10000 }}
observe: {{ access_log: {{ to: off }} }}
reload: {{ watch: {watch}, history: 0 }}
{parts}upstreams:
  backend: {{ endpoints: ["http://127.0.0.1:{backend}"]{upstream} }}
routes:
  - {{ name: mark, match: {{ path: /mark-{mark} }}, forward: backend }}
  - {{ name: load, match: {{ path: /load }}, chain: [ request_id, {{ headers: {{ request: {{ set: {{ x-mark: "{mark}" }} }} }} }} ], forward: backend }}
{routes}  - {{ name: last, match: {{ path: /last }}, forward: backend }}
"""


def backend() -> Daemon:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = SCRATCH / "backend.conf"
    config.write_text(BACKEND.format(folder=SCRATCH, port=port))
    command = ["nginx", "-e", "stderr", "-p", SCRATCH, "-c", config]
    return Daemon(command, LOAD_CORE, port, SCRATCH / "backend.log")


class Gateway:
    """A gateway that runs, and the texts that it can be given."""

    _folders = itertools.count()

    def __init__(self, backend_port: int, watch: bool = False, tls: str = ""):
        self.backend, self.watch, self.tls = backend_port, str(watch).lower(), tls
        self.port, self.admin = free_port(), free_port()
        self.folder = SCRATCH / f"gateway-{next(Gateway._folders)}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "gateway.yaml"

    def text(self, mark: int, routes: str = "", parts: str = "", upstream: str = "") -> str:
        """A configuration that serves /mark-MARK and no other mark. Half of it has no route /last, or is none."""
        return CONFIG.format(
            port=self.port, admin=self.admin, backend=self.backend, watch=self.watch, tls=self.tls,
            mark=mark, routes=routes, parts=parts, upstream=upstream,
        )  # fmt: skip

    @contextlib.contextmanager
    def run(self) -> Iterator["Gateway"]:
        command = [gateways.PORTCULLIS, "run", self.file]
        with Daemon(command, GATEWAY_CORE, self.port, self.folder / "gateway.log") as self.daemon:
            yield self

    def status(self, path: str) -> int:
        return ask(self.port, "GET", path)[0]

    def reload(self) -> None:
        """Has the file taken up; anything else is the end of the run."""
        status, body = ask(self.admin, "POST", "/reload")
        if status != 200:
            raise Broken(f"a reload gave {status}: {body}")

    def reloads(self, outcome: str) -> int:
        metrics = ask(self.admin, "GET", "/metrics")[1]
        found = re.search(rf'^portcullis_reloads_total{{outcome="{outcome}"}} (\d+)$', metrics, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def await_mark(self, mark: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while self.status(f"/mark-{mark}") != 200:
            if time.monotonic() > deadline:
                raise Broken(f"{self.file} with the mark {mark} was not taken up")
            time.sleep(0.02)


def ask(port: int, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS_MAX)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def write_over(path: pathlib.Path, text: str) -> None:
    """As one step: whoever reads sees one text or the other."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)
