"""A letter as MIME, read again by Python's email package, which knows nothing of how it was written."""

import base64
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import default
from email.utils import getaddresses
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.letters.letter import Letter, Origin
from shared.letters.limits import MAX_REQUEST
from shared.letters.mime import message_id, mime_of
from shared.letters.mime_addresses import holds_an_address
from shared.letters.mime_read import read_mime
from shared.letters.mime_send import rewritten
from shared.letters.parse import send_mail
from shared.letters.thread import marks_of
from shared.letters.wire import EmailAddress, FileAttachment, Recipient, SendMail
from tests.letters.strategies import lines, local_parts, messages, texts

BOX = "alerts@contoso.test"
ID = "0197c1b2d3e4f5a6b7c8d9e0f1a2b3c4"
FILE = "#microsoft.graph.fileAttachment"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x00pixel").decode()


def letter(message: dict[str, Any], *, thread: str | None = "incident-1", **outer: Any) -> Letter:
    """A letter of a message as a caller writes it, with a recipient if it names none."""
    if not any(message.get(f"{kind}Recipients") for kind in ("to", "cc", "bcc")):
        message = {**message, "toRecipients": [{"emailAddress": {"address": "ada@contoso.test"}}]}
    mail = send_mail(json.dumps({"message": message, **outer}).encode())
    return of(mail, thread=thread)


def of(mail: SendMail, *, thread: str | None = "incident-1") -> Letter:
    return Letter(
        id=ID,
        scope="route:alerts",
        fingerprint="f",
        sender=BOX,
        mail=mail,
        origin=Origin(kind="route", name="alerts"),
        accepted_at=datetime(2026, 7, 1, 12, 0, tzinfo=UTC),
        thread=thread,
    )


def written(message: dict[str, Any], mailbox: str = BOX) -> bytes:
    raw = mime_of(letter(message), mailbox)
    assert raw is not None
    return raw


def read(raw: bytes) -> EmailMessage:
    found = message_from_bytes(raw, policy=default)
    assert isinstance(found, EmailMessage)
    return found


def headers(raw: bytes, name: str) -> list[str]:
    """As any reader of RFC 2047 has them, older than Python's new parser, which puts blanks between encoded words."""
    found = message_from_bytes(raw).get_all(name, [])
    return [decoded(str(value)) for value in found]


def decoded(text: str) -> str:
    return str(make_header(decode_header(text.replace("\r\n", ""))))


def people(raw: bytes, name: str) -> list[tuple[str, str]]:
    values = [str(value).replace("\r\n", "") for value in message_from_bytes(raw).get_all(name, [])]
    return [(decoded(shown), address) for shown, address in getaddresses(values)]


def leaves(mail: Message) -> list[Message]:
    return [part for part in mail.walk() if not part.is_multipart()]


def well_formed(raw: bytes) -> None:
    """ASCII, lines that end as lines do and have at most 998 characters (RFC 5322, section 2.1.1), no defects."""
    raw.decode("ascii")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    for part in read(raw).walk():
        assert not part.defects


def test_the_marks_of_the_thread_are_the_headers_that_mail_programs_group_by() -> None:
    whole = letter({"subject": "[Firing] Disk full"})
    marks = marks_of(whole)
    assert marks is not None
    raw = written({"subject": "[Firing] Disk full"})
    mail = read(raw)
    assert mail["In-Reply-To"] == mail["References"] == marks.root
    assert base64.b64decode(mail["Thread-Index"]) == marks.index
    assert mail["Thread-Topic"] == "Disk full"
    assert raw.index(b"\r\nSubject:") < raw.index(b"\r\nThread-Topic:"), "as readers want it"
    assert mail["Message-ID"] == message_id(ID, BOX) == f"<{ID}@contoso.test>"
    assert mail["x-mailroom-id"] == ID


