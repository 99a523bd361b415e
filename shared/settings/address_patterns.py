"""Address patterns, as in MAIL_ALLOWED_SENDERS, MAIL_ALLOWED_RECIPIENTS and MAIL_CALLERS.

    alerts@contoso.com      that address
    *@contoso.com           every address of that domain
    alerts@*.contoso.com    that local part at every domain exactly one label below
    *@*.contoso.com         every address at those
    *                       every address
    8-4-4-4-12 hex digits   the mailbox with that object id, written out: no `*` matches an id

Addresses are compared in their canonical form (mail/addresses.py), so `bücher.example` and `xn--bcher-kva.example` are
one. An address without a canonical form matches nothing, not even `*`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from shared.mail.addresses import canonical

GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SEPARATOR: Final = re.compile(r"[\s,]+")
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
        """Parse patterns separated by spaces or commas. Raises ValueError with the first that is invalid."""
        return cls.of(filter(None, _SEPARATOR.split(text)))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Parse these patterns. Raises ValueError with the first that is invalid."""
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
        try:
            mailbox = canonical(address)
        except ValueError:
            return False
        if self.everything or mailbox in self.literal:
            return True
        local, _, domain = mailbox.partition("@")
        _, dot, parent = domain.partition(".")
        found = {(_ANY, domain, False)} | ({(local, parent, True), (_ANY, parent, True)} if dot else set())
        return not self.wild.isdisjoint(found)


def _pattern(pattern: str) -> tuple[str, str, bool]:
    """The local part, the domain, and whether one label stands before it."""
    local, _, domain = pattern.partition("@")
    below = domain.startswith("*.")
    try:
        mailbox = canonical(f"{'any' if local == _ANY else local}@{domain.removeprefix('*.')}")
    except ValueError as error:
        raise ValueError(f"{pattern!r} is no address pattern; expected {_EXPECTED}") from error
    its_local, _, its_domain = mailbox.partition("@")
    if _ANY in its_local:
        raise ValueError(f"{pattern!r} is no address pattern; expected {_EXPECTED}")
    return _ANY if local == _ANY else its_local, its_domain, below
