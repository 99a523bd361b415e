"""From a Graph message to a MIME mail (RFC 5322, 2045 to 2047, 2231, 2387): what a mail client shows in the end.

Bcc recipients are in no header; the envelope has them.
"""

import base64
import json
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from typing import Any

from sandbox.cloud.extended import PropertyId

_UTF8 = SMTP.clone(utf8=True)
_PRIORITY = {"low": "5", "normal": "3", "high": "1"}
_TYPE = re.compile(r"([!#$&^_.+\-0-9A-Za-z]+)/([!#$&^_.+\-0-9A-Za-z]+)")
# The properties that Exchange writes as headers of a conversation ([MS-OXCMAIL] 2.1.3.2).
_CONVERSATION: dict[PropertyId | None, str] = {
    PropertyId("string", "", "0x1042"): "In-Reply-To",
    PropertyId("string", "", "0x1039"): "References",
    PropertyId("string", "", "0x70"): "Thread-Topic",
    PropertyId("binary", "", "0x71"): "Thread-Index",
}
_HEADER_LINE = re.compile(rb"([!-9;-~]+)[ \t]*:")


def compose(message: dict[str, Any], date: str) -> bytes:
    """The mail for a completed message: with from, internetMessageId. date: for the Date header, RFC 5322."""
    mail = _mail(message, SMTP if _is_ascii(message) else _UTF8)
    mail["Date"] = date
    mail["Message-ID"] = _line(message["internetMessageId"])
    return mail.as_bytes()


def complete(raw: bytes, message: dict[str, Any], date: str) -> bytes:
    """A mail that came as MIME: byte for byte, but for line ends, without Bcc, and with what it lacks."""
    raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    head, separator, body = raw.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [field for field in fields if _name(field) not in {b"bcc", b""}]
    present = {_name(field) for field in kept}
    from_ = message["from"]["emailAddress"]["address"]
    for name, value in (("Message-ID", message["internetMessageId"]), ("Date", date), ("From", from_)):
        if name.lower().encode() not in present:
            kept.insert(0, f"{name}: {_line(value)}".encode())
    return b"\r\n".join(kept) + (separator or b"\r\n\r\n") + body


def ascii_domain(address: str) -> str:
    """The address with its domain in the form of the DNS (RFC 5890), so that most need no SMTPUTF8."""
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        return address


def _mail(message: dict[str, Any], policy: "EmailPolicy[Any]") -> EmailMessage:
    mail = EmailMessage(policy)
    mail["Subject"] = _line(message.get("subject"))
    if message.get("from"):
        mail["From"] = _address(message["from"])
    if message.get("sender") and message["sender"] != message.get("from"):
        mail["Sender"] = _address(message["sender"])
    for header, name in (("To", "toRecipients"), ("Cc", "ccRecipients"), ("Reply-To", "replyTo")):
        if message.get(name):
            mail[header] = tuple(_address(recipient) for recipient in message[name])
    if importance := (message.get("importance") or "").lower():
        mail["Importance"] = importance
        mail["X-Priority"] = _PRIORITY[importance]
    if message.get("isReadReceiptRequested"):
        mail["Disposition-Notification-To"] = str(_address(message["from"]))
    if message.get("categories"):
        mail["Keywords"] = _line(", ".join(message["categories"]))
    _add_conversation(mail, message)
    for header in message.get("internetMessageHeaders") or ():
        mail[header["name"]] = _line(header["value"])
    _add_content(mail, message)
    return mail


def _add_conversation(mail: EmailMessage, message: dict[str, Any]) -> None:
    for prop in message.get("singleValueExtendedProperties") or ():
        known = PropertyId.parse(prop["id"])
        if known in _CONVERSATION:
            del mail[_CONVERSATION[known]]
            mail[_CONVERSATION[known]] = _line(prop["value"])


def _add_content(mail: EmailMessage, message: dict[str, Any]) -> None:
    body = message.get("body") or {}
    html = (body.get("contentType") or "text").lower() == "html"
    mail.set_content(
        (body.get("content") or "").replace("\0", ""),
        subtype="html" if html else "plain",
        charset="utf-8",
        cte="quoted-printable",
    )
    attachments = message.get("attachments") or ()
    inline = [found for found in attachments if html and found.get("isInline") and "contentBytes" in found]
    for attachment in inline:
        data, maintype, subtype = _file(attachment)
        cid = f"<{_line(attachment.get('contentId') or attachment['name'])}>"
        name = _line(attachment["name"])
        mail.add_related(data, maintype=maintype, subtype=subtype, cid=cid, filename=name, disposition="inline")
    for attachment in attachments:
        if attachment not in inline:
            _attach(mail, attachment)


def _attach(mail: EmailMessage, attachment: dict[str, Any]) -> None:
    name = _line(attachment["name"])
    if "contentBytes" in attachment:
        data, maintype, subtype = _file(attachment)
        mail.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
        return
    item = attachment["item"]
    if item["@odata.type"].endswith(".message"):
        mail.add_attachment(_mail(item, SMTP if _is_ascii(item) else _UTF8), filename=f"{name}.eml")
        return
    note = json.dumps(item, indent=2, ensure_ascii=False)
    mail.add_attachment(note, subtype="plain", charset="utf-8", filename=f"{name}.txt")


def _file(attachment: dict[str, Any]) -> tuple[bytes, str, str]:
    """Content and type; a type that would have to have structure is sent as plain bytes."""
    data = base64.b64decode(attachment["contentBytes"])
    match = _TYPE.match(attachment.get("contentType") or "")
    if match is None or match[1].lower() in {"multipart", "message"}:
        return data, "application", "octet-stream"
    return data, match[1], match[2]


def _address(recipient: dict[str, Any]) -> Address:
    email = recipient.get("emailAddress") or {}
    local, _, domain = ascii_domain(email.get("address") or "").rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return Address(_line(email.get("name")), local, domain)


def _is_ascii(message: dict[str, Any]) -> bool:
    """Whether every address of the message can stand in an ASCII header."""
    kinds = ("toRecipients", "ccRecipients", "replyTo")
    recipients = [*(recipient for kind in kinds for recipient in message.get(kind) or ())]
    recipients += [message[name] for name in ("from", "sender") if message.get(name)]
    addresses = ((recipient.get("emailAddress") or {}).get("address") or "" for recipient in recipients)
    return all(ascii_domain(address).isascii() for address in addresses)


def _line(text: str | None) -> str:
    """On one line: a header has no other place for line ends and control characters."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text or "").strip()


def _name(field: bytes) -> bytes:
    match = _HEADER_LINE.match(field)
    return match[1].lower() if match else b""
