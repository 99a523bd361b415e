"""No foreign text costs time or memory out of proportion: every reader, with what costs it most.

Seconds say little on a machine that does other things, so what is asserted is growth: twice as much may take at most
three times as long, where it takes long enough to be measured. What takes the square of the time is slow at less than
a tenth of a megabyte, so `make test` goes no further; `make proof` goes to the largest size that each reader has.
`make bench PART=readers` has the times.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.readers.reader import MEGABYTE, Reader, cpu, peak, weight
from tests.readers.table import NO_READERS, READERS, public

MEASURED: Final = 0.08  # seconds of CPU: below that it does not matter, and is not told from chance
GROWTH: Final = 3.0
TIMES: Final = 10  # of its own size that a text may take in memory
BESIDE: Final = 32_000_000  # bytes, and so much more
QUICK: Final = 50_000  # bytes at most, in `make test`
SMALL: Final = 25_000  # and for memory, whose measuring takes its time
EACH = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
# What `make test` measures the memory of; `make proof` that of all. Texts of some KB never come near the 32 MB, and all
# routes read and render with the same functions, so two stand for them.
SOME = [
    reader
    for reader in READERS
    if reader.largest >= SMALL
    and (" of the route " not in reader.name or reader.name.endswith(("alertmanager", "generic")))
]


@EACH
def test_twice_as_much_takes_at_most_three_times_as_long(reader: Reader) -> None:
    """Also beyond the limit of what has one: it is refused at once."""
    assert slow(reader, QUICK) == []


@pytest.mark.parametrize("reader", SOME, ids=lambda reader: reader.name)
def test_what_is_read_takes_memory_in_proportion(reader: Reader) -> None:
    """Ten times its size and 32 MB at the largest size, and the same in proportion where less than that is read."""
    assert large(reader, SMALL) == []


@pytest.mark.proof
@EACH
def test_at_the_largest_size_too_twice_as_much_takes_at_most_three_times_as_long(reader: Reader) -> None:
    assert slow(reader, reader.largest) == []


@pytest.mark.proof
@EACH
def test_at_the_largest_size_too_memory_is_in_proportion(reader: Reader) -> None:
    assert large(reader, reader.largest) == []


def slow(reader: Reader, most: int) -> list[str]:
    """The shapes that take too long, at sizes up to this one."""
    size = min(reader.largest, most)
    found = []
    for name, shape in reader.shapes.items():
        values = [shape(one) for one in ((size, 4 * size) if reader.bounded and size == reader.largest else (size,))]
        if max(cpu(reader, value) for value in values) <= MEASURED:
            continue
        half = shape(size // 2)
        # Shapes come in whole pieces: what is meant as twice as much may be more.
        most_times = GROWTH * max(1.0, weight(values[0]) / weight(half) / 2)
        for rounds in (3, 9):  # what else runs on the machine makes the one or the other slow
            first = cpu(reader, half, rounds)
            took = max(cpu(reader, value, rounds) for value in values)
            if took <= max(MEASURED, most_times * first):
                break
        else:
            found.append(f"{name}: {first:.3f} s, then {took:.3f} s")
    return found


def large(reader: Reader, most: int) -> list[str]:
    """The shapes that take too much memory, at this size or at the largest where that is less."""
    size = min(reader.largest, most)
    found = []
    for name, shape in reader.shapes.items():
        value = shape(size)
        cpu(reader, value)  # loads what is loaded once
        took = peak(reader, value)
        room = BESIDE * min(1.0, max(size, weight(value)) / min(reader.largest, MEGABYTE))
        if took > TIMES * weight(value) + room:
            found.append(f"{name}: {took:,} bytes for {weight(value):,}")
    return found


def test_every_public_function_has_a_row_or_is_said_to_read_nothing_foreign() -> None:
    covered = {name for reader in READERS for name in reader.covers}
    listed = set(_listed())
    there = set(public())
    assert sorted(there - covered - listed) == [], "a reader without a row: see tests/readers/table.py"
    assert sorted(covered & listed) == []
    assert sorted((covered | listed) - there) == [], "of a function that is gone"


def test_the_test_notices_what_takes_the_square() -> None:
    def square(text: str) -> None:
        for at in range(0, len(text), 8):
            text[at:].count("b")

    shapes = {"a": lambda size: "a" * size}
    reader = Reader(name="", covers=(), read=square, largest=100_000, shapes=shapes, bounded=False)
    assert len(slow(reader, reader.largest)) == 1


def test_the_test_notices_what_takes_memory() -> None:
    reader = Reader(
        name="", covers=(), read=lambda text: [text] * 5_000_000, largest=1_000, shapes={"a": lambda _: "a"}
    )
    assert len(large(reader, reader.largest)) == 1


def _listed() -> Iterator[str]:
    for names in NO_READERS.values():
        yield from names.split()
