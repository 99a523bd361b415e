"""Removes from a redirected MIME mail whatever could lead back to its recipients.

Only headers that name nobody and ask for nothing stay (ways_back.py). Calendar parts are removed with their boundaries,
and so are attached messages that contain one. Everything else stays byte for byte. read.py has checked the mail before,
so every program finds the same parts in it.
"""

import binascii
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.mail.ways_back import NAME_NOBODY, is_calendar, is_message
from shared.mime.head import HeaderField, read_head
from shared.mime.header_parameters import HeaderParameters
from shared.mime.parts import inner_parts, parameters

NOTICE: Final = b"This mail was a calendar part alone. Mailroom left it out when it redirected the mail.\r\n"
_PLAIN: Final = b"Content-Type: text/plain; charset=us-ascii\r\n"
_CONTENT: Final = "content-"
_TEXT: Final = "text/plain"
_MESSAGE: Final = "message/rfc822"
_DIGEST: Final = "multipart/digest"  # its parts are messages unless they say otherwise (RFC 2046, section 5.1.5)
_BEGINNING: Final = 400  # characters of an encoded part, enough to see how it begins
_ALL: Final = -1


@dataclass(frozen=True, slots=True)
class StrippedMime:
    """headers: names of those that were removed, as written, each once. calendar: how many parts were removed."""

    mime: bytes
    headers: tuple[str, ...]
    calendar: int


def without_ways_back(mime: bytes) -> StrippedMime:
    """Remove the ways back from a mail. Never fails for a mail that `read_mime` has accepted."""
    head = read_head(mime, 0, len(mime))
    kept = [field for field in head.fields if field.key in NAME_NOBODY]
    gone = tuple(dict.fromkeys(field.name for field in head.fields if field.key not in NAME_NOBODY))
    cuts: list[tuple[int, int]] = []
    count = _cut(mime, head.fields, head.body, len(mime), cuts)
    if count == _ALL:
        fields = [field.raw for field in kept if not field.key.startswith(_CONTENT)]
        return StrippedMime(b"".join([*fields, _PLAIN, b"\r\n", NOTICE]), gone, 1)
    pieces, start = [field.raw for field in kept] + [b"\r\n"], head.body
    for first, last in cuts:
        pieces.append(mime[start:first])
        start = last
    return StrippedMime(b"".join([*pieces, mime[start:]]), gone, count)


def _cut(  # noqa: PLR0913, PLR0917 - a part is where it begins and ends, and what it is in
    data: bytes, fields: Sequence[HeaderField], start: int, end: int, cuts: list[tuple[int, int]], default: str = _TEXT
) -> int:
    """Collect what to cut out of a part's body, in order. Returns how many parts; _ALL when the whole part is removed.

    default: the type of a part that names none.
    """
    named = {field.key: field for field in fields}
    kind = parameters(data, named["content-type"], "") if "content-type" in named else HeaderParameters(default, {})
    if not kind.is_multipart:
        return _ALL if _leads_back(data, named, kind, start, end) else 0
    count, last_kept, first_gone = 0, -1, -1
    default = _MESSAGE if kind.value == _DIGEST else _TEXT
    for first, last in inner_parts(data, start, end, "", kind):
        part = read_head(data, first, last, "part")
        inner: list[tuple[int, int]] = []
        gone = _cut(data, part.fields, part.body, last, inner, default)
        if gone == _ALL:
            count += 1
            if last_kept >= 0:
                cuts.append((last_kept, last))
                last_kept = last
            elif first_gone < 0:
                first_gone = first
            continue
        if last_kept < 0 <= first_gone:
            cuts.append((first_gone, first))  # the boundary before the first part that stays is that of the first part
        cuts += inner
        count += gone
        last_kept = last
    return count if last_kept >= 0 else _ALL


def _leads_back(data: bytes, named: dict[str, HeaderField], kind: HeaderParameters, start: int, end: int) -> bool:
    """Whether a part that is no multipart is calendar content, or a message with some in it."""
    names = ["", *kind.file_names]
    if disposition := named.get("content-disposition"):
        names += parameters(data, disposition, "").file_names
    whole = any(is_message(kind.value, name) for name in names)
    encoding = named["content-transfer-encoding"].value.lower() if "content-transfer-encoding" in named else ""
    content = data[start : end if whole else min(end, start + _BEGINNING)]
    if encoding == "base64":
        packed = content.translate(None, b" \t\r\n")
        with contextlib.suppress(binascii.Error):
            content = binascii.a2b_base64(packed[: len(packed) // 4 * 4])
    elif encoding == "quoted-printable":
        content = binascii.a2b_qp(content)
    return any(is_calendar(kind.value, name, content) for name in names)
