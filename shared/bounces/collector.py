"""Reads the non-delivery reports in the sender mailboxes and records the bounces in the rows of their mails.

For each mailbox that has sent in the last days, and in every run:

    search       find the reports that came since shortly before the last run, because some appear late
    read         read as MIME those that say that a recipient was not reached
    correlate    find the mail: by Mailroom's id in the headers of the returned mail, by a Message-ID of Mailroom's own,
                 or by the marker of the message that has the Message-ID
    check        ignore the report unless the mail was sent from this mailbox to this recipient
    record       write the bounce into the row, once

A run does a limited amount of work in each mailbox and remembers where it stopped (search_progress.py). Like
verifications, these requests count among the mailbox's requests in flight.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Final

import msgspec

from shared.bounces.delivery_report import LARGEST, DeliveryReport, FailedRecipient, NotAReport, read_report
from shared.bounces.report_search import PAGE, Listed, ReportSearch, Unread
from shared.bounces.search_progress import SearchProgress
from shared.bounces.suppressor import Suppressor
from shared.delivery.engine import Engine
from shared.delivery.ledger import Conflict
from shared.delivery.results import Bounce, bounces_of
from shared.delivery.row import ENDED, Row, new_token
from shared.event_loop import Deadline, aside
from shared.graph.client import GraphConnection
from shared.graph.outcome import Rejected, Throttled
from shared.mail.addresses import address_hash
from shared.mail.marker import mail_of
from shared.mail.outgoing import MAIL_ID
from shared.ratelimit.shared_row import key_of
from shared.storage.tables import Table
from shared.telemetry import LogEvent, emit

LATELY: Final = timedelta(days=3)  # after its last mail a mailbox is asked for so long: Exchange gives up after one day
MOST_PAGES: Final = 8  # of messages in a run and mailbox: Exchange delivers at most 3,600 an hour into one
MOST_READ: Final = 100  # reports in a run and mailbox
MOST_FAILURES: Final = 3  # in a row: then it is not the report
MOST_BOUNCES: Final = 150  # of one mail: a column has room for some more
AT_ONCE: Final = 8  # mailboxes
LARGE: Final = 2**20  # bytes of a report: of larger ones there is one at a time in memory
TRIES: Final = 4  # to write a row that others write too
GONE: Final = 404


class _Busy(Exception):  # noqa: N818 - not now
    """The mailbox, or this run, has no room for another request. The next run continues."""


@dataclass(frozen=True, slots=True)
class BounceCollector:
    """One for a process. mailboxes: those that have sent since then. suppressor: None: no address is suppressed."""

    engine: Engine
    connection: Callable[[], GraphConnection]
    table: Table
    mailboxes: Callable[[datetime], Awaitable[Iterable[str]]]
    suppressor: Suppressor | None

    async def run(self, end: Deadline) -> Counter[str]:
        """Read the reports of all mailboxes and log the numbers; start nothing new after `end`. Raises AzureError."""
        found = list(await self.mailboxes(self.engine.now() - LATELY))
        SystemRandom().shuffle(found)  # where time is short, all have their turn
        room, large, counts = asyncio.Semaphore(AT_ONCE), asyncio.Lock(), Counter(mailboxes=len(found))

        async def ask(mailbox: str) -> None:
            async with room:
                await _Run(self, mailbox, end, large, counts).go()

        results = await asyncio.gather(*map(ask, found), return_exceptions=True)
        emit(LogEvent.BOUNCES_READ, **counts)
        for error in filter(None, results):
            raise error
        return counts


@dataclass(slots=True)
class _Run:
    """Of one mailbox. done: everything that came before it was gone through. failures: of reports, in a row."""

    collector: BounceCollector
    mailbox: str
    end: Deadline
    large: asyncio.Lock
    counts: Counter[str]
    done: datetime = field(init=False)
    failures: int = 0

    async def go(self) -> None:
        """Continue where the last run stopped. Raises AzureError."""
        table = self.collector.table
        progress = await SearchProgress.read(table, self.mailbox, self.collector.engine.now())
        self.done = progress.since
        try:
            await self._go_through(progress)
        except _Busy:
            pass
        except Unread as unread:
            self._say_unread(unread)
        await progress.write(table, self.mailbox, self.done)

    async def _go_through(self, progress: SearchProgress) -> None:
        """Read the new reports, oldest first, and move `done` on. Raises _Busy, Unread."""
        now, read = self.collector.engine.now(), 0
        for skip in range(0, MOST_PAGES * PAGE, PAGE):
            page = await self._page(progress, skip)
            for message in page:
                self.done, name = message.received, hashlib.sha256(message.id.encode()).hexdigest()[:12]
                if not message.says_failed or name in progress.seen:
                    continue
                if read == MOST_READ:
                    return
                read += 1
                if await self._read(message, name):
                    progress.seen[name] = int(message.received.timestamp())
            if len(page) < PAGE:
                self.done = now
                return

    @property
    def _search(self) -> ReportSearch:
        return ReportSearch(self.collector.connection(), self.mailbox, self.collector.engine.settings.send_timeout)

    async def _page(self, progress: SearchProgress, skip: int) -> list[Listed]:
        """Raises _Busy, Unread."""
        if progress.by_class:
            try:
                return await self._asked(lambda: self._search.page(progress.since, skip, by_class=True))
            except Unread as unread:
                if not unread.refused:
                    raise
        page = await self._asked(lambda: self._search.page(progress.since, skip, by_class=False))
        progress.by_class = False
        return page

    async def _asked[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        """Make one request, as one of the mailbox's requests in flight. Raises _Busy, Unread."""
        if self.end.passed:
            raise _Busy
        engine = self.collector.engine
        async with engine.in_flight(self.mailbox) as due:
            if due is not None:
                raise _Busy
            self.counts["requests"] += 1
            try:
                return await ask()
            except Unread as unread:
                if isinstance(unread.outcome, Throttled):
                    await engine.pace.throttled(self.mailbox, unread.outcome.after)
                    raise _Busy from None
                raise

    async def _read(self, message: Listed, name: str) -> bool:
        """Read a report. Returns False if it has to be read again by a later run. Raises _Busy, Unread."""
        if message.size > LARGEST:
            self._say_unread(code="TooLarge")
            return True
        try:
            async with self.large if message.size > LARGE else nullcontext():
                raw = await self._asked(lambda: self._search.mime(message.id))
                report = await aside(len(raw), read_report, raw)
                del raw
            row = await self._row(report)
        except NotAReport as error:
            self._say_unread(code=str(error))
            return True
        except Unread as unread:
            if isinstance(unread.outcome, Rejected) and unread.outcome.status == GONE:
                return True
            self.failures += 1
            if self.failures == MOST_FAILURES:
                raise
            self._say_unread(unread)
            return False
        self.failures = 0
        self.counts["reports"] += 1
        return row is None or await self._record(row, report, name, message.received)

    async def _row(self, report: DeliveryReport) -> Row | None:
        """Of the mail that was returned. What the headers name is believed or not (`bounces_in`); only where they name
        none of ours the mailbox is asked.
        """
        ledger = self.collector.engine.ledger
        for mail in dict.fromkeys([report.mail, *map(mail_of, report.message_ids)]):
            if mail is not None and (row := await ledger.read(mail)) is not None:
                return row
        for message_id in report.message_ids:
            for mail in await self._asked(lambda sought=message_id: self._search.marked(sought)):  # type: ignore[misc]
                if MAIL_ID.fullmatch(mail) and (row := await ledger.read(mail)) is not None:
                    return row
        return None

    async def _record(self, row: Row, report: DeliveryReport, name: str, received: datetime) -> bool:
        """Write the bounces into the row. False if the mail is still being sent, or somebody else writes its row."""
        engine = self.collector.engine
        for _ in range(TRIES):
            if row.state not in ENDED:
                return False
            found = bounces_in(report, row, self.mailbox, name, received)
            if not found:
                return True
            if self.collector.suppressor is not None and report.by_exchange:
                for one, bounce in found:
                    count = await self.collector.suppressor.suppress(one, bounce.recipient, row, engine.now())
                    self.counts["suppressed"] += count
            every = [*bounces_of(row), *(bounce for _, bounce in found)]
            text = msgspec.json.encode(every).decode()
            try:
                # A token of its own: by it a write whose answer was lost is known again.
                await engine.ledger.write(replace(row, token=new_token(), bounces=text, bounced_at=engine.now()))
            except Conflict:
                changed = await engine.ledger.read(row.id)
                if changed is None:
                    return True
                row = changed
                continue
            for _, bounce in found:
                self.counts["bounces"] += 1
                emit(LogEvent.MAIL_BOUNCED, id=row.id, route=row.route, code=bounce.code or None, kind=bounce.kind)
            return True
        return False

    def _say_unread(self, unread: Unread | None = None, code: str | None = None) -> None:
        outcome = unread.outcome if unread else None
        emit(
            LogEvent.BOUNCES_UNREAD,
            mailbox=key_of(self.mailbox)[:16],
            status=getattr(outcome, "status", None),
            code=code or getattr(outcome, "code", None) or getattr(outcome, "reason", None),
        )


def bounces_in(
    report: DeliveryReport, row: Row, mailbox: str, name: str, received: datetime
) -> list[tuple[FailedRecipient, Bounce]]:
    """What a report in this mailbox says that is true of a mail, as far as can be known, and that is not on its row.

    Only the mailbox that a mail was sent from is told of it, and only recipients of it can have failed: anybody may
    write a report, and knows the headers of what was sent to him. name: of the report, for those who compare.
    """
    if row.state != "sent" or row.mailbox.lower() != mailbox.lower():
        return []
    known = {(bounce.recipient, bounce.code) for bounce in bounces_of(row)}
    room = MOST_BOUNCES - len(known)
    found: list[tuple[FailedRecipient, Bounce]] = []
    for one in report.failed:
        recipient = next(filter(row.was_to, map(address_hash, one.addresses)), None)
        code = one.code or ""
        if recipient is not None and (recipient, code) not in known and len(found) < room:
            known.add((recipient, code))
            found.append((one, Bounce(recipient=recipient, code=code, kind=one.kind, at=received, report=name)))
    return found
