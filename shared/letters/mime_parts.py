"""The parts of a MIME mail (RFC 2045, 2046): whether it is whole, and can be read in one way only.

Nothing is taken apart for good: the body goes on byte for byte. Read are the multiparts of the mail itself; a message
that is attached to it is a file like any other, whatever is wrong inside. Each level of multiparts is gone through
once, and there are few of them, so the time is bounded by the size.
"""

import binascii
import re
from collections.abc import Iterator
from email.errors import ObsoleteHeaderDefect
from email.policy import default
from functools import lru_cache
from typing import Any, Final

from shared.letters.limits import MAX_NESTING
from shared.letters.mime_head import Field, Head, malformed, place_of, read_head

__all__ = ["ONCE_IN_A_PART", "check_parts"]

MAX_PARTS: Final = 500  # Exchange Online has 250 attachments
MAX_SIMILAR: Final = 10_000
# The standard library takes its time for each sign of a header with parameters, and the square of a header's length. So
# it is asked about each outline once, in which quoted texts and numbers are all the same; most parts have the same few.
MAX_PARAMETERS: Final = 4_000  # characters of one such header
MAX_OUTLINES: Final = 5_000  # characters of all different outlines in a mail
MAX_BOUNDARY: Final = 70  # RFC 2046, section 5.1.1
TNEF: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
ENCODINGS: Final = frozenset({"7bit", "8bit", "binary", "quoted-printable", "base64"})
UNENCODED: Final = frozenset({"7bit", "8bit", "binary"})
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"')
_ALIKE: Final = re.compile(r"(?<==)\d+|(?<='')[A-Za-z0-9%._+-]+")
ONCE_IN_A_PART: Final = frozenset(
    {
        "content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-description",
        "mime-version",
    }
)  # fmt: skip


def check_parts(data: bytes, head: Head) -> None:
    """Return if the mail is whole. Raises Malformed, at `part 1.2, Content-Type, line 40`."""
    todo = [("", head.fields, head.body, len(data))]
    parts = 0
    outlines = set[str]()
    while todo:
        number, fields, start, end = todo.pop()
        kind = _checked(data, number, fields, start, end, outlines)
        if kind is None or kind.maintype != "multipart":
            continue
        if number.count(".") + bool(number) == MAX_NESTING:
            text = f"Found multiparts more than {MAX_NESTING} deep."
            raise malformed(text, place_of(data, start, _part(number)))
        for inner, (first, last) in enumerate(_between(data, start, end, number, kind), 1):
            parts += 1
            if parts > MAX_PARTS:
                raise malformed(f"Found more than {MAX_PARTS} parts.", place_of(data, first))
            name = f"{number}.{inner}" if number else str(inner)
            found = read_head(data, first, last, _part(name))
            todo.append((name, found.fields, found.body, last))


def _part(number: str) -> str:
    return f"part {number}" if number else ""


def _checked(  # noqa: PLR0913, PLR0917 - where, what, and what was asked before
    data: bytes, number: str, fields: tuple[Field, ...], start: int, end: int, outlines: set[str]
) -> Any:
    """The content type of a part whose headers and encoding are right; None where it has none (plain text)."""
    part = _part(number)
    named: dict[str, Field] = {}
    for field in fields:
        if field.key in named and field.key in ONCE_IN_A_PART:
            raise malformed("This header stands twice; expected once.", place_of(data, field.at, part, field.name))
        named[field.key] = field
    if disposition := named.get("content-disposition"):
        _parameters(data, disposition, part, outlines)
    kind = None
    if content := named.get("content-type"):
        kind = _parameters(data, content, part, outlines)
        if kind.content_type in TNEF:
            text = "Exchange could take recipients out of this part that no rule has seen; expected other content."
            raise malformed(text, place_of(data, content.at, part, content.name))
    if encoded := named.get("content-transfer-encoding"):
        allowed = ENCODINGS if kind is None or kind.maintype != "multipart" else UNENCODED
        if encoded.value.lower() not in allowed:
            text = f"Expected one of {', '.join(sorted(allowed))}."
            raise malformed(text, place_of(data, encoded.at, part, encoded.name))
        if encoded.value.lower() == "base64":
            _check_base64(data, start, end, part)
    return kind


def _parameters(data: bytes, field: Field, part: str, outlines: set[str]) -> Any:
    """A header with parameters, as the standard library reads its outline; of a multipart, as it reads all of it."""
    read = None
    text = f"Found a header with parameters of more than {MAX_PARAMETERS:,} characters."
    if len(field.value) <= MAX_PARAMETERS:
        outline = _outline(field.value)
        outlines.add(outline)
        if sum(map(len, outlines)) > MAX_OUTLINES:
            text = "Found parts with too many different parameters; expected a type, a name, and little else."
        else:
            text = "Cannot be read; values that hold anything but letters and digits need quotes (RFC 2045, section 5.1)."
            read = _read(field.key, outline)
    if read is None:
        raise malformed(text, place_of(data, field.at, part, field.name))
    return read


def _outline(value: str) -> str:
    """The value itself where it is a multipart's, or has what could make quotes of other signs: comments, backslashes."""
    found = _ALIKE.sub("1", _QUOTED.sub(lambda match: match[0] if "?" in match[0] else '"x"', value))
    return value if "multipart" in value.lower() or "(" in found or "\\" in value else found


@lru_cache(maxsize=256)
def _read(name: str, outline: str) -> Any:
    """None where there is a defect. Whatever the standard library raises is an answer."""
    try:
        read = default.header_factory(name, outline)
        defects = [defect for defect in read.defects if not isinstance(defect, ObsoleteHeaderDefect)]
    except Exception:  # noqa: BLE001 - it is known to end in several kinds of them
        return None
    return None if defects else read


def _check_base64(data: bytes, start: int, end: int, part: str) -> None:
    try:
        binascii.a2b_base64(data[start:end].translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error:
        text = "Found what is no base64 (RFC 4648, section 4), or more of it after its padding."
        raise malformed(text, place_of(data, start, part)) from None


def _between(data: bytes, start: int, end: int, number: str, kind: Any) -> Iterator[tuple[int, int]]:
    """Where each part of a multipart begins and ends. The line end before a boundary is the boundary's."""
    boundary = str(kind.params.get("boundary", ""))
    part = _part(number)
    if not 1 <= len(boundary) <= MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        text = f"A multipart needs a boundary of 1 to {MAX_BOUNDARY} printable ASCII characters."
        raise malformed(text, place_of(data, start, part))
    mark = b"\n--" + boundary.encode()
    begun: int | None = None
    similar = 0
    at = data.find(mark, max(0, start - 1), end)
    while at >= 0:
        stop = data.find(b"\n", at + 1, end)
        stop = end if stop < 0 else stop
        rest = data[at + len(mark) : stop].rstrip(b" \t\r")
        if rest in (b"", b"--"):
            if begun is not None:
                yield begun, max(begun, at - (data[at - 1 : at] == b"\r"))
            elif rest:
                break
            if rest:
                return
            begun = min(stop + 1, end)
        else:
            similar += 1
            if similar > MAX_SIMILAR:
                text = f"Found more than {MAX_SIMILAR} lines that begin like a boundary and are none."
                raise malformed(text, place_of(data, at + 1, part))
        # The line end that ends this boundary may be the one that the next begins with.
        at = data.find(mark, stop, end)
    if begun is None:
        raise malformed("Found a multipart without the boundary that it names.", place_of(data, start, part))
    text = "Found a multipart without an end: its boundary with two hyphens after it is missing."
    raise malformed(text, place_of(data, begun, part))
