"""What costs most to read: for each reader of foreign text its worst shape, and how long the event loop stands still.

The readers and their shapes are those of tests/readers. CPU of one reading, the fewest of some rounds; and for the
largest webhook how long a loop that only counts does not come to its turn, with the reading in it and beside it.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from bench.machine import table
from shared.aside import aside
from tests.readers.reader import Reader, cpu, weight
from tests.readers.table import READERS

__all__ = ["measure"]

TICK = 0.001  # seconds


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 3
    rows = [_worst(reader, rounds) for reader in READERS]
    yield from table(
        ("reader", "its worst shape", "bytes", "CPU, ms", "ms for each started MB", "half of it, times"),
        [row for row in rows if row],
    )
    yield ""
    longest = next(reader for reader in READERS if reader.name == "a mail of the route alertmanager")
    value = longest.shapes["wide lists"](longest.largest)
    cpu(longest, value)
    yield from table(
        ("the largest event of Alertmanager", "the loop stands still for, ms"),
        [(name, f"{asyncio.run(_still(longest, value, size)) * 1000:.0f}") for name, size in (("in the loop", 0), ("beside it", 10**9))],
    )  # fmt: skip


def _worst(reader: Reader, rounds: int) -> tuple[str, ...]:
    found = []
    for name, shape in reader.shapes.items():
        value = shape(reader.largest)
        cpu(reader, value)
        found.append((cpu(reader, value, rounds), name, weight(value)))
    took, name, size = max(found)
    half = cpu(reader, reader.shapes[name](reader.largest // 2), rounds)
    started = -(-size // 1_000_000)
    return (
        reader.name, name, f"{size:,}", f"{took * 1000:.1f}", f"{took * 1000 / started:.1f}", f"{took / max(half, 1e-6):.1f}"
    )  # fmt: skip


async def _still(reader: Reader, value: Any, size: int) -> float:
    """The longest time that the loop did not come to its turn while this was read."""
    longest, done = 0.0, False

    async def count() -> None:
        nonlocal longest
        before = time.perf_counter()
        while not done:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            longest, before = max(longest, now - before - TICK), now

    counting = asyncio.create_task(count())
    await asyncio.sleep(10 * TICK)
    await aside(size, reader.read, value)
    await asyncio.sleep(10 * TICK)
    done = True
    await counting
    return longest
