"""Reads JSON from a body: first counts its values and levels, then parses it.

Two bytes of JSON (`[]`) can take sixty bytes of memory, and a recursive parser goes as deep as a stranger writes
brackets. So values and levels are counted in the bytes, before a parser makes objects of them.

RFC 8259 allows no control characters inside strings, but templates and here-strings put line ends there all the same.
Such a string can be read in one way only, so a second, lenient pass reads it after the strict one has failed. This
applies to bodies of sendMail, queues and webhooks; tokens, signing keys and settings are read strictly.
"""

import json
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

# One without an end goes on to the end of the text: to search behind its quote would take the square of the time.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_END: Final = re.compile(rb"\Z")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")


class NotRead(ValueError):  # noqa: N818 - a finding, not a fault of ours
    """A text that is not JSON, or holds too much to be read. The message says why, and where."""


class TooMuch(NotRead):
    """A JSON text with more values, or deeper, than is read. The text says which, and how many are allowed."""


def load(text: str, *, values: int, levels: int, read: Callable[..., Any] = json.loads) -> Any:
    """The value that the text holds. read: json.loads, or it with more options.

    Raises NotRead: also for more values or levels than that, and for a number of thousands of digits. Where both passes
    fail it says why the strict one did.
    """
    check_json(text.encode("utf-8", "surrogatepass"), values=values, levels=levels)
    try:
        try:
            return read(text, strict=True)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Invalid control character"):
                raise
            strict = error
        try:
            return read(text, strict=False)
        except json.JSONDecodeError:
            raise strict from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise NotRead(f"{error.msg.removesuffix(' at').rstrip(': ')}, at {where}") from None
    except NotRead:  # of `read`
        raise
    except ValueError:  # Python's own limit on digits
        raise NotRead("a number of thousands of digits") from None


def check_json(text: bytes, *, values: int, levels: int) -> None:
    """Raise TooMuch for a JSON text of more than so many values, or nested more than so many levels deep.

    text: in UTF-8; of a text that is not JSON, the part that a parser would read is counted. Empty objects and arrays
    count as two values. Takes hardly any memory.
    """
    if _values(text, 0, len(text)) < values and _openings(text, 0, len(text)) <= levels:
        return
    count, level, end = 1, 0, 0
    for number, string in enumerate(chain(_STRING.finditer(text), _END.finditer(text, len(text)))):
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


def _values(text: bytes, start: int, end: int) -> int:
    return text.count(b",", start, end) + _openings(text, start, end)


def _openings(text: bytes, start: int, end: int) -> int:
    return text.count(b"[", start, end) + text.count(b"{", start, end)
