"""What the figures were taken on, and with."""

import os
import pathlib
import platform
import re
import subprocess

from . import gateways
from .gateways import Gateway


def description() -> str:
    cpu = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    parts = [
        cpu.group(1) if cpu else platform.machine(),
        f"{os.cpu_count()} cores",
        f"{int(memory.group(1)) / (1 << 20):.0f} GiB" if memory else "",
        f"Linux {platform.release()}",
        platform.freedesktop_os_release()["PRETTY_NAME"],
    ]
    return ", ".join(filter(None, parts))


def load_average() -> float:
    return os.getloadavg()[0]


def versions(chosen: list[Gateway]) -> str:
    found = {gateway.name: gateways.version(gateway) for gateway in chosen if gateway.version and "," not in gateway.name}
    if gateways.PORTCULLIS.name in found:
        found[gateways.PORTCULLIS.name] += f" ({commit()})"
    found["Pingora"] = locked("pingora")
    found["wrk"] = wrk()
    return ", ".join(f"{name} {version}" for name, version in found.items())


def commit() -> str:
    described = git("describe", "--always", "--dirty", "--exclude=*")
    return f"commit {described}" if described else "not in a git clone"


def git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=gateways.HERE, capture_output=True, text=True)
    return run.stdout.strip()


def locked(crate: str) -> str:
    lock = (gateways.HERE.parent.parent / "Cargo.lock").read_text()
    found = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock)
    return found.group(1) if found else "unknown"


def wrk() -> str:
    run = subprocess.run(["wrk", "-v"], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", run.stdout + run.stderr)
    return found.group() if found else "unknown"
