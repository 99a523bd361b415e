"""Programs and hosts that are measured, and what is asked of them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from bench.machine import cpu
from tests.e2e.running import EXAMPLE, FREE_PORTS, ROOT, Sandbox, environment, eventually

PROGRAMS = Path(__file__).parent / "programs"
APPS = Path(__file__).parent / "apps"
FREE = {
    "MAIL_RATE_PER_MINUTE": "30000",
    "MAIL_RECIPIENTS_PER_DAY": "10000000",
    "MAIL_ALLOWED_SENDERS": "*@sandbox.example",
}
"""Settings with which Mailroom itself hardly waits for a mailbox. Times are booked by the quarter of a second."""

SENDERS = ["*@sandbox.example"]
MANY = 10**9


def ask(program: str, question: Any, python: str = sys.executable, **settings: str) -> Any:
    """The answer of a program of bench/programs, in a process of its own. What it says on standard error is seen."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(  # noqa: S603 - its own programs
        [python, str(PROGRAMS / program)],
        input=json.dumps(question) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**settings) | {"PYTHONPATH": os.pathsep.join(path), "no_proxy": "127.0.0.1"},
        check=True,
    )
    return json.loads(result.stdout)


@contextmanager
def running(*options: str, app: str = str(ROOT), **settings: str) -> Iterator[Sandbox]:
    """Start a sandbox on free ports, and end it. Unlike the tests' it logs no more than warnings: logging costs too."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 - the project's own program
                [sys.executable, "-m", "sandbox", "--json", "--app", app, *FREE_PORTS, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(**settings),
                cwd=ROOT,
                text=True,
            )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"the sandbox did not start:\n{log.read_text(errors='replace')}")
            with httpx.Client(timeout=60, trust_env=False) as http:
                yield Sandbox(json.loads(line), http)
        finally:
            process.terminate()
            process.communicate(timeout=30)


@contextmanager
def mailroom(*options: str, **settings: str) -> Iterator[Sandbox]:
    """A sandbox without its mail client. Graph takes 64 requests of a mailbox at a time unless the options say else.

    In ten minutes it takes more of them than Graph does: some parts send a day's mail from one mailbox.
    """
    callers = json.dumps({"7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c001": {"senders": SENDERS}})
    options = options or ("--concurrency", "64")
    with running("--without", "mail", *options, **FREE | {"MAIL_CALLERS": callers} | settings) as sandbox:
        sandbox.http.post(f"{sandbox.facts['control']}/settings", json={"requests": MANY}).raise_for_status()
        yield sandbox


@contextmanager
def empty_host(first: Sandbox, app: str, **settings: str) -> Iterator[Sandbox]:
    """A host with an empty app, on the storage of a sandbox."""
    with running("--only", "host", app=str(APPS / app), **first.facts["environment"] | settings) as host:
        facts = first.facts | {name: fact for name, fact in host.facts.items() if fact}
        yield replace(host, facts=facts)


def bare(sandbox: Sandbox, how: str, count: int, at_a_time: int, warm: int = 20) -> dict[str, Any]:
    """Mails to the sandbox's Graph, past Mailroom: see programs/bare.py."""
    names = ("GRAPH_BASE_URL", "IDENTITY_ENDPOINT", "IDENTITY_HEADER")
    settings = {name: sandbox.facts["environment"][name] for name in names}
    question = {"how": how, "count": count, "at_a_time": at_a_time, "warm": warm}
    found: dict[str, Any] = ask("bare.py", question, SENDER=sandbox.sender, **settings)
    return found


def load(  # noqa: PLR0913 - a request has that many sides
    urls: Sequence[str],
    body: str,
    count: int,
    at_a_time: int,
    headers: Mapping[str, str] | None = None,
    *,
    may_fail: bool = False,
    most: float | None = None,
) -> dict[str, Any]:
    """Requests to a host: see programs/load.py. All must be answered 2xx, unless they may fail."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    question = {"urls": list(urls), "headers": sent, "body": body, "count": count, "at_a_time": at_a_time, "most": most}
    found: dict[str, Any] = ask("load.py", question)
    unexpected = {status: n for status, n in found["statuses"].items() if not status.startswith("2")}
    if unexpected and not may_fail:
        raise AssertionError(f"answered otherwise: {unexpected}")
    return found


def mail(subject: str) -> dict[str, Any]:
    """The mail that every way sends: Microsoft's example, with a copy in Sent Items."""
    return {"message": {**EXAMPLE["message"], "subject": subject}}


def put_at_once(sandbox: Sandbox, queue: str, texts: Sequence[str], after: int) -> None:
    """Put messages that all become visible so many seconds from now, when they are all there."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    from azure.storage.queue import QueueServiceClient

    began = time.monotonic()
    with QueueServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        client = service.get_queue_client(queue)

        def put(text: str) -> None:
            client.send_message(text, visibility_timeout=max(1, round(began + after - time.monotonic())))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, texts))


class Window:
    """The processor seconds of a host from now on, without what it uses while it has nothing to do."""

    def __init__(self, sandbox: Sandbox, idle: float) -> None:
        import time

        self._clock = time.monotonic
        self._pid = int(sandbox.facts["pids"]["host"])
        self._idle, self._cpu, self._began = idle, cpu(self._pid), self._clock()

    def seconds(self) -> float:
        return max(0.0, cpu(self._pid) - self._cpu - self._idle * (self._clock() - self._began))


def wait_for(sandbox: Sandbox, mails: int, seconds: float) -> None:
    """Wait until Graph has accepted so many."""

    def accepted() -> bool:
        stats = sandbox.http.get(f"{sandbox.facts['control']}/stats").json()
        return int(stats["accepted"]) >= mails

    eventually(accepted, seconds)