def test_everything_that_mime_can_carry_is_carried() -> None:
    raw = written(
        {
            "subject": "Größe",
            "body": {"contentType": "html", "content": '<img src="cid:logo">ü\nx'},
            "toRecipients": [
                {"emailAddress": {"address": "ada@contoso.test", "name": 'Adé, the "first"'}},
                {"emailAddress": {"address": "bob@contoso.test"}},
            ],
            "ccRecipients": [{"emailAddress": {"address": "cc@contoso.test", "name": "C C"}}],
            "bccRecipients": [{"emailAddress": {"address": "hidden@contoso.test"}}],
            "replyTo": [{"emailAddress": {"address": "help@contoso.test"}}],
            "from": {"emailAddress": {"address": "noreply@contoso.test", "name": "Mailroom"}},
            "sender": {"emailAddress": {"address": BOX}},
            "importance": "high",
            "isReadReceiptRequested": True,
            "isDeliveryReceiptRequested": True,
            "internetMessageHeaders": [{"name": "X-One", "value": "wért"}],
            "attachments": [
                {"@odata.type": FILE, "name": "a.csv", "contentType": "text/csv; charset=utf-8", "contentBytes": PIXEL},
                {
                    "@odata.type": FILE,
                    "name": "logo.png",
                    "contentType": "image/png",
                    "isInline": True,
                    "contentId": "logo",
                    "contentBytes": PIXEL,
                },
            ],
        }
    )
    well_formed(raw)
    mail = read(raw)
    assert mail["Subject"] == "Größe"
    assert people(raw, "To") == [('Adé, the "first"', "ada@contoso.test"), ("", "bob@contoso.test")]
    assert people(raw, "Cc") == [("C C", "cc@contoso.test")]
    assert people(raw, "Bcc") == [("", "hidden@contoso.test")]
    assert people(raw, "Reply-To") == [("", "help@contoso.test")]
    assert people(raw, "From") == [("Mailroom", "noreply@contoso.test")]
    assert people(raw, "Sender") == [("", BOX)]
    assert mail["Importance"] == "high"
    assert people(raw, "Disposition-Notification-To") == people(raw, "Return-Receipt-To") == people(raw, "From")
    assert mail["X-One"] == "wért"
    assert mail.get_content_type() == "multipart/mixed"
    related, file = mail.iter_parts()
    html, image = related.iter_parts()
    assert related.get_content_type() == "multipart/related"
    assert html.get_content() == '<img src="cid:logo">ü\r\nx'
    assert (image.get_content_type(), image["Content-ID"], image.get_filename()) == ("image/png", "<logo>", "logo.png")
    assert image.get_content_disposition() == "inline"
    assert image.get_content() == base64.b64decode(PIXEL)
    assert (file.get_content_type(), file.get_filename()) == ("text/csv", "a.csv")
    assert file.get_content_disposition() == "attachment"
    assert file.get_payload(decode=True) == base64.b64decode(PIXEL)


def test_a_mail_without_a_sender_of_its_own_is_from_the_mailbox() -> None:
    raw = written({"subject": "x"})
    assert people(raw, "From") == [("", BOX)]
    assert headers(raw, "Sender") == []
    assert headers(raw, "Date") == [], "Exchange's to say"


def test_the_same_letter_gives_the_same_bytes() -> None:
    message = {"subject": "x", "attachments": [{"@odata.type": FILE, "name": "a", "contentBytes": PIXEL}]}
    assert written(message) == written(message)


@pytest.mark.parametrize(
    ("mailbox", "domain"),
    [
        ("alerts@Contoso.test", "contoso.test"),
        ("7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10e001", "mailroom.invalid"),
        ("alerts@bücher.example", "mailroom.invalid"),
        ("a@b'c", "mailroom.invalid"),
        ("a@", "mailroom.invalid"),
    ],
)
def test_the_message_id_follows_from_the_row_alone(mailbox: str, domain: str) -> None:
    """By it a mail is looked for, when all that is known are its id and its mailbox. No quote can get into a filter."""
    assert message_id(ID, mailbox) == f"<{ID}@{domain}>"


