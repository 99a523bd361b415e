"""A letter of a thread as a MIME mail (RFC 5322, 2045 to 2047, 2231), for tenants where the properties do not group.

In MIME the marks of a thread are real headers: In-Reply-To and References (RFC 5322), Thread-Index and Thread-Topic
([MS-OXCMAIL] 2.2.3.2.7; Microsoft's own example of sendMail with MIME has both). What MIME cannot carry to the letter
is not left out: there is no MIME for such a letter, and it goes as JSON with the properties instead.

    cannot be carried     flag, categories, inferenceClassification, extended properties, an internetMessageId of the
                          sender's own, attached items, saveToSentItems false (MIME is always saved), a sender that is
                          known by its object id only
    nor can odd values    addresses that are not plain ASCII, names that hold an address of their own and cannot stand
                          within quotes, a subject of several lines, an attachment without a name or with a content
                          type or id that no MIME header can hold, names of headers without end
    nor size              a file is base64 in base64: more than some 2.1 MB of files do not fit into a request

Headers are encoded here and go into Python's EmailMessage as they are: as values, it would read encoded words in them,
and write other ones than the sender meant. What a sender wrote stands in a header either in printable ASCII or encoded,
so that no value can end its line. All bodies are base64: no line of one can look like a boundary. The same letter gives
the same bytes.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final
from urllib.parse import quote

from shared.letters.letter import Letter
from shared.letters.limits import MAX_REQUEST
from shared.letters.mime_addresses import holds_an_address
from shared.letters.parts import BodyType, EmailAddress, Recipient
from shared.letters.stamp import STAMP_HEADER
from shared.letters.thread import Marks, marks_of
from shared.letters.wire import FileAttachment, Message

__all__ = ["address_list", "message_id", "mime_of", "unstructured"]

NO_DOMAIN: Final = "mailroom.invalid"  # for ids of mails whose mailbox has no address; never a host (RFC 6761)
WIDTH: Final = 76  # characters of a line; RFC 5322 wants less than 79, RFC 2047 at most 76
LONGEST_WORD: Final = 450  # of a name within quotes, where each sign may need another before it
LONGEST_FILE: Final = 255  # characters of an attachment's name
LONGEST_NAME: Final = 60  # of a header, so that its line has room for a word
AS_IS: Final = SMTP.clone(refold_source="none")

_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]+"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PLAIN_DOMAIN: Final = re.compile(_DOMAIN)
_PLAIN_ADDRESS: Final = re.compile(rf"(?!.*=\?){_ATOM}(?:\.{_ATOM})*@{_DOMAIN}")
_PLAIN_PHRASE: Final = re.compile(rf"(?!.*=\?){_ATOM}(?: {_ATOM})*")
_ASCII: Final = re.compile(r"[ -~]*")
_FOLD: Final = re.compile(" (?=[!-~])")
_TO_ESCAPE: Final = re.compile(r'["\\]')
_PLAIN_TEXT: Final = re.compile(r"(?!.*=\?)(?=[!-~])[ -~]*[!-~]")
_PLAIN_FILE: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ()+,._-]{0,48}[A-Za-z0-9_)])?")
_MEDIA_TYPE: Final = re.compile(
    rf"(?!(?i:multipart|message)/)(?=.{{3,200}}\Z){_WORD}/{_WORD}(?: *; *{_WORD}=(?:{_WORD}|\"[ !#-\[\]-~]*\"))*"
)
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,200}")
_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")
_PERCENT: Final = [quote(bytes([byte]), safe="") for byte in range(256)]
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def message_id(letter_id: str, mailbox: str) -> str:
    """The Message-ID of a letter that goes as MIME from this mailbox, by which it is found again.

    letter_id: 32 hex digits. mailbox: an address or an object id.
    """
    domain = mailbox.rpartition("@")[2].lower() if "@" in mailbox else ""
    return f"<{letter_id}@{domain if _PLAIN_DOMAIN.fullmatch(domain) else NO_DOMAIN}>"


def mime_of(letter: Letter, mailbox: str) -> bytes | None:
    """The whole mail, its stamp and the marks of its thread included; None where it has to go as JSON.

    mailbox: the one it is sent from. Graph takes the recipients from the headers, so Bcc is among them, and removes it.
    """
    marks = marks_of(letter)
    message = letter.mail.message
    if marks is None or not letter.mail.save_to_sent_items or not _carried(message):
        return None
    author = message.from_ or Recipient(email_address=EmailAddress(address=mailbox))
    if not all(_can_be_named(one.email_address) for one in _people(message, author)):
        return None
    mail = EmailMessage(AS_IS)
    for name, value in _headers(letter, author, marks, mailbox):
        mail.set_raw(name, value)
    content = _content(message, letter.id)
    for name, value in content.raw_items():
        mail.set_raw(name, value)
    mail.set_payload(content.get_payload())
    written = mail.as_bytes()
    return written if (len(written) + 2) // 3 * 4 <= MAX_REQUEST else None


def _carried(message: Message) -> bool:
    """Whether MIME has a place for all of it."""
    return (
        message.flag is None
        and message.inference_classification is None
        and message.internet_message_id is None
        and not message.categories
        and not message.single_value_extended_properties
        and not message.multi_value_extended_properties
        and not _CONTROLS.search(message.subject or "")
        and all(len(header.name) <= LONGEST_NAME for header in message.internet_message_headers or ())
        and all(isinstance(one, FileAttachment) and _has_headers(one) for one in message.attachments or ())
    )


def _has_headers(file: FileAttachment) -> bool:
    return bool(
        file.name
        and len(file.name) <= LONGEST_FILE
        and file.name == file.name.strip()
        and _MEDIA_TYPE.fullmatch(file.content_type or "text/plain")
        and _CONTENT_ID.fullmatch(file.content_id or "-")
    )


def _people(message: Message, author: Recipient) -> Iterator[Recipient]:
    yield author
    if message.sender is not None:
        yield message.sender
    for group in (message.to_recipients, message.cc_recipients, message.bcc_recipients, message.reply_to):
        yield from group or ()


def _can_be_named(address: EmailAddress) -> bool:
    name = address.name or ""
    in_one_way = not holds_an_address(name) or _quotable(name)
    return in_one_way and bool(_PLAIN_ADDRESS.fullmatch(address.address))


def _quotable(name: str) -> bool:
    """Whether the name can stand within quotes, in lines that fold at its blanks."""
    return "=?" not in name and bool(_ASCII.fullmatch(name)) and max(map(len, name.split(" "))) <= LONGEST_WORD


def _headers(letter: Letter, author: Recipient, marks: Marks, mailbox: str) -> Iterator[tuple[str, str]]:
    """Name and value of each header but those of the content, ready to be written.

    Thread-Topic comes after Subject: readers take it then if the subject ends with it ([MS-OXCMAIL] 2.2.3.2.7). No
    Date: when it was sent is Exchange's to say.
    """
    message = letter.mail.message
    yield "From", address_list([author])
    if message.sender is not None:
        yield "Sender", address_list([message.sender])
    groups = (
        ("To", message.to_recipients),
        ("Cc", message.cc_recipients),
        ("Bcc", message.bcc_recipients),
        ("Reply-To", message.reply_to),
    )
    for name, group in groups:
        if group:
            yield name, address_list(group)
    if message.subject is not None:
        yield "Subject", unstructured("Subject", message.subject)
    if marks.topic:
        yield "Thread-Topic", unstructured("Thread-Topic", marks.topic)
    yield "Thread-Index", base64.b64encode(marks.index).decode()
    yield "Message-ID", message_id(letter.id, mailbox)
    yield "In-Reply-To", marks.root
    yield "References", marks.root
    if message.importance is not None:
        yield "Importance", message.importance.value
    if message.is_read_receipt_requested:
        yield "Disposition-Notification-To", address_list([author])
    if message.is_delivery_receipt_requested:
        yield "Return-Receipt-To", address_list([author])
    for header in message.internet_message_headers or ():
        yield header.name, unstructured(header.name, header.value)
    yield STAMP_HEADER, letter.id
    yield "MIME-Version", "1.0"


def unstructured(name: str, value: str) -> str:
    """The value of an unstructured header."""
    if len(name) + 2 + len(value) <= WIDTH and _PLAIN_TEXT.fullmatch(value):
        return value
    return _encoded(name, value)


def address_list(people: Iterable[Recipient]) -> str:
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


def _encoded(name: str, text: str) -> str:
    """As encoded words (RFC 2047), in lines that have room for the header's name. They may stand in a phrase too.

    The standard library's Header takes the square of some texts.
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


