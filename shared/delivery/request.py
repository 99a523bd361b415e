"""Somebody waits: requests over HTTP, and webhooks that send at once. Nobody waits in worker.py.

A request (`send_now`, `accept`) has no message yet that carries its mail. So what cannot go now is made durable in this
order: the message, then the row, and only then "202".

A webhook's mail is durable first. What intake does for each of a request's mails, in this order:

    put = await requests.prepare_put(mail)              policy, then quota and time; asks and reserves, writes no row
    receipt = await outbox.put(put.work, now, put.due, put.mail)
    ... until all of them are confirmed; where one is not: requests.abandon(put) for each, 503, and nothing is attempted
    state = await requests.attempt_put(put, receipt, heard)          claim, send, row, and the message deleted

`put.ready` is None for what is only put, never sent at once. A row that is there already means a copy: its sender gets
its answer and the message stays, to be dropped by whoever it wakes.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import transitions, worker
from shared.delivery.claims import new_token
from shared.delivery.engine import Ended, Engine, Job, Later, Ready, Waits
from shared.delivery.queue import Receipt
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.record import ENDED, REPLAYABLE, Conflict, Row, State
from shared.delivery.reports import report_end
from shared.delivery.transitions import Busy, Mismatch
from shared.event_loop import within
from shared.graph.outcome import Accepted, Rejected, Unknown
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import needs_draft
from shared.policy.pre_send import Withheld
from shared.ratelimit.store import RateLimitUnavailable
from shared.telemetry import LogEvent, deferred, emit

AT_ONCE: Final = timedelta(seconds=0.5)  # an attempt beside a message may wait so long for its mailbox's time
# Seconds to read a row: where storage is away, the caller has waited for one operation's tries before.
READ: Final = 3.0
# A caller who is told of a refusal keeps the mail; one who is told 202 does not.
KEEPS: Final[frozenset[State]] = frozenset({"suppressed", "captured"})


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
class Put:
    """A message that is to be put, visible when due (None: at once). ready: it is to be attempted at once."""

    mail: OutgoingMail
    work: Work
    due: datetime | None = None
    ready: Ready | None = None


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
        return await self._counted(mail, None)

    async def accept(self, mail: OutgoingMail) -> Answer:
        """Put the mail into the outbox without trying to send it now: respond-async, or a time to wait for."""
        return await self._counted(mail, Later(self.engine.claims.now(), work_of(mail)))

    async def _counted(self, mail: OutgoingMail, later: Later | None) -> Answer:
        """Count it in the caller's own rate. What turns out to be nothing new gets back what it was counted."""
        pace, caller = self.engine.pace, mail.origin.name
        rate = self.engine.settings.rate_of(mail.origin)
        try:
            until = await pace.ask(caller, rate) if rate else None
            if until is not None:
                return TooMany((until - self.engine.claims.now()).total_seconds())
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
        work, row, changed = work_of(mail), None, False
        # A new mail costs no read: the claim says whether there is a row. One that only waits does: a message once put
        # cannot be taken back, and a key that is answered 422 must not have put one.
        read = later is not None
        try:
            while True:
                if read:
                    try:
                        async with within(READ):
                            row = await self.engine.claims.ledger.read(mail.id)
                    except (AzureError, TimeoutError):
                        if not changed:
                            raise
                        return Unavailable(maybe_sent=True), True  # there is a message, or an attempt
                reply = self._met(work, row)
                if (answer := self._repeated(mail, reply)) is not None:
                    return answer, False
                if later is not None and later.day_spent:
                    return Spent((later.due - self.engine.claims.now()).total_seconds()), False
                turn = await self._turn(mail, work, reply, later)
                if isinstance(turn, Later):
                    later = turn
                elif turn is not None:
                    return turn, True
                read, changed = True, changed or turn is None
        finally:
            if later is not None and later.reservation is not None:
                self.engine.pace.give_back(later.reservation)  # unless a message carries it

    def _met(self, work: Work, row: Row | None) -> transitions.Reply:
        now, settings = self.engine.claims.now(), self.engine.settings
        if row is not None:
            return transitions.meet(row, work.fingerprint, now, settings, new_token())
        return transitions.Claim(transitions.first_claim(work, now, settings, new_token(), queued=False), "send")

    def _repeated(self, mail: OutgoingMail, reply: transitions.Reply) -> Answer | None:
        """The answer to a repeated key where nothing is to be done. None: something is."""
        match reply:
            case Mismatch():
                emit(LogEvent.MAIL_CONFLICT, id=mail.id)
                return reply
            case transitions.Answered():
                emit(LogEvent.MAIL_DUPLICATE, id=mail.id, state=reply.row.state, reason=mail.known_by)
                return Done(mail.id, reply.row.state, reply.row.request_id)
            case Busy():
                return reply
        return None

    async def _turn(
        self, mail: OutgoingMail, work: Work, reply: transitions.Reply, later: Later | None
    ) -> Answer | Later | None:
        """One attempt, or what takes its place. None: the row has changed; read it again. Later: it cannot go now."""
        try:
            match reply:
                case transitions.TakeOver():
                    return await self._take_over(mail, work, reply.row)
                case transitions.Claim() if later is not None:
                    return await self._without_attempt(mail, reply.row, later)
                case transitions.Claim():
                    result = await self.engine.run(Job(mail, work, KEEPS, admitted=True), reply)
                case _:
                    raise AssertionError(reply)
        except Conflict:
            return None
        match result:
            case Later():
                return result
            case Waits():
                token = None if isinstance(result.outcome, Unknown) else result.row.token
                work = msgspec.structs.replace(result.work, released=token)
                return await self._queue(mail, work, transitions.Settled(result.row, result.due))
            case Ended():
                return await self._told(result)

    async def _told(self, ended: Ended) -> Answer | None:
        """The answer to a mail that has ended. None: its row has changed; read it again."""
        row, outcome, unwritten = ended.row, ended.outcome, ended.unwritten
        if isinstance(unwritten, Conflict) and not isinstance(outcome, Accepted):
            return None  # the lease ran out over it, and an earlier message has the mail: what becomes of it counts
        if unwritten is not None:
            if isinstance(outcome, Withheld):
                return await self._not_stored(row)  # what its caller is told 202 of is kept first
            # What Graph said holds, and the caller is told. The row stays claimed; after its lease maintenance asks.
            emit(LogEvent.ROW_UNWRITTEN, id=row.id, state=row.state)
        report_end(row)
        if isinstance(outcome, Withheld) and row.state == "failed":
            return Rejection(row.id, Rejected(outcome.status or 403, outcome.code, "permanent", outcome.message))
        return Rejection(row.id, outcome) if isinstance(outcome, Rejected) else Done(row.id, row.state, row.request_id)

    async def _take_over(self, mail: OutgoingMail, work: Work, row: Row) -> Answer | None:
        """An attempt with this key died and may have sent: hand the mail to the queue as unknown."""
        row = await self.engine.claims.write(row)
        due = transitions.first_verification(row, self.engine.claims.now(), self.engine.settings)
        emit(LogEvent.MAIL_UNKNOWN, id=row.id, code="TakenOver")
        return await self._queue(mail, work, transitions.Settled(replace(row, state="unknown", due_at=due), due))

    async def _without_attempt(self, mail: OutgoingMail, row: Row, later: Later) -> Answer | None:
        """Into the queue, with the time that is reserved for it."""
        work, now = later.work, self.engine.claims.now()
        row = replace(row, mailbox=work.via or row.mailbox)
        if row.etag:
            # Claimed first: a worker that met the message before this row had left its end would drop it.
            row = await self.engine.claims.write(row)
            work = msgspec.structs.replace(work, released=row.token)
        later.carry()
        return await self._queue(mail, work, transitions.wait_for_turn(row, mail.not_before, now))

    async def _queue(self, mail: OutgoingMail, work: Work, settled: transitions.Settled) -> Answer | None:
        """First the message, then the row, then the answer. None: the row has changed; read it again."""
        known = msgspec.structs.replace(work, known=True)
        try:
            now, due = self.engine.claims.now(), settled.again or work.reserved
            receipt = await self.engine.outbox.put(known, now, due, mail)
            await self.engine.claims.write(replace(settled.row, queued=True, message=receipt.message))
        except Conflict:
            return None
        except AzureError:
            if settled.row.state == "unknown":
                return Unavailable(maybe_sent=True)
            return await self._not_stored(settled.row)
        state: State = "scheduled" if settled.row.state == "scheduled" else "accepted"
        emit(LogEvent.MAIL_ACCEPTED, id=settled.row.id, state=state)
        return Done(settled.row.id, state)

    async def _not_stored(self, row: Row) -> Answer | None:
        """The message or the row could not be written, as far as was heard: an answer may be what was lost.

        A row that has failed makes a worker drop the message, if there is one. Only then nothing is stored.
        """
        if not row.etag:
            return Unavailable(maybe_sent=True)
        now = self.engine.claims.now()
        try:
            await self.engine.claims.write(replace(row, state="failed", code="NotStored", due_at=None, settled_at=now))
        except Conflict:  # it was stored, or a worker has the message
            return None
        except AzureError:
            return Unavailable(maybe_sent=True)
        return Unavailable()

    async def prepare_put(self, mail: OutgoingMail, *, at_once: bool = True) -> Put:
        """Policy, quota and time of a mail that a message is to carry. Never raises.

        at_once: whether there is room to attempt it; else its message becomes visible at its time.

        Only put, never sent at once, is what a kill in the middle would double: a mail without a copy in Sent Items, or
        that nobody asks the mailbox about; and what takes longer than a sender waits: a mail by way of a draft.
        """
        work = work_of(mail)
        large = mail.request.message.attachments and needs_draft(mail.request)
        if large or not mail.request.save_to_sent_items or self.engine.verifier is None or mail.not_before is not None:
            return Put(mail, work, mail.not_before)
        try:
            ready = await self.engine.prepare(Job(mail, work, worker.KEEPS, admitted=True))
        except (AzureError, RateLimitUnavailable):
            return Put(mail, work)
        now = self.engine.claims.now()
        match ready:
            case Withheld() | Later():  # who delivers the message asks again, and writes that down
                return Put(mail, work)
        work = msgspec.structs.replace(work, via=ready.reservation.mailbox, reserved=ready.reservation.at)
        if not at_once or ready.reservation.at > now + AT_ONCE:
            ready.reservation.carried = True
            return Put(mail, work, ready.reservation.at)
        first = transitions.first_claim(work, now, self.engine.settings, new_token(), queued=True)
        claimed = msgspec.structs.replace(work, claimed=first.token)
        return Put(mail, claimed, transitions.first_verification(first, now, self.engine.settings), ready)

    def abandon(self, put: Put) -> None:
        """A message of the same request could not be put: what is reserved for this one is given back. No storage."""
        if put.ready is not None:
            self.engine.pace.give_back(put.ready.reservation)

    async def attempt_put(self, put: Put, receipt: Receipt, heard: Callable[[], bool]) -> State | None:
        """Send a mail whose message is confirmed, write its row, and delete the message by its pop receipt.

        heard: False once the sender was answered without waiting any longer. What happens then is not said, since the
        platform drops it, and the message stays: the execution that it wakes reports the end. What waits is woken at
        its time. Returns the state that this attempt has given the mail; None: there was a row already, so this is a
        copy, or it has no time now, or storage is in the way.
        """
        token = put.work.claimed or new_token()
        row = transitions.first_claim(put.work, self.engine.claims.now(), self.engine.settings, token, queued=True)
        with deferred(heard):
            try:
                job = Job(put.mail, put.work, worker.KEEPS)
                result = await self.engine.run(job, transitions.Claim(row, "send"), put.ready)
                match result:
                    case Later():  # its message carries what is reserved
                        result.carry()
                        await self.wake(receipt.message, result.due)
                        return None
                    case Waits():
                        row = await self.engine.claims.write(result.row)
                        if (message := await self.wake(receipt.message, result.due)) is not None:
                            await self.engine.claims.note_message(row, message, result.due)
                        return result.row.state
            except Conflict:  # a copy; one of a mail that has ended need not hide until another would be verified
                with suppress(AzureError):
                    met = await self.engine.claims.ledger.read(put.mail.id)
                    if met is not None and met.state in ENDED:
                        await self.wake(receipt.message)
                return None
            except (AzureError, RateLimitUnavailable):
                return None
            if result.unwritten is not None:
                return None
            if not heard():
                await self.wake(receipt.message)
                return result.row.state
            report_end(result.row)
            with suppress(AzureError):  # else it finds its row ended
                await self.engine.outbox.take_back(receipt.message)
                if result.row.state not in REPLAYABLE:
                    await self.engine.outbox.remove(receipt.work)
            return result.row.state

    async def wake(self, message: str, due: datetime | None = None) -> str | None:
        """Nothing is to be verified, so the message need not hide until then. due: None for now. Never raises.

        What names the message from then on; None: it may not have worked.
        """
        now = self.engine.claims.now()
        with suppress(AzureError):
            return await self.engine.outbox.show(message, now, due or now)
        return None
