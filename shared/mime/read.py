"""Reads MIME from callers: the text/plain body of `sendMail`, and `mime` in a message of `mail-outbox`.

There are three passes: the headers (head.py), the people in them (address_lists.py), and the parts (parts.py). The
first fault is reported with its place in the mail: `To, address 2`, `part 1.2, line 40`. The result is a Message for
policy, limits and threads; the mail itself stays as bytes.

    recipients         To, Cc, Bcc. (From and Sender name the authors. Reply-To, Disposition-Notification-To,
                       Return-Receipt-To and Errors-To get answers, not this mail.)
    at most once       these, Message-ID, In-Reply-To, References, Subject, Date, and the headers of the content
    refused            Resent-… and other headers that some programs read as recipients; x-mailroom-…; TNEF, which can
                       contain recipients of its own
    everything else    is sent as it was written
"""

import binascii
import re
from typing import Final

from shared.errors import Malformed
from shared.mail.graph_types import Recipient
from shared.mail.limits import LONGEST_SUBJECT, MAX_ENCODED, MAX_RECIPIENTS, MAX_REQUEST, too_large
from shared.mail.marker import forged
from shared.mail.model import Message, SendMail
from shared.mail.ways_back import TAKEN_FOR_RECIPIENTS
from shared.mime.address_lists import decoded, recipients_of
from shared.mime.head import HeaderField, MimeHead, malformed, place_of, read_head
from shared.mime.parts import ONCE_IN_A_PART, check_parts
from shared.parsing.charsets import decode

_RECIPIENTS: Final = ("to", "cc", "bcc")
_AUTHORS: Final = ("from", "sender")
_ONCE: Final = frozenset(
    {*_RECIPIENTS, *_AUTHORS, "reply-to", "subject", "message-id", "in-reply-to", "references", "date"}
    | ONCE_IN_A_PART
)  # fmt: skip
_RESENT: Final = "resent-"
_ODD: Final = re.compile(rb"\0|\r(?!\n)")
_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>")
_TOO_MANY: Final = f"Found more than {MAX_RECIPIENTS} recipients in To, Cc and Bcc together."


def decode_mime(body: bytes | str, place: str = "$") -> bytes:
    """The bytes of a mail in base64, with or without line ends, as Graph takes it.

    place: where it stands in what the caller wrote. Raises Malformed: 400 ErrorMimeContentInvalidBase64String, or
    413 RequestEntityTooLarge.
    """
    if len(body) > MAX_ENCODED:
        raise too_large(len(body))
    try:  # base64 is ASCII, whatever encoding its characters came in
        text = (body if isinstance(body, str) else decode(body)).encode(errors="replace")
    except UnicodeDecodeError:
        text = b""
    packed = text.translate(None, b" \t\r\n")
    if len(packed) > MAX_REQUEST:
        raise too_large(len(packed))
    try:
        raw = binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error:
        raw = b""
    if not raw:
        why = "Invalid base64 string for MIME content."  # Graph's own words
        raise Malformed(400, "ErrorMimeContentInvalidBase64String", why, place)
    return raw


def read_mime(raw: bytes) -> SendMail:
    """The request that a whole mail stands for. A copy is always saved: MIME cannot say otherwise.

    Raises Malformed: 400 ErrorMimeContentInvalid, ErrorInvalidRecipients, ErrorMissingRecipients.
    """
    if odd := _ODD.search(raw):
        name = "NUL" if odd[0] == b"\0" else "a carriage return that ends no line"
        raise malformed(f"Found {name}; expected text, with binary content encoded.", place_of(raw, odd.start()))
    head = read_head(raw, 0, len(raw))
    message = envelope(raw, head)
    if not any((message.to_recipients, message.cc_recipients, message.bcc_recipients)):
        text = "A message can't be sent because it contains no recipients; expected one in To, Cc or Bcc."
        raise Malformed(400, "ErrorMissingRecipients", text)
    check_parts(raw, head)
    return SendMail(message=message)


def envelope(raw: bytes, head: MimeHead) -> Message:
    """Read the people in the headers, and the subject. Raises Malformed."""
    named: dict[str, HeaderField] = {}
    for field in head.fields:
        if field.key in named and field.key in _ONCE:
            raise malformed("Found this header twice; expected it once.", place_of(raw, field.at, field.name))
        if forged(header=field.key):
            text = "Headers that begin with x-mailroom- are Mailroom's own; expected another name."
            raise malformed(text, place_of(raw, field.at, field.name))
        if field.key in TAKEN_FOR_RECIPIENTS or field.key.startswith(_RESENT):
            text = "Some programs read recipients or senders from this header; expected To, Cc and Bcc only."
            raise malformed(text, place_of(raw, field.at, field.name))
        named[field.key] = field
    if (own := named.get("message-id")) and not _ID.fullmatch(own.value):
        text = "Expected one id in angle brackets (RFC 5322, section 3.6.4)."
        raise malformed(text, place_of(raw, own.at, own.name))
    left = MAX_RECIPIENTS
    people: dict[str, tuple[Recipient, ...] | None] = {}
    for key in (*_RECIPIENTS, "reply-to"):
        most = left if key in _RECIPIENTS else MAX_RECIPIENTS
        found = recipients_of(named[key], most, _TOO_MANY) if key in named else ()
        people[key] = found or None
        left -= len(found)
    return Message(
        subject=_subject(raw, named.get("subject")),
        from_=_author(named.get("from")),
        sender=_author(named.get("sender")),
        to_recipients=people["to"],
        cc_recipients=people["cc"],
        bcc_recipients=people["bcc"],
        reply_to=people["reply-to"],
    )


def _author(field: HeaderField | None) -> Recipient | None:
    if field is None:
        return None
    found = recipients_of(field, 1, "Found more than one address.")
    if not found:
        raise malformed("Expected one address.", field.name, "ErrorInvalidRecipients")
    return found[0]


def _subject(raw: bytes, field: HeaderField | None) -> str | None:
    if field is None:
        return None
    if len(field.value) > LONGEST_SUBJECT:
        text = f"Found a subject of more than {LONGEST_SUBJECT} characters."
        raise malformed(text, place_of(raw, field.at, field.name))
    return decoded(field.value.replace("\t", " "), place_of(raw, field.at, field.name))
