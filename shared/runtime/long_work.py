"""Long work in a thread of its own, so that the other requests of the process go on meanwhile.

Reading and rendering keep within limits, but what is within them may still take some tenths of a second for each
megabyte. In the event loop nothing else would be answered, and mails on their way would time out. A thread has the
interpreter for five milliseconds at a time. Small work stays in the loop: the way to a thread and back takes longer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.telemetry import deferred

__all__ = ["LARGE", "aside"]

LARGE: Final = 64 * 1024  # bytes; what is smaller holds the loop for a few milliseconds, and at worst for a hundred


async def aside[**P, R](size: int, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What the work returns, or raises. size: bytes of what it reads.

    What it says is said afterwards, in the loop: the platform drops what is logged in threads.
    """
    if size < LARGE:
        return work(*args, **options)
    with deferred():
        return await asyncio.to_thread(work, *args, **options)
