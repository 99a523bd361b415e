"""The recipients that a mailbox may have in a day: held before a mail goes, spent when it has gone or may have gone.

Exchange Online takes mail for 10,000 recipients a day from one mailbox and refuses the rest of the day's, everyone's.
https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits

A hold is known by its mail, so that it is neither given back nor spent twice, whoever does it.
"""

from datetime import datetime
from typing import Final

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.quotas import Notice, PerDay, Quotas
from shared.delivery.pacing.store import PacingStore, mailbox_key
from shared.telemetry import Event, emit

__all__ = ["Recipients"]

DIGITS: Final = 16  # of a mailbox's hash, in events


class Recipients:
    """Of all mailboxes, as one process knows them."""

    def __init__(self, store: PacingStore, clock: Clock, per_day: int) -> None:
        self._law = PerDay(per_day)
        self._names: dict[str, str] = {}
        self._quotas = Quotas(store, clock, self._say)
        self._holds: dict[str, tuple[str, int]] = {}  # by mail: the row, and how many

    async def hold(self, mailbox: str, mail: str, count: int) -> datetime | None:
        """Keep so many for a mail that is about to go. None: done; else the time at which it may be tried again.

        Raises PacingUnavailable.
        """
        if mail in self._holds or not count:
            return None
        key = _key(mailbox)
        self._names[key] = mailbox_key(mailbox)[:DIGITS]
        until = await self._quotas.take(key, self._law, count)
        if until is None and mail in self._holds:  # by another attempt at the same mail, meanwhile
            self._quotas.put_back(key, count)
        elif until is None:
            self._holds[mail] = key, count
        return until

    def spend(self, mailbox: str, mail: str, count: int) -> None:
        """The mail has gone, or may have, to so many."""
        self.release(mail)
        self._quotas.put_back(_key(mailbox), -count)

    def release(self, mail: str) -> None:
        """What is still held for the mail is not needed."""
        if mail in self._holds:
            self._quotas.put_back(*self._holds.pop(mail))

    def spent_until(self, mailbox: str) -> datetime | None:
        """Until when the mailbox has no recipients left, as far as this process knows. No storage."""
        return self._quotas.refused_until(_key(mailbox), self._law)

    def _say(self, key: str, notice: Notice) -> None:
        event = Event.RECIPIENTS_NEAR if notice == "near" else Event.RECIPIENTS_REACHED
        emit(event, mailbox=self._names.get(key), per_day=self._law.units)


def _key(mailbox: str) -> str:
    return mailbox_key(f"recipients of {mailbox}")
