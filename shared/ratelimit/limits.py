"""When a mail may go: the rate of its mailbox, the recipients of that mailbox's day, and what Graph has said of it.

1. reserve      once for each mail: the time at which it may go, and its recipients. When that is far off its message
                goes back into the queue until then and carries the reservation (`restore`)
2. in_flight    around each request to Graph
3. used, or give_back, whichever is true
   throttled    what a 429 says
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.ratelimit.row import Store

__all__ = ["NoRoom", "RateLimits", "Reservation"]


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


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The mailbox has no recipients left for this mail in its day; nothing is reserved. until: when it may have."""

    until: datetime


class RateLimits:
    """One for a process. It starts no tasks and holds nothing that others wait for, so nothing has to close it.

    per_minute: mails of one mailbox, over all instances. concurrency: requests in flight for one mailbox, in this process.
    Every method that is a coroutine raises RateLimitUnavailable when the row cannot be read or written, unless it says
    otherwise.
    """

    def __init__(
        self,
        store: Store,
        *,
        per_minute: float = 30,
        concurrency: int = 4,
        recipients_per_day: int = 10_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        raise NotImplementedError

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        """The next time of this mailbox at which a mail may go to so many: now, or later; never while it is blocked."""
        raise NotImplementedError

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        """The reservation that a queue message carries. None: it is void, so the mail needs a new one.

        It is void when Graph has blocked the mailbox past its time, and when that time passed more than a minute ago:
        the mails of an outage must not all go at its end. Reads the row at most every 5 seconds.
        """
        raise NotImplementedError

    def give_back(self, reservation: Reservation) -> None:
        """The mail does not go. The next mail of the mailbox here has the time, if it is to come, and the recipients.

        No storage; only the first call for a reservation, of this or of `used`, counts. One that a message carries
        (put into the queue, or restored from it) is not worth giving back: a copy of the message may use it.
        """
        raise NotImplementedError

    def used(self, reservation: Reservation, recipients: int) -> None:
        """The mail has gone, or may have, to so many recipients. No storage; the first call counts, as above."""
        raise NotImplementedError

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        """The right to requests to Graph for this mailbox, one at a time, within the body. First come, first served.

        Sends, verifications and drafts alike. False: it was not to be had within so many seconds. No storage.
        """
        raise NotImplementedError
        yield True

    async def throttled(self, mailbox: str, after: float | None) -> datetime:
        """Graph has answered 429: nothing of this mailbox goes until the time that this returns.

        after: seconds of Retry-After; None: there was none, so 2 seconds, doubled while it repeats, at most 5 minutes.
        It holds in this process at once, also when it cannot be written; in all others when they next write the row or
        5 seconds later at most. Never raises.
        """
        raise NotImplementedError

    def blocked_until(self, mailbox: str) -> datetime | None:
        """Until when nothing of this mailbox may go, as far as this process knows. No storage."""
        raise NotImplementedError

    def soonest(self, mailboxes: Sequence[str]) -> str:
        """The one of these mailboxes that may send soonest, as far as this process knows. No storage."""
        raise NotImplementedError

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        """Count so many bytes that are about to be sent to Graph for this mailbox. None: they may go now.

        Else nothing is counted, and this is the time at which to ask again: Graph takes 150 MB in five minutes.
        Asked for each request with a body. What is less than a megabyte in all is counted with the next write of the row.
        """
        raise NotImplementedError

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        """Whether a caller with this rate may ask for so many mails now. None: yes; else when it may.

        Who asks for several at once gets them when one is there, and the others come the later for it.
        """
        raise NotImplementedError

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """So many of them were none: they had come before, or were not wanted. No storage."""
        raise NotImplementedError

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        """When a mail may go of a caller with this rate who does not wait for an answer: now, or later."""
        raise NotImplementedError
