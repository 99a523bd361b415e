"""The courier: carries one message of a queue through the delivery protocol. What to do is decided in protocol.py.

The order of the writes is what keeps a mail from being lost or doubled when a process dies between two of them: the
claim before the request to Graph, what ends unsent into `mail-dead` before its row, the row before the next message,
the next message before this one is completed.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import protocol
from shared.delivery.attempts import Attempts, Lease, bound, new_token, report_end
from shared.delivery.ledger import ENDED, REPLAYABLE, Conflict, Row, State
from shared.delivery.outbox import Kept
from shared.delivery.signed import SignedBodies
from shared.delivery.work import Work
from shared.errors import Refused
from shared.graph.outcome import Accepted
from shared.letters.letter import Letter, encode
from shared.policy.before_send import Withheld
from shared.telemetry import Event, emit

__all__ = ["Courier"]


PATIENCE: Final = 20.0  # seconds to wait for the rate or a slot before the message is put again
LATER: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What an attempt came to, not written yet. accepted: Graph has just taken the mail, under this lease."""

    settled: protocol.Settled
    letter: Letter | None
    accepted: Lease | None = None


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers what the queues bring. signed: what senders have signed lately; None: nobody asks."""

    attempts: Attempts
    signed: SignedBodies | None = None

    async def deliver(self, work: Work, letter: Letter | None = None) -> bool:
        """Do what a message asks for. When this returns the message may be completed; when it raises it must not be.

        False: nothing was done, since its key names another mail; a producer's message is then still to be kept.

        letter: given where the message is a producer's, so that the work neither carries nor names it yet.
        """
        ledger, settings = self.attempts.ledger, self.attempts.settings
        work = await self._looked_up(work)
        copy = False
        row = await ledger.read(work.id) if work.known or work.released else None
        earlier = await ledger.read(work.repeats.of) if row is None and work.repeats else None
        if earlier is not None and protocol.repeated(work, earlier):
            row = await ledger.read(work.id)
            if row is None:
                self._say_copy(work, earlier.state)
                await self.attempts.outbox.remove(work)
                return True
        while True:
            if row is not None and not copy and (copy := protocol.is_copy(work, row)):
                self._say_copy(work, row.state)
            decision = protocol.decide(row, work, self.attempts.now(), settings, new_token())
            if isinstance(decision, protocol.Fail) and row is None:
                row = await ledger.read(work.id)  # what is kept of an earlier one must not be written over
                if row is not None:
                    continue
            try:
                return await self._act(work, letter, row, decision)
            except Conflict:
                row = await ledger.read(work.id)

    async def _act(self, work: Work, letter: Letter | None, row: Row | None, decision: protocol.Decision) -> bool:
        match decision:
            case protocol.Drop():
                await self._drop(work, decision, row)
                return decision.reason != "other-body"
            case protocol.Schedule():
                await self._put_again(work, letter, decision.due, known=True)
                await self.attempts.write(decision.row)
            case protocol.PutAgain():
                await self._put_again(work, letter, decision.due, known=row is not None)
            case protocol.Fail():
                await self._settle(work, letter, protocol.Settled(decision.row, None))
            case protocol.Claim():
                try:
                    await self._take_turn(work, letter, row, look=decision.then == "look")
                finally:
                    self.attempts.pacing.release(work.id)
        return True

    async def wake_later(self, work: Work, letter: Letter | None) -> None:
        """What failed again and again, although nothing says that it cannot be sent: on with it, after a while."""
        row = await self.attempts.ledger.read(work.id)
        if row is None or row.state not in ENDED or work.replay > row.replays:
            await self._put_again(work, letter, self.attempts.now() + LATER, known=row is not None)

    async def refuse(self, mail: str, queue: str, content: bytes, refusal: Refused) -> None:
        """Set a producer's message aside that can never become a mail: what it said, its row, the event."""
        now = self.attempts.now()
        await self.attempts.outbox.set_aside(mail, Kept("message", refusal.code, content, queue))
        row = Row(id=mail, state="failed", scope="", fingerprint="", mailbox="", accepted_at=now, queued=True)
        with suppress(Conflict):  # an earlier delivery of the same message has written it
            await self.attempts.write(replace(row, settled_at=now, status=refusal.status, code=refusal.code))
        # Not the path: it holds what the producer wrote.
        emit(Event.MAIL_REFUSED, id=mail, status=refusal.status, code=refusal.code)

    async def _take_turn(self, work: Work, letter: Letter | None, row: Row | None, *, look: bool) -> None:
        """Wait for the mailbox's rate and a turn, or put the message again; and only then claim."""
        work = work if look else await self._reserved(work, row)
        mailbox = row.mailbox if look and row else work.via or work.mailbox
        pacing = self.attempts.pacing
        if not look and work.reserved is not None:
            wait = (work.reserved - self.attempts.now()).total_seconds()
            if wait > PATIENCE:
                return await self._put_again(work, letter, work.reserved, known=row is not None)
            await asyncio.sleep(max(0.0, wait))
        if not look and (moved := await self._room_in_the_day(work, mailbox, row)) is not None:
            work, due = moved
            return await self._put_again(work, letter, due, known=row is not None)
        async with pacing.turn(mailbox, PATIENCE) as turn:
            if turn is None:
                due = pacing.blocked_until(mailbox) or await pacing.return_at()
                return await self._put_again(work, letter, due, known=row is not None)
            lease = self.attempts.lease()
            claimed, look = await self._claim(work, letter, row, mailbox)
            letter = letter or await self.attempts.outbox.letter_of(work)
            if letter is not None:
                with suppress(AzureError):  # asked before the slot is there, so that it is known then
                    await self.attempts.policy.suppressed(letter)
            if letter is None:
                tried = self._lost(claimed)
            elif await turn.ready(lease.to_start()) and lease.may_start():
                tried = await self._attempt(letter, claimed, lease, look=look)
            else:
                tried = self._given_back(letter, claimed, look=look)
        # The slot is free again: only requests to Graph are counted, not the writing down of what became of them.
        if tried.accepted:
            await self.attempts.write_sent(tried.settled.row, tried.accepted)
            return await self._ended(work, tried.settled.row)
        return await self._settle(work, tried.letter, tried.settled)

    async def _claim(self, work: Work, letter: Letter | None, row: Row | None, mailbox: str) -> tuple[Row, bool]:
        """The row, claimed, and whether its mailbox is to be asked first. Raises Conflict when it is not to be had."""
        decision = protocol.decide(row, work, self.attempts.now(), self.attempts.settings, new_token())
        if not isinstance(decision, protocol.Claim):
            raise Conflict(work.id)  # its time has run out over the waiting: look again
        claim, look = replace(decision.row, mailbox=mailbox), decision.then == "look"
        if letter is not None and not look:
            claim = replace(claim, mime=letter.mime is not None)
        return await self.attempts.write(claim), look

    async def _room_in_the_day(self, work: Work, mailbox: str, row: Row | None) -> tuple[Work, datetime] | None:
        """None: the mailbox has recipients left in its day. Else how, and when, the message is to come again."""
        pacing = self.attempts.pacing
        found, until = await self.attempts.hold(work, mailbox, alone=row is not None and bound(row))
        if until is None and found == mailbox:
            return None
        if work.reserved is not None:
            pacing.put_back(mailbox, work.reserved)
        if until is not None:
            return msgspec.structs.replace(work, via=None, reserved=None), self.attempts.spread(until)
        reserved = await pacing.reserve(found)
        return msgspec.structs.replace(work, via=found, reserved=reserved), reserved

    async def _reserved(self, work: Work, row: Row | None) -> Work:
        """The message with a mailbox and its time there; the one that it has, unless that has become void."""
        pacing = self.attempts.pacing
        if work.reserved is not None and work.via is not None:
            blocked = pacing.blocked_until(work.via)
            moved = row is not None and bound(row) and row.mailbox != work.via
            if not moved and (blocked is None or blocked <= self.attempts.now()):
                return work
        mailbox = self.attempts.mailbox_for(work.mailbox, row)
        return msgspec.structs.replace(work, via=mailbox, reserved=await pacing.reserve(mailbox))

    def _lost(self, row: Row) -> _Tried:
        state: State = "held" if row.may_have_gone else "failed"
        lost = replace(row, state=state, settled_at=self.attempts.now(), code="PayloadMissing")
        return _Tried(protocol.Settled(lost, None), None)

    def _given_back(self, letter: Letter, row: Row, *, look: bool) -> _Tried:
        """A claim whose slot has not come in time, or that what Graph said to another mail has come between."""
        now = self.attempts.now()
        blocked = self.attempts.pacing.blocked_until(row.mailbox)
        return _Tried(protocol.give_back(row, max(blocked or now, now), look=look), letter)

    async def _attempt(self, letter: Letter, row: Row, lease: Lease, *, look: bool) -> _Tried:
        """Ask the mailbox where it may have gone, then Graph. Writes no end; that is the caller's."""
        if look:
            finding = await self.attempts.look(letter, row)
            now, settings = self.attempts.now(), self.attempts.settings
            seen = protocol.look_over(row, finding, now, settings, letter.on_unknown)
            if isinstance(seen, protocol.Settled):
                return _Tried(seen, letter)
            if seen.row.resends > row.resends:
                with suppress(AzureError):  # what is withheld is not sent a second time, and must not say so
                    if isinstance(withheld := await self.attempts.verdict(letter), Withheld):
                        return _Tried(protocol.withhold(row, withheld, now), letter)
                emit(Event.MAIL_RESENT, id=row.id)
            if seen.row != row:
                row = await self.attempts.write(seen.row)
        outcome, settled, lease = await self.attempts.once(letter, row, lease)
        return _Tried(settled, letter, lease if isinstance(outcome, Accepted) else None)

    async def _settle(self, work: Work, letter: Letter | None, settled: protocol.Settled) -> None:
        row = settled.row
        if settled.again is None and row.state != "sent":
            letter = letter or await self.attempts.outbox.letter_of(work)
            if letter is not None:  # without one there is nothing to keep, and what another one has kept must stay
                await self.attempts.outbox.set_aside(row.id, Kept("mail", row.code or row.state, encode(letter)))
            row = await self.attempts.without_draft(row)
        await self.attempts.write(row)
        if settled.again is None:
            return await self._ended(work, row)
        return await self._put_again(work, letter, settled.again, known=True)

    async def _ended(self, work: Work, row: Row) -> None:
        report_end(row)
        await self._remove_payload(work, row)
        if row.state == "sent" and row.replays:
            await self.attempts.outbox.forget(row.id)

    async def _put_again(self, work: Work, letter: Letter | None, due: datetime, *, known: bool) -> None:
        now = self.attempts.now()
        again = msgspec.structs.replace(work, known=known, released=None)
        await self.attempts.outbox.put(again, now, due, letter)
        emit(Event.MAIL_WAITING, id=work.id, seconds=max(0.0, round((due - now).total_seconds(), 1)))

    async def _looked_up(self, work: Work) -> Work:
        """The message, after its operator was told if another event has said the same under the same signature."""
        if work.signed is None or self.signed is None:
            return work
        earlier = await self.signed.earlier(work.signed, work.id, work.accepted_at)
        if earlier is not None:
            seconds = round((work.accepted_at - earlier.at).total_seconds(), 1)
            emit(Event.EVENT_SIGNED_AGAIN, id=work.id, route=work.route, earlier=earlier.mail, seconds=seconds)
        return msgspec.structs.replace(work, signed=None)

    def _say_copy(self, work: Work, state: State) -> None:
        emit(Event.MAIL_DUPLICATE, id=work.id, state=state, reason=work.known_by, route=work.route)

    async def _drop(self, work: Work, drop: protocol.Drop, row: Row | None) -> None:
        if drop.reason == "other-body":
            emit(Event.MAIL_CONFLICT, id=work.id)
        if row is None or drop.reason == "other-body":
            return await self.attempts.outbox.remove(work)
        if (without := await self.attempts.without_draft(row)) != row:  # it was cancelled
            with suppress(Conflict):
                await self.attempts.write(without)
        return await self._remove_payload(work, row)

    async def _remove_payload(self, work: Work, row: Row) -> None:
        # What ended unsent may begin anew at any time, by its caller or an operator, and a late copy of an old message
        # is then as good as the new one: it must find its letter. Upkeep removes what nobody has needed.
        if row.state not in REPLAYABLE:
            await self.attempts.outbox.remove(work)
