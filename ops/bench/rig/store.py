"""The Redis of every run: no persistence, on the core of the load."""

import socket
import time

from . import gateways
from .processes import LOAD_CORE, Broken, Daemon

CONNECT_SECONDS_MAX = 10


def start() -> Daemon:
    gateways.SCRATCH.mkdir(parents=True, exist_ok=True)
    options = ("--port", gateways.REDIS_PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    command = ["redis-server", *options, "--dir", gateways.SCRATCH]
    return Daemon(command, LOAD_CORE, gateways.REDIS_PORT, gateways.SCRATCH / "redis.log")


def await_gateway() -> None:
    """Waits until a gateway uses the Redis: what is signed before that is older than the store's memory."""
    deadline = time.monotonic() + CONNECT_SECONDS_MAX
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", gateways.REDIS_PORT), timeout=1) as connection:
            connection.sendall(b"EXISTS {portcullis}:state\r\n")
            if connection.recv(16) == b":1\r\n":
                return
        time.sleep(0.01)
    raise Broken("no gateway uses the Redis")
