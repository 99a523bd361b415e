"""The outbox, which makes a mail durable before anyone is told "accepted".

A message in `mail-work` wakes the worker for one mail. If the mail does not fit into the message, it is written to
blobs first, and the message names them (a claim check; see payloads.py). A mail that ends unsent is kept in
`mail-dead`, so that an operator can inspect and replay it; its larger files stay where they are for as long as its row.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, Self
from xml.sax.saxutils import escape

import msgspec
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.delivery.explanations import facts
from shared.delivery.payloads import apart, envelopes, files_of, message_name, payload_name
from shared.delivery.queue_messages import Batch, ProducerMessage, Work
from shared.delivery.row import Row
from shared.mail.outgoing import OutgoingMail, decode, encode
from shared.settings.queue_names import WORK
from shared.storage.files import reading
from shared.storage.table_identity import OWN

DEAD: Final = "mail-dead"
INLINE: Final = 48 * 1024  # of the 64 KiB of a queue message, as it is sent: in XML, in UTF-8
BODY: Final = 36 * 1024  # bytes of a producer's message: in base64 what INLINE has room for
MARK: Final = "unowned"
LATER: Final = timedelta(minutes=5)  # until what cannot be done now, for a reason that passes, is tried again
FURTHEST: Final = timedelta(days=6)  # a message may hide for less than 7 days; what is due later is put again


@dataclass(frozen=True, slots=True)
class Kept:
    """What will not be sent, as it is kept in `mail-dead`.

    kind: "mail" for a mail, "message" for a producer's bytes as they came from `queue`.
    """

    kind: Literal["mail", "message"]
    reason: str
    content: bytes
    queue: str = ""

    @classmethod
    def of(cls, mail: OutgoingMail, row: Row) -> Self:
        """The mail of a row that has ended."""
        return cls("mail", row.code or row.state, encode(mail))


@dataclass(frozen=True, slots=True)
class Payload:
    """One blob of `mail-payloads`. put_at: or marked. marked: it was old then and had no row."""

    mail: str
    name: str
    put_at: datetime
    marked: bool = False

    @property
    def is_file(self) -> bool:
        """Not an envelope, but a file of one, which what is kept in `mail-dead` may still name."""
        return not self.name.endswith(".json")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of a message that was put. work: as it was put. message: names it until somebody has received it; opaque."""

    work: Work
    message: str


def delay(now: datetime, due: datetime | None) -> int:
    """Seconds that a message hides: until it is due, six days at the most."""
    if due is None or due <= now:
        return 0
    return math.ceil(min(due - now, FURTHEST).total_seconds())


def carrying(work: Work, mail: OutgoingMail) -> Work | None:
    """The message with its mail in it, or None when that is too large."""
    whole = msgspec.structs.replace(work, mail=msgspec.Raw(encode(mail)))
    text = msgspec.json.encode(whole).decode()
    # XML, in which messages are put, knows two characters not at all.
    fits = len(text) <= INLINE and "\ufffe" not in text and "\uffff" not in text
    return whole if fits and len(escape(text).encode()) <= INLINE else None


