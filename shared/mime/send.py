"""A mail that came as MIME, as it goes to Graph: its own bytes, with the few headers changed that have to be.

The body is never touched. Headers keep their order and their bytes but for their line ends, which become CRLF, and:

    x-mailroom-id            added: the mail's id, for people who read a mail's source
    Message-ID               Mailroom's own, by which a look finds the mail: only an id that no other mail has proves
                             that this one has gone. The sender's goes into x-mailroom-message-id and at the end of
                             References, so that conversations and answers still find it
    In-Reply-To, References, Thread-Index, Thread-Topic
                             added for a mail with a thread, but none of a group that the sender has begun
    From, Sender, To, Cc, Bcc, Reply-To, Subject
                             written anew where the mail's Message says something else than they do
    internetMessageHeaders of the Message
                             added; there are none when the mail comes in

With other recipients the headers go that name the old ones (Delivered-To, Received, …). A mail that goes to somebody
else altogether has lost more before (mime_redirect.py).
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.mail.graph_types import Recipient
from shared.mail.marker import STAMP_HEADER, message_id
from shared.mail.model import Message
from shared.mail.outgoing import OutgoingMail
from shared.mail.people_headers import NAME_RECIPIENTS
from shared.mail.threading import marks_of
from shared.mime.head import malformed, read_head
from shared.mime.header_text import address_list, unstructured
from shared.mime.read import envelope

__all__ = ["ORIGINAL_ID", "as_sent", "rewritten"]

ORIGINAL_ID: Final = "x-mailroom-message-id"
_EMPTY: Final = b"\r\n"
_LISTS: Final = {
    "To": "to_recipients",
    "Cc": "cc_recipients",
    "Bcc": "bcc_recipients",
    "Reply-To": "reply_to",
}
_ONE: Final = {"From": "from_", "Sender": "sender"}


def rewritten(mime: bytes, message: Message, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The mail with the headers that `message` says, and with `headers` (name, text) added. The body stays.

    message: what was read from the mail, changed or not. Raises Malformed where an address cannot stand in a header.
    """
    head = read_head(mime, 0, len(mime))
    fields = [raw for _, raw in _changed(mime, message)]
    fields += [_line(name, unstructured(name, text)) for name, text in headers]
    return b"".join([*fields, _EMPTY, mime[head.body :]])


def as_sent(mail: OutgoingMail, mailbox: str) -> bytes:
    """The whole mail as it goes from this mailbox. The same mail, the same bytes. Raises Malformed."""
    mime = mail.mime or b""
    head = read_head(mime, 0, len(mime))
    own = {field.key: field.value for field in head.fields}
    theirs = own.get("message-id", "")
    added = [(STAMP_HEADER, mail.id), ("Message-ID", message_id(mail.id, mailbox))]
    if theirs:
        added.append((ORIGINAL_ID, theirs))
    references = [own["references"]] if "references" in own else []
    if (marks := marks_of(mail)) is not None:
        if "in-reply-to" not in own and "references" not in own:
            added.append(("In-Reply-To", marks.root))
            references = [marks.root]
        if "thread-index" not in own:
            added.append(("Thread-Index", base64.b64encode(marks.index).decode()))
        if "thread-topic" not in own and marks.topic:
            added.append(("Thread-Topic", unstructured("Thread-Topic", marks.topic)))
    if theirs or "references" not in own:
        references += [theirs] if theirs else []
        if references:
            added.append(("References", "\r\n ".join(" ".join(references).split())))
    replaced = {name.lower() for name, _ in added}
    # Not read again: what Mailroom adds may be more than a sender may have.
    kept = [raw for key, raw in _changed(mime, mail.request.message) if key not in replaced]
    return b"".join([*kept, *(_line(name, value) for name, value in added), _EMPTY, mime[head.body :]])


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("ascii")


def _changed(mime: bytes, message: Message) -> Iterator[tuple[str, bytes]]:
    """The fields with their names in lower case, each as it was or as it is now; then those that are new."""
    head = read_head(mime, 0, len(mime))
    before = envelope(mime, head)
    new = {name.lower(): (name, value) for name, value in _differing(before, message)}
    gone = _gone(before, message)
    for field in head.fields:
        if field.key in new:
            name, value = new.pop(field.key)
            if value:
                yield field.key, _line(name, value)
        elif field.key not in gone:
            yield field.key, field.raw
    for key, (name, value) in new.items():
        if value:
            yield key, _line(name, value)
    for header in message.internet_message_headers or ():
        yield header.name.lower(), _line(header.name, unstructured(header.name, header.value))


def _differing(before: Message, now: Message) -> Iterator[tuple[str, str]]:
    """Name and value of each header that says something else now; without a value it goes."""
    for name, attribute in _ONE.items():
        one = getattr(now, attribute)
        if one != getattr(before, attribute):
            yield name, _addresses([one] if one else [], name)
    for name, attribute in _LISTS.items():
        people = getattr(now, attribute) or ()
        if people != (getattr(before, attribute) or ()):
            yield name, _addresses(people, name)
    if (now.subject or "") != (before.subject or ""):
        yield "Subject", unstructured("Subject", now.subject or "")


def _gone(before: Message, now: Message) -> frozenset[str]:
    return frozenset() if set(_recipients(before)) == set(_recipients(now)) else NAME_RECIPIENTS


def _recipients(message: Message) -> Iterator[str]:
    for group in (message.to_recipients, message.cc_recipients, message.bcc_recipients):
        for one in group or ():
            yield one.email_address.address


def _addresses(people: Sequence[Recipient], name: str) -> str:
    """As a header has them. A local part other than ASCII has no place in one (RFC 5322)."""
    for number, one in enumerate(people, 1):
        if not one.email_address.address.isascii():
            text = "Found an address that cannot be written in ASCII."
            raise malformed(text, f"{name}, address {number}", "ErrorInvalidRecipients")
    return address_list(people)
