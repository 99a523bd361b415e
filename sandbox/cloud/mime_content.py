"""From a MIME mail to a Graph message: what Exchange makes of sendMail's text/plain form."""

import base64
import binascii
import re
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from typing import Any

from sandbox.cloud.errors import Refusal

# What Exchange makes of these headers ([MS-OXCMAIL] 2.2.3).
_RECEIPTS = {
    "Disposition-Notification-To": "isReadReceiptRequested",
    "Return-Receipt-To": "isDeliveryReceiptRequested",
}
_PROPERTIES = {
    "In-Reply-To": "String 0x1042",
    "References": "String 0x1039",
    "Thread-Topic": "String 0x0070",
    "Thread-Index": "Binary 0x0071",
}
# Some programs take the recipients of a mail that is sent again from these (RFC 5322, section 3.6.6). What Exchange
# does is documented nowhere, so here they count: no mail may reach anyone by them.
_RESENT = {"To": "Resent-To", "Cc": "Resent-Cc", "Bcc": "Resent-Bcc"}

_NOBODY = re.compile(r"[^<>@,:;]*:[ \t]*;")  # a group without members: undisclosed-recipients:;


def decode_mime(body: bytes) -> bytes:
    """The MIME in a text/plain body: one base64 text, line ends in it or not. Raises Refusal 400."""
    try:
        raw = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raw = b""
    if not raw:
        raise Refusal(400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
    return raw


def read_mime(raw: bytes) -> dict[str, Any]:
    """The mail as the message that a reader of the sent copy sees."""
    mail = message_from_bytes(raw)
    message: dict[str, Any] = {
        "subject": _text(mail.get("Subject")),
        "body": _body(mail),
        "toRecipients": _recipients(mail, "To"),
        "ccRecipients": _recipients(mail, "Cc"),
        "bccRecipients": _recipients(mail, "Bcc"),
        "replyTo": _recipients(mail, "Reply-To"),
    }
    for name in ("From", "Sender"):
        if found := _recipients(mail, name):
            message[name.lower()] = found[0]
    if mail.get("Message-ID"):
        message["internetMessageId"] = _text(mail["Message-ID"])
    if (importance := _text(mail.get("Importance")).lower()) in {"low", "normal", "high"}:
        message["importance"] = importance
    for header, name in _RECEIPTS.items():
        if mail.get(header):
            message[name] = True
    if properties := [{"id": id_, "value": _text(mail[name])} for name, id_ in _PROPERTIES.items() if mail.get(name)]:
        message["singleValueExtendedProperties"] = properties
    headers = [(name, value) for name, value in mail.items() if name.lower().startswith("x-")]
    if headers:
        message["internetMessageHeaders"] = [{"name": name, "value": _text(value)} for name, value in headers]
    attachments = [_attachment(part) for part in mail.walk() if part.get_filename() and not part.is_multipart()]
    if attachments:
        message["attachments"] = attachments
    return message


def _recipients(mail: Message, name: str) -> list[dict[str, Any]]:
    values = [*mail.get_all(name, ()), *(mail.get_all(_RESENT[name], ()) if name in _RESENT else ())]
    pairs = getaddresses([str(value) for value in values if not _NOBODY.fullmatch(str(value).strip())])
    return [{"emailAddress": {"name": _text(shown) or address, "address": address}} for shown, address in pairs]


def _body(mail: Message) -> dict[str, str]:
    texts = [part for part in mail.walk() if part.get_content_maintype() == "text" and not part.get_filename()]
    texts.sort(key=lambda part: part.get_content_type() != "text/html")
    if not texts:
        return {"contentType": "text", "content": ""}
    html = texts[0].get_content_type() == "text/html"
    charset = str(texts[0].get_content_charset("utf-8"))
    data = _payload(texts[0])
    try:
        content = data.decode(charset, "replace")
    except LookupError:
        content = data.decode("utf-8", "replace")
    return {"contentType": "html" if html else "text", "content": content}


def _attachment(part: Message) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": part.get_filename(""),
        "contentType": part.get_content_type(),
        "contentBytes": base64.b64encode(_payload(part)).decode(),
        "isInline": part.get_content_disposition() == "inline",
        "contentId": (part.get("Content-ID") or "").strip("<>") or None,
    }


def _payload(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _text(value: Any) -> str:
    """A header with its encoded words read (RFC 2047), on one line."""
    text = " ".join(str(value or "").split())
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, UnicodeError, HeaderParseError):
        return text
