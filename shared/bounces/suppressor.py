"""Decides which bounces put an address on the suppression list (MAIL_SUPPRESS_BOUNCED).

An address is listed only if its mailbox does not exist, and only if the tenant's own Exchange says so. Addresses in the
settings or in a route are never listed: they are the operator's own, who is told of the bounce and decides.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.bounces.delivery_report import FailedRecipient
from shared.delivery.row import Row
from shared.mail.addresses import address_hash
from shared.policy.suppression import SuppressedAddress, SuppressionList
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

# No such mailbox, a wrong address, moved without a new one (RFC 3463, section 3.2); and 5.1.10, by which Exchange says
# that a recipient was not found.
# https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/non-delivery-reports-in-exchange-online
HARD: Final = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10"})
BY: Final = "bounce"


@dataclass(frozen=True, slots=True)
class Suppressor:
    """routes: the addresses that stand in routes; None: not all of them can be read, so nothing is suppressed."""

    settings: Settings
    suppressions: SuppressionList
    routes: Callable[[], frozenset[str] | None]

    async def suppress(self, failed: FailedRecipient, recipient: str, row: Row, now: datetime) -> bool:
        """Put a recipient, known by its hash, on the list if the rules say so. True if it did. Raises AzureError."""
        if failed.code not in HARD or (routes := self.routes()) is None:
            return False
        address = next(one for one in failed.addresses if address_hash(one) == recipient)
        if recipient in {*_hashes(in_settings(self.settings)), *_hashes(routes), *_hashes([row.mailbox])}:
            return False
        reason = f"Bounced with {failed.code}, reported for mail {row.id}"
        entry = SuppressedAddress(id=recipient, address=address, reason=reason, added_by=BY, added_at=now)
        if await self.suppressions.store.add(entry) is not None:
            return False
        self.suppressions.forget()
        emit(LogEvent.SUPPRESSION_CHANGED, change="added", by=BY)
        return True


def in_settings(settings: Settings) -> Iterator[str]:
    """Every address that stands in a setting; patterns do not name one."""
    patterns = [settings.allowed_senders, settings.allowed_recipients, settings.route_senders]
    for rule in settings.callers.values():
        patterns += [rule.senders, rule.recipients]
    for one in patterns:
        yield from one.literal if one is not None else ()
    for pool in settings.sender_pools.values():
        yield from pool
    yield from settings.to
    yield from filter(None, (settings.sender, settings.redirect_to))


def _hashes(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        with suppress(ValueError):  # the object id of a mailbox, or the name of a pool
            yield address_hash(address)
