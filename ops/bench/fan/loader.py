"""The backend and the devices: a fan_load that is told what to do, a line at a time."""

import json
import select
import subprocess

from rig import gateways
from rig.processes import LOAD_CORE, Broken, free_port, pinned

FAN_LOAD = gateways.RELEASE / "examples" / "fan_load"
ANSWER_SECONDS_MAX = 180


class Loader:
    """Use it in a `with` block: leaving that ends it."""

    def __init__(self):
        self.push, self.rest = free_port(), free_port()

    def __enter__(self) -> "Loader":
        arguments = ("--push", f"127.0.0.1:{self.push}", "--rest", f"127.0.0.1:{self.rest}")
        command = pinned(LOAD_CORE, [FAN_LOAD, *arguments])
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._answer()
        return self

    def __exit__(self, *_) -> None:
        # The end of its input is what ends it.
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, what: str, /, **arguments) -> dict:
        """Has it carry out a command, and waits for what came of it."""
        self._process.stdin.write(json.dumps({what: arguments} if arguments else what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        if not select.select([self._process.stdout], [], [], ANSWER_SECONDS_MAX)[0]:
            raise Broken("fan_load does not answer")
        line = self._process.stdout.readline()
        if not line:
            raise Broken("fan_load has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Broken(f"fan_load: {answer['error']}")
        return answer
