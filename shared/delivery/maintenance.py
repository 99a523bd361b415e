"""Maintenance of rows and payloads that no queue message points to any more.

Each run covers some of the partitions; all are covered within an hour. Two runs at the same time do no harm.

sending or unknown, nobody was told 2xx, lease over for an hour  verified: sent, or failed (Abandoned); no answer: again
                                                                 every hour, in the end for review
open far past its maximum age                                    failed (TooOld); sent or for review where it may have
                                                                 gone. Its mail is kept if it is in a blob
ended longer ago than the retention                              the row and what was kept of the mail are removed
ended unsent, its draft still there                              the draft is deleted
ended, its end or a bounce not told                              told in mail-results
a payload whose row has ended                                    removed once no attempt can still be running; files of
                                                                 a failed mail, or one for review, with its row
a payload without a row                                          marked, and removed as long after that
an entry of what needs attention, missing or wrong               put right
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from azure.core.exceptions import AzureError

from shared.delivery import retries
from shared.delivery.engine import Engine
from shared.delivery.ledger import PARTITIONS, Conflict
from shared.delivery.ledger_figures import Figures, SummaryTable
from shared.delivery.queue import Kept, Payload
from shared.delivery.row import ENDED, Row, State, new_token, report_end
from shared.graph.outcome import Unanswered
from shared.telemetry import LogEvent, emit

RUNS_AN_HOUR: Final = 12
WAITING: Final[frozenset[State]] = frozenset({"accepted", "sending", "unknown"})
ABANDONED_AFTER: Final = timedelta(hours=1)
# A message of an open mail may hide for six days, and be late. Only long after that will no message come any more.
GRACE: Final = timedelta(days=7)


def partitions_of_run(now: datetime) -> range:
    """The partitions whose turn it is: each once an hour, with no state to keep."""
    run = int(now.timestamp() // (3600 / RUNS_AN_HOUR)) % RUNS_AN_HOUR
    return range(run * PARTITIONS // RUNS_AN_HOUR, (run + 1) * PARTITIONS // RUNS_AN_HOUR)


@dataclass(slots=True)
class _Seen:
    """What one run has come across. listed: rows that the index of what needs attention must have. untold: why results
    cannot be told at the moment.
    """

    figures: Figures
    changed: int = 0
    waiting: list[timedelta] = field(default_factory=list)
    listed: dict[str, Row] = field(default_factory=dict)
    untold: AzureError | None = None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One for a process. summary: where to write what was counted; None: nobody asks."""

    engine: Engine
    summary: SummaryTable | None = None

    async def run(self, partitions: range) -> int:
        """Go through these partitions. Returns how many rows, payloads and entries were changed or removed.

        Raises AzureError; if only the queue of results cannot be reached, after everything else is done.
        """
        seen = _Seen(Figures(self.engine.now()))
        for number in partitions:
            await self._partition(number, seen)
        seen.changed += await self.engine.ledger.repair(seen.listed, partitions)
        if self.summary is not None:
            await self.summary.put(partitions, seen.figures)
        oldest = round(max(seen.waiting).total_seconds(), 1) if seen.waiting else None
        emit(LogEvent.BACKLOG_MEASURED, waiting=len(seen.waiting), oldest=oldest)
        if seen.changed:
            emit(LogEvent.MAINTENANCE, changed=seen.changed)
        if seen.untold is not None:
            raise seen.untold
        return seen.changed

    async def _partition(self, number: int, seen: _Seen) -> None:
        known: dict[str, Row] = {}
        forgotten: dict[str, datetime] = {}  # when it had ended
        async for row in self.engine.ledger.partition(number):
            known[row.id] = row
            kept = timedelta(days=row.keep_days or self.engine.settings.retention_days)
            if row.state in ENDED and row.settled_at is not None and row.settled_at + kept < self.engine.now():
                if await self._forget(row):
                    forgotten[row.id] = row.settled_at
                    seen.changed += 1
                continue
            seen.figures.count(row)
            if row.listed_at is not None:
                seen.listed[row.id] = row
            if row.state in WAITING:
                seen.waiting.append(self.engine.now() - row.begins)
            try:
                told = await self._told(row, seen)
                seen.changed += await self._keep(told) or told != row
            except Conflict:  # it has moved on by itself
                continue
        async for payload in self.engine.outbox.payloads_of(number):
            over = forgotten.get(payload.mail)
            if over is not None and payload.put_at <= over:  # a newer one is of the same key, coming in again
                await self.engine.outbox.remove_payload(payload.name)
                seen.changed += 1
            else:
                seen.changed += await self._keep_payload(payload, known.get(payload.mail))

    async def _forget(self, row: Row) -> bool:
        """Remove what is kept of it, then its row. False: somebody has changed the row meanwhile."""
        if row.state == "review":  # a draft that is still there was not sent; nobody has asked for it
            await self.engine.without_draft(replace(row, state="failed"))
        await self.engine.outbox.forget(row.id)
        try:
            await self.engine.ledger.remove(row)
        except Conflict:
            return False
        return True

    async def _told(self, row: Row, seen: _Seen) -> Row:
        """Its results matter least: what keeps them from being told must keep nothing else from being done."""
        if seen.untold is None:
            try:
                return await self.engine.ledger.told(row)
            except AzureError as error:
                seen.untold = error
        return row

    async def _keep(self, row: Row) -> bool:
        """Whether the row was changed. Raises Conflict."""
        now, settings = self.engine.now(), self.engine.settings
        if row.state in ENDED:
            if (without := await self.engine.without_draft(row)) != row:
                await self.engine.ledger.write(without)
            return without != row
        if not row.queued and row.state in ("sending", "unknown"):
            over = (row.lease_until or row.accepted_at) + ABANDONED_AFTER < now
            return over and await self._abandon(row, now)
        over = now - row.begins > timedelta(hours=settings.max_age_hours) + GRACE
        return over and await self._expire(row, now)

    async def _abandon(self, row: Row, now: datetime) -> bool:
        """An attempt died and nobody was told anything. Where its mailbox does not answer, the next hour decides."""
        finding = await self.engine.verify(None, row)
        if isinstance(finding, Unanswered) or finding == "waiting":
            if not retries.too_old(row, now, self.engine.settings):
                return False
            return await self._end(row, "review", now, "Abandoned")
        # Failed, and yet in doubt: so it is looked for when its caller asks again.
        return await self._end(row, "sent" if finding == "sent" else "failed", now, "Abandoned")

    async def _expire(self, row: Row, now: datetime) -> bool:
        """No message comes for it any more. What may have gone is a person's: so late a copy may have been deleted."""
        if not _may_have_gone(row):
            return await self._end(row, "failed", now, "TooOld")
        finding = await self.engine.verify(None, row)
        if finding == "waiting":
            return False
        return await self._end(row, "sent" if finding == "sent" else "review", now, "TooOld")

    async def _end(self, row: Row, state: Literal["sent", "failed", "review"], now: datetime, code: str) -> bool:
        doubted = replace(row, token=new_token(), may_have_gone=_may_have_gone(row))
        ended = retries.ended(doubted, state, now, code=None if state == "sent" else code)
        mail = None if state == "sent" else await self.engine.outbox.left_of(row.id, row.fingerprint)
        report_end(await self.engine.end(ended, None if mail is None else Kept.of(mail, ended)))
        return True

    async def _keep_payload(self, payload: Payload, row: Row | None) -> bool:
        """A payload is put before its message and its row: a new one may be of a mail, or a replay, just coming in.

        An old one without a row may be of a message that was deferred all the time, while the settings could not be
        used. So it is marked, and removed only when it has belonged to nobody for as long again.
        """
        if payload.put_at + timedelta(hours=self.engine.settings.max_age_hours) + GRACE > self.engine.now():
            return False
        row = row or await self.engine.ledger.read(payload.mail)
        if row is not None and (row.state not in ENDED or (payload.is_file and row.state in ("failed", "review"))):
            return False
        if row is None and not payload.marked:
            await self.engine.outbox.mark(payload.name)
        else:
            await self.engine.outbox.remove_payload(payload.name)
        return True


def _may_have_gone(row: Row) -> bool:
    return row.may_have_gone or row.state in ("sending", "unknown")
