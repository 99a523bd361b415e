"""Ledger and outbox in this process's memory, for tests and benchmarks: as conditional as storage."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
from azure.core.exceptions import ResourceNotFoundError

from shared.delivery.attention import AttentionIndex
from shared.delivery.ledger import Conflict, Ledger, Read, Sought, partition
from shared.delivery.payloads import apart, envelopes, files_of, message_name, payload_name
from shared.delivery.queue import BODY, Kept, Outbox, Payload, Receipt, carrying, delay
from shared.delivery.queue_messages import Batch, ProducerMessage, Work
from shared.delivery.results import PutIntoQueue
from shared.delivery.row import Row
from shared.mail.model import BlobAttachment
from shared.mail.outgoing import OutgoingMail, decode, encode
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.settings.queue_names import WORK
from shared.storage.files import FileGone, Files, FoundBlob
from shared.storage.table_identity import OWN

__all__ = ["MemoryFiles", "MemoryLedger", "MemoryOutbox", "Unpaced"]


class MemoryLedger(Ledger):
    """Rows by id, with ETags that never come again."""

    def __init__(self, attention: AttentionIndex | None = None, put: PutIntoQueue | None = None) -> None:
        self.attention = attention
        self._put_result = put
        self._rows: dict[str, Row] = {}
        self._etags = count(1)

    async def read(self, mail: str) -> Row | None:
        return self._rows.get(mail)

    async def _store(self, row: Row) -> Row:
        found = self._rows.get(row.id)
        if (found.etag if found else "") != row.etag:
            raise Conflict(row.id)
        return self._put(row)

    async def remove(self, row: Row) -> None:
        found = self._rows.get(row.id)
        if found is not None and found.etag != row.etag:
            raise Conflict(row.id)
        self._rows.pop(row.id, None)
        await self._unlist(row)

    async def partition(self, number: int) -> AsyncIterator[Row]:
        for row in [row for row in self._rows.values() if partition(row.id) == f"{number:02x}"]:
            yield row

    async def some(self, partitions: range, beyond: str, sought: Sought, most: int) -> Read:
        every = sorted((int(partition(row.id), 16), row.id, row) for row in self._rows.values())
        after = (partitions.start, beyond)
        rows = [row for at, mail, row in every if at in partitions and (at, mail) > after and sought.matches(row)]
        return Read(rows[:most], len(rows), 1)

    def _put(self, row: Row) -> Row:
        stored = replace(row, etag=str(next(self._etags)))
        self._rows[row.id] = stored
        return stored


class Unpaced(RateLimits):
    """Never makes anyone wait."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        return Reservation(mailbox, datetime.min.replace(tzinfo=UTC), recipients)

    async def restore(self, mailbox: str, at: datetime, recipients: int) -> Reservation | None:
        return Reservation(mailbox, at, recipients, carried=True)

    def give_back(self, reservation: Reservation) -> None:
        """Nothing is counted; so below."""

    def used(self, reservation: Reservation, recipients: int) -> None:
        """See above."""

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        yield True

    async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
        return self.now() + timedelta(seconds=after or 2)

    def blocked_until(self, mailbox: str) -> datetime | None:
        return None

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return mailboxes[0]

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        return None

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        return None

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        """See above."""

    async def come_at(self, caller: str, per_minute: int) -> datetime:
        return datetime.min.replace(tzinfo=UTC)


