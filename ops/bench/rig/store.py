"""The Redis of every run: no persistence, on the core of the load."""

from . import gateways
from .processes import LOAD_CORE, Daemon


def start() -> Daemon:
    gateways.SCRATCH.mkdir(parents=True, exist_ok=True)
    options = ("--port", gateways.REDIS_PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    command = ["redis-server", *options, "--dir", gateways.SCRATCH]
    return Daemon(command, LOAD_CORE, gateways.REDIS_PORT, gateways.SCRATCH / "redis.log")
