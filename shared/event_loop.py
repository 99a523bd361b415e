"""The event loop: deadlines that read first what has arrived by then, and long work in a thread.

asyncio.timeout looks only at the clock. When the loop was blocked, because one request took seconds of processor time,
it discards an answer that arrived long before: uvloop and asyncio read the socket, wake the task, and cancel it in the
same pass. A mail that Graph has accepted would have an unknown outcome.

Here a wait whose time is over ends a few passes of the loop later; each pass reads what has arrived and wakes its task.
In these passes the task must begin nothing that others can see: `passed` says so.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from shared.telemetry import deferred

LARGE: Final = 64 * 1024  # bytes; to read less blocks the loop for a few milliseconds, at worst for a hundred
# One pass reads what a socket holds, up to 256 KiB, the next one wakes the task; and some to spare.
PASSES: Final = 16


class Deadline:
    """The end of a wait, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds  # not the loop's clock: uvloop's stops while the loop is blocked

    @property
    def passed(self) -> bool:
        return self.left <= 0

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self._end - time.monotonic()


class within:  # noqa: N801 - read as a word: async with within(5)
    """Raises TimeoutError when the block takes longer than `seconds`.

    No generator: a mail enters some twenty of these, at half the price.
    """

    __slots__ = ("_loop", "_seconds", "_timeout", "_waiting")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> Deadline:
        self._loop, self._timeout = asyncio.get_running_loop(), asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._waiting: asyncio.Handle = self._loop.call_later(self._seconds, self._end, PASSES)
        return Deadline(self._seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _end(self, passes: int) -> None:
        if passes:
            self._waiting = self._loop.call_soon(self._end, passes - 1)
        else:
            self._timeout.reschedule(self._loop.time())


async def aside[**P, R](size: int, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What the work returns or raises; in a thread where it reads LARGE bytes or more, so that others are answered.

    size: bytes that it reads. What it logs is logged afterwards, in the loop. Small work would wait for its thread.
    """
    if size < LARGE:
        return work(*args, **options)
    with deferred():
        return await asyncio.to_thread(work, *args, **options)
