"""A MIME mail without what leads back to those whom it was meant for: for mail that goes to somebody else.

Of its headers stay those that name nobody and ask for nothing (people_headers.py). Its calendar parts go, with the
boundaries around them; so does a message attached to it that holds one. Everything else stays byte for byte. The mail
has been read before (mime_read.py), so that everybody finds the same parts in it.
"""

import binascii
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.mail.calendar import is_calendar, is_message
from shared.mail.people_headers import NAME_NOBODY
from shared.mime.head import Field, read_head
from shared.mime.parameters import Parameters
from shared.mime.parts import between, parameters

__all__ = ["Kept", "without_ways_back"]

NOTICE: Final = b"This mail was a calendar part alone. Mailroom left it out when it redirected the mail.\r\n"
_PLAIN: Final = b"Content-Type: text/plain; charset=us-ascii\r\n"
_CONTENT: Final = "content-"
_DIGEST: Final = "multipart/digest"  # its parts are messages unless they say otherwise (RFC 2046, section 5.1.5)
_MESSAGE: Final = "message/rfc822"
_BEGINNING: Final = 400  # characters of an encoded part, enough to see how it begins


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left. headers: names of those that are not, as written, each once. calendar: how many parts are not."""

    mime: bytes
    headers: tuple[str, ...]
    calendar: int


def without_ways_back(mime: bytes) -> Kept:
    """A mail that `read_mime` has taken, without its ways back. Never fails for such a mail."""
    head = read_head(mime, 0, len(mime))
    kept = [field for field in head.fields if field.key in NAME_NOBODY]
    gone = dict.fromkeys(field.name for field in head.fields if field.key not in NAME_NOBODY)
    cuts: list[tuple[int, int]] = []
    count = _cut(mime, head.fields, head.body, len(mime), cuts)
    fields = [field.raw for field in kept]
    if count == _ALL:
        fields = [field.raw for field in kept if not field.key.startswith(_CONTENT)]
        return Kept(b"".join([*fields, _PLAIN, b"\r\n", NOTICE]), tuple(gone), 1)
    return Kept(b"".join([*fields, b"\r\n", *_left(mime, head.body, cuts)]), tuple(gone), count)


_ALL: Final = -1


def _cut(  # noqa: PLR0913, PLR0917 - a part is where it begins and ends, and what it is in
    data: bytes, fields: Sequence[Field], start: int, end: int, cuts: list[tuple[int, int]], default: str = "text/plain"
) -> int:
    """Note what to cut out of a part's body, in order. How many parts go: _ALL when the part itself has to.

    default: the type of a part that names none.
    """
    named = {field.key: field for field in fields}
    kind = parameters(data, named["content-type"], "") if "content-type" in named else None
    if kind is None or not kind.is_multipart:
        return _ALL if _leads_back(data, named, kind or Parameters(default, {}), start, end) else 0
    count, last_kept, first_gone = 0, -1, -1
    default = _MESSAGE if kind.value == _DIGEST else "text/plain"
    for first, last in between(data, start, end, "", kind):
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
            cuts.append((first_gone, first))  # the boundary before the first one that stays is that of the first
        cuts += inner
        count += gone
        last_kept = last
    return count if last_kept >= 0 else _ALL


def _leads_back(data: bytes, named: dict[str, Field], kind: Parameters, start: int, end: int) -> bool:
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


def _left(data: bytes, start: int, cuts: list[tuple[int, int]]) -> list[bytes]:
    pieces = []
    for first, last in cuts:
        pieces.append(data[start:first])
        start = last
    return [*pieces, data[start:]]
