"""Mails that are too large for one request: by way of a draft, to which the files are added one by one.

    the draft     the message with as many of its attachments as fit into one request, in their order
    one by one    the other ones: in a request of their own if they fit into it, else by an upload session

Sources: https://learn.microsoft.com/graph/outlook-large-attachments, Exchange Online's limits (see limits.py).
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail

__all__ = [
    "MAX_FILES",
    "DraftPlan",
    "body_too_large",
    "check_sizes",
    "file_size",
    "in_one_request",
    "needs_draft",
    "plan_of",
]

# "150 MB", right under both readings: for one file, and for a mail, whose limit its administrator sets (default 35).
MAX_FILES: Final = 150_000_000
PERMISSION: Final = "Mail.ReadWrite"


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """first: the message as the draft is made. rest: its other attachments, in their order."""

    first: Message
    rest: tuple[Attachment, ...]

    @property
    def names(self) -> list[str]:
        """Of all attachments, in the order in which they get into the draft."""
        return [one.name for one in (*(self.first.attachments or ()), *self.rest)]


def file_size(file: FileAttachment | BlobAttachment) -> int:
    """Bytes of the file itself."""
    return len(file.content_bytes) if isinstance(file, FileAttachment) else file.size or 0


def needs_draft(mail: SendMail) -> bool:
    """Whether the mail, with its marker, does not fit into one request to sendMail."""
    return limits.size_with_marker(mail) > limits.MAX_REQUEST


def in_one_request(attachment: Attachment) -> bool:
    """Whether it can be added to a draft in one request."""
    return limits.json_size(attachment) <= limits.MAX_REQUEST


def plan_of(message: Message) -> DraftPlan:
    """How a message, marked, gets into a draft."""
    bare = msgspec.structs.replace(message, attachments=None)
    room = limits.MAX_REQUEST - limits.json_size(msgspec.structs.replace(message, attachments=()))
    first, rest = list[Attachment](), list[Attachment]()
    for one in message.attachments or ():
        size = limits.json_size(one) + (2 if first else 0)  # with what separates it from the one before
        if size <= room:
            first.append(one)
            room -= size
        else:
            rest.append(one)
    return DraftPlan(msgspec.structs.replace(bare, attachments=tuple(first) or None), tuple(rest))


def check_sizes(mail: SendMail, *, large: bool) -> None:
    """The limits on a mail that is to be sent by one request, or else, where `large` allows it, by draft.

    Raises Malformed, 413 RequestEntityTooLarge, with the JSON path of what is too large; 400 for a large mail that is
    not to be kept: a draft that is sent always is.
    """
    size = limits.size_with_marker(mail)
    if size <= limits.MAX_REQUEST:
        return
    if limits.size_with_marker(_bare(mail)) > limits.MAX_REQUEST:
        raise limits.too_large(size)  # not for its attachments
    if not large:
        raise _not_switched_on(size)
    total = 0
    for at, one in enumerate(mail.message.attachments or ()):
        path = f"$.message.attachments[{at}]"
        if isinstance(one, ItemAttachment):
            if not in_one_request(one):
                raise _too_large("An attached item", limits.json_size(one), limits.MAX_REQUEST, path)
            continue
        total += file_size(one)
        if total > MAX_FILES:
            raise _too_large("The mail up to this file", total, MAX_FILES, path)
    if not mail.save_to_sent_items:
        text = (
            f"Found a request of {size} bytes. A mail above {limits.MAX_REQUEST} is sent by way of a draft, which is "
            "always kept in Sent Items; expected true."
        )
        raise Malformed(400, "BadRequest", text, "$.saveToSentItems")


def body_too_large(size: int, most: int, *, large: bool) -> Malformed:
    """The refusal of a request over HTTP whose body has more than it may have."""
    if not large:
        return _not_switched_on(size)
    text = (
        f"Found a request of {size} bytes, expected {most} at most (MAIL_MAX_REQUEST_MB). Put larger files into a blob "
        'and attach them by reference: {"@odata.type": "#mailroom.blobAttachment", "name", "blob": "container/name"}.'
    )
    return Malformed(413, "RequestEntityTooLarge", text, "$")


def _bare(mail: SendMail) -> SendMail:
    return msgspec.structs.replace(mail, message=msgspec.structs.replace(mail.message, attachments=None))


def _not_switched_on(size: int) -> Malformed:
    text = (
        f"Found a request of {size} bytes; Graph takes {limits.MAX_REQUEST} at most, attachments in base64 included. "
        f"MAIL_LARGE_ATTACHMENTS=true lifts that; it needs the permission {PERMISSION} on the sender's mailbox."
    )
    return Malformed(413, "RequestEntityTooLarge", text, "$")


def _too_large(what: str, size: int, most: int, path: str) -> Malformed:
    return Malformed(413, "RequestEntityTooLarge", f"{what} has {size} bytes, expected {most} at most.", path)
