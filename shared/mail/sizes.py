"""Computes the size of a mail as Graph gets it, and whether it fits into one request or must be sent as a draft.

    first         the draft: the message with as many of its attachments as fit into one request, in their order
    then          the other attachments: each in a request of its own if it fits, otherwise in an upload session

Source: https://learn.microsoft.com/graph/outlook-large-attachments.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec

from shared.mail.limits import MAX_REQUEST
from shared.mail.marker import with_marker
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.outgoing import OutgoingMail

_encode: Final = msgspec.json.Encoder().encode
MARKER_ROOM: Final = 1_000  # bytes of a request that the marker and the marks of a thread may need
_ANY_ID: Final = "0" * 32
_FEW: Final = 64 * 1024  # bytes of files, which are encoded to measure them
_LONGEST_ESCAPE: Final = len("\\u007f")  # of a character that has one byte in UTF-8
_PERSON: Final = 100  # bytes, about
_ITEM: Final = 64 * 1024  # an attached message, event or contact: it may hold anything


def json_size(value: Message | Attachment) -> int:
    """Bytes of a message or of an attachment, exactly as the SDK writes it: Python's json, with its blanks, in ASCII.

    No file is encoded for it. One in a blob counts with the size that was found there.
    """
    files = 0

    def plain(part: Any) -> str:
        nonlocal files
        if isinstance(part, bytes):
            files += base64_size(len(part))
            return ""
        return str(part.isoformat())

    def written(part: Message | Attachment) -> int:
        tree = msgspec.to_builtins(part, builtin_types=(bytes, date, datetime))
        return len(json.dumps(tree, default=plain))

    match value:
        case Message(attachments=[*attachments]):
            size = written(msgspec.structs.replace(value, attachments=()))  # with its `[]`
            return size + sum(map(json_size, attachments)) + 2 * max(0, len(attachments) - 1)
        case BlobAttachment():
            return written(value.filled(b"")) + base64_size(value.size or 0)
    return written(value) + files


def base64_size(size: int) -> int:
    return (size + 2) // 3 * 4


def request_size(mail: SendMail) -> int:
    """Bytes of the request to sendMail."""
    around = len('{"Message": , "SaveToSentItems": }') + len(json.dumps(mail.save_to_sent_items))
    return around + json_size(mail.message)


def size_with_marker(mail: SendMail) -> int:
    """Bytes of the request once the mail has its marker."""
    return request_size(msgspec.structs.replace(mail, message=with_marker(mail.message, _ANY_ID)))


def needs_draft(mail: SendMail) -> bool:
    """Whether the mail, with its marker, does not fit into one request to sendMail."""
    attachments = mail.message.attachments or ()
    files = sum(file_size(one) for one in attachments if not isinstance(one, ItemAttachment))
    # Nearly every mail is far smaller than that, and to measure it exactly takes ten times as long.
    if files <= _FEW and at_most(mail.message) + 2 * files + MARKER_ROOM <= MAX_REQUEST:
        return False
    return size_with_marker(mail) > MAX_REQUEST


def at_most(value: Message | Attachment) -> int:
    """An upper bound of json_size, without files in blobs."""
    return _LONGEST_ESCAPE * len(_encode(value))


def in_one_request(attachment: Attachment) -> bool:
    """Whether an attachment can be added to a draft in one request."""
    return json_size(attachment) <= MAX_REQUEST


def file_size(file: FileAttachment | BlobAttachment) -> int:
    return len(file.content_bytes) if isinstance(file, FileAttachment) else file.size or 0


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """first: the message with which the draft is made. rest: its other attachments, in their order."""

    first: Message
    rest: tuple[Attachment, ...]

    @property
    def names(self) -> list[str]:
        """The names of all attachments, in the order in which they are added to the draft."""
        return [one.name for one in (*(self.first.attachments or ()), *self.rest)]


def plan_of(message: Message) -> DraftPlan:
    """Plan how a message, with its marker, is put into a draft."""
    room = MAX_REQUEST - json_size(msgspec.structs.replace(message, attachments=()))
    first, rest = list[Attachment](), list[Attachment]()
    for one in message.attachments or ():
        size = json_size(one) + (2 if first else 0)  # with what separates it from the one before
        if size <= room:
            first.append(one)
            room -= size
        else:
            rest.append(one)
    return DraftPlan(msgspec.structs.replace(message, attachments=tuple(first) or None), tuple(rest))


def weight(mail: OutgoingMail) -> int:
    """The approximate size of a mail in bytes, including files in blobs; computed without writing the mail."""
    if mail.mime is not None:
        return len(mail.mime)
    message = mail.request.message
    size = len(message.body.content or "") if message.body is not None else 0
    size += _PERSON * len(message.recipients)
    for one in message.attachments or ():
        size += _ITEM if isinstance(one, ItemAttachment) else file_size(one)
    for prop in message.single_value_extended_properties or ():
        size += len(prop.value)
    return size + _ITEM * len(message.multi_value_extended_properties or ())
