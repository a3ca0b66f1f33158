"""What is done to a gateway while it is given one configuration after the other."""

import contextlib
import dataclasses
import itertools
import pathlib
import re
import ssl
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

from rig.processes import LOAD_CORE, Broken, pinned

from .gateway import SCRATCH, Gateway, backend, write_over
from .ways import WAYS

BATCH = 100_000
"""Requests of one turn of h2load, HTTP/1 and HTTP/2 by turns."""


@dataclasses.dataclass(frozen=True)
class Scale:
    requests: int = 10_000_000
    reloads: int = 1_000
    changes: int = 100
    storm_seconds: int = 60
    routes: int = 10_000
    large_reloads: int = 20
    certificates: int = 50


QUICK = Scale(requests=200_000, reloads=20, changes=3, storm_seconds=5, large_reloads=5, certificates=3)


@dataclasses.dataclass(frozen=True)
class Found:
    """A figure, and at most what it has to be; without a bound it only informs."""

    what: str
    value: float
    most: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.most is None or self.value <= self.most


@contextlib.contextmanager
def running(**settings) -> Iterator[Gateway]:
    with backend() as daemon:
        gateway = Gateway(daemon.port, **settings)
        gateway.file.write_text(gateway.text(0))
        with gateway.run():
            yield gateway


def h2load(*arguments) -> str:
    run = subprocess.run(pinned(LOAD_CORE, ["h2load", *arguments]), capture_output=True, text=True, timeout=600)
    if run.returncode:
        raise Broken(f"h2load failed: {run.stdout}{run.stderr}")
    return run.stdout


def under_load(scale: Scale) -> Iterator[Found]:
    """Requests without a pause, and reloads spread among them: of a header, a route, a budget, the upstream."""
    changes = (
        {},
        {"routes": "  - { name: other, match: { path: /other }, forward: backend }\n"},
        {"parts": "budgets: { few: { key: [client.ip], instance: [9/1s] } }\n",
         "routes": "  - { name: few, match: { path: /few }, chain: [ { budget: few } ], forward: backend }\n"},
        {"upstream": ", timeouts: { connect: 900ms }"},
    )  # fmt: skip
    total, failed, reloads = 0, 0, 0
    with running() as gateway:
        for protocol in itertools.cycle((["--h1", "-c", "32"], ["-c", "8", "-m", "8"])):
            if total >= scale.requests and reloads >= scale.reloads:
                break
            with subprocess.Popen(
                pinned(LOAD_CORE, ["h2load", *protocol, "-n", BATCH, f"http://127.0.0.1:{gateway.port}/load"]),
                stdout=subprocess.PIPE, text=True,
            ) as load:  # fmt: skip
                batch_ends = BATCH * scale.reloads // scale.requests
                for _ in range(max(1, batch_ends)):
                    reloads += 1
                    write_over(gateway.file, gateway.text(reloads, **changes[reloads % len(changes)]))
                    gateway.reload()
                    time.sleep(0.2)
                printed = load.communicate(timeout=600)[0]
            total += BATCH
            failed += BATCH - int(re.search(r"(\d+) 2xx", printed).group(1))
            print(f"  {total:,} requests, {reloads} reloads, {failed} failed", flush=True)
    yield Found(f"failed of {total:,} requests over {reloads:,} reloads, HTTP/1 and HTTP/2", failed, 0)


def replaced(scale: Scale) -> Iterator[Found]:
    """Each way of replacing a file at a gateway of its own, which watches it."""
    halves, broken = [], []

    def replace(way, gateway: Gateway) -> None:
        try:
            for mark in range(1, scale.changes + 1):
                way(gateway.file, gateway.text(mark))
                gateway.await_mark(mark)
                if gateway.status("/last") != 200:
                    halves.append(way.__name__)
        except Exception as why:
            broken.append(f"{way.__name__}: {why}")

    with contextlib.ExitStack() as stack:
        port = stack.enter_context(backend()).port
        fleet = [Gateway(port, watch=True) for _ in WAYS]
        for gateway in fleet:
            gateway.file.write_text(gateway.text(0))
            stack.enter_context(gateway.run())
        at_work = [threading.Thread(target=replace, args=pair) for pair in zip(WAYS, fleet)]
        for thread in at_work:
            thread.start()
        for thread in at_work:
            thread.join()
        if broken:
            raise Broken("; ".join(broken))
        refused = sum(gateway.reloads("refused") for gateway in fleet)
        taken = sum(gateway.reloads("reloaded") for gateway in fleet)
    yield Found(f"files taken half over {len(WAYS)} ways of replacing one × {scale.changes}", len(halves) + refused, 0)
    yield Found("of these files taken up more than once", taken - scale.changes * len(WAYS), 0)


