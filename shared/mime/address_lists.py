"""Parses address lists in the headers of a MIME mail (RFC 5322, 3.4), so that policy and Exchange read the same.

    accepted   name@domain    <name@domain>    Any Name <name@domain>    "Any, Name" <name@domain>
               encoded words as names (RFC 2047), within quotes too    undisclosed-recipients:;    an empty header
    refused    groups with members, comments, quoted local parts, domain literals, source routes, needless commas,
               encoded words in an address, and those that contain an address for a reader that decodes first

This small grammar reads a header once. Then Python's own parser, with its modern policy, must find the same addresses
and no defect. That parser is slow for each word, and its time grows with the square of a header's length. So it gets
each outline only once: an outline is an address with its name in which an x replaces every run of characters that no
parser reads as syntax.
"""

import re
from collections.abc import Iterator
from email.errors import ObsoleteHeaderDefect
from email.header import decode_header
from email.policy import default
from functools import lru_cache
from typing import Final

from shared.mail.addresses import AddressesOfMail
from shared.mail.graph_types import LINE, EmailAddress, Recipient
from shared.mime.head import HeaderField, malformed
from shared.parsing.charsets import SURROGATE

INVALID: Final = "ErrorInvalidRecipients"
LONGEST: Final = 2_000  # characters of one address with its name; Mailroom's own limit
MAX_OUTLINE: Final = 200  # characters of the outline of one address
MAX_OUTLINES: Final = 1_000  # characters of all different outlines in one header; most addresses have the same few
_TOKEN: Final = re.compile(
    r'[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|<(?P<angle>[^<> \t"]*)>|(?P<sign>[,:;])|(?P<atom>[^ \t"<>,:;()\[\]\\]+))'
)
# In an outline, an x stands for what these find: within quotes, and in a word without quotes; encoded words too.
_WORD: Final = r"(=\?[A-Za-z0-9_-]{1,40}\?[bBqQ]\?)[!->@-~]*\?="
_PLAIN_QUOTED: Final = re.compile(rf"{_WORD}|[A-Za-z0-9 .'&/|+!#$%*_-]+")
_PLAIN_ATOM: Final = re.compile(rf"{_WORD}|[A-Za-z0-9!#$%&'*+/^_`{{|}}~-]+")
_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9_+-]++(?:\.[A-Za-z0-9_+-]++)*+@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)*+")
_EMPTY_GROUP: Final = re.compile(r"[A-Za-z0-9 _-]{1,60}:[ \t]*;")
_ESCAPED: Final = re.compile(r"\\(.)")
_LINE: Final = re.compile(LINE)
_ENCODED: Final = "=?"
_HIDDEN: Final = (
    "Found an encoded name that programs which decode first would read as an address; expected a plain name."
)
# What ends an address, or hides the next one, once a name is decoded: separators, brackets, quotes, comments.
_ENDS_AN_ADDRESS: Final = re.compile(r'[,;:<>()\[\]"\\]')


def recipients_of(field: HeaderField, most: int, too_many: str) -> tuple[Recipient, ...]:
    """Parse the addresses of a header. Raises Malformed with the place, or `too_many` if there are more than `most`."""
    if not field.value or _EMPTY_GROUP.fullmatch(field.value):
        return ()
    found: list[Recipient] = []
    several, outlines = AddressesOfMail(), set[str]()
    room = MAX_OUTLINES
    for number, (tokens, outline) in enumerate(_elements(field), 1):
        place = f"{field.name}, address {number}"
        if number > most:
            raise malformed(too_many, place, INVALID)
        found.append(Recipient(email_address=_mailbox(tokens, place, several)))
        if outline in outlines:
            continue
        outlines.add(outline)
        room -= len(outline)
        if room < 0 or len(outline) > MAX_OUTLINE:
            text = "Found names with too many characters other than letters and digits; expected plainer names."
            raise malformed(text, place, INVALID)
        if not _agrees(outline, _outline_of_address(tokens[-1][1])):
            text = "Mail programs would read this address differently; expected it in a plainer form."
            raise malformed(text, place, INVALID)
    return tuple(found)


def decoded(text: str, place: str) -> str:
    """The text with its encoded words decoded. Raises Malformed if they cannot be, or contain what breaks a line."""
    try:
        pieces = [
            piece if isinstance(piece, str) else piece.decode(charset or "ascii")
            for piece, charset in decode_header(text)
        ]
    except (LookupError, ValueError):  # an unknown charset, bytes outside it, bad base64
        raise malformed("Found encoded words (RFC 2047) that cannot be decoded.", place) from None
    result = "".join(pieces)
    if not _LINE.fullmatch(result) or SURROGATE.search(result):
        raise malformed("Found encoded words (RFC 2047) that contain control characters.", place)
    return result


def holds_an_address(name: str) -> bool:
    """Whether a program that decodes a header before it reads the addresses could find another address in this name.

    Such a program reads `=?utf-8?q?x=40y=2Eexample=2C?= <a@b.example>` as `x@y.example, <a@b.example>`.
    """
    return bool(re.search("[<>]", name)) or ("@" in name and bool(_ENDS_AN_ADDRESS.search(name)))


