"""Mailroom's mark on a mail: how the sent copy is found again, by extended property, when an outcome is unknown.

The extended property is what is searched for; the header is for people who read a mail's source. Callers may set
neither: parse.py refuses both. The GUID is Mailroom's own and never changes: with a new one, mail on its way would not
be found. A mail that came as MIME has no extended property: its Message-ID is what is searched for.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import msgspec

from shared.mail.graph_types import LONGEST_ID, InternetMessageHeader, SingleValueLegacyExtendedProperty
from shared.mail.model import Message
from shared.mail.names import MARKER_GUID

__all__ = [
    "MARKER_GUID",
    "MARKER_PROPERTY",
    "MAX_HEADERS",
    "STAMP_HEADER",
    "STAMP_NAME",
    "forged",
    "message_id",
    "with_marker",
]

STAMP_NAME: Final = "MailroomId"
MARKER_PROPERTY: Final = f"String {{{MARKER_GUID}}} Name {STAMP_NAME}"
STAMP_HEADER: Final = "x-mailroom-id"
# Graph takes this many internetMessageHeaders: https://learn.microsoft.com/graph/api/resources/internetmessageheader
MAX_HEADERS: Final = 5

NO_DOMAIN: Final = "mailroom.invalid"  # for ids of mails whose mailbox has no address; never a host (RFC 6761)
RESERVED_HEADERS: Final = "x-mailroom-"
_OWN_NAME: Final = f"name{STAMP_NAME}".casefold()
_PLAIN_DOMAIN: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
)
_BLANK: Final = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")


def with_marker(message: Message, mail_id: str) -> Message:
    """The message with the mail's id on it. The header is left out where the sender has used up all that Graph takes.

    mail_id: 32 hex digits. The message must not be marked yet.
    """
    mark = SingleValueLegacyExtendedProperty(id=MARKER_PROPERTY, value=mail_id)
    headers = message.internet_message_headers or ()
    if len(headers) < MAX_HEADERS:
        headers = (*headers, InternetMessageHeader(name=STAMP_HEADER, value=mail_id))
    return msgspec.structs.replace(
        message,
        single_value_extended_properties=(*(message.single_value_extended_properties or ()), mark),
        internet_message_headers=headers,
    )


def message_id(mail_id: str, mailbox: str) -> str:
    """The Message-ID of a mail of MIME that goes from this mailbox, by which it is found again.

    mail_id: 32 hex digits. mailbox: an address or an object id.
    """
    domain = mailbox.rpartition("@")[2].lower() if "@" in mailbox else ""
    return f"<{mail_id}@{domain if _PLAIN_DOMAIN.fullmatch(domain) else NO_DOMAIN}>"


def forged(*, header: str = "", property_id: str = "") -> bool:
    """Whether this header name, or this id of an extended property, is Mailroom's own.

    A property of that name is refused under every GUID and in any case and spacing: Graph's readings of an id are not
    documented to the mail. Marks count for nothing either.
    """
    if len(property_id) > LONGEST_ID:
        return True  # no property of anyone's; nothing else looks at it
    return header.lower().startswith(RESERVED_HEADERS) or _ending(property_id).endswith(_OWN_NAME)


def _ending(text: str) -> str:
    """As much of its end, as it is compared, as Mailroom's own name has.

    Each sign by itself: to bring a run of marks into its normal order takes the square of its length.
    """
    found = ""
    for sign in reversed(text):
        if len(found) >= len(_OWN_NAME):
            break
        found = _plain(sign) + found
    return found


@lru_cache(maxsize=4096)
def _plain(sign: str) -> str:
    signs = (one for one in unicodedata.normalize("NFKC", sign) if not unicodedata.combining(one))
    return _BLANK.sub("", "".join(signs)).casefold()
