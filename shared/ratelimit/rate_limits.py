"""When a mail may go: the pace of its mailbox, the recipients of that mailbox's day, and what Graph has said of it.

1. reserve      once for each mail: the time at which it may go, and its recipients. When that is far off its message
                goes back into the queue until then and carries the reservation (`restore`)
2. in_flight    around each request to Graph; `blocked_until` may have changed when it is there
3. used, or give_back, whichever is true
   throttled    what a 429 says
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Final

from shared.event_loop import within
from shared.ratelimit.mailbox_pace import Answer, NoRoom, Rate, RowLimits, Want, Window
from shared.ratelimit.shared_row import SharedRow
from shared.ratelimit.store import TableStore, key_of
from shared.telemetry import LogEvent, emit

KEPT: Final = 1000  # mailboxes and callers remembered; more only while they are all in use
LATE: Final = timedelta(minutes=1)  # what a message's way through the queue may add to its time
SAID_AGAIN: Final = timedelta(minutes=1)


@dataclass(eq=False, slots=True)
class Reservation:
    """A time (UTC) at which one mail may go from a mailbox, and its recipients there."""

    mailbox: str
    at: datetime
    recipients: int
    carried: bool = False  # came with a message, of which there may be copies
    open: bool = True

    def close(self) -> bool:
        """Whether this is the first to say what became of it."""
        was, self.open = self.open, False
        return was


class RateLimits:
    """One for a process. It starts no tasks and holds nothing that others wait for, so nothing has to close it.

    per_minute: mails of one mailbox, over all instances. concurrency: requests of this process for one mailbox.
    Every coroutine raises RateLimitUnavailable when a row cannot be read or written, unless it says otherwise; what is
    no coroutine, and in_flight, needs no storage.
    """

    def __init__(
        self,
        store: TableStore,
        *,
        per_minute: float = 30,
        concurrency: int = 4,
        recipients_per_day: int = 10_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._now = store, now
        self._mailboxes = RowLimits(Rate.even(per_minute), Window(recipients_per_day, 3600, 24), concurrency)
        self._lanes: OrderedDict[str, SharedRow] = OrderedDict()  # by name; used last, last

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        """The mailbox's next time for a mail to so many. NoRoom: it has too few recipients left in its day."""
        found = await self._mailbox(mailbox).take(Want(recipients=recipients))
        return Reservation(mailbox, found, recipients) if isinstance(found, datetime) else found

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        """The reservation that a queue message carries. Reads the row at most every 5 seconds.

        None: it is void. Graph has blocked the mailbox past its time, or that time passed more than a minute ago: the
        mails of an outage must not all go at its end.
        """
        lane = self._mailbox(mailbox)
        await lane.take(Want(times=0))
        void = at < lane.blocked_until or at < self._now() - LATE
        return None if void else Reservation(mailbox, at, recipients, carried=True)

    def give_back(self, reservation: Reservation) -> None:
        """The mail does not go. The next mail of the mailbox here has the time, if it is to come, and the recipients.

        Only the first call, of this or of `used`, counts. What a message carries is not given back: a copy may use it.
        """
        if reservation.close() and not reservation.carried:
            self._mailbox(reservation.mailbox).put_back(reservation.at, reservation.recipients)

    def used(self, reservation: Reservation, recipients: int) -> None:
        """The mail has gone, or may have, to so many recipients."""
        if reservation.close():
            self._mailbox(reservation.mailbox).put_back(reservation.at, reservation.recipients - recipients, 0)

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        """The right to requests to Graph, one at a time, within the body. False: not within so many seconds."""
        lane = self._mailbox(mailbox)
        lane.users += 1
        free = False
        try:
            with suppress(TimeoutError):
                async with within(patience) if patience is not None and lane.slots.locked() else nullcontext():
                    free = await lane.slots.acquire()
            yield free
        finally:
            lane.users -= 1
            if free:
                lane.slots.release()

    async def throttled(self, mailbox: str, after: float | None) -> datetime:
        """Graph has answered 429: nothing of this mailbox goes until the time that this returns. Never raises.

        after: seconds of Retry-After; None: there was none, so 2 seconds, doubled while it repeats, at most 5 minutes.
        It holds here at once, in other processes when they next write the row, and 5 seconds later at most.
        """
        return await self._mailbox(mailbox).block(after)

    def blocked_until(self, mailbox: str) -> datetime | None:
        """Until when nothing of this mailbox may go, as far as this process knows."""
        until = self._mailbox(mailbox).blocked_until
        return until if until > self._now() else None

    def soonest(self, mailboxes: Sequence[str]) -> str:
        """The one of these mailboxes that may send soonest, as far as this process knows."""
        if len(mailboxes) == 1:
            return mailboxes[0]
        lanes = {mailbox: self._mailbox(mailbox) for mailbox in mailboxes}
        expected = {mailbox: _time(lane.expected()) for mailbox, lane in lanes.items()}
        now = self._now()  # one for all: what is free now is as free as any other, whichever was asked first
        waits = {one: (max(expected[one], now), lanes[one].users, SystemRandom().random()) for one in mailboxes}
        return min(mailboxes, key=waits.__getitem__)

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        """Count bytes that are about to be sent to Graph. None: they may go now; else when to ask again.

        What is larger than Graph takes in five minutes waits until nothing else counts.
        """
        found = await self._mailbox(mailbox).upload(size)
        return found.until if isinstance(found, NoRoom) else None

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        """Whether a caller with this rate may ask for so many mails now. None: yes; else when it may.

        A minute's mails may come at once. Who asks for several gets them when one is there, and pays later.
        """
        lane = self._lane(f"mails of {caller}", RowLimits(Rate(per_minute, per_minute)))
        found = await lane.take(Want(mails, waits=False))
        return self._limited(lane, caller, found.until) if isinstance(found, NoRoom) else None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """So many of them were none: they had come before, or were not wanted."""
        if (lane := self._lanes.get(f"mails of {caller}")) is not None:
            lane.put_back(self._now(), 0, mails)

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        """When a mail may go of a caller with this rate who does not wait for an answer: now, or later."""
        lane = self._lane(f"queue of {caller}", RowLimits(Rate.even(per_minute)))
        found = await lane.take(Want())
        time = _time(found)  # a caller's row refuses nobody who waits
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
            lane = self._lanes[name] = SharedRow(self._store, key_of(name), self._now, limits)
        self._lanes.move_to_end(name)
        lane.limits = limits
        return lane


def _time(answer: Answer) -> datetime:
    return answer.until if isinstance(answer, NoRoom) else answer
