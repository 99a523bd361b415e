"""Parses the headers of a MIME mail or of one of its parts, and refuses headers that could be read in two ways.

Refused, with the line: a name with blanks before its colon, a line of blanks (some programs take it for the end of the
headers), a carriage return that does not end a line, two kinds of line ends among the headers of the mail, any byte
that is not printable ASCII (RFC 5322, section 2.2), and a line of more than 998 characters (section 2.1.1). UTF-8 (RFC
6532) is accepted only in headers that name files, where it decides nothing. Each field is kept as it was written, so
that it can be sent on unchanged.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.errors import Malformed

MAX_FIELDS: Final = 200  # of one head; Mailroom's own limit: real mail has some twenty
MAX_HEAD: Final = 256 * 1024  # bytes: 500 recipients with long names
MAX_PART_HEAD: Final = 16 * 1024
MAX_LINE: Final = 998
NAME_FILES: Final = frozenset({"content-type", "content-disposition", "content-description"})
SHOWN: Final = 40  # characters of a caller's header name in an answer

_NAME: Final = re.compile(rb"([!-9;-~]{1,200}):")
_ODD: Final = re.compile(rb"[^\t -~]")
_NON_ASCII: Final = 0x80
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """raw: as written, its lines ended by CRLF. at: its first byte. value: unfolded; ASCII, except where files are
    named.
    """

    name: str
    value: str
    raw: bytes
    at: int

    @property
    def key(self) -> str:
        """The name in the form that is used for comparisons."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class MimeHead:
    """Fields in their order, and where the body begins."""

    fields: tuple[HeaderField, ...]
    body: int


def malformed(message: str, place: str, code: str = "ErrorMimeContentInvalid") -> Malformed:
    """The refusal, 400. place: what stands for a JSON path: `To, address 2`, `part 1.2, line 40`."""
    return Malformed(400, code, message, place)


def place_of(data: bytes, at: int, *names: str) -> str:
    """`names, line n` for a byte of the mail."""
    return ", ".join([*(name[:SHOWN] for name in names if name), f"line {data.count(b'\n', 0, at) + 1}"])


def read_head(data: bytes, start: int, end: int, part: str = "") -> MimeHead:
    """The head that begins at `start`. part: `part 1.2`, or nothing for the head of the mail itself.

    The head of a mail must end with an empty line, and have one kind of line ends. Raises Malformed.
    """
    fields: list[HeaderField] = []
    lines: list[bytes] = []
    name, first = "", start
    for at, line in _lines(data, start, end, part):
        if line[:1] in (b" ", b"\t"):
            _check_line(data, at, line, part, name)
            if not lines or not line.strip():
                text = "Found a line of blanks, or a continuation line without a header before it."
                raise malformed(text, place_of(data, at, part))
            lines.append(line)
            continue
        if lines:
            fields.append(_field(name, lines, first))
        if not line:
            body = data.find(b"\n", at) + 1
            if not part:
                _check_line_ends(data, start, body)
            return MimeHead(tuple(fields), body)
        match = _NAME.match(line)
        if match is None:
            text = "Expected a header: a name of printable ASCII, a colon, a value."
            raise malformed(text, place_of(data, at, part))
        if len(fields) == MAX_FIELDS:
            raise malformed(f"Found more than {MAX_FIELDS} headers.", place_of(data, at, part))
        name, first, lines = match[1].decode(), at, [line]
        _check_line(data, at, line, part, name)
    if not part:
        raise malformed("The mail ends within its headers; expected an empty line after them.", place_of(data, end))
    return MimeHead((*fields, _field(name, lines, first)) if lines else (), end)


def _lines(data: bytes, start: int, end: int, part: str) -> Iterator[tuple[int, bytes]]:
    """Each line of a head without its end, and where it begins; the last is the empty one."""
    at, most = start, min(end, start + (MAX_PART_HEAD if part else MAX_HEAD))
    while at < end:
        stop = data.find(b"\n", at, most)
        if stop < 0 and most < end:
            raise malformed(f"Found headers longer than {most - start} bytes.", place_of(data, at, part))
        yield at, data[at : end if stop < 0 else stop].removesuffix(b"\r")
        at = end if stop < 0 else stop + 1


def _check_line_ends(data: bytes, start: int, end: int) -> None:
    """Refuse mixed line ends: a program that knows only one kind would find other headers, or another end of them."""
    head = data[start:end]
    if head.count(b"\r\n") not in (0, head.count(b"\n")):
        crlf = head[: head.find(b"\n")].endswith(b"\r")
        odd = re.search(rb"(?<!\r)\n" if crlf else rb"\r\n", head)
        text = "Found two kinds of line ends among the headers; expected CRLF, or LF, for all of them."
        raise malformed(text, place_of(data, start + (odd.start() if odd else 0)))


def _field(name: str, lines: list[bytes], at: int) -> HeaderField:
    value = b"".join(lines)[len(name) + 1 :].decode()
    return HeaderField(name, value.strip(" \t"), b"\r\n".join([*lines, b""]), at)


def _check_line(data: bytes, at: int, line: bytes, part: str, name: str) -> None:
    odd = _ODD.search(line)
    if len(line) > MAX_LINE:
        text = (
            f"Found a line of {len(line)} characters, expected {MAX_LINE} at most: fold it (RFC 5322, section 2.2.3)."
        )
    elif odd is None:
        return
    elif line[odd.start()] < _NON_ASCII:
        text = "Found a control character."
    elif name.lower() not in NAME_FILES:
        text = "Found characters other than ASCII; expected encoded words (RFC 2047)."
    elif _is_utf8(line) and not _CONTROL.search(line):
        return
    else:
        text = "Found characters that are not UTF-8; expected UTF-8, encoded words (RFC 2047) or RFC 2231."
    raise malformed(text, place_of(data, at, part, name))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
