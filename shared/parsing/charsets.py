"""Decodes a body. Its encoding follows from a byte order mark, from the JSON itself, or from the declared charset.

JSON is UTF-8 (RFC 8259, section 8.1), but .NET writes UTF-16 and PowerShell 5 writes Latin-1. These are tried in order,
because only the last can be wrong: a byte order mark; a NUL among the first two bytes, which means UTF-16, because JSON
and base64 begin with an ASCII character; `charset` in the Content-Type. The time of every decoder grows with the size
alone.
"""

import codecs
import re
from typing import Final

LONGEST: Final = 1_000  # characters of a Content-Type that is read
# Labels as https://encoding.spec.whatwg.org has them -> Python's codecs. Encodings in which an ASCII byte may mean
# something else (UTF-7, ISO-2022, HZ) are left out: another reader would see other quotes and braces.
CODECS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "unicode-1-1-utf-8": "utf-8",
    "us-ascii": "utf-8", "ascii": "utf-8",  # a text that declares ASCII and is not ASCII is UTF-8
    "utf-16": "utf-16-le", "utf-16le": "utf-16-le", "unicode": "utf-16-le", "utf-16be": "utf-16-be",
    "latin1": "latin-1", "latin-1": "latin-1", "l1": "latin-1", "iso8859-1": "latin-1", "ansi_x3.4-1968": "utf-8",
    "koi8-r": "koi8-r", "koi8-u": "koi8-u", "tis-620": "cp874", "windows-874": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5",
    "shift_jis": "cp932", "windows-31j": "cp932", "euc-jp": "euc-jp", "euc-kr": "euc-kr",
} | {
    f"iso{dash}8859-{number}": f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17)) for dash in "-_"
} | {
    f"{prefix}{number}": f"cp{number}" for number in range(1250, 1259) for prefix in ("windows-", "cp")
}  # fmt: skip
SURROGATE: Final = re.compile("[\ud800-\udfff]")  # half of a pair: no text that is sent can contain one
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Windows-1252, with Latin-1's characters in its five empty places; and for bytes that `surrogateescape` has decoded.
_WINDOWS: Final = "".join(
    bytes([byte]).decode("latin-1" if byte in b"\x81\x8d\x8f\x90\x9d" else "cp1252") for byte in range(256)
)
_ESCAPED: Final = {0xDC00 + byte: _WINDOWS[byte] for byte in range(0x80, 0x100)}


def charset_of(content_type: str) -> str:
    """The value of `charset` in a Content-Type, `application/json; charset=utf-8`, in lower case; "" without."""
    for parameter in content_type[:LONGEST].split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""


def decode(body: bytes, charset: str = "", *, repair: bool = False) -> str:
    """The text of a body of JSON or base64. charset: as declared; one that CODECS does not have counts as none.

    repair: a body in another encoding is read as UTF-8, and its bytes that are not UTF-8 as Windows-1252. Without it
    that raises UnicodeDecodeError, whose `encoding` was expected.
    """
    size, codec = sniffed(body)
    if codec is None:
        codec = CODECS.get(charset, "utf-8")
        if codec.startswith("utf-16"):  # ASCII would have shown a NUL
            codec = "utf-8"
    try:
        return body[size:].decode(codec)
    except UnicodeDecodeError:
        if not repair:
            raise
    rest = body[size:]
    text = rest.decode("utf-8", "surrogateescape")
    if len(text) == len(rest):  # UTF-8 in it is only ASCII
        return codecs.charmap_decode(rest, "strict", _WINDOWS)[0]
    return text.translate(_ESCAPED)


def sniffed(body: bytes) -> tuple[int, str | None]:
    """Bytes of the mark at the beginning, and the codec that the first bytes tell; None: they tell nothing."""
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return len(mark), codec
    if body[:1] == b"\0":
        return 0, "utf-16-be"
    if body[1:2] == b"\0":
        return 0, "utf-16-le"
    return 0, None
