"""The event loop: deadlines that read first what has arrived by then, and long work in a thread.

asyncio.timeout looks only at the clock. When the loop was blocked, because one request took seconds of processor time,
it discards an answer that arrived long before: uvloop and asyncio read the socket, wake the task, and cancel it in the
same pass. A mail that Graph has accepted would have an unknown outcome.

Here a wait whose time is over ends a few passes of the loop later; each pass reads what has arrived and wakes its task.
In these passes the task must begin nothing that others can see: `passed` says so.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from shared.telemetry import deferred

LARGE: Final = 64 * 1024  # bytes; to read less blocks the loop for a few milliseconds, at worst for a hundred
# One pass reads what a socket holds, up to 256 KiB, the next one wakes the task; and some to spare.
PASSES: Final = 16


class Deadline:
    """When a wait ends, on the clock without jumps."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds  # not the loop's clock: uvloop's stops while the loop is blocked

    @property
    def passed(self) -> bool:
        return self.left <= 0

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[Deadline]:
    """Raises TimeoutError when the block takes longer than `seconds`."""
    loop = asyncio.get_running_loop()

    waiting: asyncio.Handle

    def end(passes: int) -> None:
        nonlocal waiting
        if passes:
            waiting = loop.call_soon(end, passes - 1)
        else:
            timeout.reschedule(loop.time())

    async with asyncio.timeout(None) as timeout:
        waiting = loop.call_later(seconds, end, PASSES)
        try:
            yield Deadline(seconds)
        finally:
            waiting.cancel()


async def aside[**P, R](size: int, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What the work returns or raises; in a thread where it reads LARGE bytes or more, so that others are answered.

    size: bytes that it reads. What it logs is logged afterwards, in the loop. Small work would wait for its thread.
    """
    if size < LARGE:
        return work(*args, **options)
    with deferred():
        return await asyncio.to_thread(work, *args, **options)
