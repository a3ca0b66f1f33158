"""Processes under measurement: started on one core, read through the kernel's accounting, always stopped."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

GATEWAY_CORE = 0
LOAD_CORE = 1

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Broken(Exception):
    """A run that cannot be counted, and why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(core: int, command: list) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


class Daemon:
    """A server with everything that it forks. Use it in a `with` block: leaving that stops it."""

    def __init__(self, command: list, core: int, port: int, log: pathlib.Path):
        self.command, self.port, self.log = pinned(core, command), port, log

    def __enter__(self) -> "Daemon":
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self._wait_for_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_for_port(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        tail = self.log.read_text(errors="replace")[-1500:]
        raise Broken(f"`{' '.join(self.command)}` did not start listening:\n{tail}")

    def signal(self, name: str) -> None:
        self._process.send_signal(signal.Signals[f"SIG{name}"])

    def cpu_seconds(self) -> float:
        """User and system time so far, of all threads of all its processes."""
        return cpu_seconds(self._process.pid)

    def smaps_kib(self, field: str) -> int:
        """A field of smaps_rollup, summed over its processes."""
        total = 0
        for pid in family(self._process.pid):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == field:
                    total += int(value.split()[0])
        return total

    def memory_kib(self) -> dict[str, int]:
        """VmRSS (now) and VmHWM (the most so far), summed over its processes."""
        total = {"VmRSS": 0, "VmHWM": 0}
        for pid in family(self._process.pid):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in total:
                    total[name] += int(value.split()[0])
        return total


def cpu_seconds(pid: int) -> float:
    """User and system time so far of a process and its descendants, with all their threads."""
    return sum(own_ticks(member) for member in family(pid)) / TICKS_PER_SECOND


def own_ticks(pid: int) -> int:
    # The second field is the command's name in brackets, which may hold spaces and brackets itself.
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return int(user) + int(system)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        # A thread may have ended since.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += [int(child) for child in (task / "children").read_text().split()]
    return [pid] + [member for child in children for member in family(child)]
