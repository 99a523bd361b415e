"""JSON out of a body: counted before it is read, strictly first, and then as people write it.

RFC 8259 has no control character inside a string. Templates and here-strings put line ends there all the same, and
Python, .NET and Graph's own clients send on what they were given. Such a string can be read in one way only, so it is:
by a second pass, after the strict one has failed at one. What a field refuses as an escape it refuses raw, since both
are the same text by then. For bodies of sendMail, queues and webhooks; tokens, signing keys and settings are read by
strict readers.
"""

import json
from typing import Any, Final, Protocol

from shared.parsing.json_limits import check_json

__all__ = ["load"]

_CONTROL: Final = "Invalid control character"


class Read(Protocol):
    """json.loads, with more options or without."""

    def __call__(self, text: str, /, *, strict: bool) -> Any: ...


def load(text: str, *, values: int, levels: int, read: Read = json.loads) -> Any:
    """The value that the text holds.

    Raises TooMuch for more values or levels than that; json.JSONDecodeError, which is that of the strict pass where
    both fail; ValueError for a number of thousands of digits.
    """
    check_json(text.encode("utf-8", "surrogatepass"), values=values, levels=levels)
    try:
        return read(text, strict=True)
    except json.JSONDecodeError as error:
        if not error.msg.startswith(_CONTROL):
            raise
        strict = error
    try:
        return read(text, strict=False)
    except json.JSONDecodeError:
        raise strict from None
