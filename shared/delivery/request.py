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

# Seconds to read a row: if storage is down, the caller has already waited for the tries of one operation.
READ: Final = 3.0


@dataclass(frozen=True, slots=True)
class Done:
    """202. The mail was sent, or is durable and will be; or it was recorded and will not be sent."""

    mail: str
    state: State
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Graph refused the mail, and the caller gets Graph's own status and body."""

    mail: str
    outcome: Rejected


@dataclass(frozen=True, slots=True)
class Unavailable:
    """503. Storage cannot be reached. maybe_sent: Graph had been asked to send the mail."""

    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class TooMany:
    """429. The caller is over its own rate. retry_after in seconds; nothing is stored."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Spent:
    """429. The mailbox has reached its daily recipient limit. retry_after in seconds; nothing is stored."""

    retry_after: float


Answer = Done | Rejection | Busy | Mismatch | TooMany | Spent | Unavailable


@dataclass(frozen=True, slots=True)
class Requests:
    """Delivers mails whose callers wait, and returns what they are to be answered."""

    engine: Engine

    async def send_now(self, mail: OutgoingMail) -> Answer:
        """Send a mail that was just admitted, or put it into the outbox if it cannot be sent now.

        Returns when the mail is sent or durable. A mail that does not fit into one request is put into the outbox at
        once, because callers do not wait for uploads.
        """
        if mail.request.message.attachments and needs_draft(mail.request):
            return await self.accept(mail)
        return await self._answer(mail, None)

    async def accept(self, mail: OutgoingMail) -> Answer:
        """Put the mail into the outbox without trying to send it now (respond-async, or a time to wait for)."""
        return await self._answer(mail, Later(self.engine.now()))

    async def _answer(self, mail: OutgoingMail, later: Later | None) -> Answer:
        """Count the mail in the caller's rate. If it turns out to be a repeated one, it does not count."""
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
        """Act on the mail's row until there is an answer, again each time that somebody else changes the row meanwhile.

        Returns the answer, and whether this request may have made a mail. later: put the mail into the queue without an
        attempt.
        """
        # A new mail needs no read, because the claim says whether there is a row. A mail that is only put does: its
        # message cannot be taken back, and a key that is answered 422 must not have put one.
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
                    tried = await self._attempt(mail, claimed, later, died=died)
                except Conflict:
                    tried = None
                if isinstance(tried, Later):
                    later = tried
                elif tried is not None:
                    return tried, True
                else:
                    changed = True
                row = await self._read(mail, changed=changed)
        finally:
            if later is not None and later.reservation is not None:
                self.engine.pace.give_back(later.reservation)  # unless a message carries it

    async def _read(self, mail: OutgoingMail, *, changed: bool) -> Row | Unavailable | None:
        """Read the row. changed: there may be one by now, and so a message or an attempt, even if it cannot be read."""
        try:
            async with within(READ):
                return await self.engine.ledger.read(mail.id)
        except (AzureError, TimeoutError):
            if not changed:
                raise
            return Unavailable(maybe_sent=True)

    def _met(self, mail: OutgoingMail, row: Row) -> Claim | Answer:
        """For a key that has a row: what to do, or the answer if there is nothing to do."""
        reply = transitions.meet(row, mail.fingerprint, self.engine.now(), new_token())
        if isinstance(reply, Mismatch):
            emit(LogEvent.MAIL_CONFLICT, id=mail.id)
        if isinstance(reply, Row):
            emit(LogEvent.MAIL_DUPLICATE, id=mail.id, state=row.state, reason=mail.known_by)
            return Done(mail.id, row.state, row.request_id)
        return reply

    async def _attempt(self, mail: OutgoingMail, row: Row, later: Later | None, *, died: bool) -> Answer | Later | None:
        """Make one attempt, or put the mail into the queue. None: the row has changed; read it again.

        died: an earlier attempt with this key died, and may have sent the mail. Raises Conflict, which means the same
        as None.
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
                # Claimed first: until the row says otherwise its mail has ended, and a worker would drop the message.
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
        """The answer for a mail that has ended. None: its row has changed; read it again."""
        row, outcome, unwritten = ended.row, ended.outcome, ended.unwritten
        if isinstance(unwritten, Conflict) and not isinstance(outcome, Accepted):
            return None  # the lease ran out meanwhile, and an earlier message has the mail, so its result counts
        if unwritten is not None:
            if isinstance(outcome, Declined):
                return await self._not_stored(row)  # it must be kept before its caller is answered 202
            # Graph's answer counts, and the caller gets it. The row stays claimed; maintenance verifies it later.
            emit(LogEvent.ROW_UNWRITTEN, id=row.id, state=row.state)
        report_end(row)
        if isinstance(outcome, Declined) and row.state == "failed":
            return Rejection(row.id, Rejected(outcome.status or 403, outcome.code, "permanent", outcome.message))
        return Rejection(row.id, outcome) if isinstance(outcome, Rejected) else Done(row.id, row.state, row.request_id)

    async def _queue(self, mail: OutgoingMail, work: Work, row: Row, due: datetime | None) -> Answer | None:
        """Put the message, then write the row, then answer. None: the row has changed; read it again."""
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
        """The message or the row could not be written; or it was, and only the answer was lost.

        So the row is written as failed, which makes a worker drop the message if there is one. Only then nothing is
        stored.
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