def attached(**changes: Any) -> dict[str, Any]:
    return {"attachments": [{"@odata.type": FILE, "name": "a", "contentBytes": PIXEL, **changes}]}


def sent_to(address: str) -> dict[str, Any]:
    return {"toRecipients": [{"emailAddress": {"address": address}}]}


@pytest.mark.parametrize(
    "message",
    [
        {"flag": {"flagStatus": "flagged"}},
        {"categories": ["Red"]},
        {"inferenceClassification": "focused"},
        {"internetMessageId": "<1@contoso.test>"},
        {"singleValueExtendedProperties": [{"id": "SystemTime 0x3FEF", "value": "2026-01-01T00:00:00Z"}]},
        {
            "multiValueExtendedProperties": [
                {"id": "StringArray {66f5a359-4659-4830-9070-00047ec6ac6e} Name A", "value": []}
            ]
        },
        {
            "attachments": [
                {
                    "@odata.type": "#microsoft.graph.itemAttachment",
                    "name": "a",
                    "item": {"@odata.type": "#microsoft.graph.message"},
                }
            ]
        },
        {"subject": "two\r\nBcc: eve@contoso.test"},
        {"subject": "a\ttab"},
        {"internetMessageHeaders": [{"name": "x-" + "n" * 190, "value": "v"}]},
        sent_to("jörg@contoso.test"),
        sent_to("=?utf-8?q?eve?=@contoso.test"),
        attached(name=""),
        attached(contentType="multipart/mixed"),
        attached(contentType="Message/RFC822"),
        attached(contentType="pdf"),
        attached(contentType=f"text/{'x' * 990}"),
        attached(contentId="with blank"),
        attached(contentId="<a>"),
        attached(contentBytes=base64.b64encode(bytes(2_250_000)).decode()),
    ],
)
def test_what_mime_cannot_carry_goes_as_json(message: dict[str, Any]) -> None:
    """Nothing is left out for the sake of a conversation."""
    assert mime_of(letter({"subject": "x"}), BOX) is not None
    assert mime_of(letter({"subject": "x", **message}), BOX) is None


def test_mails_without_thread_or_copy_or_known_address_go_as_json() -> None:
    assert mime_of(letter({}, thread=None), BOX) is None
    assert mime_of(letter({}, saveToSentItems=False), BOX) is None, "MIME is always saved"
    assert mime_of(letter({}), "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10e001") is None
    known = {"from": {"emailAddress": {"address": BOX}}}
    assert mime_of(letter(known), "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10e001") is not None


def test_what_is_written_fits_into_a_request() -> None:
    raw = written(attached(contentBytes=base64.b64encode(bytes(2_150_000)).decode()))
    assert len(base64.b64encode(raw)) <= MAX_REQUEST


plain_addresses = st.builds("{}@{}".format, local_parts, st.sampled_from(["contoso.test", "Fabrikam.COM", "intranet"]))
people_of = st.lists(
    st.builds(
        lambda address, name: Recipient(email_address=EmailAddress(address=address, name=name)),
        plain_addresses,
        st.none()
        | lines
        | st.sampled_from(["=?utf-8?q?x?=", "a, b <c@d.e>", '"', "\\", "(x)", "ä" * 90, " x ", "a  b"]),
    ),
    max_size=3,
).map(tuple)


def carried(message: dict[str, Any]) -> dict[str, Any]:
    """Of a message of any kind what MIME has a place for."""
    left_out = {
        "flag",
        "categories",
        "inferenceClassification",
        "internetMessageId",
        "singleValueExtendedProperties",
        "multiValueExtendedProperties",
        "attachments",
        "from",
        "sender",
    }
    recipients = {"toRecipients", "ccRecipients", "bccRecipients", "replyTo"}
    return {name: value for name, value in message.items() if name not in left_out | recipients}


