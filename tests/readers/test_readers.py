"""No foreign text costs time or memory out of proportion: every reader, with what costs it most.

Seconds say little on a machine that does other things, so what is asserted is growth: twice as much may take at most
three times as long, where it takes long enough to be measured. `make bench PART=readers` has the times.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.readers.reader import MEGABYTE, Reader, cpu, peak, weight
from tests.readers.table import NO_READERS, READERS, public

MEASURED: Final = 0.08  # seconds of CPU: below that it does not matter, and is not told from chance
GROWTH: Final = 3.0
TIMES: Final = 10  # of its own size that a text may take in memory
BESIDE: Final = 32_000_000  # bytes, and so much more
EXACT: Final = 50_000  # memory is measured at this size, or at the largest where that is less: it takes its time


def _both(reader: Reader, name: str) -> tuple[Any, Any]:
    shape = reader.shapes[name]
    return shape(reader.largest // 2), shape(reader.largest)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_twice_as_much_takes_at_most_three_times_as_long(reader: Reader) -> None:
    """Also beyond the limit of what has one: it is refused at once."""
    slow = []
    for name in reader.shapes:
        half, full = _both(reader, name)
        sizes = [half, full]
        if reader.bounded:
            sizes.append(reader.shapes[name](4 * reader.largest))
        cpu(reader, half)  # loads what is loaded once
        first = cpu(reader, half)
        for value in sizes[1:]:
            took = cpu(reader, value)
            if took > MEASURED and took > GROWTH * first:
                took, first = cpu(reader, value, rounds=3), cpu(reader, half, rounds=3)
            if took > MEASURED and took > GROWTH * first:
                slow.append(f"{name}: {first:.3f} s, then {took:.3f} s")
    assert slow == [], slow


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_is_read_takes_memory_in_proportion(reader: Reader) -> None:
    """Ten times its size and 32 MB, of a text of the largest size; here of a smaller one, and of both in proportion."""
    size = min(reader.largest, EXACT)
    room = BESIDE * max(1, size) // max(reader.largest, MEGABYTE)
    large = []
    for name, shape in reader.shapes.items():
        value = shape(size)
        cpu(reader, value)
        found = peak(reader, value)
        if found > TIMES * weight(value) + max(room, 2_000_000):
            large.append(f"{name}: {found:,} bytes for {weight(value):,}")
    assert large == [], large


def test_every_public_function_has_a_row_or_is_said_to_read_nothing_foreign() -> None:
    covered = {name for reader in READERS for name in reader.covers}
    listed = set(_listed())
    there = set(public())
    assert sorted(there - covered - listed) == [], "a reader without a row: see tests/readers/table.py"
    assert sorted(covered & listed) == []


def test_the_test_notices_what_takes_the_square() -> None:
    def square(text: str) -> None:
        for at in range(0, len(text), 16):
            text[at:].count("a")

    reader = Reader(name="", covers=(), read=square, largest=400_000, shapes={"a": lambda size: "a" * size})
    with pytest.raises(AssertionError):
        test_twice_as_much_takes_at_most_three_times_as_long(reader)


def test_the_test_notices_what_takes_memory() -> None:
    reader = Reader(name="", covers=(), read=lambda text: [text] * 400_000, largest=1_000, shapes={"a": lambda _: "a"})
    with pytest.raises(AssertionError):
        test_what_is_read_takes_memory_in_proportion(reader)


def _listed() -> Iterator[str]:
    for names in NO_READERS.values():
        yield from names.split()
