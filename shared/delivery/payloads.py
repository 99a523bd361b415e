"""The layout of `mail-payloads`: each mail has an envelope in JSON, and each of its larger files a blob of its own.

    {partition}/{id}/{fingerprint}/{token}.json     the envelope; left out where the mail fits into a queue message
    {partition}/{id}/{fingerprint}/{token}/{n}      the file of attachment n
    {partition}/{id}/events                         no mail yet: the events of a batch; empty when each has its mails
    {partition}/{id}/message.json                   no mail yet: a producer's message, as it came

So a file can be read piece by piece while it is sent. The token is new for each first message of a mail; messages that
are put again keep it. Therefore a late message of a mail that has ended cannot remove the payload of the mail's replay,
and a request with the same key and another body cannot remove the payload of the first request.
"""

import secrets
from dataclasses import replace
from typing import Final

import msgspec

from shared.delivery.ledger import partition
from shared.mail.model import Attachment, BlobAttachment, FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.storage.table_identity import OWN

LARGE: Final = 256 * 1024  # bytes of a file that gets a blob of its own


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
