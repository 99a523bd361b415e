"""Nobody waits: one message of a queue is carried through the delivery protocol. Decided is in transitions.py.

The order of the writes is what keeps a mail from being lost or doubled when a process dies between two of them: the
claim before the request to Graph, what ends unsent into `mail-dead` before its row, the row before the next message,
the next message before this one is completed.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import transitions
from shared.delivery.claims import new_token
from shared.delivery.engine import Engine, Job, Later, Waits
from shared.delivery.queue import QUEUE, Kept
from shared.delivery.queue_messages import Work
from shared.delivery.record import ENDED, REPLAYABLE, Conflict, Row, State
from shared.delivery.reports import report_end
from shared.delivery.signed_bodies import SignedBodies
from shared.errors import Refused
from shared.mail.outgoing import OutgoingMail, encode
from shared.telemetry import LogEvent, emit

LATER: Final = timedelta(minutes=5)
CRASHED: Final = "Crashed"
SPREAD: Final = timedelta(minutes=5)
KEEPS: Final[frozenset[State]] = ENDED - {"sent"}  # nobody else has what these mails said


@dataclass(frozen=True, slots=True)
class Worker:
    """Delivers what the queues bring. signed: what senders have signed lately; None: nobody asks."""

    engine: Engine
    signed: SignedBodies | None = None

    async def deliver(self, work: Work, mail: OutgoingMail | None = None) -> bool:
        """Do what a message asks for. When this returns the message may be completed; when it raises it must not be.

        False: nothing was done, since its key names another mail; a producer's message is then still to be kept.

        mail: given where the message is a producer's, so that the work neither carries nor names it yet.
        """
        ledger, settings = self.engine.claims.ledger, self.engine.settings
        work = await self.looked_up(work)
        copy = False
        row = await ledger.read(work.id) if work.known or work.released else None
        earlier = await self.repeated_by(work) if row is None else None
        if earlier is not None:
            row = await ledger.read(work.id)
            if row is None:
                self._say_copy(work, earlier.state)
                await self.engine.outbox.remove(work)
                return True
        while True:
            if row is not None and not copy and (copy := transitions.is_copy(work, row)):
                self._say_copy(work, row.state)
            decision = transitions.decide(row, work, self.engine.claims.now(), settings, new_token())
            if isinstance(decision, transitions.Fail) and row is None:
                row = await ledger.read(work.id)  # what is kept of an earlier one must not be written over
                if row is not None:
                    continue
            try:
                return await self._act(work, mail, row, decision)
            except Conflict:
                row = await ledger.read(work.id)

    async def _act(
        self, work: Work, mail: OutgoingMail | None, row: Row | None, decision: transitions.Decision
    ) -> bool:
        match decision:
            case transitions.Drop():
                await self._drop(work, decision, row)
                return decision.reason != "other-body"
            case transitions.Schedule():
                await self._put_again(work, mail, decision.due, known=True)
                await self.engine.claims.write(decision.row)
            case transitions.PutAgain():
                await self._put_again(work, mail, decision.due, known=row is not None)
            case transitions.Fail():
                await self._fail(work, mail, decision.row)
            case transitions.Claim():
                await self._attempt(work, mail, row, decision)
        return True

    async def wake_later(self, work: Work, mail: OutgoingMail | None) -> None:
        """What failed again and again, although nothing says that it cannot be sent: on with it, after a while."""
        row = await self.engine.claims.ledger.read(work.id)
        if row is None or not _is_over(work, row):
            await self._put_again(work, mail, self.engine.claims.now() + LATER, known=_is_open(row))

    async def give_up(self, work: Work, content: bytes) -> bool:
        """End a mail whose message has failed again and again until it is too old. False: it is not, or is being sent.

        content: the message as it came, to be kept where not even its mail can be read.
        """
        settings, now = self.engine.settings, self.engine.claims.now()
        row = await self.engine.claims.ledger.read(work.id)
        fresh = transitions.first_claim(work, now, settings, new_token(), queued=True)
        if row is not None and row.state in ENDED:
            return _is_over(work, row) or transitions.too_old(fresh, now, settings)
        found = row or fresh
        in_doubt = row is not None and row.state in ("sending", "unknown")
        if not transitions.too_old(found, now, settings) or (
            in_doubt and transitions.first_verification(found, now, settings) > now
        ):
            return False
        if (kept := await self._kept(work, content)) is not None:
            await self.engine.outbox.set_aside(work.id, kept)
        doubted = replace(found, token=new_token(), may_have_gone=found.may_have_gone or in_doubt)
        ended = await self.engine.without_draft(transitions.given_up(doubted, now, code=CRASHED))
        await self.engine.claims.write(ended)
        await self._ended(work, ended)
        return True

    async def _kept(self, work: Work, content: bytes) -> Kept | None:
        try:
            mail = await self.engine.outbox.mail_of(work)
            return Kept("mail", CRASHED, encode(mail)) if mail is not None else None
        except AzureError:
            raise
        except Exception:  # noqa: BLE001 - whatever made it fail: it is kept as it came
            return Kept("message", CRASHED, content, QUEUE)

    async def refuse(self, mail: str, queue: str, content: bytes, refusal: Refused) -> None:
        """Set a producer's message aside that can never become a mail: what it said, its row, the event."""
        now = self.engine.claims.now()
        await self.engine.outbox.set_aside(mail, Kept("message", refusal.code, content, queue))
        row = Row(id=mail, state="failed", scope="", fingerprint="", mailbox="", accepted_at=now, queued=True)
        with suppress(Conflict):  # an earlier delivery of the same message has written it
            await self.engine.claims.write(replace(row, settled_at=now, status=refusal.status, code=refusal.code))
        # Not the path: it holds what the producer wrote.
        emit(LogEvent.MAIL_REFUSED, id=mail, status=refusal.status, code=refusal.code)

    async def _attempt(self, work: Work, mail: OutgoingMail | None, row: Row | None, claim: transitions.Claim) -> None:
        mail = mail or await self.engine.outbox.mail_of(work)
        if mail is None:
            return await self._lost(work, claim.row)
        result = await self.engine.run(Job(mail, work, KEEPS), claim)
        match result:
            case Later():
                result.carry()
                due = spread(result.due) if result.day_spent else result.due
                message = await self._put_again(result.work, mail, due, known=_is_open(row))
                if result.day_spent:
                    waiting = transitions.give_back(claim.row, due, verify=False).row
                    await self.engine.claims.note_message(waiting, message, due)
                return None
            case Waits():
                waiting = await self.engine.claims.write(result.row)
                message = await self._put_again(result.work, mail, result.due, known=True)
                return await self.engine.claims.note_message(waiting, message, result.due)
        if result.unwritten is not None:
            raise result.unwritten
        return await self._ended(work, result.row)

    async def _fail(self, work: Work, mail: OutgoingMail | None, row: Row) -> None:
        """End a mail without an attempt."""
        mail = mail or await self.engine.outbox.mail_of(work)
        if mail is not None:  # without one there is nothing to keep, and what another one has kept must stay
            await self.engine.outbox.set_aside(row.id, Kept("mail", row.code or row.state, encode(mail)))
        row = await self.engine.without_draft(row)
        await self.engine.claims.write(row)
        await self._ended(work, row)

    async def _lost(self, work: Work, row: Row) -> None:
        """Somebody has removed its blob."""
        state: State = "review" if row.may_have_gone else "failed"
        lost = replace(row, state=state, lease_until=None, settled_at=self.engine.claims.now(), code="PayloadMissing")
        await self.engine.claims.write(lost)
        await self._ended(work, lost)

    async def _ended(self, work: Work, row: Row) -> None:
        report_end(row)
        await self._remove_payload(work, row)
        if row.state == "sent" and row.replays:
            await self.engine.outbox.forget(row.id)

    async def _put_again(self, work: Work, mail: OutgoingMail | None, due: datetime, *, known: bool) -> str:
        """What names the message."""
        now = self.engine.claims.now()
        again = msgspec.structs.replace(work, known=known, released=None)
        receipt = await self.engine.outbox.put(again, now, due, mail)
        emit(LogEvent.MAIL_WAITING, id=work.id, seconds=max(0.0, round((due - now).total_seconds(), 1)))
        return receipt.message

    async def repeated_by(self, work: Work) -> Row | None:
        """The row of the mail that this one only repeats, by the window of its route. Raises AzureError."""
        earlier = await self.engine.claims.ledger.read(work.repeats.of) if work.repeats else None
        return earlier if earlier is not None and transitions.repeated(work, earlier) else None

    async def looked_up(self, work: Work) -> Work:
        """The message, after its operator was told if another event has said the same under the same signature."""
        if work.signed is None or self.signed is None:
            return work
        earlier = await self.signed.earlier(work.signed, work.id, work.accepted_at)
        if earlier is not None:
            seconds = round((work.accepted_at - earlier.at).total_seconds(), 1)
            emit(LogEvent.EVENT_SIGNED_AGAIN, id=work.id, route=work.route, earlier=earlier.mail, seconds=seconds)
        return msgspec.structs.replace(work, signed=None)

    def _say_copy(self, work: Work, state: State) -> None:
        emit(LogEvent.MAIL_DUPLICATE, id=work.id, state=state, reason=work.known_by, route=work.route)

    async def _drop(self, work: Work, drop: transitions.Drop, row: Row | None) -> None:
        if drop.reason == "other-body":
            emit(LogEvent.MAIL_CONFLICT, id=work.id)
        if row is None or drop.reason == "other-body":
            return await self.engine.outbox.remove(work)
        if work.claimed is not None and work.claimed == row.token:
            report_end(row)  # of the attempt beside this message, after its sender was answered
        if (without := await self.engine.without_draft(row)) != row:  # it was cancelled
            with suppress(Conflict):
                await self.engine.claims.write(without)
        return await self._remove_payload(work, row)

    async def _remove_payload(self, work: Work, row: Row) -> None:
        # What ended unsent may begin anew at any time, by its caller or an operator, and a late copy of an old message
        # is then as good as the new one: it must find its mail. Maintenance removes what nobody has needed.
        if row.state not in REPLAYABLE:
            await self.engine.outbox.remove(work)


def _is_open(row: Row | None) -> bool:
    """Whether a message may call its mail known: what has ended begins anew only by one that does not."""
    return row is not None and row.state not in ENDED


def _is_over(work: Work, row: Row) -> bool:
    """Whether a mail has ended, and this message neither begins it anew nor replays it."""
    return row.state in ENDED and work.replay <= row.replays and not transitions.begins_anew(work, row)


def spread(due: datetime) -> datetime:
    """A while after that: what waits for the same moment does not all come in it."""
    return due + SPREAD * secrets.SystemRandom().random()
