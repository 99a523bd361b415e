"""Calendar content in a mail: an invitation is answered to its organiser, whoever got it (RFC 5546, iTIP)."""

import re
from typing import Final

from shared.letters.wire import Attachment, BlobAttachment, Event, FileAttachment, Message

__all__ = ["invites", "is_calendar"]

TYPES: Final = frozenset(
    {
        "text/calendar",
        "text/x-calendar",
        "text/vcalendar",
        "text/x-vcalendar",
        "application/ics",
        "application/calendar",
    }
)
_FILE: Final = re.compile(r"\.(?:ics|ical|icalendar|ifb|vcs|vcal)\s*\Z", re.IGNORECASE)
_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}begin:vcalendar", re.IGNORECASE)


def is_calendar(content_type: str, name: str, content: bytes = b"") -> bool:
    """Whether some program takes a part for a calendar's: by its type, its file name, or how its content begins."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in TYPES or _FILE.search(name) is not None or _BEGIN.match(content, 0, 100) is not None


def invites(attachment: Attachment) -> bool:
    """Whether an attachment of a JSON mail is calendar content, or an item that holds some. Of a blob its name says."""
    match attachment:
        case FileAttachment():
            return is_calendar(attachment.content_type or "", attachment.name, attachment.content_bytes[:100])
        case BlobAttachment():
            return is_calendar(attachment.content_type or "", attachment.name) or is_calendar("", attachment.blob)
        case _:
            item = attachment.item
            return isinstance(item, Event) or (isinstance(item, Message) and any(map(invites, item.attachments or ())))
