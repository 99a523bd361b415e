"""Mailroom's marker on a mail, which finds the sent copy again when an outcome is unknown.

Searches use the extended property; the header is for people who read a mail's source. Callers may set neither (parse.py
refuses both). A mail that came as MIME has no extended property, so it is found by its Message-ID.
"""

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.mail.limits import LONGEST_ID, MAX_HEADERS

if TYPE_CHECKING:
    from shared.mail.model import Message

# Mailroom's own. It never changes: with a new one, mail on its way would not be found.
MARKER_GUID: Final = "502bbd30-de57-442a-aa11-c718c124b3ff"
MARKER_NAME: Final = "MailroomId"
MARKER_PROPERTY: Final = f"String {{{MARKER_GUID}}} Name {MARKER_NAME}"
MARKER_HEADER: Final = "x-mailroom-id"

NO_DOMAIN: Final = "mailroom.invalid"  # for ids of mails whose mailbox has no address; never a host (RFC 6761)
RESERVED_HEADERS: Final = "x-mailroom-"
_OWN_NAME: Final = f"name{MARKER_NAME}".casefold()
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PLAIN_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_OWN_ID: Final = re.compile(r"<([0-9a-f]{32})@")
_BLANK: Final = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")


def with_marker(message: "Message", mail_id: str) -> "Message":
    """A message, not marked yet, with the mail's id, 32 hex digits, on it.

    The header is left out where the sender has used up all that Graph takes.
    """
    import msgspec  # settings need the GUID alone

    from shared.mail.graph_types import InternetMessageHeader, SingleValueLegacyExtendedProperty

    mark = SingleValueLegacyExtendedProperty(id=MARKER_PROPERTY, value=mail_id)
    headers = message.internet_message_headers or ()
    if len(headers) < MAX_HEADERS:
        headers = (*headers, InternetMessageHeader(name=MARKER_HEADER, value=mail_id))
    return msgspec.structs.replace(
        message,
        single_value_extended_properties=(*(message.single_value_extended_properties or ()), mark),
        internet_message_headers=headers,
    )


def message_id(mail_id: str, mailbox: str) -> str:
    """The Message-ID of a MIME mail that is sent from this mailbox (an address or an object id)."""
    domain = mailbox.rpartition("@")[2].lower() if "@" in mailbox else ""
    return f"<{mail_id}@{domain if _PLAIN_DOMAIN.fullmatch(domain) else NO_DOMAIN}>"


def mail_of(message_id: str) -> str | None:
    """The id of the mail with this Message-ID; None if Mailroom did not create the Message-ID."""
    match = _OWN_ID.match(message_id)
    return match[1] if match else None


def forged(*, header: str = "", property_id: str = "") -> bool:
    """Whether this header name, or this id of an extended property, is Mailroom's own.

    A property of that name is one under every GUID and in any spelling: how Graph reads an id is not documented.
    """
    if len(property_id) > LONGEST_ID:
        return True  # no property of anyone's; nothing else reads it
    return header.lower().startswith(RESERVED_HEADERS) or _ending(property_id).endswith(_OWN_NAME)


def _ending(text: str) -> str:
    """The end of a text as it is compared, as long as Mailroom's own name.

    Character by character: to bring a run of combining marks into its normal order takes the square of its length.
    """
    found = ""
    for character in reversed(text):
        if len(found) >= len(_OWN_NAME):
            break
        found = _plain(character) + found
    return found


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    base = (one for one in unicodedata.normalize("NFKC", character) if not unicodedata.combining(one))
    return _BLANK.sub("", "".join(base)).casefold()
