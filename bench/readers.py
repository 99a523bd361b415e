"""What costs most to read: for each reader of foreign text its worst shape, and how long the event loop stands still.

The readers and their shapes are those of tests/readers. The worst shape is the one that costs most for each byte at up
to a tenth of a megabyte; it is measured at the largest size and at half of that: CPU of one reading, the fewest of some
rounds. And for the largest webhook how long a loop that only counts does not come to its turn, with the reading in it
and beside it; uvloop, as in Azure.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

from bench.machine import table
from shared.event_loop import aside
from tests.readers.reader import Reader, cpu, weight
from tests.readers.table import READERS

TICK = 0.001  # seconds
TRIED = 100_000  # bytes


def measure(*, quick: bool) -> Iterator[str]:
    rounds = 1 if quick else 3
    yield from table(
        ("reader", "its worst shape", "bytes", "CPU, ms", "ms for each started MB", "half of it, times"),
        [_worst(reader, rounds) for reader in READERS],
    )
    yield ""
    longest = next(reader for reader in READERS if reader.name == "a mail of the route alertmanager")
    value = longest.shapes["wide lists"](longest.largest)
    cpu(longest, value)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield from table(
            ("the largest event of Alertmanager", "the loop stands still for, ms"),
            [
                (name, f"{runner.run(_still(longest, value, size)) * 1000:.0f}")
                for name, size in (("in the loop", 0), ("beside it", 10**9))
            ],
        )


def _worst(reader: Reader, rounds: int) -> tuple[str, ...]:
    def dear(shape: Callable[[int], Any]) -> float:
        value = shape(min(reader.largest, TRIED))
        cpu(reader, value)
        return cpu(reader, value) / max(1, weight(value))

    name, shape = max(reader.shapes.items(), key=lambda item: dear(item[1]))
    value = shape(reader.largest)
    size, took = weight(value), cpu(reader, value, rounds)
    half = cpu(reader, shape(reader.largest // 2), rounds)
    return (
        reader.name,
        name,
        f"{size:,}",
        f"{took * 1000:.1f}",
        f"{took * 1000 / -(-size // 1_000_000):.1f}",
        f"{took / max(half, 1e-6):.1f}",
    )


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
