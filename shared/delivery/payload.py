"""How a letter lies in `mail-payloads`: an envelope, the letter as JSON, and its larger files beside it, each as it is.

    {partition}/{id}/{fingerprint}/{token}.json     the envelope; left out where the letter fits into a queue message
    {partition}/{id}/{fingerprint}/{token}/{n}      the file of attachment n
    {partition}/{id}/events                         no letter yet: the events of a batch; empty when each has its mails
    {partition}/{id}/message.json                   no letter yet: a producer's message, as it came

So a file can be read piece by piece when it is sent. The token is new for each message that is put first; those put
again from it share it: a late message of a mail that had ended cannot take the letter of its replay, nor a request with
the same key and another body that of the first.
"""

import secrets
from dataclasses import replace
from typing import Final

import msgspec

from shared.delivery.files import OWN
from shared.delivery.partitions import partition
from shared.mail.model import Attachment, BlobAttachment, FileAttachment
from shared.mail.outgoing import Letter

__all__ = ["apart", "batch_name", "envelopes", "files_of", "folder", "message_name", "payload_name"]

LARGE: Final = 256 * 1024  # bytes of a file that gets a blob of its own


def payload_name(letter: Letter) -> str:
    """A new envelope for a letter."""
    return f"{envelopes(letter.id, letter.fingerprint)}{secrets.token_hex(8)}.json"


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


def apart(letter: Letter, payload: str) -> tuple[Letter, dict[str, bytes]]:
    """The letter with its larger files in blobs, and what these are to hold, by name."""
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

    attachments = tuple(moved(at, one) for at, one in enumerate(letter.mail.message.attachments or ()))
    if not files:
        return letter, files
    message = msgspec.structs.replace(letter.mail.message, attachments=attachments)
    return replace(letter, mail=msgspec.structs.replace(letter.mail, message=message)), files


def files_of(letter: Letter) -> str | None:
    """Where a letter's own files lie, if it has any: one folder, since they were put there together."""
    for one in letter.mail.message.attachments or ():
        if isinstance(one, BlobAttachment) and one.blob.startswith(f"{OWN}/"):
            return one.blob.removeprefix(f"{OWN}/").rpartition("/")[0] + "/"
    return None
