"""Starting what the tests run against: the host as its own process, and Azurite."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
APPS = HERE / "apps"

_DEADLINE = 30.0


@dataclass(slots=True)
class Host:
    """A running host: what it said on its ready line, and what it says on stderr."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def master(self) -> dict[str, str]:
        """Headers that carry the master key."""
        return {"x-functions-key": self.ready["keys"]["master"]}

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def stop(self) -> int:
        """Ask the host to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_DEADLINE)


def command(app: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "sandbox.host", "--app", str(app), "--port", "0", *options]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process without settings of Functions, and with those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("Azure")}
    return {**kept, **settings}


@contextmanager
def running(app: Path, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[Host]:
    """Start a host and wait until it is ready; it is ended with the block."""
    process = subprocess.Popen(
        command(app, *options), cwd=ROOT, env=environment(settings or {}), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    host = Host(process, {})
    reader = threading.Thread(target=_collect, args=(process, host.lines))
    reader.start()
    try:
        line = process.stdout.readline()
        assert line, f"the host did not start:\n{host.log}"
        host.ready = json.loads(line)
        yield host
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join()
            process.stdout.close()


def refused(app: Path, *options: str, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Start a host that must not start, and return how it ended."""
    return subprocess.run(
        command(app, *options), cwd=ROOT, env=environment(settings or {}), text=True, capture_output=True,
        timeout=_DEADLINE, check=False,
    )  # fmt: skip


def eventually[T](look: Callable[[], T], seconds: float = 10.0) -> T:
    """Look until something true is seen; the last thing seen fails the test when time is out."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {seen!r}"
        time.sleep(0.05)
    return seen


def together(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Make requests at the same time, each in its own thread."""
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class Gate:
    """A TCP gate in front of a local port: while it is shut, nobody gets through and whoever was is cut off."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._through: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept, self._listening)

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._run(self._accept, self._listening)

    def shut(self) -> None:
        for each in (self._listening, *self._through):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()
        self._through, self._threads = [], []

    def _run(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=sockets))
        self._threads[-1].start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                outside, _ = listening.accept()
                inside = socket.create_connection(("127.0.0.1", self._behind))
                self._through += [outside, inside]
                self._run(_pump, outside, inside)
                self._run(_pump, inside, outside)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            lines.append(line)  # noqa: PERF402 (others read the list meanwhile)