media_types = st.sampled_from([None, "image/png", "text/plain", 'text/csv; charset=utf-8; name="a b.csv"', "a/b"])
file_names = lines.filter(lambda name: name and name == name.strip() and len(name) <= 255) | st.sampled_from(
    ["=?utf-8?q?x?=.txt", 'a"b;c\\d.txt', "ä" * 120, "%41.txt", "a'b"]
)
files = st.lists(
    st.builds(
        FileAttachment,
        name=file_names,
        content_bytes=st.binary(max_size=200),
        content_type=media_types,
        is_inline=st.none() | st.booleans(),
        content_id=st.none() | st.sampled_from(["logo", "a@b", "1"]),
    ),
    max_size=3,
).map(tuple)
hostile = st.text(st.sampled_from('=?utf8qb 8äöü<>",;:()@\\a.🦉'), max_size=120)


def decoded_first(header: str) -> set[str]:
    """Whom a program finds that reads encoded words in a whole header, and addresses in what that gives."""
    found = [address for _, address in getaddresses([decoded(header)])]
    return {address for address in found if re.fullmatch(r"[^\s<>\"]+@[^\s<>\"]+", address)}


names_of_people = st.lists(
    st.sampled_from(["c@d.example", ",", ";", ":", "<", ">", '"', "(", ")", "\\", " ", "Ada", "ü", "@"]), max_size=8
).map("".join)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(names_of_people)
@example("c@d.example, ü")
@example('"c@d.example" <x')
def test_a_name_that_holds_an_address_is_one_name_to_every_reader(name: str) -> None:
    """In a mail that comes as MIME, in one that JSON is made into, and in a header that is written anew."""
    own, other = "a@b.example", Recipient(email_address=EmailAddress(address="x@y.example"))
    encoded = Header(name, "utf-8").encode().replace("\n", "")
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    within = f'"{encoded}"'
    for written_name in (encoded, within, quoted):
        raw = f"To: {written_name} <{own}>\r\n\r\n".encode(errors="replace")
        try:
            message = read_mime(raw).message
        except Malformed:
            continue
        assert decoded_first(f"{written_name} <{own}>") <= {own}
        anew = rewritten(raw, msgspec.structs.replace(message, to_recipients=(*(message.to_recipients or ()), other)))
        [line] = message_from_bytes(anew).get_all("To", [])
        assert decoded_first(str(line).replace("\r\n", "")) <= {own, "x@y.example"}
        assert read_mime(anew).message.to_recipients == (*(message.to_recipients or ()), other)
    made = mime_of(letter({"toRecipients": [{"emailAddress": {"address": own, "name": name}}]}), BOX)
    if made is not None:
        [line] = message_from_bytes(made).get_all("To", [])
        assert decoded_first(str(line).replace("\r\n", "")) <= {own}


