"""A redirected mail reaches one address, and says whom it was meant for."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.attached_items import Event
from shared.mail.graph_types import BodyType, InternetMessageHeader, ItemBody, SingleValueLegacyExtendedProperty
from shared.mail.limits import MAX_REQUEST
from shared.mail.marker import MARKER_HEADER, with_marker
from shared.mail.model import Attachment, BlobAttachment, FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.sizes import request_size, size_with_marker
from shared.policy.redirect import ORIGINAL_RECIPIENTS, banner_place, redirected
from tests.mail.samples import person

CATCHER = "catcher@elsewhere.test"
ADELE, BEN, CAROL, DESK = "adele@fabrikam.test", "ben@fabrikam.test", "carol@fabrikam.test", "desk@fabrikam.test"


def mail(kind: BodyType | None = BodyType.TEXT, content: str = "Hello.", **message: Any) -> SendMail:
    whole: dict[str, Any] = {
        "subject": "Meet for lunch?", "body": ItemBody(content_type=kind, content=content),
        "to_recipients": (person(ADELE),), "cc_recipients": (person(BEN),), "bcc_recipients": (person(CAROL),),
        "reply_to": (person(DESK),), "from_": person("shop@contoso.test"),
    }  # fmt: skip
    return SendMail(message=Message(**whole | message))


def body(of: SendMail) -> str:
    assert of.message.body is not None
    return of.message.body.content or ""


def header(of: SendMail, name: str = ORIGINAL_RECIPIENTS) -> str | None:
    return next((one.value for one in of.message.internet_message_headers or () if one.name == name), None)


def test_it_reaches_one_address_and_nobody_by_an_answer() -> None:
    before, after = mail(), redirected(mail(), CATCHER)
    message = after.message
    assert (message.subject, message.from_) == (before.message.subject, before.message.from_)
    assert after.save_to_sent_items == before.save_to_sent_items
    assert ADELE in body(redirected(mail(body=None), CATCHER))
    assert [one.email_address.address for one in message.to_recipients or ()] == [CATCHER]
    assert (message.cc_recipients, message.bcc_recipients, message.reply_to) == (None, None, None)


@pytest.mark.parametrize("kind", [BodyType.TEXT, BodyType.HTML, None])
def test_the_banner_names_everyone_above_the_body(kind: BodyType | None) -> None:
    text = body(redirected(mail(kind), CATCHER))
    banner, _, rest = text.partition("Hello.")
    assert all(
        f"{name}: {one}" in banner for name, one in {"To": ADELE, "Cc": BEN, "Bcc": CAROL, "Reply-To": DESK}.items()
    )
    assert rest == ""
    assert ("<div" in banner) == (kind is BodyType.HTML)


def test_what_an_address_holds_is_text_in_the_banner() -> None:
    odd = '"<b>&"@fabrikam.test'
    text = body(redirected(mail(BodyType.HTML, to_recipients=(person(odd),)), CATCHER))
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text


def test_the_header_names_recipients_as_far_as_a_line_goes() -> None:
    assert header(redirected(mail(), CATCHER)) == f"to={ADELE} cc={BEN} bcc={CAROL}"
    many = tuple(person(f"someone{number}@fabrikam.test") for number in range(500))
    value = header(redirected(mail(to_recipients=many, cc_recipients=None, bcc_recipients=None), CATCHER)) or ""
    named = value.count("to=")
    text = body(redirected(mail(to_recipients=many), CATCHER))
    assert "someone49@fabrikam.test and 450 more" in text
    assert "someone50@" not in text
    assert value.endswith(f" and {500 - named} more")
    assert 20 < named < 500
    assert len(value) < 990


# Whatever names a person or asks for an answer in some program, known to this list or not.
LEADS_BACK = [
    "X-Reply-To", "X-Original-To", "X-Confirm-Reading-To", "x-pmrqc", "X-RCPT-TO", "X-List-Unsubscribe", "X-BeenThere",
    "X-Errors-To", "X-Cc", "X-Campaign", "x-not-known-to-anyone",
]  # fmt: skip


@pytest.mark.parametrize("name", LEADS_BACK)
def test_only_headers_that_name_nobody_stay_and_the_banner_names_the_others(name: str) -> None:
    headers = (*own(2), InternetMessageHeader(name=name, value=f"<{ADELE}>"))
    result = redirected(mail(internet_message_headers=headers), CATCHER)
    assert [one.name for one in result.message.internet_message_headers or ()] == [*NAMES[:2], ORIGINAL_RECIPIENTS]
    assert f"Left out: header {name}\r\n" in body(result)


def test_nobody_is_asked_for_a_receipt() -> None:
    result = redirected(mail(is_delivery_receipt_requested=True, is_read_receipt_requested=True), CATCHER)
    assert result.message.is_delivery_receipt_requested is result.message.is_read_receipt_requested is None
    assert "Left out: the request for a delivery receipt, the request for a read receipt" in body(result)
    plain = redirected(mail(is_read_receipt_requested=False), CATCHER)
    assert plain.message.is_read_receipt_requested is None
    assert "Left out" not in body(plain)


@pytest.mark.parametrize(
    "attachment",
    [
        FileAttachment(name="invite.ics", content_bytes=b"x"),
        ItemAttachment(name="attached", item=Event(subject="Lunch")),
        BlobAttachment(name="a", blob="mail-attachments/invite.ics"),
    ],
)
def test_an_invitation_is_left_out_and_the_banner_names_it(attachment: Attachment) -> None:
    """Whoever accepts it answers to the organiser."""
    there = FileAttachment(name="report.pdf", content_bytes=b"x", content_type="application/pdf")
    result = redirected(mail(attachments=(there, attachment)), CATCHER)
    assert result.message.attachments == (there,)
    assert f"Left out: calendar {attachment.name}\r\n" in body(result)
    assert redirected(mail(attachments=(attachment,)), CATCHER).message.attachments is None


def test_of_extended_properties_those_stay_that_every_mail_may_have() -> None:
    kept = SingleValueLegacyExtendedProperty(id="SystemTime 0x3FEF", value="2026-07-01T08:00:00Z")
    own_one = SingleValueLegacyExtendedProperty(
        id="String {00062008-0000-0000-c000-000000000046} Name Voting", value=ADELE
    )
    result = redirected(mail(single_value_extended_properties=(kept, own_one)), CATCHER)
    assert result.message.single_value_extended_properties == (kept,)
    assert "Left out: property String {00062008-" in body(result)


def test_what_redirecting_adds_fails_no_mail_that_fits_without_it() -> None:
    """A mail of the largest size: neither banner nor header."""
    whole = mail(content="", cc_recipients=None, bcc_recipients=None, reply_to=None)
    bare = msgspec.structs.replace(whole, message=msgspec.structs.replace(whole.message, body=ItemBody(content="")))
    room = MAX_REQUEST - size_with_marker(bare)
    body_of = ItemBody(content="." * room)
    full = msgspec.structs.replace(whole, message=msgspec.structs.replace(whole.message, body=body_of))
    assert size_with_marker(full) == MAX_REQUEST
    result = redirected(full, ADELE)
    assert body(result) == "." * room
    assert header(result) is None
    assert size_with_marker(result) == MAX_REQUEST


NAMES = ("X-Priority", "x-msmail-priority", "X-Mailer", "X-Auto-Response-Suppress", "x-mailer")


def own(count: int) -> tuple[InternetMessageHeader, ...]:
    return tuple(InternetMessageHeader(name=name, value="1") for name in NAMES[:count])


@pytest.mark.parametrize(
    ("there", "original", "marker"), [(0, True, True), (3, True, True), (4, True, False), (5, False, False)]
)
def test_of_graphs_five_headers_the_original_recipients_come_before_the_marker(
    there: int, *, original: bool, marker: bool
) -> None:
    result = redirected(mail(internet_message_headers=own(there)), CATCHER)
    marked = SendMail(message=with_marker(result.message, "0" * 32))
    assert (header(marked) is not None, header(marked, MARKER_HEADER) is not None) == (original, marker)
    assert (marked.message.internet_message_headers or ())[:there] == own(there)
    assert len(marked.message.internet_message_headers or ()) <= 5
    assert ADELE in body(result)


def test_the_banner_does_not_make_a_request_too_large() -> None:
    """A thousand bytes are kept for the marker and the marks of a thread."""
    empty = redirected(mail(content=""), CATCHER)
    message = msgspec.structs.replace(empty.message, body=mail(content="").message.body)
    room = MAX_REQUEST - 1_050 - request_size(msgspec.structs.replace(empty, message=message))
    full = redirected(mail(content="." * room), CATCHER)
    assert body(full) == "." * room
    assert header(full)
    less = redirected(mail(content="." * (room - 1_000)), CATCHER)
    assert body(less) != "." * (room - 1_000)


PLACES = [
    ("|<p>Hello</p>", "a fragment"),
    ("<body>|Hello</body>", "a body"),
    ("<html><head><title>x</title></head><BODY bgcolor='a>b' class=\"c\">|Hello", "attributes with a bracket"),
    ("<!-- <body> --><body>|Hello", "a body in a comment"),
    ("<!--><body>|Hello", "a comment that is over at once"),
    ("<head><style>/* <body> */</style></head><body>|Hello", "a body in a style"),
    ("<title><body></title><body>|Hello", "a body in a title"),
    ("<!DOCTYPE html>|<p>Hello", "a document type and no body"),
    ("<!doctype html><html lang=de><head></head>|<p>Hello", "a head and no body"),
    ("|<bodyguard>Hello", "another element"),
    ("<html>|<body class='never ends>Hello", "a body that never ends"),
    ("|<!-- never ends <body>Hello", "a comment that never ends"),
]


@pytest.mark.parametrize("marked", [place for place, _ in PLACES], ids=[name for _, name in PLACES])
def test_the_banner_shows_first_in_what_a_document_shows(marked: str) -> None:
    assert banner_place(marked.replace("|", "")) == marked.index("|")


@given(st.text(st.sampled_from("<>!-/\"' bodyhtmlestcrip"), max_size=200))
def test_whatever_a_document_looks_like_the_banner_has_a_place_in_it(html: str) -> None:
    assert 0 <= banner_place(html) <= len(html)
