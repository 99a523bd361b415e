"""Headers of a MIME mail, as Mailroom writes them (RFC 5322, 2047).

What stands in a header is either printable ASCII or encoded, so that no value can end its line. The same value gives
the same bytes.
"""

import base64
import re
from collections.abc import Iterable
from typing import Final

from shared.mail.graph_types import EmailAddress, Recipient

__all__ = ["address_list", "unstructured"]

WIDTH: Final = 76  # characters of a line; RFC 5322 wants less than 79, RFC 2047 at most 76
LONGEST_WORD: Final = 450  # of a name within quotes, where each sign may need another before it

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_PHRASE: Final = re.compile(rf"(?!.*=\?){_ATOM}(?: {_ATOM})*")
_ASCII: Final = re.compile(r"[ -~]*")
_FOLD: Final = re.compile(" (?=[!-~])")
_TO_ESCAPE: Final = re.compile(r'["\\]')
_PLAIN_TEXT: Final = re.compile(r"(?!.*=\?)(?=[!-~])[ -~]*[!-~]")


def unstructured(name: str, value: str) -> str:
    """The value of an unstructured header."""
    if len(name) + 2 + len(value) <= WIDTH and _PLAIN_TEXT.fullmatch(value):
        return value
    return _encoded(name, value)


def address_list(people: Iterable[Recipient]) -> str:
    return ",\r\n ".join(_address(one.email_address) for one in people)


def _address(address: EmailAddress) -> str:
    name = address.name or ""
    if not name:
        return address.address
    if not _PLAIN_PHRASE.fullmatch(name) and _quotable(name):
        # The same to programs that decode before they read addresses, to which an encoded name could be an address.
        name = '"' + _FOLD.sub("\r\n ", _TO_ESCAPE.sub(r"\\\g<0>", name)) + '"'
    elif len(name) > WIDTH or not _PLAIN_PHRASE.fullmatch(name):
        name = _encoded("Disposition-Notification-To", name)  # the longest header with addresses
    return f"{name}\r\n <{address.address}>"


def _quotable(name: str) -> bool:
    """Whether the name can stand within quotes, in lines that fold at its blanks."""
    return "=?" not in name and bool(_ASCII.fullmatch(name)) and max(map(len, name.split(" "))) <= LONGEST_WORD


def _encoded(name: str, text: str) -> str:
    """As encoded words (RFC 2047), in lines that have room for the header's name. They may stand in a phrase too.

    The standard library's Header takes the square of some texts.
    """
    data, words, start = text.encode(), [], 0
    room = WIDTH - len(f"{name}: ")
    while start < len(data):
        end = start + (room - len("=?utf-8?b??=")) // 4 * 3
        while start < end < len(data) and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - within a character
            end -= 1
        if end > start:
            words.append(f"=?utf-8?b?{base64.b64encode(data[start:end]).decode()}?=")
            start = end
        else:  # the name has left no room
            words.append("")
        room = WIDTH - 1
    return "\r\n ".join(words)
