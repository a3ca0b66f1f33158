"""What the suites' scenes are made of: servers, the gateway of PORTCULLIS, and the suite itself.

A suite finds in its environment: GATEWAY_PUBLIC_KEY, the base64 of the raw key that answers and events are to be
verified with; SESSION_BUDGET, how many commands a session may send, which a gateway's configuration finds too.
"""

import base64
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading

READY_SECONDS = 20
SUITE_SECONDS = 120
STOP_SECONDS = 10

# PKCS#8 of an Ed25519 key is this and the seed (RFC 8410, section 7).
PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
GATEWAY_SEED = bytes([7] * 32)
GATEWAY_PUBLIC_KEY = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
SESSION_BUDGET = "4"


@contextlib.contextmanager
def serving(server):
    """The URL of an HTTP server that serves until the block ends."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def serving_gateway(configuration, program=None, **variables):
    """The addresses, by listener, of a gateway that serves until the block ends: of PORTCULLIS, or another program that
    is started like it. To its configuration, a file, these variables are known, SIGNER, a key, and SESSION_BUDGET."""
    signer = base64.b64encode(PKCS8_PREFIX + GATEWAY_SEED).decode()
    environment = os.environ | variables | {
        "SESSION_BUDGET": SESSION_BUDGET,
        "SIGNER": f"-----BEGIN PRIVATE KEY-----\n{signer}\n-----END PRIVATE KEY-----\n",
    }
    command = [program or os.environ["PORTCULLIS"], "run", configuration]
    gateway = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield ready(gateway)
    finally:
        gateway.terminate()
        try:
            gateway.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait()


def self_signed(folder):
    """A certificate for 127.0.0.1 and its key, each the name of a file."""
    certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", certificate]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return certificate, key


def ready(gateway):
    """The addresses of the ready line, which is the first on stdout."""
    readable, _, _ = select.select([gateway.stdout], [], [], READY_SECONDS)
    line = gateway.stdout.readline() if readable else b""
    if not line:
        sys.exit(f"The gateway was not ready within {READY_SECONDS} s, or ended before it was.")
    return json.loads(line)["listeners"]


def end_with_exit():
    """Takes SIGTERM for an exit, so that whoever stops the suite stops the gateway too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run(command, **variables):
    """The exit code of a suite, which finds these variables in its environment."""
    known = {"GATEWAY_PUBLIC_KEY": GATEWAY_PUBLIC_KEY, "SESSION_BUDGET": SESSION_BUDGET}
    environment = os.environ | known | variables
    try:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS).returncode
    except subprocess.TimeoutExpired:
        sys.exit(f"The suite did not end within {SUITE_SECONDS} s.")
