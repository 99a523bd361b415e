"""Delivers the mails of HTTP requests, whose callers wait for an answer. For queue messages see worker.py.

At first no queue message carries the mail of a request. So a mail that cannot be sent now is made durable in this
order: the message, then the row, and only then the answer 202. (A webhook's mail is made durable before it is sent:
webhooks/routing/at_once.py.)
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import transitions
from shared.delivery.engine import Ended, Engine, Later, Waits
from shared.delivery.ledger import Conflict
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.retries import first_verification
from shared.delivery.row import Row, State, facts_of, first_claim, new_token, report_end
from shared.delivery.transitions import Busy, Claim, Mismatch
from shared.event_loop import within
from shared.graph.outcome import Accepted, Rejected, Unknown
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import needs_draft
from shared.policy.pre_send import Declined
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.telemetry import LogEvent, emit

# Seconds to read a row: where storage is away, the caller has waited for one operation's tries before.
READ: Final = 3.0


@dataclass(frozen=True, slots=True)
class Done:
    """The mail is sent, or durable; or recorded, and not to be sent. 202."""

    mail: str
    state: State
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Graph does not take this mail: its own status and body."""

    mail: str
    outcome: Rejected


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Storage cannot be reached. 503. maybe_sent: the request had gone out to Graph, and nothing can be kept of it."""

    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class TooMany:
    """The caller is over its own rate. 429, try again after so many seconds; nothing is stored."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The mailbox has reached its daily recipient limit. 429, try again after so many seconds; nothing is stored."""

    retry_after: float


Answer = Done | Rejection | Busy | Mismatch | TooMany | Spent | Unavailable


