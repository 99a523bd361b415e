"""Mail addresses and blob names, each in one canonical form that all code reads and compares.

    checked      Jane.Doe@Bücher.example  →  Jane.Doe@xn--bcher-kva.example    what goes to Graph
    canonical                             →  jane.doe@xn--bcher-kva.example    what is compared

The two differ only in the case of the local part: it is kept on the way to the recipient (RFC 5321, section 2.4), but
no two mailboxes differ by it alone. Spellings that the standards call equivalent have the same form: upper and lower
case, a domain as U-labels or A-labels (RFC 5890), composed and decomposed characters (NFC). An address that others
might read as a different one has no canonical form and is refused: one with compatibility characters (full-width or
mathematical letters), invisible characters, a quoted local part, a comment, a domain literal, or a dot at the end.

A blob is named `container/name`, in text that may be percent-encoded once. A name that a check and storage could read
as two different blobs is refused.

Sources: RFC 5321, 5322, 6531 and 5891 (the tenant decides whether names under .test or without a dot exist); "Naming
and referencing containers, blobs, and metadata" in Azure Storage's documentation.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

LONGEST: Final = 320  # characters as written; checked before anything else reads them
MOST_INTERNATIONAL: Final = 8_000  # characters of all different domains in a mail that go to IDNA: 500 domains and more
LONGEST_LOCAL: Final = 64  # octets (RFC 5321, section 4.5.3.1.1)
LONGEST_WHOLE: Final = 254  # octets as it goes to Graph (section 4.5.3.1.3: a path has 256, with its angle brackets)

ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL: Final = re.compile(rf"{ATOM}(?:\.{ATOM})*")
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ENCODED: Final = "xn--"
# Categories of the characters that a local part may have beside ASCII: letters, marks, digits.
_LETTERS: Final = frozenset({"Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Mn", "Nd"})
# Among these, characters that show nothing (Default_Ignorable_Code_Point): joiners, fillers, variation selectors.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

CONTAINER: Final = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
LONGEST_BLOB: Final = 1024  # characters of a blob's name
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_NOT_IN_A_BLOB: Final = re.compile(r"[\\?#\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]")


def checked(address: str) -> str:
    """The address as it goes to Graph. Raises ValueError, saying what is wrong without quoting all of it."""
    if len(address) > LONGEST:
        raise ValueError(f"It has more than {LONGEST} characters.")
    local, at, domain = address.partition("@")
    if not at or "@" in domain:
        raise ValueError("Expected a local part and a domain, with one @ between them.")
    result = f"{_local(local)}@{_domain(domain)}"
    if len(result.encode()) > LONGEST_WHOLE:
        raise ValueError(f"It has more than {LONGEST_WHOLE} octets.")
    return result


class AddressesOfMail:
    """Checks the addresses of one mail. IDNA takes long for each character, so their number is limited."""

    def __init__(self) -> None:
        self._room = MOST_INTERNATIONAL
        self._domains = set[str]()

    def checked(self, address: str) -> str:
        """Like the function `checked`. Raises ValueError, also beyond the limit."""
        domain = address.rpartition("@")[2] if len(address) <= LONGEST else ""
        if (not domain.isascii() or _ENCODED in domain.lower()) and domain not in self._domains:
            self._domains.add(domain)
            self._room -= len(domain)
            if self._room < 0:
                text = f"The mail has more than {MOST_INTERNATIONAL:,} characters of international domains"
                raise ValueError(f"{text}; send it in several.")
        return checked(address)


def canonical(address: str) -> str:
    """The spelling of an address that is used for comparisons. Raises ValueError like `checked`.

    Case is free as in Unicode's caseless matching (The Unicode Standard, section 3.13).
    """
    result = checked(address)
    return result.lower() if result.isascii() else unicodedata.normalize("NFC", result.casefold())


def address_hash(address: str) -> str:
    """The SHA-256, in hex digits, of the canonical form of an address, for places that must not contain the address.

    Raises ValueError as `checked`.
    """
    return hashlib.sha256(canonical(address).encode()).hexdigest()


def mailbox_name(text: str) -> str:
    """A mailbox or a pool as it is compared and counted: an object id or a pool in lower case, an address in its
    canonical form. Raises ValueError for an address that has none.
    """
    return canonical(text) if "@" in text else text.lower()


def split_blob(text: str) -> tuple[str, str]:
    """Container and name of a blob, decoded. Raises ValueError with a sentence that does not quote the text."""
    decoded = unquote(text, errors="replace")
    if _PERCENT.search(decoded):
        raise ValueError("The name is percent-encoded twice.")
    if _NOT_IN_A_BLOB.search(decoded):
        raise ValueError("The name contains a backslash, a question mark, a number sign or a control character.")
    container, _, name = decoded.partition("/")
    if not CONTAINER.fullmatch(container):
        raise ValueError("Expected container/name, the container in lower-case letters, digits and dashes.")
    if not name or len(name) > LONGEST_BLOB:
        raise ValueError(f"Expected container/name, the name with 1 to {LONGEST_BLOB} characters.")
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        raise ValueError("A part of the name between slashes is empty, or only dots.")
    return container, name


def _local(text: str) -> str:
    if not text.isascii():
        text = _composed(text, "The part before the @")
        if _UNSEEN.search(text):
            raise ValueError("The part before the @ has invisible characters.")
        if any(not character.isascii() and unicodedata.category(character) not in _LETTERS for character in text):
            raise ValueError("The part before the @ has characters other than letters, digits and marks.")
        if unicodedata.category(text[0]).startswith("M"):
            raise ValueError("The part before the @ begins with a combining mark, without a letter before it.")
    if len(text.encode()) > LONGEST_LOCAL:
        raise ValueError(f"The part before the @ has more than {LONGEST_LOCAL} octets.")
    if not _LOCAL.fullmatch("".join(character if character.isascii() else "a" for character in text)):
        raise ValueError("The part before the @ must be words with single dots between them, without quotes.")
    return text


def _domain(text: str) -> str:
    if text.isascii():
        name = text.lower()
    else:
        text = _composed(text, "The domain")
        # Each character by itself: `lower` of a text gives the Greek sigma two forms.
        name = unicodedata.normalize("NFC", "".join(character.lower() for character in text))
        name = ".".join(label if label.isascii() else _a_label(label) for label in name.split("."))
    if not _DOMAIN.fullmatch(name):
        raise ValueError("The part after the @ is not a domain name.")
    if _ENCODED in name:
        for label in name.split("."):
            if label.startswith(_ENCODED):
                _check_a_label(label)
    return name


def _composed(text: str, what: str) -> str:
    """In NFC. Raises ValueError for a character that stands for another one, as the Kelvin sign for K."""
    if any(unicodedata.normalize("NFKC", character) != character for character in text):
        raise ValueError(f"{what} has characters that can be read as other ones.")
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=2048)
def _a_label(label: str) -> str:
    import idna  # large tables, and few domains need them

    try:
        idna.check_label(label)
    except UnicodeError as error:  # idna.IDNAError is one
        raise ValueError("The domain has a label that IDNA does not allow.") from error
    return _ENCODED + label.encode("punycode").decode()


@lru_cache(maxsize=2048)
def _check_a_label(label: str) -> None:
    """Refuse a label that is not how its U-label is encoded, but another text that some programs decode."""
    import idna

    try:
        if idna.alabel(idna.ulabel(label)) == label.encode():
            return
    except UnicodeError:  # idna.IDNAError is one
        pass
    raise ValueError("The domain has a label that begins with xn-- and is not IDNA's encoding of anything.")
