"""A slow upload: how long other callers wait while somebody, who need not prove a thing, sends a body byte by byte.

Azure's host reads one body at a time for each function and instance, and so does the sandbox's.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from bench.machine import median, table
from bench.rig import mailroom
from tests.e2e.running import Sandbox

ROUTE = "/api/events/alertmanager"
REQUESTS = 10


def measure(*, quick: bool) -> Iterator[str]:
    rows = []
    with mailroom() as sandbox, httpx.Client(verify=False, trust_env=False, timeout=120) as client:  # noqa: S501 - http
        paths = (ROUTE, f"/api/v1.0/users/{sandbox.sender}/sendMail", "/api/health")
        _asked(sandbox, client, paths)  # the first request of a function takes its time
        for seconds in (0, 2) if quick else (0, 5, 20):
            with _uploading(sandbox, seconds):
                found = _asked(sandbox, client, paths)
            rows.append((str(seconds), *(f"{median(times):.2f}, {max(times):.2f}" for times in found)))
    yield (
        f"{REQUESTS} requests to each at once, none with a token, when an upload to a webhook has begun. "
        "Seconds: p50, longest."
    )
    yield ""
    yield from table(("the upload takes, s", "other webhooks", "sendMail", "health"), rows)


@contextmanager
def _uploading(sandbox: Sandbox, seconds: int) -> Iterator[None]:
    """Somebody's upload to a webhook, which takes so long."""
    if not seconds:
        yield
        return
    host = urlsplit(sandbox.facts["host"])
    with socket.create_connection((host.hostname or "", host.port or 0)) as slow:
        count = seconds * 10
        slow.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: {host.netloc}\r\nContent-Length: {count}\r\n\r\n".encode())

        def trickle() -> None:
            for _ in range(count):
                time.sleep(0.1)
                slow.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        time.sleep(0.2)
        yield
        thread.join()


def _asked(sandbox: Sandbox, client: httpx.Client, paths: tuple[str, ...]) -> list[list[float]]:
    """Seconds until an answer, whatever it is, of so many requests to each path."""

    def ask(path: str) -> float:
        began = time.perf_counter()
        client.request("GET" if path == "/api/health" else "POST", sandbox.facts["host"] + path, content=b"{}")
        return time.perf_counter() - began

    with ThreadPoolExecutor(REQUESTS * len(paths)) as pool:
        asked = [[pool.submit(ask, path) for _ in range(REQUESTS)] for path in paths]
        return [[one.result() for one in each] for each in asked]