class Outbox:
    """Queues and two containers of Azure Storage, made on first use where they are missing (on a laptop only).

    queues, blobs: give Azure's asynchronous clients. They are asked for on first use: loading them takes time, and a
    mail that goes at once needs neither. Every method may raise azure.core's AzureError.
    """

    def __init__(self, queues: Callable[[], Any], blobs: Callable[[], Any]) -> None:
        self._queues = queues
        self._blobs = blobs

    @cached_property
    def _queue(self) -> Any:
        return self._queues().get_queue_client(WORK)

    @cached_property
    def _payloads(self) -> Any:
        return self._blobs().get_container_client(OWN)

    @cached_property
    def _dead(self) -> Any:
        return self._blobs().get_container_client(DEAD)

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        """Put a message, visible when due; with its mail when it does not carry one yet."""
        if mail is not None and not work.carries:
            work = await self._carrying(work, mail)
        put = await _send(self._queue, msgspec.json.encode(work).decode(), delay(now, due))
        return Receipt(work, _named(put))

    async def take_back(self, message: str) -> None:
        """Delete a message that was put. Raises ResourceNotFoundError where somebody has received it since."""
        await self._queue.delete_message(*message.split())

    async def show(self, message: str, now: datetime, due: datetime) -> str | None:
        """Make a message visible at another time. What names it from then on; None: somebody has received it."""
        try:
            return _named(await self._queue.update_message(*message.split(), visibility_timeout=delay(now, due)))
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if getattr(error, "error_code", None) != "PopReceiptMismatch":
                raise
            return None

    async def put_back(self, queue: str, content: bytes, after: timedelta = timedelta(0)) -> None:
        """Put a message into its queue again, as it came."""
        await _send(self._queues().get_queue_client(queue), content.decode(), int(after.total_seconds()))

    async def retry_later(self, message: ProducerMessage, after: timedelta) -> None:
        """Put a producer's message into `mail-work`, under the id and the time that it has from its first delivery."""
        if len(message.body) > BODY:
            # Nobody has to remove it: maintenance does, when it has long belonged to no mail.
            name = message_name(message.id)
            await self._upload(name, message.body)
            message = msgspec.structs.replace(message, body=b"", payload=name)
        await self.put_back(WORK, msgspec.json.encode(message), after)

    async def whole(self, message: ProducerMessage) -> ProducerMessage | None:
        """A producer's message with its body; None when its blob is gone."""
        if message.payload is None:
            return message
        body = await self._read(message.payload)
        return None if body is None else msgspec.structs.replace(message, body=body, payload=None)

    async def put_batch(self, batch: Batch, content: bytes | None = None, after: timedelta = timedelta(0)) -> None:
        """Put a batch into `mail-work`. content: its events, to be kept first; again, they are kept for longer."""
        if content is not None:
            await self._upload(batch.payload, content)
        await self.put_back(WORK, msgspec.json.encode(batch), after)

    async def content_of(self, batch: Batch) -> bytes | None:
        """The events of a batch; empty when it was finished, None when somebody has removed them."""
        return await self._read(batch.payload)

    async def finish(self, batch: Batch) -> None:
        """Forget the events of a batch, and remember that they are no longer needed: a late copy of it may come."""
        await self._upload(batch.payload, b"")

    async def mail_of(self, work: Work) -> OutgoingMail | None:
        """The mail that a message carries or names; None when its blob is gone."""
        content = bytes(work.mail) if work.payload is None else await self._read(work.payload)
        return decode(content) if content else None

    async def left_of(self, mail: str, fingerprint: str) -> OutgoingMail | None:
        """The mail of a mail whose message is lost; None where it was in that message, and is lost with it."""
        with suppress(ResourceNotFoundError):
            blobs = self._payloads.list_blobs(name_starts_with=envelopes(mail, fingerprint))
            found = [blob async for blob in blobs if blob.name.endswith(".json")]
            if found:
                content = await self._read(max(found, key=lambda blob: blob.last_modified).name)
                return None if content is None else decode(content)
        return None

    async def set_aside(self, row: Row, kept: Kept) -> None:
        """Keep what will not be sent, and beside it what its row is going to say."""
        what = {"kind": kept.kind, "reason": kept.reason, "queue": kept.queue, **facts(row)}
        await _made(
            self._dead.create_container,
            lambda: self._dead.upload_blob(row.id, kept.content, overwrite=True, metadata=what),
        )

    async def kept(self, mail: str) -> Kept | None:
        """What was set aside under this id."""
        try:
            async with reading():
                stream = await self._dead.download_blob(mail)
                metadata = stream.properties.metadata
                return Kept(metadata["kind"], metadata["reason"], await stream.readall(), metadata.get("queue", ""))
        except ResourceNotFoundError:
            return None

    async def forget(self, mail: str) -> None:
        """Keep it no longer."""
        with suppress(ResourceNotFoundError):
            await self._dead.delete_blob(mail)

    async def remove(self, work: Work) -> None:
        """Forget the mail's blobs, if it has any: the mail has ended."""
        if work.payload is not None:
            await self.remove_payload(work.payload)
        if work.files is not None:
            with suppress(ResourceNotFoundError):
                async for name in self._payloads.list_blob_names(name_starts_with=work.files):
                    await self.remove_payload(name)

    async def payloads_of(self, number: int) -> AsyncIterator[Payload]:
        """The mails' blobs in one of the 256 partitions."""
        with suppress(ResourceNotFoundError):
            async for blob in self._payloads.list_blobs(name_starts_with=f"{number:02x}/", include=["metadata"]):
                yield Payload(blob.name.split("/")[1], blob.name, blob.last_modified, MARK in (blob.metadata or {}))

    async def mark(self, name: str) -> None:
        """Mark a payload that seems to belong to nobody; its time counts anew from now."""
        with suppress(ResourceNotFoundError):
            await self._payloads.get_blob_client(name).set_blob_metadata({MARK: "1"})

    async def remove_payload(self, name: str) -> None:
        """Remove a blob by its name."""
        with suppress(ResourceNotFoundError):
            await self._payloads.delete_blob(name)

    async def _carrying(self, work: Work, mail: OutgoingMail) -> Work:
        """The message with its mail in it, or the name of the mail's blob; files of some size go to blobs first."""
        payload = payload_name(mail)
        mail, files = apart(mail, payload)
        for name, content in files.items():
            await self._upload(name, content)
        work = msgspec.structs.replace(work, files=files_of(mail))
        if (whole := carrying(work, mail)) is not None:
            return whole
        await self._upload(payload, encode(mail))
        return msgspec.structs.replace(work, payload=payload)

    async def _read(self, name: str) -> bytes | None:
        """A blob of `mail-payloads`; None when it is gone."""
        try:
            async with reading():
                stream = await self._payloads.download_blob(name)
                content: bytes = await stream.readall()
                return content
        except ResourceNotFoundError:
            return None

    async def _upload(self, name: str, content: bytes) -> None:
        # Overwriting what an earlier try of this call has put, and whose answer was lost.
        await _made(self._payloads.create_container, lambda: self._payloads.upload_blob(name, content, overwrite=True))


def _named(message: Any) -> str:
    """A queue message, by its id and its last pop receipt; neither has a space in it."""
    return f"{message.id} {message.pop_receipt}"


async def _send(queue: Any, text: str, seconds: int) -> Any:
    """Returns the azure.storage.queue.QueueMessage."""
    # Time to live -1: for ever. The default of seven days would lose mail.
    return await _made(
        queue.create_queue, lambda: queue.send_message(text, visibility_timeout=seconds, time_to_live=-1)
    )


async def _made[T](create: Callable[[], Awaitable[object]], use: Callable[[], Awaitable[T]]) -> T:
    """Use a queue or container; where it is missing, create it and use it again."""
    try:
        return await use()
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # another instance was faster
            await create()
        return await use()
