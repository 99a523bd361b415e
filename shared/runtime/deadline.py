"""The end of a wait: what has arrived by then is read first.

asyncio.timeout looks at the clock alone. Where the loop has stood still, because one request took seconds of processor
time, it throws an answer away that has long been there: uvloop and asyncio read the socket, wake the task, and in the
same pass cancel it. A mail that Graph has accepted would be of unknown outcome.

Here a wait whose time is over ends a few passes of the loop later; each reads what has come and wakes who waits for it.
What waits must begin nothing in these passes that others can see: `passed` says so.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

__all__ = ["Deadline", "within"]

# One pass reads what a socket holds, up to 256 KiB, the next one wakes who waits for it; and some to spare.
PASSES: Final = 16


class Deadline:
    """When a wait ends, on the clock without jumps."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds  # not the loop's clock: uvloop's stands still while it does

    @property
    def passed(self) -> bool:
        return self.left <= 0

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[Deadline]:
    """For what may take so many seconds. Raises TimeoutError where it took longer."""
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
