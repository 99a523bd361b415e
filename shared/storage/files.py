"""Reads files from blobs: whole, or piece by piece while a mail is sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError, ServiceResponseTimeoutError

from shared.event_loop import within
from shared.mail.addresses import split_blob
from shared.mail.model import BlobAttachment, Message
from shared.storage.table_identity import OWN

READ_TIMEOUT: Final = 60.0  # seconds to read a blob, or a part of one, tries included


@dataclass(frozen=True, slots=True)
class FoundBlob:
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

    async def find(self, container: str, name: str) -> FoundBlob | None:
        """Size and ETag of a blob. None: there is none."""
        try:
            found = await self._blobs().get_blob_client(container, name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return FoundBlob(found.size, found.etag)


async def filled(message: Message, files: Files) -> Message:
    """The message with every file in it. Raises FileGone, AzureError."""
    if not any(isinstance(one, BlobAttachment) for one in message.attachments or ()):
        return message
    whole = [
        one.filled(await files.read(one, 0, one.size or 0)) if isinstance(one, BlobAttachment) else one
        for one in message.attachments or ()
    ]
    return msgspec.structs.replace(message, attachments=tuple(whole))
