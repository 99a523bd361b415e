"""Decides when a mail may be sent: by its mailbox's rate, its daily recipient limit, and a block after Graph's 429.

1. reserve      once for each mail; a message that waits for its time carries the reservation (`restore`)
2. in_flight    around each request to Graph; check `blocked_until` inside it, because it may have changed
3. used, if the mail was sent or may have been; otherwise give_back. throttled, after a 429
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Final

from shared.event_loop import within
from shared.ratelimit.mailbox_pace import NoRoom, Rate, RowLimits, Want, Window
from shared.ratelimit.shared_row import SharedRow, TableStore, key_of
from shared.telemetry import LogEvent, emit

KEPT: Final = 1000  # mailboxes and callers that are remembered; more only while all are in use
LATE = SAID_AGAIN = timedelta(minutes=1)  # by which a message may come later than its reserved time


@dataclass(eq=False, slots=True)
class Reservation:
    """A time (UTC) at which one mail may be sent from a mailbox, and its recipients in the mailbox's daily limit."""

    mailbox: str
    at: datetime
    recipients: int
    carried: bool = False  # came with a message, of which there may be copies
    open: bool = True


class RateLimits:
    """One for a process. It starts no tasks and holds nothing that others wait for, so nothing has to close it.

    per_minute, recipients_per_day: of one mailbox, over all instances. concurrency: of this process for one mailbox.
    named: the rows of mailboxes name them, so that `mailboxes` finds those that have sent.
    Coroutines raise RateLimitUnavailable when a row cannot be read or written; nothing else here needs storage.
    """

    def __init__(  # noqa: PLR0913 - settings, all of them
        self,
        store: TableStore,
        *,
        per_minute: float,
        concurrency: int,
        recipients_per_day: int,
        named: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._now, self._named = store, now, named
        self._mailboxes = RowLimits(Rate.even(per_minute), Window(recipients_per_day, 3600, 24), concurrency)
        self._lanes: OrderedDict[str, SharedRow] = OrderedDict()  # by name; used last, last

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        """Reserve the mailbox's next time. NoRoom: the mail would exceed the daily recipient limit."""
        found = await self._mailbox(mailbox).take(Want(recipients=recipients))
        return Reservation(mailbox, found, recipients) if isinstance(found, datetime) else found

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        """The reservation that a message carries. None if it is void, so that an outage does not end in a flood."""
        lane = self._mailbox(mailbox)
        await lane.take(Want(times=0))
        void = at < lane.blocked_until or at < self._now() - LATE
        return None if void else Reservation(mailbox, at, recipients, carried=True)

    def give_back(self, reservation: Reservation) -> None:
        """The mail is not sent: free its reservation for the next one, unless a message (or a copy) carries it."""
        if reservation.open and not reservation.carried:
            self._mailbox(reservation.mailbox).put_back(reservation.at, reservation.recipients)
        reservation.open = False

    def used(self, reservation: Reservation, recipients: int) -> None:
        """The mail was sent, or may have been, to so many recipients."""
        if reservation.open:
            self._mailbox(reservation.mailbox).put_back(reservation.at, reservation.recipients - recipients, 0)
        reservation.open = False

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        """Hold one of the mailbox's requests in flight within the body. Yields False if none was free in time."""
        lane = self._mailbox(mailbox)
        lane.users += 1
        free = False
        try:
            with suppress(TimeoutError):
                async with within(patience) if patience is not None and lane.requests.locked() else nullcontext():
                    free = await lane.requests.acquire()
            yield free
        finally:
            lane.users -= 1
            if free:
                lane.requests.release()

    async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
        """Block the mailbox after Graph's 429, for `after` seconds. Returns until when. Never raises."""
        return await self._mailbox(mailbox).block(after, code)

    def blocked_until(self, mailbox: str) -> datetime | None:
        """Until when the mailbox is blocked, as far as this process knows."""
        until = self._mailbox(mailbox).blocked_until
        return until if until > self._now() else None

    async def mailboxes(self, since: datetime) -> list[str]:
        """Those with mails since then, where rows name them. A storage operation for each thousand rows."""
        return await self._store.mailboxes(since)

    def soonest(self, mailboxes: Sequence[str]) -> str:
        """The one of these mailboxes that may send soonest, as far as this process knows."""
        lanes = {mailbox: self._mailbox(mailbox) for mailbox in mailboxes}
        expected = {mailbox: lane.expected() for mailbox, lane in lanes.items()}
        now = self._now()  # one for all: what is free now is as free as any other, whichever was asked first
        waits = {one: (max(expected[one], now), lanes[one].users, SystemRandom().random()) for one in mailboxes}
        return min(mailboxes, key=waits.__getitem__)

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        """Count bytes that are about to be sent to Graph. None: they may go now; else when to ask again."""
        found = await self._mailbox(mailbox).upload(size)
        return found.until if isinstance(found, NoRoom) else None

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        """Count mails in the rate of a caller that waits. None if the first may be sent now; otherwise when it may."""
        lane = self._lane(f"mails of {caller}", RowLimits(Rate(per_minute, per_minute)))
        found = await lane.take(Want(mails, waits=False))
        return self._limited(lane, caller, found.until) if isinstance(found, NoRoom) else None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """Give back to the caller's rate what did not become a mail, because it was repeated or filtered out."""
        if lane := self._lanes.get(f"mails of {caller}"):
            lane.put_back(self._now(), 0, mails)

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        """When a mail may be sent of a caller that does not wait for an answer: now, or later."""
        lane = self._lane(f"queue of {caller}", RowLimits(Rate.even(per_minute)))
        found = await lane.take(Want())
        time = found.until if isinstance(found, NoRoom) else found  # a caller's row refuses nobody who waits
        return self._limited(lane, caller, time) if time > self._now() else time

    def _limited(self, lane: SharedRow, caller: str, until: datetime) -> datetime:
        now = self._now()
        if now - lane.limited_at >= SAID_AGAIN:
            lane.limited_at = now
            emit(LogEvent.CALLER_LIMITED, caller=caller, seconds=round((until - now).total_seconds(), 1))
        return until

    def _mailbox(self, mailbox: str) -> SharedRow:
        return self._lane(mailbox.lower(), self._mailboxes)

    def _lane(self, name: str, limits: RowLimits) -> SharedRow:
        lane = self._lanes.get(name)
        if lane is None:
            while len(self._lanes) >= KEPT and (unused := next((k for k, v in self._lanes.items() if v.idle), None)):
                del self._lanes[unused]
            mailbox = name if self._named and limits.day else None
            lane = self._lanes[name] = SharedRow(self._store, key_of(name), self._now, limits, mailbox)
        self._lanes.move_to_end(name)
        lane.limits = limits
        return lane
