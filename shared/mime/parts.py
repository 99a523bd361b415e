"""Checks that a MIME mail is complete and that its parts can be read in one way only (RFC 2045, 2046).

The parts are checked in place, because the body is sent byte for byte. An attached message is a file like any other,
whatever is wrong inside it. The number of nested levels is limited and each is read once, so the time grows with the
size alone.
"""

import binascii
from collections.abc import Iterator
from typing import Final

from shared.mail.limits import MAX_NESTING
from shared.mail.ways_back import TNEF
from shared.mime.head import HeaderField, MimeHead, malformed, place_of, read_head
from shared.mime.header_parameters import HeaderParameters, read_parameters

MAX_PARTS: Final = 500  # Exchange Online has 250 attachments
MAX_SIMILAR: Final = 10_000  # lines that begin like a boundary
MAX_SEMICOLONS: Final = 10_000  # before parameters, of all parts: each takes microseconds to read
MAX_HEADS: Final = 512 * 1024  # bytes of the headers of all parts: 250 files with the longest names take half of it
MAX_BOUNDARY: Final = 70  # RFC 2046, section 5.1.1
ENCODINGS: Final = frozenset({"7bit", "8bit", "binary", "quoted-printable", "base64"})
UNENCODED: Final = frozenset({"7bit", "8bit", "binary"})
WITH_PARAMETERS: Final = frozenset({"content-type", "content-disposition"})
ONCE_IN_A_PART: Final = frozenset(
    {
        "content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-description",
        "mime-version",
    }
)  # fmt: skip


def check_parts(data: bytes, head: MimeHead) -> None:
    """Check that the mail is whole. Raises Malformed, at `part 1.2, Content-Type, line 40`."""
    todo = [("", head.fields, head.body, len(data))]
    parts, semicolons, heads = 0, 0, 0
    while todo:
        number, fields, start, end = todo.pop()
        semicolons += sum(field.value.count(";") for field in fields if field.key in WITH_PARAMETERS)
        if semicolons > MAX_SEMICOLONS:
            text = f"Found more than {MAX_SEMICOLONS} parameters in the headers of all parts."
            raise malformed(text, place_of(data, start, _part(number)))
        kind = _checked(data, number, fields, start, end)
        if kind is None or not kind.is_multipart:
            continue
        if number.count(".") + bool(number) == MAX_NESTING:
            text = f"Found multiparts more than {MAX_NESTING} deep."
            raise malformed(text, place_of(data, start, _part(number)))
        for inner, (first, last) in enumerate(inner_parts(data, start, end, number, kind), 1):
            parts += 1
            if parts > MAX_PARTS:
                raise malformed(f"Found more than {MAX_PARTS} parts.", place_of(data, first))
            name = f"{number}.{inner}" if number else str(inner)
            found = read_head(data, first, last, _part(name))
            heads += found.body - first
            if heads > MAX_HEADS:
                text = f"Found more than {MAX_HEADS} bytes in the headers of all parts together."
                raise malformed(text, place_of(data, first, _part(name)))
            todo.append((name, found.fields, found.body, last))


def _part(number: str) -> str:
    return f"part {number}" if number else ""


def _checked(
    data: bytes, number: str, fields: tuple[HeaderField, ...], start: int, end: int
) -> HeaderParameters | None:
    """Check the headers and the encoding of a part. Returns its content type; None if it has none (plain text)."""
    part = _part(number)
    named: dict[str, HeaderField] = {}
    for field in fields:
        if field.key in named and field.key in ONCE_IN_A_PART:
            raise malformed("Found this header twice; expected it once.", place_of(data, field.at, part, field.name))
        named[field.key] = field
    if disposition := named.get("content-disposition"):
        parameters(data, disposition, part)
    kind = None
    if content := named.get("content-type"):
        kind = parameters(data, content, part)
        if kind.value in TNEF:
            text = "Exchange could read recipients from this part that were not checked; expected other content."
            raise malformed(text, place_of(data, content.at, part, content.name))
    if encoded := named.get("content-transfer-encoding"):
        allowed = ENCODINGS if kind is None or not kind.is_multipart else UNENCODED
        if encoded.value.lower() not in allowed:
            text = f"Expected one of {', '.join(sorted(allowed))}."
            raise malformed(text, place_of(data, encoded.at, part, encoded.name))
        if encoded.value.lower() == "base64":
            _check_base64(data, start, end, part)
    return kind


def parameters(data: bytes, field: HeaderField, part: str) -> HeaderParameters:
    """Read a header with parameters. Raises Malformed."""
    try:
        return read_parameters(field.value, is_type=field.key == "content-type")
    except ValueError as error:
        raise malformed(str(error), place_of(data, field.at, part, field.name)) from None


def _check_base64(data: bytes, start: int, end: int, part: str) -> None:
    try:
        binascii.a2b_base64(data[start:end].translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error:
        text = "Found text that is not base64 (RFC 4648, section 4), or more of it after its padding."
        raise malformed(text, place_of(data, start, part)) from None


def inner_parts(data: bytes, start: int, end: int, number: str, kind: HeaderParameters) -> Iterator[tuple[int, int]]:
    """The start and end of each part of a multipart. The line end before a boundary belongs to the boundary."""
    boundary = kind.parameters.get("boundary", "")
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
                text = f"Found more than {MAX_SIMILAR} lines that begin like a boundary but are not one."
                raise malformed(text, place_of(data, at + 1, part))
        # The line end that ends this boundary may be the one that the next begins with.
        at = data.find(mark, stop, end)
    if begun is None:
        raise malformed("Found a multipart without the boundary that it names.", place_of(data, start, part))
    text = "Found a multipart without an end: its boundary with two hyphens after it is missing."
    raise malformed(text, place_of(data, begun, part))
