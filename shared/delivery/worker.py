"""Delivers the mails of queue messages, for which nobody waits. The decisions are in transitions.py.

The order of writes keeps mails from being lost or sent twice if a process dies between two of them. The claim is
written before the request to Graph. A mail that ends unsent is copied to `mail-dead` before its row says so. The row is
written before the next message, and the next message is put before this one is completed.
"""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import transitions
from shared.delivery.engine import Engine, Later, Waits
from shared.delivery.explanations import said
from shared.delivery.ledger import Conflict
from shared.delivery.queue import LATER, Kept
from shared.delivery.queue_messages import Work
from shared.delivery.retries import first_verification, give_back, given_up, too_old
from shared.delivery.row import ENDED, REPLAYABLE, Row, State, facts_of, first_claim, new_token, report_end
from shared.errors import Refused
from shared.mail.outgoing import OutgoingMail, Signed, key_hash
from shared.settings.caller_rules import PRODUCERS
from shared.settings.queue_names import WORK
from shared.telemetry import LogEvent, emit

CRASHED: Final = "Crashed"
SPREAD: Final = timedelta(minutes=5)


type Earlier = Callable[[Signed, str, datetime], Awaitable[tuple[str, datetime] | None]]
"""See webhooks/routing/signed_bodies.py."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Delivers what the queues bring. earlier: finds another event with the same signature; None: nobody asks."""

    engine: Engine
    earlier: Earlier | None = None

    async def deliver(self, work: Work, mail: OutgoingMail | None = None) -> bool:
        """Do what a message asks for. When this returns the message may be completed; when it raises it must not be.

        False: nothing was done, since its key names another mail; a producer's message is then still to be kept.

        mail: given where the message is a producer's, so that the work neither carries nor names it yet.
        """
        ledger = self.engine.ledger
        work = await self.looked_up(work)
        copy = False
        row = await ledger.read(work.id) if work.known or work.released else None
        earlier = await self.repeated_by(work) if row is None else None
        if earlier is not None:
            row = await ledger.read(work.id)
            if row is None:
                _say_copy(work, earlier.state)
                await self.engine.outbox.remove(work)
                return True
        while True:
            if row is not None and not copy and (copy := transitions.is_copy(work, row)):
                _say_copy(work, row.state)
            decision = transitions.decide(row, work, self.engine.now(), self.engine.settings, new_token())
            if isinstance(decision, Row) and row is None:
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
            case transitions.PutAgain():
                await self._put_again(work, mail, decision.due, known=row is not None or decision.row is not None)
                if decision.row is not None:
                    mail = mail or await self.engine.outbox.mail_of(work)
                    known = {} if mail is None else facts_of(mail)
                    await self.engine.ledger.write(replace(decision.row, **known))
            case Row():
                mail = mail or await self.engine.outbox.mail_of(work)
                # Without one there is nothing to keep, and what another one has kept must stay.
                kept, known = (None, {}) if mail is None else (Kept.of(mail, decision), facts_of(mail))
                await self._ended(work, await self.engine.end(replace(decision, **known), kept))
            case transitions.Claim():
                await self._attempt(work, mail, row, decision)
        return True

    async def wake_later(self, work: Work, mail: OutgoingMail | None) -> None:
        """What failed again and again, although nothing says that it cannot be sent: on with it, after a while."""
        row = await self.engine.ledger.read(work.id)
        if row is None or not _is_over(work, row):
            await self._put_again(work, mail, self.engine.now() + LATER, known=_is_open(row))

    async def give_up(self, work: Work, content: bytes) -> bool:
        """End a mail whose message has failed again and again until it is too old. False: it is not, or is being sent.

        content: the message as it came, to be kept where not even its mail can be read.
        """
        settings, now = self.engine.settings, self.engine.now()
        row = await self.engine.ledger.read(work.id)
        fresh = first_claim(work, new_token(), queued=True)
        if row is not None and row.state in ENDED:
            return _is_over(work, row) or too_old(fresh, now, settings)
        found = row or fresh
        in_doubt = row is not None and row.state in ("sending", "unknown")
        running = in_doubt and first_verification(found.lease_until or now, settings) > now
        if running or not too_old(found, now, settings):
            return False
        doubted = replace(found, token=new_token(), may_have_gone=found.may_have_gone or in_doubt)
        ended = given_up(doubted, now, code=CRASHED)
        await self._ended(work, await self.engine.end(ended, await self._kept(work, ended, content)))
        return True

    async def _kept(self, work: Work, row: Row, content: bytes) -> Kept | None:
        try:
            mail = await self.engine.outbox.mail_of(work)
            return Kept.of(mail, row) if mail is not None else None
        except AzureError:
            raise
        except Exception:  # noqa: BLE001 - whatever made it fail: it is kept as it came
            return Kept("message", CRASHED, content, WORK)

    async def refuse(  # noqa: PLR0913 - what came, and what is known of it
        self,
        mail: str,
        queue: str,
        content: bytes,
        refusal: Refused,
        *,
        of: OutgoingMail | None = None,
        route: str | None = None,
        tell: bool = False,
    ) -> None:
        """Set a producer's message aside that can never become a mail: what it said, its row, the event.

        of: the mail, where the message could be read. route: of an event. tell: its route wants results.
        """
        now = self.engine.now()
        row = Row(
            id=mail,
            state="failed",
            scope=of.scope if of is not None else f"route:{route}" if route is not None else f"queue:{queue}",
            fingerprint="",
            mailbox="" if of is None else of.sender,
            accepted_at=now,
            settled_at=now,
            queued=True,
            status=refusal.status,
            code=refusal.code,
            reason=said(refusal),
            route=route,
            wants_results=tell or self.engine.settings.tells(queue),
        )
        if of is not None:
            row = replace(row, **facts_of(of))
        elif queue == PRODUCERS:
            from shared.delivery.outbox_mail import named

            sender, key = named(content)
            row = replace(row, mailbox=sender, key=key_hash(key) if key else None)
        await self.engine.outbox.set_aside(row, Kept("message", refusal.code, content, queue))
        with suppress(Conflict):  # an earlier delivery of the same message has written it
            await self.engine.ledger.write(row)
        # Not the path: it holds what the producer wrote.
        emit(LogEvent.MAIL_REFUSED, id=mail, status=refusal.status, code=refusal.code)

    async def _attempt(self, work: Work, mail: OutgoingMail | None, row: Row | None, claim: transitions.Claim) -> None:
        engine = self.engine
        mail = mail or await engine.outbox.mail_of(work)
        if mail is None:  # somebody has removed its blob
            lost = replace(given_up(claim.row, engine.now(), code="PayloadMissing"), lease_until=None)
            return await self._ended(work, await engine.ledger.write(lost))
        slot = (work.via, work.reserved) if work.via and work.reserved else None
        result = await engine.run(mail, claim.row, verify=claim.then == "verify", slot=slot)
        match result:
            case Later():
                result.carry()
                # What waits for the same moment does not all come in it.
                spread = SPREAD * secrets.SystemRandom().random() if result.day_spent else timedelta(0)
                due = result.due + spread
                message = await self._put_again(_carrying(work, result), mail, due, known=_is_open(row))
                if result.day_spent:
                    waiting = give_back(claim.row, due, verify=False)
                    await engine.ledger.note_message(waiting, message, due - engine.now())
                return None
            case Waits():
                waiting = await engine.ledger.write(result.row)
                message = await self._put_again(_carrying(work, result), mail, result.due, known=True)
                return await engine.ledger.note_message(waiting, message, result.due - engine.now())
        if result.unwritten is not None:
            raise result.unwritten
        return await self._ended(work, result.row)

    async def _ended(self, work: Work, row: Row) -> None:
        report_end(row)
        await self._remove_payload(work, row)
        if row.state == "sent" and row.replays:
            await self.engine.outbox.forget(row.id)

    async def _put_again(self, work: Work, mail: OutgoingMail | None, due: datetime, *, known: bool) -> str:
        """What names the message."""
        now = self.engine.now()
        again = msgspec.structs.replace(work, known=known, released=None)
        receipt = await self.engine.outbox.put(again, now, due, mail)
        emit(LogEvent.MAIL_WAITING, id=work.id, seconds=max(0.0, round((due - now).total_seconds(), 1)))
        return receipt.message

    async def repeated_by(self, work: Work) -> Row | None:
        """The row of the mail that this one only repeats, by the window of its route. Raises AzureError."""
        earlier = await self.engine.ledger.read(work.repeats.of) if work.repeats else None
        return earlier if earlier is not None and transitions.repeated(work, earlier) else None

    async def looked_up(self, work: Work) -> Work:
        """The message, after its operator was told if another event has said the same under the same signature."""
        if work.signed is None or self.earlier is None:
            return work
        earlier = await self.earlier(work.signed, work.id, work.accepted_at)
        if earlier is not None:
            mail, at = earlier
            seconds = round((work.accepted_at - at).total_seconds(), 1)
            emit(LogEvent.EVENT_SIGNED_AGAIN, id=work.id, route=work.route, earlier=mail, seconds=seconds)
        return msgspec.structs.replace(work, signed=None)

    async def _drop(self, work: Work, drop: transitions.Drop, row: Row | None) -> None:
        if drop.reason == "other-body":
            emit(LogEvent.MAIL_CONFLICT, id=work.id)
        if row is None or drop.reason == "other-body":
            return await self.engine.outbox.remove(work)
        if work.claimed is not None and work.claimed == row.token:
            report_end(row)  # of the attempt beside this message, after its sender was answered
        if (without := await self.engine.without_draft(row)) != row:  # it was cancelled
            with suppress(Conflict):
                await self.engine.ledger.write(without)
        return await self._remove_payload(work, row)

    async def _remove_payload(self, work: Work, row: Row) -> None:
        # What ended unsent may begin anew at any time, by its caller or an operator, and a late copy of an old message
        # is then as good as the new one: it must find its mail. Maintenance removes what nobody has needed.
        if row.state not in REPLAYABLE:
            await self.engine.outbox.remove(work)


def _carrying(work: Work, result: Later | Waits) -> Work:
    via, reserved = result.slot or (None, None)
    return msgspec.structs.replace(work, via=via, reserved=reserved)


def _say_copy(work: Work, state: State) -> None:
    emit(LogEvent.MAIL_DUPLICATE, id=work.id, state=state, reason=work.known_by, route=work.route)


def _is_open(row: Row | None) -> bool:
    """Whether a message may call its mail known: what has ended begins anew only by one that does not."""
    return row is not None and row.state not in ENDED


def _is_over(work: Work, row: Row) -> bool:
    """Whether a mail has ended, and this message neither begins it anew nor replays it."""
    return row.state in ENDED and work.replay <= row.replays and not transitions.begins_anew(work, row)
