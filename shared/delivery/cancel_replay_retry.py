"""The actions on a mail: cancel it, replay it if it ended unsent, retry it now if it waits."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import replace
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.delivery.engine import Engine
from shared.delivery.ledger import Conflict
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import ProducerMessage, work_of
from shared.delivery.retries import ended
from shared.delivery.row import REPLAYABLE, Row, new_token, report_end
from shared.delivery.verification import Finding, cannot_be_asked, is_forbidden
from shared.graph.outcome import Unanswered
from shared.mail.outgoing import OutgoingMail, decode, identity
from shared.settings.queue_names import WORK
from shared.telemetry import LogEvent, emit


@dataclass(frozen=True, slots=True)
class Cannot:
    """The mail's state does not allow it, what was kept of it is gone, or nobody can say whether it has gone.

    no-answer: its mailbox gave none, or may not be asked at the moment. still-wrong: its message would be refused
    again; why: with this sentence.
    """

    reason: Literal["state", "nothing-kept", "still-wrong", "cannot-be-asked", "no-answer"]
    row: Row
    why: str = ""


type WhyRefused = Callable[[Kept], Awaitable[str | None]]
"""Why a producer's message would be refused again, if it would."""


@dataclass(frozen=True, slots=True)
class Control:
    """Changes rows and messages, and asks mailboxes; sends nothing itself."""

    engine: Engine

    async def cancel(self, row: Row) -> Row | Cannot:
        """Cancel what is not sent yet. What is being sent, or may have gone, cannot be cancelled.

        The mail's message finds the row ended and is dropped, with its payload, when it is due.
        """
        if row.state not in ("scheduled", "accepted") or row.may_have_gone:
            return Cannot("state", row)
        cancelled = replace(row, state="cancelled", token=new_token(), due_at=None, settled_at=self.engine.now())
        try:
            row = await self.engine.ledger.write(cancelled)
        except Conflict:
            return await self.cancel(await self.engine.ledger.read(row.id) or row)
        emit(LogEvent.MAIL_CANCELLED, id=row.id)
        return row

    async def replay(
        self, row: Row, *, force: bool = False, dry: bool = False, refused: WhyRefused | None = None
    ) -> Row | Cannot:
        """Put a mail back that has ended unsent, with the same id. The row as it is now: sent, if it was found.

        One that may have gone is looked for first, here and by whoever delivers it, and sent only if it is not there.
        Where its mailbox cannot be asked it is sent only by force; it may then have gone twice. A producer's message is
        read anew, as from its queue, unless it would be refused again. Asked twice at once it is still sent once: the
        second message finds the replay begun. dry: say what would be done, and change nothing.
        """
        if row.state not in REPLAYABLE:
            return Cannot("state", row)
        kept = await self.engine.outbox.kept(row.id)
        if kept is None or not kept.content:
            return Cannot("nothing-kept", await self.engine.ledger.read(row.id) or row)
        if kept.kind == "message":
            if refused is not None and (why := await refused(kept)) is not None:
                return Cannot("still-wrong", row, why)
            if dry:
                return row
            row = await self._put_back(row, kept)
        else:
            mail = decode(kept.content)
            finding = await self._verify(mail, row) if row.may_have_gone else "unsent"
            if finding == "sent":
                return replace(row, state="sent") if dry else await self._found(row)
            if finding is None and not force:
                return Cannot("cannot-be-asked", row)
            if dry:
                return row
            work = replace(work_of(mail), known=True, replay=row.replays + 1, force=finding is None)
            await self.engine.outbox.put(work, self.engine.now(), None, mail)
        emit(LogEvent.MAIL_REPLAYED, id=row.id, state=row.state)
        return row

    async def _put_back(self, row: Row, kept: Kept) -> Row:
        """A message without a key is known by its id alone. So it gets one that follows from its row, whoever puts it
        back, and however often: it stays one mail. What it becomes has a row of its own.
        """
        if kept.queue == WORK:  # one of Mailroom's own, which has its id in it
            await self.engine.outbox.put_back(WORK, kept.content)
            await self.engine.outbox.forget(row.id)
            return row
        name = identity("put back", row.id)
        message = ProducerMessage(v=1, id=name, queue=kept.queue, inserted_at=self.engine.now(), body=kept.content)
        await self.engine.outbox.retry_later(message, timedelta(0))
        with suppress(Conflict):  # another operator has done the same
            row = await self.engine.ledger.write(replace(row, token=new_token(), replays=row.replays + 1))
        await self.engine.outbox.forget(row.id)
        return row

    async def retry(self, row: Row) -> Row | Cannot:
        """Have a mail tried at once that waits for its next attempt. The row as it is now: sent, if it was found.

        The row becomes due, then its message visible: a message that came sooner than its row is due would hide once
        more. Both may be done again: it stays one message, and so one attempt. A message that somebody has received
        since needs nothing. Its mailbox's rate, and a block of Graph's, still hold.
        """
        if row.state == "unknown":
            return await self._asked(row)
        now = self.engine.now()
        waits = row.due_at is not None and row.due_at > now
        if row.state != "accepted" or (waits and row.message is None):
            return Cannot("state", row)
        try:
            if waits:
                row = await self.engine.ledger.write(replace(row, token=new_token(), due_at=now))
        except Conflict:
            return await self.retry(await self.engine.ledger.read(row.id) or row)
        if row.message is not None:
            await self.engine.outbox.show(row.message, now, now)
        emit(LogEvent.MAIL_RETRIED, id=row.id, state=row.state)
        return row

    async def _asked(self, row: Row) -> Row | Cannot:
        """Ask the mailbox of a mail that may have gone before that is due, if it did not answer the last time.

        Only "sent" changes the row. Any other answer came too early to count: Graph's copy may need the time. For the
        same reason a mailbox that has always answered is not asked.
        """
        if not row.unanswered:
            return Cannot("state", row)
        emit(LogEvent.MAIL_RETRIED, id=row.id, state=row.state)
        async with self.engine.in_flight(row.mailbox) as due:
            if due is not None:
                return Cannot("no-answer", row)
            finding = await self.engine.verify(None, row)
        if finding == "sent":
            return await self._found(row)
        if finding is None:
            return Cannot("cannot-be-asked", row)
        return Cannot("no-answer", row) if isinstance(finding, Unanswered) else row

    async def _verify(self, mail: OutgoingMail, row: Row) -> Finding | None:
        """What the mailbox says now; a refusal is asked about once more, with a new token. None: it cannot be asked.

        A second draft tells only of itself, and not whether the attempt before it has sent the mail.
        """
        finding = await self.engine.verify(mail, row)
        if finding in ("absent", "unsent") and row.resends and row.progress is not None:
            return None
        if not is_forbidden(finding):
            return finding
        again = replace(row, new_token_from=self.engine.now())
        finding = await self.engine.verify(mail, again)
        return None if cannot_be_asked(again, finding) else finding

    async def _found(self, row: Row) -> Row | Cannot:
        try:
            sent = ended(replace(row, token=new_token()), "sent", self.engine.now())
            sent = await self.engine.ledger.write(sent)
        except Conflict:
            return Cannot("state", await self.engine.ledger.read(row.id) or row)
        report_end(sent)
        await self.engine.outbox.forget(row.id)
        return sent