class MemoryOutbox(Outbox):
    """`messages` holds (due, message) in the order they were put."""

    def __init__(self) -> None:
        self.messages: list[tuple[datetime, Work]] = []
        self.batches: list[tuple[timedelta, Batch]] = []
        self.returned: list[tuple[str, bytes, timedelta]] = []
        self.payloads: dict[str, bytes] = {}
        self.put_at: dict[str, datetime] = {}
        self.dead: dict[str, Kept] = {}
        self.marked: set[str] = set()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)  # storage's clock
        self._named: dict[str, Work] = {}  # what is in `messages`, or was
        self._names = count(1)

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        if mail is not None and not work.carries:
            payload = payload_name(mail)
            mail, files = apart(mail, payload)
            work = msgspec.structs.replace(work, files=files_of(mail))
            whole = carrying(work, mail)
            if whole is None:
                files[payload] = encode(mail)
                whole = msgspec.structs.replace(work, payload=payload)
            self.payloads |= files
            self.put_at |= dict.fromkeys(files, now)
            work = whole
        work = msgspec.structs.replace(work)  # a message of its own
        self.messages.append((now + timedelta(seconds=delay(now, due)), work))
        return Receipt(work, self._name(work))

    async def take_back(self, message: str) -> None:
        if (number := self._place(message)) is None:
            raise ResourceNotFoundError
        self.messages.pop(number)

    async def show(self, message: str, now: datetime, due: datetime) -> str | None:
        if (number := self._place(message)) is None:
            return None
        work = self._named.pop(message)
        self.messages[number] = (now + timedelta(seconds=delay(now, due)), work)
        return self._name(work)

    def _name(self, work: Work) -> str:
        name = f"message {next(self._names)}"
        self._named[name] = work
        return name

    def _place(self, message: str) -> int | None:
        """Where it is among the messages; None: it was received."""
        work = self._named.get(message)
        return next((number for number, (_, one) in enumerate(self.messages) if one is work), None)

    async def put_back(self, queue: str, content: bytes, after: timedelta = timedelta(0)) -> None:
        self.returned.append((queue, content, after))

    async def retry_later(self, message: ProducerMessage, after: timedelta) -> None:
        if len(message.body) > BODY:
            name = message_name(message.id)
            self.payloads[name], self.put_at[name] = message.body, self.now()
            message = msgspec.structs.replace(message, body=b"", payload=name)
        await self.put_back(WORK, msgspec.json.encode(message), after)

    async def whole(self, message: ProducerMessage) -> ProducerMessage | None:
        if message.payload is None:
            return message
        body = self.payloads.get(message.payload)
        return None if body is None else msgspec.structs.replace(message, body=body, payload=None)

    async def put_batch(self, batch: Batch, content: bytes | None = None, after: timedelta = timedelta(0)) -> None:
        if content is not None:
            self.payloads[batch.payload] = content
        self.batches.append((after, batch))

    async def content_of(self, batch: Batch) -> bytes | None:
        return self.payloads.get(batch.payload)

    async def finish(self, batch: Batch) -> None:
        self.payloads[batch.payload] = b""

    async def mail_of(self, work: Work) -> OutgoingMail | None:
        content = bytes(work.mail) if work.payload is None else self.payloads.get(work.payload)
        return decode(content) if content else None

    async def left_of(self, mail: str, fingerprint: str) -> OutgoingMail | None:
        folder = envelopes(mail, fingerprint)
        found = [name for name in self.payloads if name.startswith(folder) and name.endswith(".json")]
        return decode(self.payloads[max(found, key=lambda name: self.put_at[name])]) if found else None

    async def set_aside(self, row: Row, kept: Kept) -> None:
        self.dead[row.id] = kept

    async def kept(self, mail: str) -> Kept | None:
        return self.dead.get(mail)

    async def forget(self, mail: str) -> None:
        self.dead.pop(mail, None)

    async def remove(self, work: Work) -> None:
        if work.payload is not None:
            self.payloads.pop(work.payload, None)
        for name in [name for name in self.payloads if work.files is not None and name.startswith(work.files)]:
            self.payloads.pop(name)

    async def payloads_of(self, number: int) -> AsyncIterator[Payload]:
        for name in [name for name in self.payloads if name.startswith(f"{number:02x}/")]:
            yield Payload(name.split("/")[1], name, self.put_at[name], name in self.marked)

    async def mark(self, name: str) -> None:
        self.put_at[name] = self.now()
        self.marked.add(name)

    async def remove_payload(self, name: str) -> None:
        self.payloads.pop(name, None)


class MemoryFiles(Files):
    """The files of an outbox in memory, and blobs by `container/name` that mails may attach."""

    def __init__(self, outbox: MemoryOutbox) -> None:
        self._outbox = outbox
        self.blobs: dict[str, tuple[bytes, str]] = {}  # content and ETag

    async def read(self, file: BlobAttachment, start: int, length: int) -> bytes:
        container, _, name = file.blob.partition("/")
        if container == OWN:
            content = self._outbox.payloads.get(name)
            if content is None:
                raise FileGone("PayloadMissing")
            return content[start : start + length]
        content, etag = self.blobs.get(file.blob, (None, None))
        if content is None or file.etag is None or etag != file.etag:
            raise FileGone("AttachmentChanged")
        return content[start : start + length]

    async def find(self, container: str, name: str) -> FoundBlob | None:
        content, etag = self.blobs.get(f"{container}/{name}", (None, ""))
        return None if content is None else FoundBlob(len(content), etag)
