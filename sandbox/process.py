"""One part of the sandbox as a process: start it, hear when it is ready, notice its end, end it."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.options import ROOT
from sandbox.watchdog import Watchdog, enlisted

READY_WITHIN = 90.0
"""Seconds that a part may take until it is ready. Each takes one or two on an idle machine."""

_LONGEST_LINE = 2**20
_LAST_LINES = 20


class Failed(Exception):  # noqa: N818 - what it says of a part: storage failed
    """The sandbox cannot go on. The text is for the terminal; `status` is the exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Part[Facts]:
    """What has to be known to run a part.

    ready: hears the part's standard output line by line, and returns once the part answers, with what others need to
    know of it. grace: seconds from SIGTERM to SIGKILL. shown: its log goes to the terminal, not to a file.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[AsyncIterator[str]], Awaitable[Facts]]
    grace: float = 10.0
    shown: bool = False


class Process[Facts]:
    """A part that runs, in a process group of its own so that a terminal's Ctrl-C reaches the supervisor alone."""

    def __init__(self, part: Part[Facts], process: asyncio.subprocess.Process, log: Path, watchdog: Watchdog) -> None:
        self.name = part.name
        self.pid = process.pid
        self._part = part
        self._process = process
        self._log = log
        self._heard: asyncio.Queue[str] = asyncio.Queue()
        self._ready = False
        self._reading = asyncio.create_task(self._read())
        self._end = asyncio.create_task(self._wait(watchdog))

    @classmethod
    async def start(cls, part: Part[Facts], folder: Path, watchdog: Watchdog) -> Self:
        """Start `part` under the watchdog; its log is `folder`/NAME.log."""
        log = folder / f"{part.name}.log"
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *enlisted(part.command),
                stdin=watchdog.pipe,
                stdout=PIPE,
                stderr=None if part.shown else stderr,
                env=part.environment,
                cwd=ROOT,
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        return cls(part, process, log, watchdog)

    async def ready(self) -> Facts:
        """Wait until the part answers. Raises Failed after READY_WITHIN; its death is for `ended` to tell."""
        try:
            async with asyncio.timeout(READY_WITHIN), aclosing(self._lines()) as lines:
                facts = await self._part.ready(lines)
        except TimeoutError:
            said = f"{self.name} (pid {self.pid}) was not ready within {READY_WITHIN:.0f} s."
            raise Failed(said + self.last_words()) from None
        self._ready = True
        return facts

    async def ended(self) -> str:
        """Wait for the end of the process and of its output, and say how it ended."""
        status, _ = await asyncio.gather(asyncio.shield(self._end), asyncio.shield(self._reading))
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    async def stop(self, at_once: asyncio.Event) -> None:
        """SIGTERM, then SIGKILL when its grace is over or when `at_once` is set."""
        hurry = asyncio.create_task(at_once.wait())
        self._signal(signal.SIGTERM)
        await asyncio.wait({self._end, hurry}, timeout=self._part.grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        self._signal(signal.SIGKILL)
        await asyncio.wait({self._end, self._reading})

    def last_words(self) -> str:
        """The end of what the part has logged, to be put behind a message."""
        if self._part.shown:
            return " What it said is above."
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "".join([" Its last lines:", *(f"\n    {line}" for line in lines)]) if lines else " It said nothing."

    async def _wait(self, watchdog: Watchdog) -> int:
        status = await self._process.wait()
        watchdog.forget(self.pid)
        return status

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def _lines(self) -> AsyncGenerator[str]:
        while True:
            yield await self._heard.get()

    async def _read(self) -> None:
        """Read standard output to its end, so that the part never blocks on it."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - PIPE was asked for
        with self._log.open("ab") as log:
            while not stdout.at_eof():
                try:
                    line = await stdout.readline()
                except ValueError:  # longer than _LONGEST_LINE; nothing of the sandbox is
                    continue
                log.write(line)
                log.flush()
                if not self._ready:
                    self._heard.put_nowait(line.decode(errors="replace").rstrip())
                elif self._part.shown:
                    with contextlib.suppress(OSError):
                        sys.stderr.buffer.write(line)
                        sys.stderr.buffer.flush()
