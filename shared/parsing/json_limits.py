"""How much JSON is read at all: counted in the bytes, before a parser makes objects of them.

Two bytes of JSON can become sixty of memory (`[]`), and what calls itself may be asked to do so as often as a stranger
has brackets to spend. So both are bounded before anything is built. Pure, and loads nothing.
"""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["TooMuch", "check_json"]

# One that does not end goes on to the end of the text: looking on behind its quote would take the square of the time.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")


class TooMuch(Exception):  # noqa: N818 - what was found, not a fault of ours
    """A JSON text with more values, or deeper, than is read. The text says which, and how many are."""


def check_json(text: bytes, *, values: int, levels: int) -> None:
    """Raise TooMuch for a JSON text of more than so many values, or nested more than so many levels deep.

    text: in UTF-8; it need not be JSON, as far as a parser gets with it the count holds. Empty objects and arrays
    count as two values. Takes no memory to speak of.
    """
    if _values(text, 0, len(text)) < values and _openings(text, 0, len(text)) <= levels:
        return
    count, level, end = 1, 0, 0
    for number, string in enumerate(_strings(text)):
        start, behind = end, string.start()
        end = string.end()
        count += _values(text, start, behind)
        # Each string is a value or the name of one.
        if count > values or number > 2 * values:
            raise TooMuch(f"it has more than {values} values")
        for byte in text[start:behind].translate(None, _NO_BRACKETS):
            level += 1 if byte in _OPENING else -1
            if level > levels:
                raise TooMuch(f"it is nested more than {levels} levels deep")


def _strings(text: bytes) -> Iterator[re.Match[bytes]]:
    """Every string, and where the text ends."""
    yield from _STRING.finditer(text)
    yield from re.compile(rb"\Z").finditer(text, len(text))


def _values(text: bytes, start: int, end: int) -> int:
    return text.count(b",", start, end) + _openings(text, start, end)


def _openings(text: bytes, start: int, end: int) -> int:
    return text.count(b"[", start, end) + text.count(b"{", start, end)
