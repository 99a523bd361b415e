"""The outbox: where a mail is durable before anyone is told "accepted".

A wake-up is a message in `mail-work`. Where the letter does not fit into one it goes to a blob first and the message
names it (claim check). What ends other than sent is kept in `mail-dead`, so that an operator can look and replay.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from xml.sax.saxutils import escape

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.delivery.work import Work
from shared.letters.letter import Letter, decode, encode

__all__ = ["DEAD", "PAYLOADS", "QUEUE", "MemoryOutbox", "Outbox", "StorageOutbox"]

QUEUE: Final = "mail-work"
PAYLOADS: Final = "mail-payloads"
DEAD: Final = "mail-dead"
INLINE: Final = 48 * 1024  # of the 64 KiB of a queue message, as it is sent: in XML, in UTF-8
FURTHEST: Final = timedelta(days=6)  # a message may hide for less than 7 days; what is due later is put again


class Outbox(Protocol):
    """Where wake-ups and letters are kept. Every method may raise azure.core's AzureError."""

    def put(
        self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None
    ) -> Awaitable[Work]:
        """Put a message, visible when due; with its letter when it does not carry one yet. Returns it as it was put."""
        ...

    def letter_of(self, work: Work) -> Awaitable[Letter | None]:
        """The letter that a message carries or names; None when its blob is gone."""
        ...

    def set_aside(self, mail: str, kind: str, reason: str, content: bytes) -> Awaitable[None]:
        """Keep what will not be sent. kind: "mail" for a letter, "message" for a producer's bytes as they came."""
        ...

    def remove(self, work: Work) -> Awaitable[None]:
        """Forget the letter's blob, if it has one: the mail has ended."""
        ...


def delay(now: datetime, due: datetime | None) -> int:
    """Seconds that a message hides: until it is due, six days at the most."""
    if due is None or due <= now:
        return 0
    return int(min(due - now, FURTHEST).total_seconds() + 0.999)


def carrying(work: Work, letter: Letter) -> Work | None:
    """The message with its letter in it, or None when that is too large."""
    whole = msgspec.structs.replace(work, letter=msgspec.Raw(encode(letter)))
    text = msgspec.json.encode(whole).decode()
    return whole if len(text) <= INLINE and len(escape(text).encode()) <= INLINE else None


class StorageOutbox:
    """Azure Storage: the queue `mail-work` and two containers.

    queue: azure.storage.queue.aio.QueueClient. payloads, dead: azure.storage.blob.aio.ContainerClient. Both are
    created on their first use where they are missing, which they are on a laptop only.
    """

    def __init__(self, queue: Any, payloads: Any, dead: Any) -> None:
        self._queue = queue
        self._payloads = payloads
        self._dead = dead

    async def put(self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None) -> Work:
        if letter is not None and work.letter is None and work.payload is None:
            whole = carrying(work, letter)
            work = whole or msgspec.structs.replace(work, payload=await self._write_payload(letter))
        text = msgspec.json.encode(work).decode()
        # Time to live -1: for ever. The default of seven days would lose mail.
        await _made(
            self._queue.create_queue,
            lambda: self._queue.send_message(text, visibility_timeout=delay(now, due), time_to_live=-1),
        )
        return work

    async def letter_of(self, work: Work) -> Letter | None:
        if work.payload is None:
            return work.inline()
        try:
            stream = await self._payloads.download_blob(work.payload)
            return decode(await stream.readall())
        except ResourceNotFoundError:
            return None

    async def set_aside(self, mail: str, kind: str, reason: str, content: bytes) -> None:
        metadata = {"kind": kind, "reason": reason}
        await _made(
            self._dead.create_container,
            lambda: self._dead.upload_blob(mail, content, overwrite=True, metadata=metadata),
        )

    async def remove(self, work: Work) -> None:
        if work.payload is None:
            return
        with suppress(ResourceNotFoundError):
            await self._payloads.delete_blob(work.payload)

    async def _write_payload(self, letter: Letter) -> str:
        # The fingerprint is in the name: the same key with another body cannot touch the first one's payload.
        name = f"{letter.id}/{letter.fingerprint}/letter.json"
        with suppress(ResourceExistsError):  # put before, by an attempt that died
            await _made(
                self._payloads.create_container,
                lambda: self._payloads.upload_blob(name, encode(letter), overwrite=False),
            )
        return name


async def _made(create: Callable[[], Awaitable[object]], use: Callable[[], Awaitable[object]]) -> None:
    """Use a queue or container; where it is missing, create it and use it again."""
    try:
        await use()
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):  # another instance was faster
            await create()
        await use()


class MemoryOutbox:
    """The same in memory, for tests: `messages` holds (due, message)."""

    def __init__(self) -> None:
        self.messages: list[tuple[datetime, Work]] = []
        self.payloads: dict[str, bytes] = {}
        self.dead: dict[str, tuple[str, str, bytes]] = {}

    async def put(self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None) -> Work:
        if letter is not None and work.letter is None and work.payload is None:
            whole = carrying(work, letter)
            if whole is None:
                name = f"{letter.id}/{letter.fingerprint}/letter.json"
                self.payloads.setdefault(name, encode(letter))
                whole = msgspec.structs.replace(work, payload=name)
            work = whole
        self.messages.append((now + timedelta(seconds=delay(now, due)), work))
        return work

    async def letter_of(self, work: Work) -> Letter | None:
        if work.payload is None:
            return work.inline()
        content = self.payloads.get(work.payload)
        return decode(content) if content is not None else None

    async def set_aside(self, mail: str, kind: str, reason: str, content: bytes) -> None:
        self.dead[mail] = (kind, reason, content)

    async def remove(self, work: Work) -> None:
        if work.payload is not None:
            self.payloads.pop(work.payload, None)