@dataclass(frozen=True, slots=True)
class Requests:
    """Answers who waits."""

    engine: Engine

    async def send_now(self, mail: OutgoingMail) -> Answer:
        """Send what was just admitted; put what cannot go now into the outbox; answer when it is sent or durable.

        What does not fit into one request goes into the outbox at once: a caller does not wait for an upload.
        """
        if mail.request.message.attachments and needs_draft(mail.request):
            return await self.accept(mail)
        return await self._answer(mail, None)

    async def accept(self, mail: OutgoingMail) -> Answer:
        """Put the mail into the outbox without trying to send it now: respond-async, or a time to wait for."""
        return await self._answer(mail, Later(self.engine.now()))

    async def _answer(self, mail: OutgoingMail, later: Later | None) -> Answer:
        """Count it in the caller's own rate. What turns out to be nothing new gets back what it was counted."""
        pace, caller = self.engine.pace, mail.origin.name
        rule = self.engine.settings.callers.get(caller.lower())
        rate = rule.rate_per_minute if rule else None
        try:
            until = await pace.ask(caller, rate) if rate else None
            if until is not None:
                return TooMany((until - self.engine.now()).total_seconds())
            answer, new = await self._until_answered(mail, later)
        except (AzureError, RateLimitUnavailable, TimeoutError):
            return Unavailable()
        if rate and not new:
            pace.asked_in_vain(caller)
        return answer

    async def _until_answered(self, mail: OutgoingMail, later: Later | None) -> tuple[Answer, bool]:
        """Go by the mail's row until one answer holds; whoever changes the row meanwhile begins another turn.

        And whether it may have made a mail. later: it goes into the queue without an attempt.
        """
        # A new mail costs no read: the claim says whether there is a row. One that only waits does: a message once put
        # cannot be taken back, and a key that is answered 422 must not have put one.
        row = await self._read(mail, changed=False) if later is not None else None
        changed = False
        try:
            while True:
                if isinstance(row, Unavailable):
                    return row, True
                if row is None:
                    claimed, died = first_claim(mail, new_token(), queued=False), False
                elif isinstance(met := self._met(mail, row), Claim):
                    claimed, died = met.row, met.then == "verify"
                else:
                    return met, False
                if later is not None and later.day_spent:
                    return Spent((later.due - self.engine.now()).total_seconds()), False
                try:
                    turn = await self._turn(mail, claimed, later, died=died)
                except Conflict:
                    turn = None
                if isinstance(turn, Later):
                    later = turn
                elif turn is not None:
                    return turn, True
                else:
                    changed = True
                row = await self._read(mail, changed=changed)
        finally:
            if later is not None and later.reservation is not None:
                self.engine.pace.give_back(later.reservation)  # unless a message carries it

    async def _read(self, mail: OutgoingMail, *, changed: bool) -> Row | Unavailable | None:
        """The row. changed: it may have become one, so there is a message, or an attempt, where it cannot be read."""
        try:
            async with within(READ):
                return await self.engine.ledger.read(mail.id)
        except (AzureError, TimeoutError):
            if not changed:
                raise
            return Unavailable(maybe_sent=True)

    def _met(self, mail: OutgoingMail, row: Row) -> Claim | Answer:
        """What a repeated key asks for, or its answer where nothing is to be done."""
        reply = transitions.meet(row, mail.fingerprint, self.engine.now(), new_token())
        if isinstance(reply, Mismatch):
            emit(LogEvent.MAIL_CONFLICT, id=mail.id)
        if isinstance(reply, Row):
            emit(LogEvent.MAIL_DUPLICATE, id=mail.id, state=row.state, reason=mail.known_by)
            return Done(mail.id, row.state, row.request_id)
        return reply

    async def _turn(self, mail: OutgoingMail, row: Row, later: Later | None, *, died: bool) -> Answer | Later | None:
        """One attempt, or what takes its place. None: the row has changed; read it again. Later: it cannot go now.

        died: an attempt with this key, which may have sent. Raises Conflict, as None.
        """
        engine = self.engine
        if died:
            row = (await engine.claim(row)).row
            due = first_verification(row.lease_until or engine.now(), engine.settings)
            emit(LogEvent.MAIL_UNKNOWN, id=row.id, code="TakenOver")
            return await self._queue(mail, work_of(mail), replace(row, state="unknown", due_at=due), due)
        if later is not None:  # into the queue, with the time that is reserved for it
            work = work_of(mail, later.slot)
            if row.etag:
                # Claimed first: a worker that met the message before this row had left its end would drop it.
                row = (await engine.claim(row)).row
                work = msgspec.structs.replace(work, released=row.token)
            row = replace(row, mailbox=work.via or row.mailbox)
            later.carry()
            waiting = transitions.waits_in_queue(row, mail.not_before, engine.now())
            return await self._queue(mail, work, waiting, waiting.due_at or work.reserved)
        result = await engine.run(mail, row, told=True)
        match result:
            case Later():
                return result
            case Waits():
                token = None if isinstance(result.outcome, Unknown) else result.row.token
                work = msgspec.structs.replace(work_of(mail, result.slot), released=token)
                return await self._queue(mail, work, result.row, result.due)
            case Ended():
                return await self._told(result)

    async def _told(self, ended: Ended) -> Answer | None:
        """The answer to a mail that has ended. None: its row has changed; read it again."""
        row, outcome, unwritten = ended.row, ended.outcome, ended.unwritten
        if isinstance(unwritten, Conflict) and not isinstance(outcome, Accepted):
            return None  # the lease ran out over it, and an earlier message has the mail: what becomes of it counts
        if unwritten is not None:
            if isinstance(outcome, Declined):
                return await self._not_stored(row)  # what its caller is told 202 of is kept first
            # What Graph said holds, and the caller is told. The row stays claimed; after its lease maintenance asks.
            emit(LogEvent.ROW_UNWRITTEN, id=row.id, state=row.state)
        report_end(row)
        if isinstance(outcome, Declined) and row.state == "failed":
            return Rejection(row.id, Rejected(outcome.status or 403, outcome.code, "permanent", outcome.message))
        return Rejection(row.id, outcome) if isinstance(outcome, Rejected) else Done(row.id, row.state, row.request_id)

    async def _queue(self, mail: OutgoingMail, work: Work, row: Row, due: datetime | None) -> Answer | None:
        """First the message, then the row, then the answer. None: the row has changed; read it again."""
        try:
            known = msgspec.structs.replace(work, known=True)
            receipt = await self.engine.outbox.put(known, self.engine.now(), due, mail)
            await self.engine.ledger.write(replace(row, queued=True, message=receipt.message, **facts_of(mail)))
        except Conflict:
            return None
        except AzureError:
            return Unavailable(maybe_sent=True) if row.state == "unknown" else await self._not_stored(row)
        state: State = "scheduled" if row.state == "scheduled" else "accepted"
        emit(LogEvent.MAIL_ACCEPTED, id=row.id, state=state)
        return Done(row.id, state)

    async def _not_stored(self, row: Row) -> Answer | None:
        """The message or the row could not be written, as far as was heard: an answer may be what was lost.

        A row that has failed makes a worker drop the message, if there is one. Only then nothing is stored.
        """
        if not row.etag:
            return Unavailable(maybe_sent=True)
        now = self.engine.now()
        try:
            await self.engine.ledger.write(replace(row, state="failed", code="NotStored", due_at=None, settled_at=now))
            if row.state in ("suppressed", "captured"):  # it was set aside before its row was to say so
                await self.engine.outbox.forget(row.id)
        except Conflict:  # it was stored, or a worker has the message
            return None
        except AzureError:
            return Unavailable(maybe_sent=True)
        return Unavailable()