def _content(message: Message, letter_id: str) -> EmailMessage:
    """The body, with what belongs to it, with what is attached."""
    html = message.body is not None and message.body.content_type is BodyType.HTML
    text = (message.body.content if message.body is not None else None) or ""
    kind = f"text/{'html' if html else 'plain'}; charset=utf-8"
    whole = _leaf(kind, _LINE_ENDS.sub("\r\n", text).encode())
    files = [one for one in message.attachments or () if isinstance(one, FileAttachment)]
    shown = [one for one in files if html and one.is_inline]
    if shown:
        whole = _multipart('related; type="text/html"', f"r{letter_id}", [whole, *map(_file, shown)])
    beside = [one for one in files if one not in shown]
    if beside:
        whole = _multipart("mixed", f"m{letter_id}", [whole, *map(_file, beside)])
    return whole


def _file(file: FileAttachment) -> EmailMessage:
    part = _leaf(file.content_type or "application/octet-stream", file.content_bytes)
    part.set_raw("Content-Disposition", f"{'inline' if file.is_inline else 'attachment'};\r\n {_filename(file.name)}")
    if file.content_id:
        part.set_raw("Content-ID", f"<{file.content_id}>")
    return part


def _leaf(content_type: str, data: bytes) -> EmailMessage:
    part = EmailMessage(AS_IS)
    part.set_raw("Content-Type", content_type)
    part.set_raw("Content-Transfer-Encoding", "base64")
    part.set_payload(base64.encodebytes(data).decode())
    return part


def _multipart(kind: str, boundary: str, parts: Iterable[EmailMessage]) -> EmailMessage:
    """boundary: base64 has no underscore, so nothing in a part can be it."""
    whole = EmailMessage(AS_IS)
    whole.set_raw("Content-Type", f'multipart/{kind};\r\n boundary="_{boundary}"')
    whole.set_payload(list(parts))
    return whole


def _filename(name: str) -> str:
    """The parameter, or its pieces (RFC 2231)."""
    if _PLAIN_FILE.fullmatch(name):
        return f'filename="{name}"'
    signs = ["".join(_PERCENT[byte] for byte in sign.encode()) for sign in name]
    lines = [""]
    for sign in signs:
        if len(lines[-1]) + len(sign) > WIDTH - len(" filename*99999*=utf-8'';"):
            lines.append("")
        lines[-1] += sign
    first, *rest = lines
    if not rest:
        return f"filename*=utf-8''{first}"
    return ";\r\n ".join(
        [f"filename*0*=utf-8''{first}", *(f"filename*{at}*={line}" for at, line in enumerate(rest, 1))]
    )