def storm(scale: Scale) -> Iterator[Found]:
    """A hundred changes a second, with a SIGHUP for each, under some load."""
    memory = []
    with running(watch=True) as gateway:
        began, mark = time.monotonic(), 0
        while (now := time.monotonic()) < began + scale.storm_seconds:
            mark += 1
            write_over(gateway.file, gateway.text(mark))
            gateway.daemon.signal("HUP")
            if mark % 10 == 0:
                gateway.status("/load")
            memory.append(gateway.daemon.memory_kib()["VmRSS"])
            time.sleep(max(0.0, began + mark / 100 - now))
        ended = time.monotonic()
        gateway.await_mark(mark)
        took = time.monotonic() - ended
        reloads = gateway.reloads("reloaded")
    yield Found(f"s from the last of {mark:,} changes to its being in force", took, None, "s")
    yield Found("reloads in that storm", reloads)
    tenth = max(1, len(memory) // 10)
    growth = max(memory[-tenth:]) / max(memory[tenth : 2 * tenth])
    yield Found("memory in its last tenth / in its second", growth, 1.1)


def large(scale: Scale) -> Iterator[Found]:
    """Many routes, of which one is another each time."""
    routes = "".join(
        f'  - {{ name: r{n}, match: {{ path: "/r{n}/*" }}, chain: request_id, forward: backend }}\n' for n in range(scale.routes)
    )
    with running() as gateway:
        write_over(gateway.file, gateway.text(1, routes))
        gateway.reload()
        marks = itertools.count(2)

        def reload() -> None:
            write_over(gateway.file, gateway.text(next(marks), routes))
            gateway.reload()

        before = gateway.daemon.cpu_seconds()
        for _ in range(scale.large_reloads):
            reload()
        spent_ms = (gateway.daemon.cpu_seconds() - before) * 1000 / scale.large_reloads
        yield Found(f"CPU time of a reload of {scale.routes:,} routes", spent_ms, 200, "ms")
        seconds = scale.large_reloads
        alone = p99_ms(gateway, seconds)
        is_over = threading.Event()

        def again_and_again() -> None:
            while not is_over.wait(1):
                reload()

        beside = threading.Thread(target=again_and_again)
        beside.start()
        try:
            among = p99_ms(gateway, seconds)
        finally:
            is_over.set()
            beside.join()
    yield Found("p99 of 400 requests/s on one core without reloads", alone, None, "ms")
    yield Found("p99 growth with such a reload every second", among - alone, 5, "ms")


def p99_ms(gateway: Gateway, seconds: int) -> float:
    log = SCRATCH / "requests.log"
    log.unlink(missing_ok=True)
    h2load("--h1", "-c", 4, "--rps", 100, "-D", seconds, "--log-file", log, f"http://127.0.0.1:{gateway.port}/load")
    # Start, status and duration in microseconds (h2load(1)).
    lines = [line.split() for line in log.read_text().splitlines()]
    if not lines or any(status != "200" for _, status, _ in lines):
        raise Broken("a request failed beside a reload")
    times = sorted(int(micros) for _, _, micros in lines)
    return times[len(times) * 99 // 100] / 1000


def certificates(scale: Scale) -> Iterator[Found]:
    """Handshakes without a pause while the certificate is replaced, and then its key."""
    folder = SCRATCH / "certificates"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [certificate(folder, number) for number in range(scale.certificates)]
    in_use = folder / "in-use.pem", folder / "in-use.key"
    for source, target in zip(pairs[0], in_use):
        write_over(target, source.read_text())
    tls = f", tls: {{ certificate: {in_use[0]}, key: {in_use[1]} }}"
    waits, failed, handshakes = [], 0, 0
    with running(watch=True, tls=tls) as gateway:
        for pair in pairs[1:]:
            expected = ssl.PEM_cert_to_DER_cert(pair[0].read_text())
            for source, target in zip(pair, in_use):
                write_over(target, source.read_text())
            replaced_at = time.monotonic()
            while True:
                handshakes += 1
                try:
                    shown = shown_certificate(gateway.port)
                except OSError:
                    failed += 1
                    continue
                if shown == expected:
                    break
                if time.monotonic() > replaced_at + 30:
                    raise Broken("a certificate was not taken up")
            waits.append(time.monotonic() - replaced_at)
    yield Found(f"failed of {handshakes:,} handshakes over {len(waits)} certificates", failed, 0)
    yield Found("longest until a replaced certificate is used", max(waits), 1, "s")


def certificate(folder: pathlib.Path, number: int) -> tuple[pathlib.Path, pathlib.Path]:
    pair = folder / f"{number}.pem", folder / f"{number}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", f"/CN=reload-{number}", "-addext", "subjectAltName=IP:127.0.0.1",
               "-out", pair[0], "-keyout", pair[1]]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return pair


def shown_certificate(port: int) -> bytes:
    context = ssl.create_default_context()
    # It is compared, not trusted.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as connection, context.wrap_socket(connection) as tls:
        return tls.getpeercert(binary_form=True)


WORKS = {"load": under_load, "files": replaced, "storm": storm, "large": large, "certificates": certificates}
