"""The backend of every run: nginx with fixed answers and the device sessions."""

import subprocess

from . import gateways
from .processes import LOAD_CORE, Daemon

SESSIONS = 256

BODY = '{"user":"bench","balance":1200,"items":["sword","shield","lantern"],"note":"%s"}'
BODY = BODY % ("x" * (200 - len(BODY % "")))


# HealthCheckResponse { status: SERVING }.
MESSAGE_FRAME = b"\0\0\0\0\2\x08\1"


def start(port: int) -> Daemon:
    gateways.SCRATCH.mkdir(parents=True, exist_ok=True)
    printed = signed_load("print", "sessions", str(SESSIONS))
    keys = "".join(f'        {session} "{key}";\n' for session, key in map(str.split, printed.splitlines()))
    gateways.SESSIONS_FILE.write_text(printed)
    (gateways.SCRATCH / "signer.pem").write_text(signed_load("print", "signer"))
    gateways.GRPC_ANSWER.parent.mkdir(exist_ok=True)
    gateways.GRPC_ANSWER.write_bytes(MESSAGE_FRAME)
    settings = {"BACKEND_PORT": port, "GRPC_PORT": gateways.GRPC_PORT, "DIRECTORY": gateways.SCRATCH, "SESSION_KEYS": keys, "BODY": BODY}
    config = gateways.fill("backend.conf", settings)
    command = ["nginx", "-e", "stderr", "-p", gateways.SCRATCH, "-c", config]
    return Daemon(command, LOAD_CORE, port, gateways.SCRATCH / "backend.log")


def signed_load(*arguments: str) -> str:
    return subprocess.run([gateways.SIGNED_LOAD, *arguments], capture_output=True, text=True, check=True).stdout
