"""How large a mail is as Graph gets it, and whether it fits into one request or has to go by way of a draft.

    the draft     the message with as many of its attachments as fit into one request, in their order
    one by one    the other attachments: each in a request of its own if it fits, else by an upload session

Sources: https://learn.microsoft.com/graph/outlook-large-attachments, and those of limits.py.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import msgspec

from shared.errors import Malformed
from shared.mail.limits import MAX_FILES, MAX_REQUEST, too_large
from shared.mail.marker import with_marker
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.outgoing import OutgoingMail
from shared.mail.threading import threaded

_ANY_ID: Final = "0" * 32
_PERSON: Final = 100  # bytes, about
_ITEM: Final = 64 * 1024  # an attached message, event or contact: it may hold anything


def json_size(value: Any) -> int:
    """Bytes of a message or of a part of it, exactly as the SDK writes it: Python's json, with its blanks, in ASCII.

    No file is encoded for it. One in a blob counts with the size that was found there.
    """
    match value:
        case BlobAttachment():
            return json_size(value.filled(b"")) + _base64_size(value.size or 0)
        case msgspec.Struct():
            tag = value.__struct_config__.tag
            sizes = [] if tag is None else [len(f'"@odata.type": "{tag}"')]
            for attribute, name in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
                there = getattr(value, attribute)
                if there is not None:
                    sizes.append(len(name) + 4 + json_size(there))
            return _enclosed(sizes)
        case tuple():
            return _enclosed([json_size(item) for item in value])
        case str():  # an enumeration's too
            return len(encode_basestring_ascii(value))
        case bytes():
            return 2 + _base64_size(len(value))
        case date():  # a datetime too
            return 2 + len(value.isoformat())
        case bool() | int() | float():
            return len(json.dumps(value))
    raise TypeError(f"no size for a {type(value).__name__}")


def _base64_size(size: int) -> int:
    return (size + 2) // 3 * 4


def _enclosed(sizes: list[int]) -> int:
    return 2 + sum(sizes) + 2 * max(0, len(sizes) - 1)


def request_size(mail: SendMail) -> int:
    """Bytes of the request to sendMail."""
    return len('{"Message": , "SaveToSentItems": }') + json_size(mail.message) + json_size(mail.save_to_sent_items)


def size_with_marker(mail: SendMail) -> int:
    """Bytes of the request once the mail has its marker."""
    return request_size(msgspec.structs.replace(mail, message=with_marker(mail.message, _ANY_ID)))


def needs_draft(mail: SendMail) -> bool:
    """Whether the mail, with its marker, does not fit into one request to sendMail."""
    return size_with_marker(mail) > MAX_REQUEST


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
        """Of all attachments, in the order in which they get into the draft."""
        return [one.name for one in (*(self.first.attachments or ()), *self.rest)]


def plan_of(message: Message) -> DraftPlan:
    """How a message, with its marker, gets into a draft."""
    room = MAX_REQUEST - json_size(msgspec.structs.replace(message, attachments=()))
    first, rest = list[Attachment](), list[Attachment]()
    for one in message.attachments or ():
        size = json_size(one) + (2 if first else 0)  # with what separates it from the one before
        if size <= room:
            first.append(one)
            room -= size
        else:
            rest.append(one)
    return DraftPlan(_with_attachments(message, first), tuple(rest))


def check_size(mail: OutgoingMail, *, large: bool) -> None:
    """Check the size of a mail as it will be sent. large: whether it may go by way of a draft.

    Raises Malformed, 413 RequestEntityTooLarge, with the JSON path of what is too large; 400 for a large mail that is
    not to be kept: one that is sent from a draft always is.
    """
    if mail.mime is None:
        _check_json(threaded(mail), large=large)
        return
    from shared.mime.write import as_sent  # few mails need the readers of Python's email

    size = _base64_size(len(as_sent(mail, mail.sender)))
    if size > MAX_REQUEST:
        text = (
            f"Found {size} bytes of MIME in base64; Graph takes {MAX_REQUEST} at most. MIME cannot go by a "
            "draft: send larger files as attachments of a JSON message."
        )
        raise Malformed(413, "RequestEntityTooLarge", text, "$")


def _check_json(mail: SendMail, *, large: bool) -> None:
    size = size_with_marker(mail)
    if size <= MAX_REQUEST:
        return
    if needs_draft(msgspec.structs.replace(mail, message=_with_attachments(mail.message, ()))):
        raise too_large(size)  # whatever its attachments
    if not large:
        raise _drafts_are_off(size)
    total = 0
    for at, one in enumerate(mail.message.attachments or ()):
        path = f"$.message.attachments[{at}]"
        if isinstance(one, ItemAttachment):
            if not in_one_request(one):
                raise _part_too_large("An attached item", json_size(one), MAX_REQUEST, path)
            continue
        total += file_size(one)
        if total > MAX_FILES:
            raise _part_too_large("The mail up to this file", total, MAX_FILES, path)
    if not mail.save_to_sent_items:
        text = (
            f"Found a request of {size} bytes. A mail above {MAX_REQUEST} is sent by way of a draft, which is "
            "always kept in Sent Items; expected true."
        )
        raise Malformed(400, "BadRequest", text, "$.saveToSentItems")


def _with_attachments(message: Message, attachments: Iterable[Attachment]) -> Message:
    return msgspec.structs.replace(message, attachments=tuple(attachments) or None)


def body_too_large(size: int, most: int, *, large: bool) -> Malformed:
    """The refusal of an HTTP request whose body has more bytes than it may have."""
    if not large:
        return _drafts_are_off(size)
    text = (
        f"Found a request of {size} bytes, expected {most} at most (MAIL_MAX_REQUEST_MB). Put larger files into a blob "
        'and attach them by reference: {"@odata.type": "#mailroom.blobAttachment", "name", "blob": "container/name"}.'
    )
    return Malformed(413, "RequestEntityTooLarge", text, "$")


def _drafts_are_off(size: int) -> Malformed:
    text = (
        f"Found a request of {size} bytes; Graph takes {MAX_REQUEST} at most, attachments in base64 included. "
        "MAIL_LARGE_ATTACHMENTS=true lifts that; it needs the permission Mail.ReadWrite on the sender's mailbox."
    )
    return Malformed(413, "RequestEntityTooLarge", text, "$")


def _part_too_large(what: str, size: int, most: int, path: str) -> Malformed:
    return Malformed(413, "RequestEntityTooLarge", f"{what} has {size} bytes, expected {most} at most.", path)


def weight(mail: OutgoingMail) -> int:
    """Bytes of a mail, about, with the files in blobs; found without writing it."""
    if mail.mime is not None:
        return len(mail.mime)
    message = mail.request.message
    size = len(message.body.content or "") if message.body is not None else 0
    for group in (message.to_recipients, message.cc_recipients, message.bcc_recipients):
        size += _PERSON * len(group or ())
    for one in message.attachments or ():
        size += _ITEM if isinstance(one, ItemAttachment) else file_size(one)
    for prop in message.single_value_extended_properties or ():
        size += len(prop.value)
    return size + _ITEM * len(message.multi_value_extended_properties or ())
