"""The mail that a mail client gets to see."""

import base64
import json
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cloud import mime
from sandbox.cloud.mime_content import read_mime
from sandbox.cloud.state import completed
from tests.sandbox.cloud.emulator import BOX, mail, recipient

DATE = "Mon, 06 Jan 2031 10:00:00 +0000"
PIXEL = b"\x89PNG pixel"
TYPE = "#microsoft.graph.fileAttachment"


def composed(**changes: Any) -> EmailMessage:
    made = message_from_bytes(mime.compose(completed(mail(**changes), BOX), DATE), policy=default)
    assert isinstance(made, EmailMessage)
    return made


def test_text_goes_as_text_with_the_headers_of_a_mail() -> None:
    made = composed(
        subject="Grüße",
        body={"contentType": "Text", "content": "ä\nb"},
        toRecipients=[recipient("ada@example.com", 'Adé, the "first"'), recipient("b@bücher.example")],
        ccRecipients=[recipient("cc@example.com")],
        bccRecipients=[recipient("hidden@example.com")],
        replyTo=[recipient("help@example.com", "Help")],
        importance="High",
        internetMessageHeaders=[{"name": "X-Mine", "value": "wért"}],
        isReadReceiptRequested=True,
        categories=["Red"],
    )
    assert made["Subject"] == "Grüße"
    assert made["From"].addresses[0].addr_spec == BOX
    assert made["To"].addresses[0].display_name == 'Adé, the "first"'
    assert [address.addr_spec for address in made["To"].addresses] == ["ada@example.com", "b@xn--bcher-kva.example"]
    assert made["Cc"] == "cc@example.com"
    assert made["Reply-To"] == "Help <help@example.com>"
    assert made["Date"] == DATE
    assert made["Message-ID"].endswith("@sandbox.example>")
    assert (made["Importance"], made["X-Priority"], made["X-Mine"]) == ("high", "1", "wért")
    assert made["Disposition-Notification-To"]
    assert made["Sender"] is None
    assert b"hidden@example.com" not in made.as_bytes()
    assert made.get_content_type() == "text/plain"
    assert made.get_content().splitlines() == ["ä", "b"]


def test_html_goes_with_its_inline_images_related_and_files_beside() -> None:
    made = composed(
        body={"contentType": "html", "content": '<img src="cid:logo">'},
        attachments=[
            {
                "@odata.type": TYPE,
                "name": "logo.png",
                "contentType": "image/png",
                "isInline": True,
                "contentId": "logo",
                "contentBytes": base64.b64encode(PIXEL).decode(),
            },
            {"@odata.type": TYPE, "name": "Größe.txt", "contentBytes": "aGVsbG8="},
            {"@odata.type": TYPE, "name": "odd", "contentType": "multipart/mixed", "contentBytes": ""},
        ],
    )
    assert made.get_content_type() == "multipart/mixed"
    related, file, odd = made.iter_parts()
    assert related.get_content_type() == "multipart/related"
    html, image = related.iter_parts()
    assert html.get_content().strip() == '<img src="cid:logo">'
    assert (image["Content-ID"], image.get_content_disposition(), image.get_content()) == ("<logo>", "inline", PIXEL)
    assert (file.get_filename(), file.get_content()) == ("Größe.txt", b"hello")
    assert odd.get_content_type() == "application/octet-stream"


def test_mime_goes_as_it_came_without_bcc_and_with_what_it_lacks() -> None:
    raw = b"To: ada@example.com\nBcc: one@example.com,\n two@example.com\nSubject: x\n\nBcc: body\n"
    message = completed(mail(internetMessageId="<1@example.com>"), BOX)
    assert (
        mime.complete(raw, message, DATE)
        == (
            f"From: {BOX}\r\nDate: {DATE}\r\nMessage-ID: <1@example.com>\r\n"
            "To: ada@example.com\r\nSubject: x\r\n\r\nBcc: body\r\n"
        ).encode()
    )
    whole = b"From: a@b.de\r\nDate: x\r\nMessage-Id: <2@b.de>\r\n\r\nbody"
    assert mime.complete(whole, message, DATE) == whole


def test_a_conversation_is_the_same_in_properties_and_in_headers() -> None:
    properties = [
        {"id": "String 0x1042", "value": "<root@example.com>"},
        {"id": "String 0x1039", "value": "<root@example.com>"},
        {"id": "String 0x0070", "value": "Größe"},
        {"id": "Binary 0x0071", "value": "AQHVwDZp9ShRJwMb2Z72+yir3k03ZA=="},
    ]
    hidden = [{"id": "Boolean 0x3016", "value": "true"}, {"id": "String {" + "0" * 8 + "} Name X", "value": "x"}]
    made = composed(singleValueExtendedProperties=[*properties, *hidden])
    assert made["In-Reply-To"] == made["References"] == "<root@example.com>"
    assert (made["Thread-Topic"], made["Thread-Index"]) == ("Größe", properties[3]["value"])
    assert read_mime(made.as_bytes())["singleValueExtendedProperties"] == properties


def test_everyone_counts_as_a_recipient_whom_some_program_could_mail() -> None:
    message = read_mime(b"To: a@b.de\nTo: b@b.de\nResent-To: c@b.de\rCc: d@b.de\nResent-Bcc: e@b.de\n\nx")
    found = {
        name: [one["emailAddress"]["address"] for one in message[f"{name}Recipients"]] for name in ("to", "cc", "bcc")
    }
    assert found == {"to": ["a@b.de", "b@b.de", "c@b.de"], "cc": ["d@b.de"], "bcc": ["e@b.de"]}
    assert read_mime(b"To: undisclosed-recipients:;\nBcc: a@b.de\n\nx")["toRecipients"] == []


PIECES = st.sampled_from(
    [
        b"To: ",
        b"From: ",
        b"Content-Type: ",
        b"multipart/mixed; boundary=",
        b"text/plain; charset=",
        b'filename="',
        b"=?utf-8?q?",
        b"?=",
        b"\n",
        b"--",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=20).map(b"".join))
def test_any_bytes_are_read_as_mime_and_handed_over(raw: bytes) -> None:
    message = read_mime(raw)
    json.dumps(message, ensure_ascii=False).encode()
    assert mime.complete(raw, completed(message, BOX), DATE).count(b"\r\n\r\n") >= 1
