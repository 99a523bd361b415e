"""Long work in a thread, so that the other requests of the process continue meanwhile.

Reading and rendering have limits, but within them a megabyte may still take some tenths of a second. In the event loop
that would delay every other answer, and mails in flight would time out. A thread has the interpreter for five
milliseconds at a time. Small work stays in the loop: switching to a thread and back takes longer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.telemetry import deferred

LARGE: Final = 64 * 1024  # bytes; less blocks the loop for a few milliseconds, at worst for a hundred


async def aside[**P, R](size: int, work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What the work returns or raises. size: bytes that it reads. What it logs is logged afterwards, in the loop."""
    if size < LARGE:
        return work(*args, **options)
    with deferred():
        return await asyncio.to_thread(work, *args, **options)
