"""Ledger, outbox, pace and policy of the small world of world.py: the ones in memory, at the far end of a network."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from azure.core.exceptions import ResourceNotFoundError

from shared.delivery.ledger import Conflict
from shared.delivery.payloads import payload_name
from shared.delivery.queue import Kept, Payload, Receipt, delay
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row
from shared.mail.outgoing import OutgoingMail, encode
from shared.policy.pre_send import Declined, Goes
from shared.ratelimit.mailbox_pace import NoRoom, RateLimitUnavailable
from shared.ratelimit.rate_limits import Reservation
from tests.delivery.memory import MemoryLedger, MemoryOutbox, Unpaced
from tests.delivery.plan import LOST, Point
from tests.delivery.samples import NO_LONGER_ALLOWED, NOON

if TYPE_CHECKING:
    from tests.delivery.world import Message, World

__all__ = ["Pace", "PreSend", "StorageLedger", "StorageOutbox"]


class StorageLedger(MemoryLedger):
    """The rows, over a network. As in ledger.py, a write that conflicts is compared with what is there."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    async def _store(self, row: Row) -> Row:
        name = f"replace by {row.state}" if row.etag else f"insert {row.state}"
        try:
            return await self._world.operation(name, lambda: super(StorageLedger, self)._store(row))
        except Conflict:
            found = await self._world.operation("read after conflict", lambda: self.peek(row.id))
            if found is None or not self.own(row, found):
                raise
            return replace(row, etag=found.etag)

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


class StorageOutbox(MemoryOutbox):
    """The blobs and the queue, over a network."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world
        self._put: list[Message] = []

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        if mail is not None and not work.carries:
            work = await self._with_mail(work, now, mail)

        async def send() -> "Message":
            return self._world.enqueue(work, delay(now, due))

        self._put.append(message := await self._world.operation("put message", send))
        return Receipt(work, f"{len(self._put) - 1} {message.receipt}")

    async def take_back(self, message: str) -> None:
        async def delete() -> None:
            if (found := self._named_by(message)) is None:
                raise ResourceNotFoundError
            self._world.messages.remove(found)

        await self._world.operation("take message back", delete)

    async def show(self, message: str, now: datetime, due: datetime) -> str | None:
        async def update() -> str | None:
            if (found := self._named_by(message)) is None:
                return None
            found.receipt += 1
            found.visible = self._world.now + delay(now, due)
            return f"{message.split(maxsplit=1)[0]} {found.receipt}"

        return await self._world.operation("show message", update)

    def _named_by(self, message: str) -> "Message | None":
        number, receipt = message.split()
        found = self._put[int(number)]
        return found if found in self._world.messages and found.receipt == int(receipt) else None

    async def _with_mail(self, work: Work, now: datetime, mail: OutgoingMail) -> Work:
        if not self._world.plan.large:
            return msgspec.structs.replace(work, mail=msgspec.Raw(encode(mail)))
        name = payload_name(mail)
        content = encode(mail)

        async def write() -> None:
            self.payloads[name], self.put_at[name] = content, now

        await self._world.operation("put payload", write)
        return msgspec.structs.replace(work, payload=name)

    async def mail_of(self, work: Work) -> OutgoingMail | None:
        return await self._world.operation("get payload", lambda: super(StorageOutbox, self).mail_of(work))

    async def set_aside(self, row: Row, kept: Kept) -> None:
        await self._world.operation("set aside", lambda: super(StorageOutbox, self).set_aside(row, kept))

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


class Pace(Unpaced):
    """The mailbox's quota and time, and how many requests are in flight, as planned."""

    def __init__(self, world: "World") -> None:
        super().__init__(lambda: NOON + timedelta(seconds=world.now))
        self._world = world
        self._times = iter(world.plan.times)
        self._spent = iter(world.plan.spent)
        self._flights = iter(world.plan.flights)
        self._void = iter(world.plan.void)
        self._uploads = iter(world.plan.uploads)
        self.open: list[Reservation] = []

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        await self._point("reserve")
        if next(self._spent, False):
            return NoRoom(self.now() + timedelta(seconds=60))
        wait = {"now": 0.0, "soon": 0.9, "late": 40.0}[next(self._times, "now")]
        self.open.append(reservation := Reservation(mailbox, self.now() + timedelta(seconds=wait), recipients))
        return reservation

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        await self._point("restore")
        return None if next(self._void, False) else Reservation(mailbox, at, recipients, carried=True)

    def give_back(self, reservation: Reservation) -> None:
        self._close(reservation)

    def used(self, reservation: Reservation, recipients: int) -> None:
        self._close(reservation)

    def _close(self, reservation: Reservation) -> None:
        if reservation in self.open:
            self.open.remove(reservation)

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        await Point("wait for a request to end")
        yield next(self._flights, True)

    async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
        await Point("block")
        return await super().throttled(mailbox, after)

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        await self._point("count an upload")
        return self.now() + timedelta(seconds=70) if next(self._uploads, False) else None

    async def _point(self, name: str) -> None:
        trouble = await Point(name)
        if trouble and trouble.kind in LOST:
            raise RateLimitUnavailable(name)


class PreSend:
    """The pre-send policy, as planned. The list of the suppressed is in storage."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._says = iter(world.plan.policy_says)

    async def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Goes | Declined:
        async def none() -> None:
            """Nobody is suppressed."""

        await self._world.operation("ask for the suppressed", none)
        match next(self._says, "go"):
            case "suppressed":
                return Declined("suppressed", left_out=1)
            case "captured":
                return Declined("captured")
            case "refused":
                self._world.acknowledged = False  # as by Graph's refusal: it has ended, and is kept
                return NO_LONGER_ALLOWED
        return Goes(mail)
