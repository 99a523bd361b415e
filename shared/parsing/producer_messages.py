"""Unwraps messages of `mail-outbox` and `mail-events`, whichever client has written them. Pure functions.

Some storage clients write base64, some twice; serialisers write JSON inside JSON; .NET writes names in Pascal case and
texts in UTF-16; a batch comes as an array. Nobody but Mailroom reads these messages, so everything is accepted that can
be read in one way only.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.errors import Malformed
from shared.parsing.charsets import sniffed
from shared.parsing.json_text import TooMuch, load
from shared.parsing.strict_json import path_of

MOST_LAYERS: Final = 4  # of base64 and JSON strings, in any order
MOST_VALUES: Final = 100_000  # more than 64 KB, the size of a message, can hold
DEEPEST: Final = 200
MOST_ELEMENTS: Final = 1_000  # of an array: each becomes a message, and what is refused a blob
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")  # of either alphabet, with its padding or without
_BLANKS: Final = re.compile(r"[ \t\r\n]*")


def unwrapped(body: bytes) -> bytes:
    """The JSON object or array of a message, in UTF-8, taken out of base64 and out of JSON strings.

    No JSON object is base64 or a JSON string: braces are not in the alphabet of base64, and a string begins with a
    quote. Bytes that are not UTF-8 are left to the reader of the text. Raises Malformed, 400.
    """
    for _ in range(MOST_LAYERS + 1):
        body = _utf8(body).strip()
        if not body or body.startswith((b"{", b"[")):
            return body
        if body.startswith(b'"'):
            value = _loaded(body.decode("utf-8", "surrogateescape"), "string")
            try:
                body = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b""
            except UnicodeEncodeError:
                raise _wrong("Found half of a surrogate pair in a JSON string around an object.") from None
        else:
            body = _of_base64(body)
    raise _wrong(f"Found more than {MOST_LAYERS} layers of base64 and JSON strings around an object.")


def elements(body: bytes) -> list[bytes] | None:
    """The elements of a message that is a JSON array, each as it was written; None for another message.

    Raises Malformed, 400, for an array that is empty or has too many elements, and for a broken one: its first elements
    may be half of a batch.
    """
    found = unwrapped(body)
    if not found.startswith(b"["):
        return None
    text = found.decode("utf-8", "surrogateescape")
    count = len(_loaded(text, "array"))
    if not 1 <= count <= MOST_ELEMENTS:
        raise _wrong(f"Found an array of {count} elements, expected 1 to {MOST_ELEMENTS}.")
    return [piece.encode("utf-8", "surrogateescape") for piece in _pieces(text)]


def renamed(tree: Any, names: Mapping[str, str], *, deep: bool = True) -> Any:
    """The value with its properties renamed. names: in lower case -> as it should be; other names stay.

    deep: also those of the objects within it. Raises Malformed, 400, at the second of two names that mean the same.
    """
    return _renamed(tree, names, [], deep=deep)


def numbers_as_text(tree: dict[str, Any], *names: str) -> None:
    """Write whole numbers as text: `"key": 4711` is the key 4711. Other numbers have many spellings."""
    for name in names:
        value = tree.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            tree[name] = str(value)


def _renamed(tree: Any, names: Mapping[str, str], steps: list[str | int], *, deep: bool) -> Any:
    """steps: from the root to this value; one list, since its path is written out for a fault only."""

    def inner(step: str | int, value: Any) -> Any:
        steps.append(step)
        result = _renamed(value, names, steps, deep=True)
        steps.pop()
        return result

    if isinstance(tree, list) and deep:
        return [inner(at, item) for at, item in enumerate(tree)]
    if not isinstance(tree, dict):
        return tree
    result: dict[str, Any] = {}
    written: dict[str, str] = {}
    for name, value in tree.items():
        right = names.get(name.lower(), name)
        if right in result:
            text = f"Found both {written[right]} and {name}; expected one of them."
            raise Malformed(400, "BadRequest", text, path_of([*steps, name]))
        written[right] = name
        result[right] = inner(name, value) if deep else value
    return result


def _utf8(body: bytes) -> bytes:
    """The body without a byte order mark, in UTF-8 where its first bytes tell another encoding."""
    mark, codec = sniffed(body)
    if codec in (None, "utf-8"):
        return body[mark:]
    try:
        return body[mark:].decode(codec or "").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise _wrong(
            f"Found text that begins like {(codec or '').upper()} but is not valid {(codec or '').upper()}."
        ) from None


def _of_base64(body: bytes) -> bytes:
    try:
        text = b"".join(body.split()).translate(_URL_SAFE).rstrip(b"=")
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("Found neither a JSON object nor the base64 of one.") from None


def _loaded(text: str, what: str) -> Any:
    try:
        return load(text, values=MOST_VALUES, levels=DEEPEST)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise _wrong(f"The {what} is not JSON: {error.msg}, at {where}.") from None
    except TooMuch as error:
        raise _wrong(f"The {what} cannot be accepted: {error}.") from None
    except ValueError:
        raise _wrong(f"The {what} is not JSON: a number of thousands of digits.") from None


def _pieces(array: str) -> Iterator[str]:
    """Split a text that is known to be an array and not empty into its elements."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    while array[at] != "]":
        start = _behind_blanks(array, at + 1)
        _, end = decoder.raw_decode(array, start)
        yield array[start:end]
        at = _behind_blanks(array, end)


def _behind_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _wrong(message: str) -> Malformed:
    return Malformed(400, "BadRequest", message, "$")
