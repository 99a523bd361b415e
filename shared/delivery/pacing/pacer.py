"""Pacing as the courier sees it: when may a mail go, may it go now, and what Graph has said about that.

    1. reserve      once for each mail: the time at which it may go. When that is far off the message goes back into the
                    queue until then, with its reservation, and needs no second one
    2. turn         around each request to Graph. None: there is no slot in time, or Graph has blocked the mailbox
    3. block        what a 429 says

Before that are counted the mails of whoever asks for them (`ask`, `come_at`; callers.py), and beside it the mailbox's
recipients of the day (`hold`, `spend`, `release`; recipients.py).

A reservation for a time before `blocked_until` is void: such a mail needs a new one. A mail that found no slot in time
and is not blocked keeps its own, and comes back at `return_at`.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.core.exceptions import AzureError

from shared.delivery.pacing.board import Board
from shared.delivery.pacing.callers import Callers
from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.gcra import Rate
from shared.delivery.pacing.recipients import Recipients
from shared.delivery.pacing.reservations import Reservations
from shared.delivery.pacing.slots import Slot, Slots
from shared.delivery.pacing.store import PacingStore, PacingUnavailable, mailbox_key
from shared.delivery.pacing.waiting import Turn

__all__ = ["Pacer", "PacingUnavailable", "Slot", "Turn"]

RETURNS: Final = "returns"  # key of the schedule of mails that found no slot
SOONEST: Final = timedelta(seconds=5)  # and none of them comes back earlier


class Pacer:
    """One for a process. It starts tasks of its own on the running loop; `close` ends them.

    rate_per_minute: mails of one mailbox; concurrency: requests in flight; both over all instances.
    """

    def __init__(
        self,
        store: PacingStore,
        *,
        rate_per_minute: float = 30,
        concurrency: int = 4,
        recipients_per_day: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        rate = Rate.per_minute(rate_per_minute)
        self._concurrency = concurrency
        self._chance = clock.random.random
        self._board = Board(store, concurrency, clock)
        self._slots = Slots(self._board, clock)
        self._mails = Reservations(store, lambda: rate, clock)
        self._returns = Reservations(store, self._drain, clock)
        self._recipients = Recipients(store, clock, recipients_per_day)
        self._callers = Callers(store, clock)

    async def reserve(self, mailbox: str) -> datetime:
        """The time at which one mail of this mailbox may go: now, or later. Never while Graph blocks the mailbox.

        Raises PacingUnavailable.
        """
        try:
            await self._board.look()
        except AzureError as error:
            raise PacingUnavailable("What Graph has blocked cannot be read.") from error
        return await self._mails.reserve(mailbox_key(mailbox), self._board.blocked_until(mailbox))

    def put_back(self, mailbox: str, reserved: datetime) -> None:
        """Such a time is not needed: the mail has gone already. It helps while the time is to come. No storage."""
        self._mails.put_back(mailbox_key(mailbox), reserved)

    @asynccontextmanager
    async def turn(self, mailbox: str, patience: float) -> AsyncGenerator[Turn[Slot] | None]:
        """The right to one request to Graph at a time, in the body, once `ready` has said True.

        It begins a little earlier, so that what comes before the request and needs no slot can be done meanwhile. None:
        there is nothing to be had within so many seconds. The patience counts for both, and a turn may be lost again:
        then `ready` says False.

        The slot's lease is renewed while the body runs. Slot.lost: that failed, so start no other request in it.
        Raises PacingUnavailable.
        """
        turn = self._slots.join(mailbox, patience)
        try:
            try:
                called = await turn.called()
            except AzureError as error:
                raise PacingUnavailable("The slots cannot be read or written.") from error
            yield turn if called else None
        finally:
            self._slots.leave(turn)

    async def block(self, mailbox: str, until: datetime, *, app_wide: bool = False) -> None:
        """Nothing of this mailbox, or of any, may go until then; a block that is longer stays.

        It holds in this process at once, and in all others within 5 seconds. Raises PacingUnavailable when it holds
        in this process only.
        """
        try:
            await self._board.block(None if app_wide else mailbox, until)
        except AzureError as error:
            raise PacingUnavailable("The block cannot be written.") from error

    def blocked_until(self, mailbox: str) -> datetime | None:
        """Until when nothing of this mailbox may go, as far as this process knows. No storage."""
        return self._board.blocked_until(mailbox)

    def soonest(self, mailboxes: Sequence[str]) -> str:
        """The one of these mailboxes that may send soonest, as far as this process knows. No storage."""
        rest = datetime.min.replace(tzinfo=UTC)

        def free(mailbox: str) -> tuple[datetime, datetime, float]:
            blocked = self._board.blocked_until(mailbox) or rest
            blocked = max(blocked, self._recipients.spent_until(mailbox) or rest)
            return blocked, self._mails.expected(mailbox_key(mailbox)) or rest, self._chance()

        return min(mailboxes, key=free)

    async def return_at(self) -> datetime:
        """When a mail that found no slot comes back: one after the other as fast as mails go, over all instances.

        So each comes back once or twice, whatever the backlog. Raises PacingUnavailable.
        """
        return await self._returns.reserve(RETURNS) + SOONEST

    async def hold(self, mailbox: str, mail: str, recipients: int) -> datetime | None:
        """Keep so many of the mailbox's recipients of the day for a mail that is about to go.

        None: done; else the time at which there may be room. Raises PacingUnavailable.
        """
        return await self._recipients.hold(mailbox, mail, recipients)

    def spend(self, mailbox: str, mail: str, recipients: int) -> None:
        """The mail has gone, or may have, to so many. No storage."""
        self._recipients.spend(mailbox, mail, recipients)

    def release(self, mail: str) -> None:
        """What is still held for the mail is not needed. No storage."""
        self._recipients.release(mail)

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        """Whether a caller with this rate may ask for so many mails now. None: yes; else when it may.

        Raises PacingUnavailable.
        """
        return await self._callers.ask(caller, per_minute, mails)

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """So many of them were none: they had come before, or were not wanted. No storage."""
        self._callers.put_back(caller, mails)

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        """When a mail may go of a caller with this rate who does not wait for an answer. Raises PacingUnavailable."""
        return await self._callers.reserve(caller, per_minute)

    async def close(self) -> None:
        """Give back all that is not in use. What cannot be given back lapses by itself."""
        with suppress(AzureError):
            await self._slots.close()
        for reservations in (self._mails, self._returns):
            with suppress(AzureError):
                await reservations.close()

    def _drain(self) -> Rate:
        """Requests that all slots together can make."""
        return Rate(timedelta(seconds=max(self._slots.mean, 0.01) / self._concurrency))