@settings(max_examples=60, derandomize=True, deadline=None)
@given(messages(0).map(carried), people_of, people_of, people_of, files, hostile | lines, texts | hostile)
@example({}, (), (), (), (), "=?utf-8?q?Bcc=3A?=", "--_m0\r\nBcc: x\r\n\r\n.\r\nFrom \x00")
def test_what_is_written_is_what_is_read(  # noqa: PLR0913, PLR0917 - a mail has that many sides
    message: dict[str, Any],
    to: tuple[Recipient, ...],
    bcc: tuple[Recipient, ...],
    reply_to: tuple[Recipient, ...],
    attachments: tuple[FileAttachment, ...],
    subject: str,
    content: str,
) -> None:
    """Subject, people, text, headers and files, whatever stands in them; and nothing else."""
    body = {"contentType": "html" if len(attachments) % 2 else "text", "content": content}
    mail = letter({**message, "subject": subject, "body": body}).mail
    whole = msgspec.structs.replace(
        mail.message,
        to_recipients=(*(mail.message.to_recipients or ()), *to),
        bcc_recipients=bcc,
        reply_to=reply_to,
        attachments=attachments,
    )
    raw = mime_of(of(msgspec.structs.replace(mail, message=whole)), BOX)
    named = [one.email_address.name or "" for group in (to, bcc, reply_to) for one in group]
    if any(holds_an_address(name) and not (name.isascii() and "=?" not in name) for name in named):
        assert raw is None, "encoded, it would be another recipient to some; it goes as JSON"
        return
    assert raw is not None
    well_formed(raw)

    assert headers(raw, "Subject") == [subject]
    for name, group in (("To", whole.to_recipients), ("Bcc", bcc), ("Reply-To", reply_to)):
        expected = [(one.email_address.name or "", one.email_address.address) for one in group or ()]
        assert people(raw, name) == expected
    own = [(header.name, header.value) for header in whole.internet_message_headers or ()]
    found = [(name, decoded(str(value))) for name, value in message_from_bytes(raw).items() if name[:2] in {"x-", "X-"}]
    assert found == [*own, ("x-mailroom-id", ID)]
    allowed = {"From", "To", "Bcc", "Reply-To", "Subject", "Thread-Topic", "Thread-Index", "Message-ID", "References"}
    allowed |= {"In-Reply-To", "Importance", "Disposition-Notification-To", "Return-Receipt-To", "MIME-Version"}
    allowed |= {"Content-Type", "Content-Transfer-Encoding"}
    assert set(message_from_bytes(raw).keys()) <= allowed | {name for name, _ in found}

    text, *parts = leaves(read(raw))
    data = text.get_payload(decode=True)
    assert isinstance(data, bytes)
    assert data.decode().splitlines() == (content.replace("\r\n", "\n").replace("\r", "\n")).splitlines()
    assert text.get_content_type() == f"text/{'html' if body['contentType'] == 'html' else 'plain'}"
    inline = [one for one in attachments if body["contentType"] == "html" and one.is_inline]
    for part, file in zip(parts, inline + [one for one in attachments if one not in inline], strict=True):
        assert part.get_filename() == file.name
        assert part.get_payload(decode=True) == file.content_bytes
        assert part.get_content_type() == (file.content_type or "application/octet-stream").partition(";")[0]
        assert part["Content-ID"] == (f"<{file.content_id}>" if file.content_id else None)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(), st.text(), st.text(), st.text(), st.text(), st.text())
@example("a\r\nBcc: eve@x.test", "a\r\nBcc: eve@x.test", "a\nBcc: e@x.test", "t\r\nX: y", "\r\n\r\n", "c\r\nX: y")
@example("\x85Bcc: x", "\u2028Bcc: x", "a\x0bBcc: x", "a\x1cBcc: x", "\x1eBcc: x", "\x85")
def test_no_value_can_add_a_header(  # noqa: PLR0913, PLR0917 - every place that takes text
    subject: str, name: str, file: str, kind: str, header: str, cid: str
) -> None:
    """Even from letters that nobody has checked: values end neither their header nor the head."""
    mail = letter({}).mail
    plain = EmailAddress(address="ada@contoso.test", name=name)
    checked = msgspec.structs.replace(
        mail.message,
        subject=subject,
        to_recipients=(Recipient(email_address=plain),),
        attachments=(FileAttachment(name=file, content_type=kind, content_id=cid, content_bytes=b"x"),),
    )
    for message in (checked, msgspec.structs.replace(checked, attachments=None)):
        raw = mime_of(of(msgspec.structs.replace(mail, message=message)), BOX)
        if raw is None:
            continue
        head = raw.partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
        fixed = (
            b"From To Subject Thread-Topic Thread-Index Message-ID In-Reply-To References x-mailroom-id MIME-Version"
        )
        assert set(names) <= {*fixed.split(), b"Content-Type", b"Content-Transfer-Encoding"}
        assert len(names) == len(set(names))
        well_formed(raw)
