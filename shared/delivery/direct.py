"""Direct requests: a caller waits for the answer, and no message carries the mail yet.

So the order differs from the courier's: the claim, the request to Graph; and where that cannot take the mail now,
first the message, then the row, and only then "202".
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import protocol
from shared.delivery.attempts import Attempts, Lease, new_token, report_end
from shared.delivery.ledger import Conflict, Row, State
from shared.delivery.outbox import Kept
from shared.delivery.pacing.store import PacingUnavailable
from shared.delivery.work import Work, work_of
from shared.graph.outcome import Accepted, Rejected, Unknown
from shared.letters.draft import needs_draft
from shared.letters.letter import Letter, encode
from shared.policy.before_send import Withheld
from shared.telemetry import Event, emit

__all__ = ["Answer", "Busy", "DirectRequests", "Done", "Mismatch", "Rejection", "Spent", "TooMany", "Unavailable"]


# Seconds that a caller waits for the mailbox's rate or a slot; what takes longer is answered 202 from the outbox.
PATIENCE: Final = 1.0


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
class Busy:
    """The same key is being sent at this moment. 409, try again after so many seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The same key came with another body. 422."""


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
    """The mailbox has mailed its recipients of the day. 429, try again after so many seconds; nothing is stored."""

    retry_after: float


Answer = Done | Rejection | Busy | Mismatch | TooMany | Spent | Unavailable


@dataclass(frozen=True, slots=True)
class DirectRequests:
    """Answers who waits."""

    attempts: Attempts

    async def send_now(self, letter: Letter) -> Answer:
        """Send; put what cannot go now into the outbox; answer when the mail is sent or durable.

        What does not fit into one request goes into the outbox at once: a caller does not wait for an upload.
        """
        if letter.mail.message.attachments and needs_draft(letter.mail):
            return await self.accept(letter)
        pacing = self.attempts.pacing
        try:
            refused = await self._over_rate(letter)
            if refused is not None:
                return refused
            mailbox, until = await self.attempts.hold(work_of(letter), self.attempts.mailbox_for(letter.sender))
            if until is not None:
                return await self._spent(letter, until)
            return await self._send_now(letter, mailbox)
        except (AzureError, PacingUnavailable):
            return Unavailable()
        finally:
            pacing.release(letter.id)

    async def _send_now(self, letter: Letter, mailbox: str) -> Answer:
        pacing = self.attempts.pacing
        work = msgspec.structs.replace(work_of(letter), via=mailbox, reserved=await pacing.reserve(mailbox))
        wait = (work.reserved - self.attempts.now()).total_seconds() if work.reserved else 0
        if wait > PATIENCE:
            return await self._until_answered(letter, work, later=True)
        if wait > 0:
            await asyncio.sleep(wait)
        with suppress(AzureError):  # asked before the slot is there, so that it is known then
            await self.attempts.policy.suppressed(letter)
        async with pacing.turn(mailbox, PATIENCE) as turn:
            ready = turn is not None and await turn.ready()
            return await self._until_answered(letter, work, later=not ready)

    async def accept(self, letter: Letter) -> Answer:
        """Put the mail into the outbox without trying to send it now: respond-async, or a time to wait for."""
        try:
            refused = await self._over_rate(letter)
            return refused or await self._until_answered(letter, work_of(letter), later=True)
        except (AzureError, PacingUnavailable):
            return Unavailable()

    async def _over_rate(self, letter: Letter) -> TooMany | None:
        """The caller's own rate. A repeated key gets back what it is counted here, once it is known to be one."""
        rate = self.attempts.settings.rate_of(letter.origin)
        until = await self.attempts.pacing.ask(letter.origin.name, rate) if rate else None
        return None if until is None else TooMany((until - self.attempts.now()).total_seconds())

    def _uncount(self, letter: Letter) -> None:
        if self.attempts.settings.rate_of(letter.origin):
            self.attempts.pacing.asked_in_vain(letter.origin.name)

    async def _spent(self, letter: Letter, until: datetime) -> Answer:
        """What has a row needs no recipients any more: a repeated key is answered as ever."""
        now = self.attempts.now()
        self._uncount(letter)
        row = await self.attempts.ledger.read(letter.id)
        reply = protocol.meet(row, letter.fingerprint, now, self.attempts.settings, new_token()) if row else None
        return (self._reply(letter, reply) if reply else None) or Spent((until - now).total_seconds())

    def _reply(self, letter: Letter, reply: protocol.Reply) -> Answer | None:
        """The answer to a repeated key where nothing is to be done. None: something is."""
        match reply:
            case protocol.Mismatch():
                emit(Event.MAIL_CONFLICT, id=letter.id)
                return Mismatch()
            case protocol.Answered():
                emit(Event.MAIL_DUPLICATE, id=letter.id, state=reply.row.state, reason=letter.known_by)
                return Done(letter.id, reply.row.state, reply.row.request_id)
            case protocol.Busy():
                return Busy(reply.retry_after)
        return None

    async def _until_answered(self, letter: Letter, work: Work, *, later: bool) -> Answer:
        """Go by the mail's row until one answer holds; whoever changes the row meanwhile begins another turn."""
        answer = None if later else await self._first(letter, work)
        begun = not later
        while answer is None:
            try:
                row = await self.attempts.ledger.read(letter.id)
            except AzureError:
                if not begun:
                    raise
                return Unavailable(maybe_sent=True)  # someone has changed the row: there is a message, or an attempt
            begun = True
            if row is not None:
                answer = await self._again(letter, work, row, later=later)
            elif later:
                answer = await self._queue_first(letter, work)
            else:
                answer = await self._first(letter, work)
        return answer

    async def _first(self, letter: Letter, work: Work) -> Answer | None:
        """The attempt of a mail that has no row yet. None: it has one."""
        lease = self.attempts.lease()
        now = self.attempts.now()
        claim = protocol.first_claim(work, now, self.attempts.settings, new_token(), queued=False)
        claim = replace(claim, mime=letter.mime is not None)
        try:
            row = await self.attempts.write(claim)
        except Conflict:
            return None
        return await self._attempt(letter, work, row, lease)

    async def _queue_first(self, letter: Letter, work: Work) -> Answer | None:
        """Into the queue without an attempt, of a mail that has no row yet."""
        now = self.attempts.now()
        claim = protocol.first_claim(work, now, self.attempts.settings, new_token(), queued=True)
        return await self._queue(letter, work, protocol.wait_for_turn(claim, letter.not_before, now))

    async def _again(self, letter: Letter, work: Work, row: Row, *, later: bool) -> Answer | None:
        """What the mail's row says to a repeated key. None: it has changed meanwhile."""
        lease = self.attempts.lease()
        now = self.attempts.now()
        reply = protocol.meet(row, letter.fingerprint, now, self.attempts.settings, new_token())
        if isinstance(reply, protocol.Answered | protocol.Mismatch | protocol.Busy):
            if work.via and work.reserved:
                self.attempts.pacing.put_back(work.via, work.reserved)
            self._uncount(letter)
            return self._reply(letter, reply)
        try:
            via = row.mailbox if row.may_have_gone or isinstance(reply, protocol.TakeOver) else work.via or row.mailbox
            claim = replace(reply.row, mailbox=via, mime=letter.mime is not None)
            claimed = await self.attempts.write(claim)
        except Conflict:
            return None
        if isinstance(reply, protocol.TakeOver):
            return await self._take_over(letter, work, claimed)
        if later:
            # Claimed first: a courier that met the message before this row had left its end would drop it.
            work = msgspec.structs.replace(work, released=claimed.token)
            return await self._queue(letter, work, protocol.wait_for_turn(claimed, letter.not_before, now))
        return await self._attempt(letter, work, claimed, lease)

    async def _attempt(self, letter: Letter, work: Work, row: Row, lease: Lease) -> Answer | None:
        try:
            outcome, settled, lease = await self.attempts.once(letter, row, lease)
        except Conflict:
            return None
        if isinstance(outcome, Withheld):
            return await self._withheld(letter, outcome, settled.row)
        if settled.again is not None:
            released = None if isinstance(outcome, Unknown) else row.token
            return await self._queue(letter, msgspec.structs.replace(work, released=released), settled)
        try:
            if isinstance(outcome, Accepted):
                await self.attempts.write_sent(settled.row, lease)
            else:
                await self.attempts.write(settled.row)
        except (AzureError, Conflict) as error:
            if isinstance(error, Conflict) and isinstance(outcome, Rejected):
                return None  # the lease ran out over it, and an earlier message has the mail: what becomes of it counts
            # What Graph said holds, and the caller is told. The row stays claimed; when its lease is over upkeep looks.
            emit(Event.ROW_UNWRITTEN, id=row.id, state=settled.row.state)
        report_end(settled.row)
        if isinstance(outcome, Rejected):
            return Rejection(row.id, outcome)
        return Done(row.id, settled.row.state, settled.row.request_id)

    async def _withheld(self, letter: Letter, withheld: Withheld, row: Row) -> Answer | None:
        """Nothing is sent. What its caller is told 202 of is kept first. None: the row has changed; read it again."""
        try:
            if row.state != "failed":
                await self.attempts.outbox.set_aside(row.id, Kept("mail", row.state, encode(letter)))
            await self.attempts.write(row)
        except Conflict:
            return None
        except AzureError:
            return await self._not_stored(row)
        report_end(row)
        if row.state == "failed":
            refusal = Rejected(withheld.status or 403, withheld.code, "permanent", withheld.message)
            return Rejection(row.id, refusal)
        return Done(row.id, row.state)

    async def _take_over(self, letter: Letter, work: Work, row: Row) -> Answer | None:
        """An attempt with this key died and may have sent: hand the mail to the queue as unknown."""
        due = protocol.first_look(row, self.attempts.now(), self.attempts.settings)
        emit(Event.MAIL_UNKNOWN, id=row.id, code="TakenOver")
        return await self._queue(letter, work, protocol.Settled(replace(row, state="unknown", due_at=due), due))

    async def _queue(self, letter: Letter, work: Work, settled: protocol.Settled) -> Answer | None:
        """First the message, then the row, then the answer. None: the row has changed; read it again."""
        try:
            known = msgspec.structs.replace(work, known=True)
            await self.attempts.outbox.put(known, self.attempts.now(), settled.again or work.reserved, letter)
            await self.attempts.write(replace(settled.row, queued=True))
        except Conflict:
            return None
        except AzureError:
            if settled.row.state == "unknown":
                return Unavailable(maybe_sent=True)
            return await self._not_stored(settled.row)
        state: State = "scheduled" if settled.row.state == "scheduled" else "accepted"
        emit(Event.MAIL_ACCEPTED, id=settled.row.id, state=state)
        return Done(settled.row.id, state)

    async def _not_stored(self, row: Row) -> Answer | None:
        """The message or the row could not be written, as far as was heard: an answer may be what was lost.

        A row that has failed makes a courier drop the message, if there is one. Only then nothing is stored.
        """
        if not row.etag:
            return Unavailable(maybe_sent=True)
        try:
            now = self.attempts.now()
            await self.attempts.write(replace(row, state="failed", code="NotStored", due_at=None, settled_at=now))
        except Conflict:  # it was stored, or a courier has the message
            return None
        except AzureError:
            return Unavailable(maybe_sent=True)
        return Unavailable()
