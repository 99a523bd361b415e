"""Writes a mail that came as MIME for Graph: the same bytes, with only the necessary headers changed.

The body is never touched. Headers keep their order and their bytes except their line ends, which become CRLF, and:

    x-mailroom-id            added: the mail's id, for people who read a mail's source
    Message-ID               replaced by Mailroom's own, by which a verification finds the mail: only an id that no
                             other mail has proves that this one was sent. The sender's id is moved into
                             x-mailroom-message-id and to the end of References, so that replies still find it
    In-Reply-To, References, Thread-Index, Thread-Topic
                             added to a mail with a thread, unless the sender has set one of the same group
    From, Sender, To, Cc, Bcc, Reply-To, Subject
                             rewritten if they differ from the mail's Message
    internetMessageHeaders of the Message
                             added by Mailroom itself; a mail has none when it comes in

If the recipients have changed, headers that name the old ones are removed (Delivered-To, Received, …). strip.py has
removed more from a redirected mail before. A header's value is either printable ASCII or encoded (RFC 2047), so that it
cannot end its line. The same mail always gives the same bytes.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.mail.addresses import ATOM
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.marker import MARKER_HEADER, message_id
from shared.mail.model import Message
from shared.mail.outgoing import OutgoingMail
from shared.mail.threading import marks_of
from shared.mail.ways_back import NAME_RECIPIENTS
from shared.mime.head import MimeHead, malformed, read_head
from shared.mime.read import envelope

ORIGINAL_ID: Final = "x-mailroom-message-id"
WIDTH: Final = 76  # characters of a line; RFC 5322 wants less than 79, RFC 2047 at most 76
LONGEST_WORD: Final = 450  # of a name within quotes, where each character may need a backslash

_LISTS: Final = {"To": "to_recipients", "Cc": "cc_recipients", "Bcc": "bcc_recipients", "Reply-To": "reply_to"}
_ONE: Final = {"From": "from_", "Sender": "sender"}
_PLAIN_PHRASE: Final = re.compile(rf"(?!.*=\?){ATOM}(?: {ATOM})*")
_ASCII: Final = re.compile(r"[ -~]*")
_FOLD: Final = re.compile(" (?=[!-~])")
_TO_ESCAPE: Final = re.compile(r'["\\]')
_PLAIN_TEXT: Final = re.compile(r"(?!.*=\?)(?=[!-~])[ -~]*[!-~]")


def as_sent(mail: OutgoingMail, mailbox: str) -> bytes:
    """Write the whole mail for this mailbox. Raises Malformed if an address cannot be written in a header."""
    mime = mail.mime or b""
    head = read_head(mime, 0, len(mime))
    own = {field.key: field.value for field in head.fields}
    theirs = own.get("message-id", "")
    added = [(MARKER_HEADER, mail.id), ("Message-ID", message_id(mail.id, mailbox))]
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
    kept = [raw for key, raw in _changed(mime, head, mail.request.message) if key not in replaced]
    return b"".join([*kept, *(_line(name, value) for name, value in added), b"\r\n", mime[head.body :]])


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("ascii")


def _changed(mime: bytes, head: MimeHead, message: Message) -> Iterator[tuple[str, bytes]]:
    """The fields with their names in lower case, each unchanged or written anew; then those that are new."""
    before = envelope(mime, head)
    new = {name.lower(): (name, value) for name, value in _differing(before, message)}
    gone = frozenset[str]() if _recipients(before) == _recipients(message) else NAME_RECIPIENTS
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
    """Name and value of each header that has to change; one without a value is removed."""
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


def _recipients(message: Message) -> set[str]:
    lists = (message.to_recipients, message.cc_recipients, message.bcc_recipients)
    return {one.email_address.address for people in lists for one in people or ()}


def _addresses(people: Sequence[Recipient], name: str) -> str:
    """The value of a header of addresses. Raises Malformed for a local part that is not ASCII (RFC 5322)."""
    for number, one in enumerate(people, 1):
        if not one.email_address.address.isascii():
            text = "Found an address that cannot be written in ASCII."
            raise malformed(text, f"{name}, address {number}", "ErrorInvalidRecipients")
    return address_list(people)


def unstructured(name: str, value: str) -> str:
    """The value of an unstructured header (RFC 5322)."""
    if len(name) + 2 + len(value) <= WIDTH and _PLAIN_TEXT.fullmatch(value):
        return value
    return _encoded(name, value)


def address_list(people: Iterable[Recipient]) -> str:
    """The value of a header of addresses."""
    return ",\r\n ".join(_address(one.email_address) for one in people)


def _address(address: EmailAddress) -> str:
    name = address.name or ""
    if not name:
        return address.address
    if not _PLAIN_PHRASE.fullmatch(name) and _quotable(name):
        # The same to programs that decode before they read addresses, to which an encoded name could be an address.
        name = '"' + _FOLD.sub("\r\n ", _TO_ESCAPE.sub(r"\\\g<0>", name)) + '"'
    elif len(name) > WIDTH or not _PLAIN_PHRASE.fullmatch(name):
        name = _encoded("Disposition-Notification-To", name)  # the longest header with addresses
    return f"{name}\r\n <{address.address}>"


def _quotable(name: str) -> bool:
    """Whether the name can stand within quotes, in lines that fold at its blanks."""
    return "=?" not in name and bool(_ASCII.fullmatch(name)) and max(map(len, name.split(" "))) <= LONGEST_WORD


def _encoded(name: str, text: str) -> str:
    """The text as encoded words, also for a phrase, in lines that leave room for the header's name.

    The standard library's Header takes the square of the time for some texts.
    """
    data, words, start = text.encode(), [], 0
    room = WIDTH - len(f"{name}: ")
    while start < len(data):
        end = start + (room - len("=?utf-8?b??=")) // 4 * 3
        while start < end < len(data) and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - within a character
            end -= 1
        if end > start:
            words.append(f"=?utf-8?b?{base64.b64encode(data[start:end]).decode()}?=")
            start = end
        else:  # the name has left no room
            words.append("")
        room = WIDTH - 1
    return "\r\n ".join(words)
