"""What producers and operators may do with a mail: see it, cancel it, list by state, replay one that ended unsent."""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from shared.delivery import transitions
from shared.delivery.claims import new_token
from shared.delivery.engine import Engine
from shared.delivery.queue_messages import work_of
from shared.delivery.record import REPLAYABLE, Conflict, Row, State
from shared.delivery.reports import report_end
from shared.delivery.verification import cannot_be_asked, is_forbidden
from shared.mail.outgoing import OutgoingMail, decode
from shared.telemetry import LogEvent, emit

__all__ = ["Cannot", "Control"]


@dataclass(frozen=True, slots=True)
class Cannot:
    """The mail's state does not allow it, what was kept of it is gone, or nobody can say whether it has gone."""

    reason: Literal["state", "nothing-kept", "cannot-be-asked"]
    row: Row


@dataclass(frozen=True, slots=True)
class Control:
    """Changes rows and messages, and asks mailboxes; sends nothing itself."""

    engine: Engine

    async def cancel(self, row: Row) -> Row | Cannot:
        """Cancel what is not sent yet. What is being sent, or may have gone, cannot be cancelled.

        The mail's message finds the row ended and is dropped, with its payload, when it is due.
        """
        while True:
            if row.state not in ("scheduled", "accepted") or row.may_have_gone:
                return Cannot("state", row)
            now = self.engine.claims.now()
            try:
                row = await self.engine.claims.write(
                    replace(row, state="cancelled", token=new_token(), due_at=None, settled_at=now)
                )
            except Conflict:
                row = await self.engine.claims.ledger.read(row.id) or row
                continue
            emit(LogEvent.MAIL_CANCELLED, id=row.id)
            return row

    async def replay(self, row: Row, *, force: bool = False) -> Row | Cannot:
        """Put a mail back that has ended unsent, with the same id. The row as it is now: sent, if it was found.

        One that may have gone is looked for first, here once and then by whoever delivers it, and sent only if it is
        not there. Where its mailbox cannot be asked it is sent only by force; it may then have gone twice. A producer's
        message that was no mail, or not allowed, goes back into its queue and is read anew. Asked twice at once it is
        still sent once: the second message finds the replay begun.
        """
        if row.state not in REPLAYABLE:
            return Cannot("state", row)
        kept = await self.engine.outbox.kept(row.id)
        if kept is None or not kept.content:
            return Cannot("nothing-kept", row)
        if kept.kind == "message":
            await self.engine.outbox.put_back(kept.queue, kept.content)
            await self.engine.outbox.forget(row.id)
        else:
            mail = decode(kept.content)
            finding = await self._verify(mail, row) if row.may_have_gone else "unsent"
            if finding == "sent":
                return await self._found(row)
            if finding is None and not force:
                return Cannot("cannot-be-asked", row)
            work = msgspec.structs.replace(work_of(mail), known=True, replay=row.replays + 1, force=finding is None)
            await self.engine.outbox.put(work, self.engine.claims.now(), None, mail)
        emit(LogEvent.MAIL_REPLAYED, id=row.id, state=row.state)
        return row

    async def _verify(self, mail: OutgoingMail, row: Row) -> transitions.Finding | None:
        """What the mailbox says now; a refusal is asked about once more, with a new token. None: it cannot be asked."""
        finding = await self.engine.verify(mail, row)
        if not is_forbidden(finding):
            return finding
        again = replace(row, new_token_from=self.engine.claims.now())
        finding = await self.engine.verify(mail, again)
        return None if cannot_be_asked(again, finding) else finding

    async def _found(self, row: Row) -> Row | Cannot:
        try:
            sent = transitions.ended(replace(row, token=new_token()), "sent", self.engine.claims.now())
            sent = await self.engine.claims.write(sent)
        except Conflict:
            return Cannot("state", await self.engine.claims.ledger.read(row.id) or row)
        report_end(sent)
        await self.engine.outbox.forget(row.id)
        return sent

    async def page(self, state: State | None, most: int, after: str | None) -> tuple[list[Row], str | None]:
        """Up to `most` rows, and where the next page begins. Raises ValueError when `after` is none of ours."""
        return await self.engine.claims.ledger.page(state, most, after)

    async def read(self, mail: str) -> Row | None:
        return await self.engine.claims.ledger.read(mail)
