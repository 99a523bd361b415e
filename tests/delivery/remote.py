"""Ledger, outbox and pacing of the small world of world.py: the ones in memory, at the far end of a network."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from shared.delivery.ledger import Conflict, Row
from shared.delivery.outbox import Kept, Payload, delay
from shared.delivery.payload import payload_name
from shared.delivery.work import Work
from shared.letters.letter import Letter, encode
from shared.policy.before_send import Goes, Withheld
from shared.ratelimit.row import RateLimitUnavailable
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.plan import LOST, Point
from tests.delivery.samples import NO_LONGER_ALLOWED, NOON

if TYPE_CHECKING:
    from tests.delivery.world import World

__all__ = ["LastWord", "StorageLedger", "StorageOutbox", "Turns"]


class StorageLedger(MemoryLedger):
    """The rows, over a network. As in table.py, a write that conflicts is compared with what is there."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    async def insert(self, row: Row) -> Row:
        return await self._write(f"insert {row.state}", row, super().insert)

    async def replace(self, row: Row) -> Row:
        return await self._write(f"replace by {row.state}", row, super().replace)

    async def read(self, mail: str) -> Row | None:
        return await self._world.operation("read", lambda: self.peek(mail))

    async def remove(self, row: Row) -> None:
        await self._world.operation("remove row", lambda: super(StorageLedger, self).remove(row))

    async def partition(self, number: int) -> AsyncIterator[Row]:
        await Point("list rows")
        async for row in super().partition(number):
            yield row

    async def peek(self, mail: str) -> Row | None:
        return await super().read(mail)

    @staticmethod
    def own(row: Row, found: Row | None) -> bool:
        """Whether what is found is what was written."""
        return found is not None and bool(row.token) and (found.token, found.state) == (row.token, row.state)

    async def _write(self, name: str, row: Row, write: Callable[[Row], Awaitable[Row]]) -> Row:
        try:
            return await self._world.operation(name, lambda: write(row))
        except Conflict:
            found = await self._world.operation("read after conflict", lambda: self.peek(row.id))
            if found is None or not self.own(row, found):
                raise
            return replace(row, etag=found.etag)


class StorageOutbox(MemoryOutbox):
    """The blobs and the queue, over a network."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    async def put(self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None) -> Work:
        if letter is not None and not work.carries:
            if self._world.plan.large:
                name = payload_name(letter)
                content = encode(letter)

                async def write() -> None:
                    self.payloads[name], self.put_at[name] = content, now

                await self._world.operation("put payload", write)
                work = msgspec.structs.replace(work, payload=name)
            else:
                work = msgspec.structs.replace(work, letter=msgspec.Raw(encode(letter)))

        async def send() -> None:
            self._world.enqueue(work, delay(now, due))

        await self._world.operation("put message", send)
        return work

    async def letter_of(self, work: Work) -> Letter | None:
        return await self._world.operation("get payload", lambda: super(StorageOutbox, self).letter_of(work))

    async def set_aside(self, mail: str, kept: Kept) -> None:
        await self._world.operation("set aside", lambda: super(StorageOutbox, self).set_aside(mail, kept))

    async def kept(self, mail: str) -> Kept | None:
        return await self._world.operation("get kept", lambda: super(StorageOutbox, self).kept(mail))

    async def forget(self, mail: str) -> None:
        await self._world.operation("forget", lambda: super(StorageOutbox, self).forget(mail))

    async def remove(self, work: Work) -> None:
        if work.payload is not None:
            await self._world.operation("remove payload", lambda: super(StorageOutbox, self).remove(work))

    async def payloads_of(self, number: int) -> AsyncIterator[Payload]:
        await Point("list payloads")
        async for payload in super().payloads_of(number):
            yield payload

    async def remove_payload(self, name: str) -> None:
        await self._world.operation("remove payload", lambda: super(StorageOutbox, self).remove_payload(name))


class Turns:
    """Pacing, as planned."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._turns = iter(world.plan.turns)
        self._comes = iter(world.plan.slots)
        self._spent = iter(world.plan.spent)
        self._none: list[None] = []

    async def reserve(self, mailbox: str) -> datetime:
        await self._point("reserve")
        turn = next(self._turns, "go")
        if turn == "no slot":
            self._none.append(None)
        return NOON + timedelta(seconds=self._world.now + {"soon": 0.9, "late": 40.0}.get(turn, 0.0))

    def put_back(self, mailbox: str, reserved: datetime) -> None:
        """Who gets it matters to no mail here."""

    @asynccontextmanager
    async def turn(self, mailbox: str, patience: float) -> AsyncGenerator["Turns | None"]:
        await self._point("take a turn")
        yield self._none.pop() if self._none else self

    async def ready(self, seconds: float | None = None) -> bool:
        await Point("wait for the slot")
        return next(self._comes, True)

    async def block(self, mailbox: str, until: datetime, *, app_wide: bool = False) -> None:
        await self._point("block")

    def blocked_until(self, mailbox: str) -> datetime | None:
        return None

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return mailboxes[0]

    async def return_at(self) -> datetime:
        await self._point("return at")
        return NOON + timedelta(seconds=self._world.now + 5)

    async def hold(self, mailbox: str, mail: str, recipients: int) -> datetime | None:
        await self._point("hold recipients")
        return NOON + timedelta(seconds=self._world.now + 60) if next(self._spent, False) else None

    def spend(self, mailbox: str, mail: str, recipients: int) -> None:
        """How many there are left matters to no mail here."""

    def release(self, mail: str) -> None:
        """So here."""

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        return None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """Nobody has a rate."""

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        return NOON + timedelta(seconds=self._world.now)

    async def _point(self, name: str) -> None:
        trouble = await Point(name)
        if trouble and trouble.kind in LOST:
            raise RateLimitUnavailable(name)


class LastWord:
    """Policy's last check, as planned. The list of the suppressed is in storage."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._says = iter(world.plan.policy_says)

    async def suppressed(self, letter: Letter) -> frozenset[str]:
        async def none() -> frozenset[str]:
            return frozenset()

        return await self._world.operation("ask for the suppressed", none)

    def verdict(self, letter: Letter, suppressed: frozenset[str]) -> Goes | Withheld:
        match next(self._says, "go"):
            case "suppressed":
                return Withheld("suppressed", left_out=1)
            case "captured":
                return Withheld("captured")
            case "refused":
                self._world.acknowledged = False  # as by Graph's refusal: it has ended, and is kept
                return NO_LONGER_ALLOWED
        return Goes(letter)
