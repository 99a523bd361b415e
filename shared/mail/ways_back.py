"""The parts of a mail that lead to people besides its lists of recipients: headers and calendar content.

Headers that some programs read as recipients are refused, in JSON and in MIME. Headers that name recipients are removed
when a recipient is left out. When a mail is redirected to somebody else, only headers that are known to name nobody
stay, because an unknown one might lead back to the recipients. Invitations are removed too, because their answers go to
the organiser, whoever received them (RFC 5546, iTIP). Names of headers are in lower case.
"""

import base64
import re
from typing import Final

from shared.mail.attached_items import Event
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, Message

TAKEN_FOR_RECIPIENTS: Final = frozenset({"apparently-to", "x-receiver", "x-ms-exchange-organization-bcc"})
NAME_RECIPIENTS: Final = frozenset(
    {
        "delivered-to", "envelope-to", "original-recipient", "received", "x-delivered-to", "x-envelope-to",
        "x-forwarded-to", "x-original-recipient", "x-original-to", "x-rcpt-to", "x-to",
    }
)  # fmt: skip
# From and Sender are mailboxes that Mailroom may send as. To, Cc and Bcc are among these, since they are written anew.
NAME_NOBODY: Final = frozenset(
    {
        "from", "sender", "to", "cc", "bcc", "subject", "date",
        "message-id", "in-reply-to", "references", "thread-index", "thread-topic",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "content-description", "content-language",
        "importance", "priority", "x-priority", "x-msmail-priority", "sensitivity", "precedence",
        "auto-submitted", "x-auto-response-suppress", "user-agent", "x-mailer",
        "x-mailroom-event",
    }
)  # fmt: skip

TNEF: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})  # Outlook's own form of an invitation
TYPES: Final = TNEF | {
    "text/calendar",
    "text/x-calendar",
    "text/icalendar",
    "text/ical",
    "text/x-ical",
    "text/vcalendar",
    "text/x-vcalendar",
    "application/calendar",
    "application/calendar+json",
    "application/calendar+xml",
    "application/icalendar",
    "application/ical",
    "application/x-ical",
    "application/ics",
    "application/x-ics",
}
_MESSAGES: Final = "message/"
# Windows drops dots and blanks at the end of a name.
_FILE: Final = re.compile(r"(?:\.(?:ics|ical|icalendar|ifb|vcs|vcal)|\Awinmail\.dat)[.\s]*\Z", re.IGNORECASE)
_MESSAGE_FILE: Final = re.compile(r"\.(?:eml|mht|mhtml)[.\s]*\Z", re.IGNORECASE)
_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}begin:vcalendar", re.IGNORECASE)
_CLASS: Final = re.compile(r" (?:id )?0x0*1a\s*\Z", re.IGNORECASE)  # PidTagMessageClass, in any namespace
# Signs of calendar content in a message that is a file, in lower case; and how such content begins in base64, where it
# is the first thing that is encoded.
_SIGNS: Final = (
    b"text/calendar",
    b"text/x-vcalendar",
    b"application/ics",
    b"begin:vcalendar",
    b"ms-tnef",
    b"winmail.dat",
)
_FILE_SIGN: Final = re.compile(rb"\.(?:ics|vcs)\b")  # in lower case: to ignore case is slow
_PACKED: Final = base64.b64encode(b"BEGIN:VCALENDAR")


def is_calendar(content_type: str, name: str, content: bytes = b"") -> bool:
    """Whether some program takes a part for calendar content: by its type, its file name, or how its content begins.

    So is a message that is a file and holds any, as far as that shows without decoding its parts.
    """
    media_type = _media_type(content_type)
    if media_type in TYPES or _FILE.search(name) is not None or _BEGIN.match(content, 0, 100) is not None:
        return True
    return is_message(content_type, name) and _holds_calendar(content)


def is_message(content_type: str, name: str) -> bool:
    """Whether a part is a whole message, by its type or its file name."""
    return _media_type(content_type).startswith(_MESSAGES) or _MESSAGE_FILE.search(name) is not None


def invites(attachment: Attachment) -> bool:
    """Whether an attachment of a JSON mail is calendar content, or an item with some. A blob is told by its name."""
    match attachment:
        case FileAttachment():
            return is_calendar(attachment.content_type or "", attachment.name, attachment.content_bytes)
        case BlobAttachment():
            return is_calendar(attachment.content_type or "", attachment.name) or is_calendar("", attachment.blob)
        case _:
            item = attachment.item
            if isinstance(item, Message):
                # A message class may make it a meeting request.
                has_class = any(_CLASS.search(one.id) for one in item.single_value_extended_properties or ())
                return has_class or any(map(invites, item.attachments or ()))
            return isinstance(item, Event)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].partition("(")[0].strip().lower()


def _holds_calendar(message: bytes) -> bool:
    if _PACKED in message:
        return True
    lower = message.lower()
    return any(sign in lower for sign in _SIGNS) or _FILE_SIGN.search(lower) is not None
