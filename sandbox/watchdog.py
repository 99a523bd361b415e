"""What ends the parts when the supervisor cannot: it was killed, or crashed.

A process of its own that reads a pipe whose other end the supervisor holds. `+PID` puts a part on the list and `-PID`
takes it off. When the pipe closes, in whatever way the supervisor ended, every process group still on the list is
killed and the sandbox's folder is removed. It needs nothing but pipes and process groups, so it works on every Unix.

A part must not come to life without being on the list, so it puts itself there: the pipe is the standard input of a
shell that writes its own pid and then becomes the part (`enlisted`). Until that moment the shell itself holds the pipe
open, and afterwards the part does not.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

_DEATH_TAKES = 1.0
"""Seconds that killed processes have to be gone before their folder is removed."""


def enlisted(command: Iterable[str]) -> tuple[str, ...]:
    """The command that, with a watchdog's pipe as standard input, enlists itself and becomes `command`."""
    return ("/bin/sh", "-c", 'echo "+$$" >&0 && exec "$@" </dev/null', "sh", *command)


class Watchdog:
    """A watchdog at work for as long as the `with` block; `folder` is gone when the block has been left."""

    def __init__(self, folder: Path) -> None:
        reading, self.pipe = os.pipe()
        with open(reading, "rb") as theirs:  # noqa: PTH123 - a descriptor, not a path
            self._process = subprocess.Popen(
                (sys.executable, "-I", "-S", __file__, str(folder)),
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def forget(self, pid: int) -> None:
        """Take a part that has ended off the list: its pid may be another program's from now on."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.pipe, b"-%d\n" % pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.pipe)
        self._process.wait()


def _watch(orders: Iterable[str], folder: Path) -> None:
    listed: set[int] = set()
    for order in orders:
        change = listed.add if order.startswith("+") else listed.discard
        change(int(order[1:]))
    _kill(listed)
    shutil.rmtree(folder, ignore_errors=True)


def _kill(groups: set[int]) -> None:
    """SIGKILL every group, and wait a moment until none answers."""
    until = time.monotonic() + _DEATH_TAKES
    number: int = signal.SIGKILL
    while groups and time.monotonic() < until:
        for group in tuple(groups):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                groups.discard(group)
        number = 0
        time.sleep(0.02)


if __name__ == "__main__":
    for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(_signal, signal.SIG_IGN)
    _watch(sys.stdin, Path(sys.argv[1]))
