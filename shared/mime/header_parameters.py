"""Parses headers with parameters: Content-Type and Content-Disposition.

The type and the boundary decide how a mail is split into parts, so they are accepted only in the form of RFC 2045. File
names decide nothing, so they are accepted in every form that mail programs use:

    filename="report.pdf"    filename=report.pdf         RFC 2045; RFC 2183
    filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf                 RFC 2231, in pieces too: filename*0*=, filename*1=
    filename="=?utf-8?B?R3LDvMOfZS5wZGY=?="              RFC 2047 within quotes, which it forbids: Gmail, Outlook, PHP
    filename="Grüße.pdf"                                 UTF-8 as it is (RFC 6532)

If a name has both forms, `filename` and `filename*`, the second counts (RFC 6266, section 4.3). Each header is read
once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import groupby
from operator import itemgetter
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.mail.graph_types import LINE
from shared.parsing.charsets import CODECS

LONGEST_HEADER: Final = 16 * 1024  # characters, unfolded
MAX_PARAMETERS: Final = 300  # pieces of RFC 2231 are parameters too: a name of 255 characters takes some 30
_WORD: Final = re.compile(r"=\?[^?]*\?[bBqQ]\?[^?]*\?=")
_UNDECODABLE: Final = (HeaderParseError, LookupError, UnicodeDecodeError)
MAX_WORDS: Final = 100  # encoded words that are decoded; a name of 255 characters takes some 40
_BLANKS: Final = re.compile(r"[ \t]*")
_TYPE: Final = re.compile(r"[!#-'*+.0-9A-Z^-~-]+/[!#-'*+.0-9A-Z^-~-]+")
_TOKEN: Final = re.compile(r"[!#-'*+.0-9A-Z^-~-]+")
_LOOSE: Final = re.compile(r'[^ \t;"()\\]+')
_PERCENT: Final = re.compile(r'[^ \t;"\\]+')  # many leave brackets as they are
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_COMMENT: Final = re.compile(r"[^()\\]+|\\.|[()]")
_ATTRIBUTE: Final = re.compile(r"([^*]{1,60})(?:\*(\d{1,3}))?(\*)?")
_LINE: Final = re.compile(LINE)
_STRUCTURE: Final = frozenset(
    {"boundary", "charset", "type", "start", "start-info", "protocol", "micalg", "report-type"}
)
_TYPES: Final = frozenset({"protocol", "type"})  # a type within a type, which many leave without quotes
_NAMES: Final = frozenset({"name", "filename"})


@dataclass(frozen=True, slots=True)
class HeaderParameters:
    """value: the text before the parameters, in lower case. parameters: by name in lower case, decoded.

    file_names: every name that some program could read, decoded and not, of each form.
    """

    value: str
    parameters: dict[str, str]
    file_names: tuple[str, ...] = ()

    @property
    def is_multipart(self) -> bool:
        return self.value.startswith("multipart/")


def read_parameters(text: str, *, is_type: bool) -> HeaderParameters:
    """Read an unfolded header. is_type: it is a Content-Type. Raises ValueError, saying what is wrong."""
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"Found more than {LONGEST_HEADER} characters.")
    at = _skip(text, 0)
    match = (_TYPE if is_type else _TOKEN).match(text, at)
    if match is None:
        raise ValueError("Expected a type and a subtype, such as text/plain." if is_type else "Expected a word first.")
    value = match[0].lower()
    pairs: list[tuple[str, str]] = []
    at = _skip(text, match.end())
    while at < len(text):
        if text[at] != ";":
            raise ValueError("Expected a semicolon here; values with blanks, brackets and the like need quotes.")
        at = _skip(text, at + 1)
        if at == len(text) or text[at] == ";":
            continue
        if len(pairs) == MAX_PARAMETERS:
            raise ValueError(f"Found more than {MAX_PARAMETERS} parameters.")
        name, found, at = _pair(text, at, strict=is_type and value.startswith("multipart/"))
        pairs.append((name, found))
    return _decoded(value, pairs)


def _pair(text: str, at: int, *, strict: bool) -> tuple[str, str, int]:
    """Name and value of a parameter, and where the next begins. strict: in the form of RFC 2045, which all readers
    share.
    """
    name = _TOKEN.match(text, at)
    at = _skip(text, name.end()) if name else at
    if name is None or text[at : at + 1] != "=":
        raise ValueError("Expected a parameter, name=value.")
    at = _skip(text, at + 1)
    if quoted := _QUOTED.match(text, at):
        return name[0].lower(), _ESCAPED.sub(r"\1", quoted[1]), _skip(text, quoted.end())
    if name[0].lower() in _TYPES:
        plain = _TYPE.match(text, at) or _TOKEN.match(text, at)
    elif strict or name[0].lower() in _STRUCTURE:
        plain = _TOKEN.match(text, at)
    else:
        plain = (_PERCENT if name[0].endswith("*") else _LOOSE).match(text, at)
    if plain is None:
        raise ValueError("Expected a value; one with anything but letters and digits needs quotes.")
    return name[0].lower(), plain[0], _skip(text, plain.end())


def _skip(text: str, at: int) -> int:
    """Skip blanks and comments. Returns the next index. Raises ValueError for a comment that does not end."""
    while True:
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr] # it always matches
        if text[at : at + 1] != "(":
            return at
        depth = 0
        for piece in _COMMENT.finditer(text, at):
            depth += {"(": 1, ")": -1}.get(piece[0], 0)
            at = piece.end()
            if not depth:
                break
        if depth:
            raise ValueError("Found a comment that does not end.")


def _decoded(value: str, pairs: Iterable[tuple[str, str]]) -> HeaderParameters:
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for attribute, text in pairs:
        match = _ATTRIBUTE.fullmatch(attribute)
        if match is None:
            raise ValueError("Expected a parameter of RFC 2231, such as filename*0*.")
        name, number, extended = match[1], match[2], bool(match[3])
        if number is None and not extended:
            if name in plain:
                raise ValueError(f"Found the parameter {name} twice; expected it once.")
            plain[name] = text
            continue
        if name in _STRUCTURE:
            raise ValueError(f"Expected {name} in the form of RFC 2045; not every program reads RFC 2231 there.")
        found = pieces.setdefault(name, {})
        if int(number or 0) in found:
            raise ValueError(f"Found a piece of the parameter {name} twice; expected it once.")
        found[int(number or 0)] = extended, text
    read = {name: words_decoded(text).replace("\t", " ") if name in _NAMES else text for name, text in plain.items()}
    joined = {name: _joined(name, found).replace("\t", " ") for name, found in pieces.items()}
    file_names = tuple(form[name] for form in (plain, read, joined) for name in sorted(_NAMES & form.keys()))
    if not all(_LINE.fullmatch(form[name]) for form in (read, joined) for name in _NAMES & form.keys()):
        raise ValueError("Found a control character in the name of a file.")
    return HeaderParameters(value, read | joined, file_names)


def _joined(name: str, pieces: dict[int, tuple[bool, str]]) -> str:
    """The pieces in their order. A character may begin in one and end in the next."""
    if max(pieces) != len(pieces) - 1:
        raise ValueError(f"A piece of the parameter {name} is missing (RFC 2231, section 3).")
    charset = ""
    if pieces[0][0] and pieces[0][1].count("'") >= 2:  # noqa: PLR2004 - charset'language'text
        charset, _, rest = pieces[0][1].split("'", 2)
        pieces[0] = True, rest
    in_order = [pieces[number] for number in range(len(pieces))]
    if not any(extended for extended, _ in in_order):
        return words_decoded("".join(text for _, text in in_order))
    whole = b""
    for extended, run in groupby(in_order, key=itemgetter(0)):
        text = "".join(piece for _, piece in run)
        whole += unquote_to_bytes(text) if extended else text.encode()
    return whole.decode(CODECS.get(charset.lower(), "utf-8"), "replace")


def words_decoded(text: str) -> str:
    """A text with its encoded words decoded; those that cannot be stay unchanged, as mail programs show them.

    Words of one charset are decoded together, since some programs cut a character in two. Raises ValueError for too
    many words: the standard library's reader goes to the end of the text for each.
    """
    if text.count("=?") > MAX_WORDS:
        raise ValueError(f"Found more than {MAX_WORDS} encoded words.")
    try:
        return _decoded_together(text)
    except _UNDECODABLE:
        return _WORD.sub(_decoded_alone, text)


def _decoded_alone(word: re.Match[str]) -> str:
    try:
        return _decoded_together(word[0])
    except _UNDECODABLE:
        return word[0]


def _decoded_together(text: str) -> str:
    return "".join(
        piece if isinstance(piece, str) else piece.decode(_codec(charset)) for piece, charset in decode_header(text)
    )


def _codec(charset: str | None) -> str:
    """Python's name of a charset, which may have a language behind it (RFC 2231). Raises LookupError."""
    return CODECS[charset.partition("*")[0].lower()] if charset else "raw-unicode-escape"
