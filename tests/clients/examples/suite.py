"""Runs the examples of ops/examples together, as somebody does who follows the guide, and looks at what they print."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import stage

EXAMPLES = Path("ops/examples")
CLIENT_SECONDS = 30
# What each client prints: the same four answers and one refusal, in its own language's notation.
EXPECTED = {
    "client.py": """\
('ok', {'name': 'Ada'})
('ok', {'name': 'Ada'})
('name.invalid', {'error': {'code': 'name.invalid'}})
('game.unknown', {'error': {'code': 'game.unknown'}})
unimplemented MESSAGE_TYPE_UNKNOWN: No such message type
""",
    "client.ts": """\
[ 'ok', { name: 'Ada' } ]
[ 'ok', { name: 'Ada' } ]
[ 'name.invalid', { error: { code: 'name.invalid' } } ]
[ 'game.unknown', { error: { code: 'game.unknown' } } ]
unimplemented MESSAGE_TYPE_UNKNOWN: No such message type
""",
}


@contextlib.contextmanager
def backend():
    """The URL of the example backend, which serves until the block ends."""
    process = subprocess.Popen([sys.executable, EXAMPLES / "backend.py", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def main():
    stage.end_with_exit()
    failed = []
    with tempfile.TemporaryDirectory() as folder, backend() as url:
        shutil.copy(EXAMPLES / "gateway.yaml", folder)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{folder}/signer.pem"], check=True)
        with stage.serving_gateway(f"{folder}/gateway.yaml", BACKEND=url, PUBLIC="127.0.0.1:0", EDGE="127.0.0.1:0") as at:
            urls = [f"http://{at['public']}", f"http://{at['edge']}"]
            for name, program in (("client.py", sys.executable), ("client.ts", "node")):
                command = [program, EXAMPLES / name, *urls]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=CLIENT_SECONDS, env=os.environ)
                is_right = done.returncode == 0 and done.stdout == EXPECTED[name]
                print(f"{'ok  ' if is_right else 'FAIL'} {name}")
                if not is_right:
                    failed.append(name)
                    print(done.stdout)
    print(f"{len(EXPECTED) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
