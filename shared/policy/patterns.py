"""Address patterns, as in MAIL_ALLOWED_SENDERS, MAIL_ALLOWED_RECIPIENTS and MAIL_CALLERS.

    alerts@contoso.com      that address
    *@contoso.com           every address of that domain
    alerts@*.contoso.com    that local part at every domain exactly one label below
    *@*.contoso.com         every address at those
    *                       every address
    8-4-4-4-12 hex digits   the mailbox with that object id, and only so: no `*` stands for an id

Case is free (of ASCII letters in a local part, of all in a domain) and domains are compared as A-labels (RFC 5890), so
that `bücher.example` and `xn--bcher-kva.example` are one. What has more than one @, a blank, a quote, or a
character that Unicode calls compatible with another (a full-width letter, the Kelvin sign) is matched by `*` at most.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["Patterns", "canonical"]

GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SEPARATOR: Final = re.compile(r"[\s,]+")
_LOCAL: Final = re.compile(r"[^\s\"(),:;<>@\[\]\\]{1,64}")
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_EXPECTED: Final = "an address, *@domain, name@*.domain, *@*.domain, a GUID, or * alone; separated by spaces or commas"
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Patterns:
    """A set of patterns. Empty, it allows nothing.

    literal: addresses, and ids of mailboxes. wild: (local part or `*`, domain, whether one label stands before it).
    """

    literal: frozenset[str] = field(default=frozenset(), repr=False)  # addresses do not belong in logs
    wild: frozenset[tuple[str, str, bool]] = field(default=frozenset(), repr=False)
    everything: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Patterns separated by spaces or commas. Raises ValueError naming the first that is none."""
        return cls.of(filter(None, _SEPARATOR.split(text)))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """These patterns. Raises ValueError naming the first that is none."""
        literal: set[str] = set()
        wild: set[tuple[str, str, bool]] = set()
        everything = False
        for pattern in patterns:
            if pattern == _ANY:
                everything = True
            elif GUID.fullmatch(pattern):
                literal.add(pattern.lower())
            else:
                local, domain, below = _pattern(pattern)
                if below or local == _ANY:
                    wild.add((local, domain, below))
                else:
                    literal.add(f"{local}@{domain}")
        return cls(frozenset(literal), frozenset(wild), everything)

    def allow(self, address: str) -> bool:
        """Whether a pattern matches this address, or this id of a mailbox. Never raises."""
        if GUID.fullmatch(address):
            return address.lower() in self.literal
        if self.everything and _like_an_address(address):
            return True
        parts = canonical(address)
        if parts is None:
            return False
        local, domain = parts
        if f"{local}@{domain}" in self.literal or (_ANY, domain, False) in self.wild:
            return True
        _, dot, parent = domain.partition(".")
        return bool(dot) and ((local, parent, True) in self.wild or (_ANY, parent, True) in self.wild)


def _pattern(pattern: str) -> tuple[str, str, bool]:
    """The local part, the domain, and whether a label stands before it."""
    local, _, domain = pattern.partition("@")
    below = domain.startswith("*.")
    parts = canonical(f"{'any' if local == _ANY else local}@{domain.removeprefix('*.')}")
    if parts is None or _ANY in parts[0]:
        raise ValueError(f"{pattern!r} is no address pattern; expected {_EXPECTED}")
    return _ANY if local == _ANY else parts[0], parts[1], below


def canonical(address: str) -> tuple[str, str] | None:
    """Local part and domain in the one spelling that is compared; None where it is not sure to be the same mailbox."""
    local, at, domain = address.partition("@")
    if not at or not address.isprintable() or unicodedata.normalize("NFKC", address) != address:
        return None
    a_labels = _a_labels(domain)
    if a_labels is None or not _LOCAL.fullmatch(local):
        return None
    return local.encode().lower().decode(), a_labels  # of bytes: ASCII letters only, as no other case is sure


def _a_labels(domain: str) -> str | None:
    name = domain.lower()
    if not name.isascii():
        import idna  # large tables, and few domains need them

        try:
            name = idna.encode(name, strict=True).decode()
        except UnicodeError:  # idna.IDNAError is one
            return None
    return name if _DOMAIN.fullmatch(name) else None


def _like_an_address(text: str) -> bool:
    """One @ with something on both sides, and nothing that a reader would not see."""
    local, _, domain = text.partition("@")
    seen = text.isprintable() and not any(character.isspace() for character in text)
    return bool(local and domain) and "@" not in domain and seen
