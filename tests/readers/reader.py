"""What a row of the table of readers is, and how much a reading costs."""

import time
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from shared.auth.entra_keys import KeysUnavailable
from shared.errors import Refused
from shared.parsing.json_limits import TooMuch
from shared.webhooks.sources.source import Unverified
from tests.readers.shapes import TEXTS

__all__ = ["ANSWERS", "MEGABYTE", "Reader", "cpu", "of_texts", "peak", "weight"]

MEGABYTE: Final = 1_000_000
Shape = Callable[[int], Any]
# What a reader may answer. Anything else that it raises fails the test.
ANSWERS: Final = (Refused, Unverified, KeysUnavailable, TooMuch, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader of foreign text.

    name: of the row. covers: the functions that it runs, `mails.parse:send_mail`. read: reads a value that a shape
    has made. largest: the size that shapes are asked for: the limit where there is one, in bytes or characters. shapes:
    what may cost most; each makes a value of about the size. bounded: more than the largest is refused, or passed over,
    at once.
    """

    name: str
    covers: tuple[str, ...]
    read: Callable[[Any], object]
    largest: int
    shapes: Mapping[str, Shape]
    bounded: bool = True


def of_texts(*, begin: str = "", end: str = "", only: tuple[str, ...] = ()) -> dict[str, Shape]:
    """A text of each kind, between these."""

    def shape(kind: str) -> Shape:
        return lambda size: f"{begin}{TEXTS[kind](size - len(begin) - len(end))}{end}"

    return {kind: shape(kind) for kind in only or TEXTS}


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
