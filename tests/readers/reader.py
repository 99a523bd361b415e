"""A reader of text from callers, and what one reading costs."""

import time
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from shared.auth.entra_keys import KeysUnavailable
from shared.errors import Refused
from shared.parsing.json_text import TooMuch
from shared.webhooks.sources.source import Unverified
from tests.readers.shapes import Shape

MEGABYTE: Final = 1_000_000
# What a reader may answer. Anything else that it raises fails the test.
ANSWERS: Final = (Refused, Unverified, KeysUnavailable, TooMuch, ValueError)


@dataclass(frozen=True, slots=True)
class Reader:
    """read: reads a value that a shape has made. largest: the size that shapes are asked for, in bytes or characters.

    shapes: what may cost most. bounded: more than the largest is refused, or passed over, at once.
    """

    name: str
    read: Callable[[Any], object]
    largest: int
    shapes: Mapping[str, Shape]
    bounded: bool = False


def cpu(reader: Reader, value: Any, rounds: int = 1) -> float:
    """Seconds of CPU for one reading, the fewest of some rounds."""
    return min(_once(reader, value) for _ in range(rounds))


def peak(reader: Reader, value: Any) -> int:
    """Bytes that one reading has at once beside the value. Everything is loaded by a reading before."""
    tracemalloc.start()
    try:
        with suppress(*ANSWERS):
            reader.read(value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def weight(value: Any) -> int:
    """Bytes of a value that a shape has made."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    body = getattr(value, "body", None)
    if isinstance(body, bytes):
        return len(body) + sum(len(text) for text in value.headers.values())
    if isinstance(value, Mapping):
        return 2 + sum(weight(name) + weight(one) + 2 for name, one in value.items())
    if isinstance(value, list | tuple):
        return 2 + sum(weight(one) + 1 for one in value)
    return 8


def _once(reader: Reader, value: Any) -> float:
    began = time.process_time()
    with suppress(*ANSWERS):
        reader.read(value)
    return time.process_time() - began
