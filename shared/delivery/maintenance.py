"""Maintenance of rows and payloads that no message will come for. Each run covers some partitions, an hour the whole
table; two runs at once do no harm.

sending or unknown, nobody was told 2xx, lease over for an hour  verified: sent, or failed (Abandoned); no answer: again
                                                                 every hour, in the end for review
open far past its maximum age                                    failed (TooOld); sent or for review where it may have
                                                                 gone. Its mail is kept if it is in a blob
ended longer ago than the retention                              the row and what was kept of the mail are removed
ended unsent, its draft still there                              the draft is deleted
a payload whose row has ended                                    removed once no attempt can still be running; files of
                                                                 a failed mail, or one for review, with its row
a payload without a row                                          marked, and removed as long after that
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from azure.core.exceptions import ResourceNotFoundError

from shared.delivery import transitions
from shared.delivery.claims import new_token
from shared.delivery.engine import Engine
from shared.delivery.queue import Kept, Payload
from shared.delivery.record import ENDED, PARTITIONS, Conflict, Row, State
from shared.delivery.reports import report_end
from shared.graph.outcome import Unanswered
from shared.mail.outgoing import encode
from shared.storage.queues import Queue, Queues
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


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One for a process."""

    engine: Engine

    async def run(self, partitions: range) -> int:
        """Go through these partitions. Returns how many rows and payloads were changed or removed."""
        changed = 0
        waiting: list[timedelta] = []
        for number in partitions:
            known: dict[str, Row] = {}
            forgotten: dict[str, datetime] = {}  # when it had ended
            async for row in self.engine.claims.ledger.partition(number):
                known[row.id] = row
                if self._is_over(row):
                    if row.settled_at and await self._forget(row):
                        forgotten[row.id] = row.settled_at
                        changed += 1
                    continue
                if row.state in WAITING:
                    waiting.append(self.engine.claims.now() - max(row.not_before or row.accepted_at, row.accepted_at))
                changed += await self._keep(row)
            async for payload in self.engine.outbox.payloads_of(number):
                over = forgotten.get(payload.mail)
                if over is not None and payload.put_at <= over:  # a newer one is of the same key, coming in again
                    await self.engine.outbox.remove_payload(payload.name)
                    changed += 1
                else:
                    changed += await self._keep_payload(payload, known.get(payload.mail))
        oldest = round(max(waiting).total_seconds(), 1) if waiting else None
        emit(LogEvent.BACKLOG_MEASURED, waiting=len(waiting), oldest=oldest)
        if changed:
            emit(LogEvent.MAINTENANCE, changed=changed)
        return changed

    def _is_over(self, row: Row) -> bool:
        """Whether it ended longer ago than what is kept of it is to be kept."""
        kept = timedelta(days=row.keep_days or self.engine.settings.retention_days)
        return row.state in ENDED and row.settled_at is not None and row.settled_at + kept < self.engine.claims.now()

    async def _forget(self, row: Row) -> bool:
        """Remove what is kept of it, then its row. False: somebody has changed the row meanwhile."""
        if row.state == "review":  # a draft that is still there was not sent; nobody has asked for it
            await self.engine.without_draft(replace(row, state="failed"))
        await self.engine.outbox.forget(row.id)
        try:
            await self.engine.claims.ledger.remove(row)
        except Conflict:
            return False
        return True

    async def _keep(self, row: Row) -> bool:
        now = self.engine.claims.now()
        settings = self.engine.settings
        try:
            if row.state in ENDED:
                return await self._discard(row)
            if not row.queued and row.state in ("sending", "unknown"):
                if (row.lease_until or row.accepted_at) + ABANDONED_AFTER < now:
                    return await self._abandon(row, now)
                return False
            age = timedelta(hours=settings.max_age_hours) + GRACE
            if now - max(row.not_before or row.accepted_at, row.accepted_at) > age:
                return await self._expire(row, now)
        except Conflict:  # it has moved on by itself
            return False
        return False

    async def _discard(self, row: Row) -> bool:
        without = await self.engine.without_draft(row)
        if without == row:
            return False
        await self.engine.claims.write(without)
        return True

    async def _abandon(self, row: Row, now: datetime) -> bool:
        """An attempt died and nobody was told anything. Where its mailbox does not answer, the next hour decides."""
        finding = await self.engine.verify(None, row)
        if isinstance(finding, Unanswered) or finding == "waiting":
            if not transitions.too_old(row, now, self.engine.settings):
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
        ended = transitions.ended(doubted, state, now, code=None if state == "sent" else code)
        mail = None if state == "sent" else await self.engine.outbox.left_of(row.id, row.fingerprint)
        if mail is not None:
            await self.engine.outbox.set_aside(row.id, Kept("mail", code, encode(mail)))
        ended = await self.engine.without_draft(ended)
        await self.engine.claims.write(ended)
        report_end(ended)
        return True

    async def _keep_payload(self, payload: Payload, row: Row | None) -> bool:
        """A payload is put before its message and its row: a new one may be of a mail, or a replay, just coming in.

        An old one without a row may be of a message that was deferred all the time, as maintenance was: the settings
        could not be used. So it is marked, and removed only when it has belonged to nobody for as long again.
        """
        settings = self.engine.settings
        if payload.put_at + timedelta(hours=settings.max_age_hours) + GRACE > self.engine.claims.now():
            return False
        row = row or await self.engine.claims.ledger.read(payload.mail)
        if row is not None and (row.state not in ENDED or (payload.is_file and row.state in ("failed", "review"))):
            return False
        if row is None and not payload.marked:
            await self.engine.outbox.mark(payload.name)
        else:
            await self.engine.outbox.remove_payload(payload.name)
        return True


def _may_have_gone(row: Row) -> bool:
    return row.may_have_gone or row.state in ("sending", "unknown")


async def measure(queues: Queues, names: Iterable[str], now: datetime) -> None:
    """Say of each queue how many messages it holds and how old the oldest is that could be taken now.

    Nothing is taken and nothing hidden. A message that waits for its time is counted, but has no age; nor has one that
    is being worked on. Raises AzureError.
    """
    await asyncio.gather(*(_measure(queues.get_queue_client(name), name, now) for name in names))


async def _measure(queue: Queue, name: str, now: datetime) -> None:
    try:
        count, put = await queue.count(), await queue.oldest()
    except ResourceNotFoundError:  # made on first use, on a laptop
        emit(LogEvent.QUEUE_MEASURED, queue=name, messages=0)
        return
    oldest = max(0.0, round((now - put).total_seconds(), 1)) if put else None
    emit(LogEvent.QUEUE_MEASURED, queue=name, messages=count, oldest=oldest)
