"""How a mail lies in `mail-payloads`: an envelope, the mail as JSON, and its larger files beside it, each as it is.

    {partition}/{id}/{fingerprint}/{token}.json     the envelope; left out where the mail fits into a queue message
    {partition}/{id}/{fingerprint}/{token}/{n}      the file of attachment n
    {partition}/{id}/events                         no mail yet: the events of a batch; empty when each has its mails
    {partition}/{id}/message.json                   no mail yet: a producer's message, as it came

So a file can be read piece by piece when it is sent. The token is new for each message that is put first; those put
again from it share it: a late message of a mail that had ended cannot take the mail of its replay, nor a request with
the same key and another body that of the first.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError, ServiceResponseTimeoutError

from shared.delivery.record import partition
from shared.event_loop import within
from shared.mail.addresses import split_blob
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, Message
from shared.mail.outgoing import OutgoingMail
from shared.storage.table_identity import OWN

READ_TIMEOUT: Final = 60.0  # seconds to read a blob, or a part of one, tries included
LARGE: Final = 256 * 1024  # bytes of a file that gets a blob of its own


@dataclass(frozen=True, slots=True)
class Found:
    """A blob as it is now. size in bytes."""

    size: int
    etag: str


class FileGone(Exception):  # noqa: N818 - what has become of it, not a fault of ours
    """A file is not what it was when its mail came in.

    code: AttachmentChanged, it was changed or deleted by its owner; PayloadMissing, it was Mailroom's own.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"{code}: an attached file is no longer what it was when the mail was accepted.")
        self.code = code


@asynccontextmanager
async def reading() -> AsyncIterator[None]:
    """An end to what is read as a stream. Raises ServiceResponseTimeoutError, an AzureError."""
    try:
        async with within(READ_TIMEOUT):
            yield
    except TimeoutError as error:
        raise ServiceResponseTimeoutError(f"not read within {READ_TIMEOUT:g} seconds") from error


class Files:
    """Every method may raise azure.core's AzureError.

    blobs: gives the azure.storage.blob.aio.BlobServiceClient when it is needed.
    """

    def __init__(self, blobs: Callable[[], Any]) -> None:
        self._blobs = blobs

    async def read(self, file: BlobAttachment, start: int, length: int) -> bytes:
        """So many bytes from there, all of them. Raises FileGone."""
        container, name = split_blob(file.blob)
        if file.size is None or (file.etag is None and container != OWN):
            raise FileGone("AttachmentChanged")  # it was not there when the mail came in
        if not length:
            return b""
        resolved = {} if file.etag is None else {"etag": file.etag, "match_condition": MatchConditions.IfNotModified}
        try:
            blob = self._blobs().get_blob_client(container, name)
            async with reading():
                content: bytes = await (await blob.download_blob(offset=start, length=length, **resolved)).readall()
        except ResourceNotFoundError:
            raise FileGone("PayloadMissing" if container == OWN else "AttachmentChanged") from None
        except ResourceModifiedError:
            raise FileGone("AttachmentChanged") from None
        if len(content) != length:
            raise FileGone("AttachmentChanged")
        return content

    async def find(self, container: str, name: str) -> Found | None:
        """Size and ETag of a blob. None: there is none."""
        try:
            found = await self._blobs().get_blob_client(container, name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return Found(found.size, found.etag)


async def filled(message: Message, files: Files) -> Message:
    """The message with every file in it. Raises FileGone, AzureError."""
    if not any(isinstance(one, BlobAttachment) for one in message.attachments or ()):
        return message
    whole = [
        one.filled(await files.read(one, 0, one.size or 0)) if isinstance(one, BlobAttachment) else one
        for one in message.attachments or ()
    ]
    return msgspec.structs.replace(message, attachments=tuple(whole))


def payload_name(mail: OutgoingMail) -> str:
    """A new envelope for a mail."""
    return f"{envelopes(mail.id, mail.fingerprint)}{secrets.token_hex(8)}.json"


def envelopes(mail: str, fingerprint: str) -> str:
    """Where all envelopes of a mail lie."""
    return f"{partition(mail)}/{mail}/{fingerprint}/"


def message_name(mail: str) -> str:
    """Where a producer's message lies that does not fit into one of ours. The same each time: so is what it holds."""
    return f"{partition(mail)}/{mail}/message.json"


def batch_name(batch: str) -> str:
    """Where the events of a batch lie."""
    return f"{partition(batch)}/{batch}/events"


def folder(payload: str) -> str:
    """Where the files of an envelope lie."""
    return payload.removesuffix(".json") + "/"


def apart(mail: OutgoingMail, payload: str) -> tuple[OutgoingMail, dict[str, bytes]]:
    """The mail with its larger files in blobs, and what these are to hold, by name."""
    files = dict[str, bytes]()

    def moved(at: int, one: Attachment) -> Attachment:
        if not isinstance(one, FileAttachment) or len(one.content_bytes) <= LARGE:
            return one
        name = f"{folder(payload)}{at}"
        files[name] = one.content_bytes
        return BlobAttachment(
            name=one.name,
            blob=f"{OWN}/{name}",
            content_type=one.content_type,
            is_inline=one.is_inline,
            content_id=one.content_id,
            size=len(one.content_bytes),
        )

    attachments = tuple(moved(at, one) for at, one in enumerate(mail.request.message.attachments or ()))
    if not files:
        return mail, files
    message = msgspec.structs.replace(mail.request.message, attachments=attachments)
    return replace(mail, request=msgspec.structs.replace(mail.request, message=message)), files


def files_of(mail: OutgoingMail) -> str | None:
    """Where a mail's own files lie, if it has any: one folder, since they were put there together."""
    for one in mail.request.message.attachments or ():
        if isinstance(one, BlobAttachment) and one.blob.startswith(f"{OWN}/"):
            return one.blob.removeprefix(f"{OWN}/").rpartition("/")[0] + "/"
    return None
