"""What producers and operators may do with a mail: see it, cancel it, list by state, replay one that ended unsent."""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from shared.delivery.claims import new_token
from shared.delivery.engine import Engine
from shared.delivery.ledger import REPLAYABLE, Conflict, Row, State
from shared.delivery.work import work_of
from shared.letters.letter import decode
from shared.telemetry import Event, emit

__all__ = ["Cannot", "Control"]


@dataclass(frozen=True, slots=True)
class Cannot:
    """The mail's state does not allow it, or what was kept of it is gone."""

    reason: Literal["state", "nothing-kept"]
    row: Row


@dataclass(frozen=True, slots=True)
class Control:
    """Changes rows and messages; sends nothing itself."""

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
            emit(Event.MAIL_CANCELLED, id=row.id)
            return row

    async def replay(self, row: Row) -> Row | Cannot:
        """Put a mail back that has ended unsent, with the same id; one that may have gone is then sent a second time.

        A producer's message that was no mail, or not allowed, goes back into its queue and is read anew. Asked twice
        at once it is still sent once: the second message finds the replay begun.
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
            letter = decode(kept.content)
            work = msgspec.structs.replace(work_of(letter), known=True, replay=row.replays + 1)
            await self.engine.outbox.put(work, self.engine.claims.now(), None, letter)
        emit(Event.MAIL_REPLAYED, id=row.id, state=row.state)
        return row

    async def page(self, state: State | None, most: int, after: str | None) -> tuple[list[Row], str | None]:
        """Up to `most` rows, and where the next page begins. Raises ValueError when `after` is none of ours."""
        return await self.engine.claims.ledger.page(state, most, after)

    async def read(self, mail: str) -> Row | None:
        return await self.engine.claims.ledger.read(mail)