def _elements(field: HeaderField) -> Iterator[tuple[list[tuple[str, str]], str]]:
    """Kind and text of the tokens between two commas, and the outline of all of them."""
    at, number, begun, outline = 0, 1, 0, ""
    tokens: list[tuple[str, str]] = []
    text = field.value
    while at < len(text):
        match = _TOKEN.match(text, at)
        place = f"{field.name}, address {number}"
        if match is None:
            raise malformed(_unreadable(text[at:].lstrip(" \t")[:1]), place, INVALID)
        kind = match.lastgroup or ""
        at = match.end()
        if at - begun > LONGEST:
            raise malformed(f"Found more than {LONGEST} characters for one address.", place, INVALID)
        if kind != "sign":
            tokens.append((kind, match[kind]))
            outline += f"{' ' if match[0][0] in ' \t' else ''}{_outline(kind, match[kind])}"
        elif match[kind] != ",":
            raise malformed("Found a group of addresses or a route; expected a list of addresses.", place, INVALID)
        else:
            yield tokens, outline
            tokens, outline, number, begun = [], "", number + 1, at
    yield tokens, outline


def _outline(kind: str, text: str) -> str:
    if kind == "quoted":
        return f'"{_PLAIN_QUOTED.sub(_plain, text)}"'
    if kind == "angle":
        return f"<{_outline_of_address(text)}>"
    if "@" in text:
        return _outline_of_address(text)
    return _PLAIN_ATOM.sub(_plain, text)


def _plain(match: re.Match[str]) -> str:
    begin = match[1] or ""
    return f"{begin}{'eA==' if begin[-2] in 'bB' else 'x'}?=" if begin else "x"


def _outline_of_address(text: str) -> str:
    return "x@x.x" if _PLAIN_ADDRESS.fullmatch(text) else text


def _unreadable(character: str) -> str:
    match character:
        case "(" | ")":
            return "Found a comment in parentheses; expected Name <address>."
        case "[" | "]":
            return "Found a domain literal; expected a domain name."
        case _:
            return "Expected an address, or Name <address>, with the name in quotes if it has other characters."


def _mailbox(tokens: list[tuple[str, str]], place: str, several: AddressesOfMail) -> EmailAddress:
    match tokens:
        case []:
            raise malformed("Expected an address; found one comma too many.", place, INVALID)
        case [("atom", address)]:
            name = ""
        case [*words, ("angle", address)]:
            name = _name(words, place)
        case _:
            raise malformed("Expected an address, or Name <address>.", place, INVALID)
    if _ENCODED in address:
        raise malformed("An address cannot be encoded.", place, INVALID)
    try:
        return EmailAddress(address=several.checked(address), name=name or None)
    except ValueError as error:
        raise malformed(f"Found no address that mail can be sent to. {error}", place, INVALID) from None


def _name(words: list[tuple[str, str]], place: str) -> str:
    texts, atoms = [], []
    for kind, word in [*words, ("quoted", "")]:
        if kind == "angle" or (kind == "atom" and "@" in word):
            raise malformed("Expected one address; a name that looks like one needs quotes.", place, INVALID)
        if kind == "atom":
            atoms.append(word)
            continue
        # As one text: blanks between encoded words are not part of the name.
        texts += [decoded(" ".join(atoms), place) if atoms else "", _unquoted(word, place)]
        atoms = []
    name = " ".join(text for text in texts if text)
    if any(_ENCODED in word for _, word in words) and holds_an_address(name):
        raise malformed(_HIDDEN, place, INVALID)
    if not _LINE.fullmatch(name):
        raise malformed("Found a control character in the name.", place, INVALID)
    return name


def _unquoted(word: str, place: str) -> str:
    """The text of a quoted string, also of encoded words in it, which the standard forbids and many programs write."""
    plain = _ESCAPED.sub(r"\1", word)
    if _ENCODED not in plain:
        return plain
    read = decoded(plain, place)
    if read != plain and re.search(r'["\\]', read):  # decoded first, it would end the quotes
        raise malformed(_HIDDEN, place, INVALID)
    return read


@lru_cache(maxsize=1024)
def _agrees(outline: str, address: str) -> bool:
    """Whether the standard library finds the same. Its parser has bugs, so any exception counts as a no."""
    try:
        read = default.header_factory("To", outline.strip())
        addresses = [one.addr_spec for one in getattr(read, "addresses", ())]
        defects = [defect for defect in read.defects if not _harmless(defect)]
    except Exception:  # noqa: BLE001 - it is known to raise several kinds
        return False
    return not defects and addresses == [address]


def _harmless(defect: Exception) -> bool:
    """Periods in names without quotes are obsolete and common, as are encoded words within quotes, which Python reads
    nevertheless; a missing blank after an encoded word is a defect to Python alone.
    """
    return isinstance(defect, ObsoleteHeaderDefect) or str(defect) in (
        "missing trailing whitespace after encoded-word",
        "encoded word inside quoted string",
    )
