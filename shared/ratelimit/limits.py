"""When a mail may go: the rate of its mailbox, the recipients of that mailbox's day, and what Graph has said of it.

1. reserve      once for each mail: the time at which it may go, and its recipients. When that is far off its message
                goes back into the queue until then and carries the reservation (`restore`)
2. in_flight    around each request to Graph; `blocked_until` may have changed when it is there
3. used, or give_back, whichever is true
   throttled    what a 429 says
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Final

from shared.event_loop import within
from shared.ratelimit.schedule import NoRoom, Rate, RowLimits, Want, Window
from shared.ratelimit.shared_row import SharedRow
from shared.ratelimit.store import TableStore, key_of
from shared.telemetry import LogEvent, emit

KEPT: Final = 1000  # mailboxes and callers remembered; more only while they are all in use
LATE: Final = timedelta(minutes=1)  # what a message's way through the queue may add to its time
SAID_AGAIN: Final = timedelta(minutes=1)


@dataclass(eq=False, slots=True)
class Reservation:
    """A time at which one mail may go from a mailbox, and its recipients there. Known by its identity, not by its mail.

    at: now or later, in UTC.
    """

    mailbox: str
    at: datetime
    recipients: int
    carried: bool = False  # came with a message, of which there may be copies
    open: bool = True


class RateLimits:
    """One for a process. It starts no tasks and holds nothing that others wait for, so nothing has to close it.

    per_minute: mails of one mailbox, over all instances. concurrency: requests of this process for one mailbox.
    Every coroutine raises RateLimitUnavailable when a row cannot be read or written, unless it says otherwise.
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
        self._store = store
        self._now = now
        day = Window(recipients_per_day, seconds=3600, pieces=24)
        self._law = RowLimits(Rate.even(per_minute), day, concurrency)
        self._lanes: OrderedDict[str, SharedRow] = OrderedDict()  # by name; used last, last

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        """The next time of this mailbox at which a mail may go to so many: now, or later; never while it is blocked.

        NoRoom: it has too few recipients left in its day; nothing is reserved.
        """
        found = await self._mailbox(mailbox).take(Want(recipients=recipients))
        return Reservation(mailbox, found, recipients) if isinstance(found, datetime) else found

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        """The reservation that a queue message carries. None: it is void, so the mail needs a new one.

        It is void when Graph has blocked the mailbox past its time, and when that time passed more than a minute ago:
        the mails of an outage must not all go at its end. Reads the row at most every 5 seconds.
        """
        lane = self._mailbox(mailbox)
        await lane.take(Want(times=0))
        if at < lane.blocked_until or at < self._now() - LATE:
            return None
        return Reservation(mailbox, at, recipients, carried=True)

    def give_back(self, reservation: Reservation) -> None:
        """The mail does not go. The next mail of the mailbox here has the time, if it is to come, and the recipients.

        No storage; only the first call for a reservation, of this or of `used`, counts. One that a message carries
        (put into the queue, or restored from it) is not given back: a copy of the message may use it.
        """
        if _closes(reservation) and not reservation.carried:
            self._mailbox(reservation.mailbox).put_back(reservation.at, reservation.recipients)

    def used(self, reservation: Reservation, recipients: int) -> None:
        """The mail has gone, or may have, to so many recipients. No storage; the first call counts, as above."""
        if _closes(reservation):
            self._mailbox(reservation.mailbox).spare(reservation.at, reservation.recipients - recipients)

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        """The right to requests to Graph for this mailbox, one at a time, within the body. First come, first served.

        Sends, verifications and drafts alike. False: it was not to be had within so many seconds. No storage.
        """
        lane = self._mailbox(mailbox)
        lane.users += 1
        try:
            async with within(patience) if patience is not None and lane.slots.locked() else nullcontext():
                await lane.slots.acquire()
        except TimeoutError:
            yield False
        else:
            try:
                yield True
            finally:
                lane.slots.release()
        finally:
            lane.users -= 1

    async def throttled(self, mailbox: str, after: float | None) -> datetime:
        """Graph has answered 429: nothing of this mailbox goes until the time that this returns.

        after: seconds of Retry-After; None: there was none, so 2 seconds, doubled while it repeats, at most 5 minutes.
        It holds in this process at once, also when it cannot be written; in all others when they next write the row,
        and 5 seconds later at most. Never raises.
        """
        return await self._mailbox(mailbox).block(after)

    def blocked_until(self, mailbox: str) -> datetime | None:
        """Until when nothing of this mailbox may go, as far as this process knows. No storage."""
        until = self._mailbox(mailbox).blocked_until
        return until if until > self._now() else None

    def soonest(self, mailboxes: Sequence[str]) -> str:
        """The one of these mailboxes that may send soonest, as far as this process knows. No storage."""
        if len(mailboxes) == 1:
            return mailboxes[0]
        lanes = {mailbox: self._mailbox(mailbox) for mailbox in mailboxes}
        expected = {mailbox: lane.expected() for mailbox, lane in lanes.items()}
        now = self._now()  # one for all: what is free now is as free as any other, whichever was asked first

        def wait(mailbox: str) -> tuple[datetime, int, float]:
            return max(expected[mailbox], now), lanes[mailbox].users, SystemRandom().random()

        return min(mailboxes, key=wait)

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        """Count so many bytes that are about to be sent to Graph for this mailbox. None: they may go now.

        Else nothing is counted, and this is the time at which to ask again: Graph takes 150 MB in five minutes. What is
        larger by itself waits until nothing else counts. What is less than a megabyte in all is counted with the row's
        next write.
        """
        found = await self._mailbox(mailbox).upload(size)
        return found.until if isinstance(found, NoRoom) else None

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        """Whether a caller with this rate may ask for so many mails now. None: yes; else when it may.

        Who asks for several at once gets them when one is there, and the others come the later for it.
        """
        lane = self._lane(f"mails of {caller}", RowLimits(Rate.minute(per_minute)))
        found = await lane.take(Want(mails, waits=False))
        if isinstance(found, NoRoom):
            self._limited(lane, caller, found.until)
            return found.until
        return None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """So many of them were none: they had come before, or were not wanted. No storage."""
        lane = self._lanes.get(f"mails of {caller}")
        if lane is not None:
            lane.put_back(self._now(), 0, mails)

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        """When a mail may go of a caller with this rate who does not wait for an answer: now, or later."""
        lane = self._lane(f"queue of {caller}", RowLimits(Rate.even(per_minute)))
        found = await lane.take(Want())
        time = found.until if isinstance(found, NoRoom) else found  # a caller's row refuses nobody who waits
        if time > self._now():
            self._limited(lane, caller, time)
        return time

    def _limited(self, lane: SharedRow, caller: str, until: datetime) -> None:
        now = self._now()
        if now - lane.limited_at >= SAID_AGAIN:
            lane.limited_at = now
            emit(LogEvent.CALLER_LIMITED, caller=caller, seconds=round((until - now).total_seconds(), 1))

    def _mailbox(self, mailbox: str) -> SharedRow:
        return self._lane(mailbox.lower(), self._law)

    def _lane(self, name: str, limits: RowLimits) -> SharedRow:
        lane = self._lanes.get(name)
        if lane is None:
            while len(self._lanes) >= KEPT and (unused := next((k for k, v in self._lanes.items() if v.idle), None)):
                del self._lanes[unused]
            lane = self._lanes[name] = SharedRow(self._store, key_of(name), self._now, limits)
        self._lanes.move_to_end(name)
        lane.limits = limits
        return lane


def _closes(reservation: Reservation) -> bool:
    """Whether this is the first to say what became of it."""
    was, reservation.open = reservation.open, False
    return was
