"""A redirected mail reaches one address, and says whom it was meant for."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.letters.limits import MAX_REQUEST, request_size
from shared.letters.parts import BodyType, InternetMessageHeader, ItemBody
from shared.letters.stamp import STAMP_HEADER, stamped
from shared.letters.wire import Message, SendMail
from shared.policy.redirect import ORIGINAL_RECIPIENTS, banner_place, redirected
from tests.policy.test_admit import person

CATCHER = "catcher@elsewhere.test"
ADELE, BEN, CAROL, DESK = "adele@fabrikam.test", "ben@fabrikam.test", "carol@fabrikam.test", "desk@fabrikam.test"


def mail(kind: BodyType | None = BodyType.TEXT, content: str = "Hello.", **message: Any) -> SendMail:
    whole: dict[str, Any] = {
        "subject": "Meet for lunch?",
        "body": ItemBody(content_type=kind, content=content),
        "to_recipients": (person(ADELE),),
        "cc_recipients": (person(BEN),),
        "bcc_recipients": (person(CAROL),),
        "reply_to": (person(DESK),),
        "from_": person("shop@contoso.test"),
    }
    return SendMail(message=Message(**whole | message))


def body(of: SendMail) -> str:
    assert of.message.body is not None
    return of.message.body.content or ""


def header(of: SendMail, name: str = ORIGINAL_RECIPIENTS) -> str | None:
    return next((one.value for one in of.message.internet_message_headers or () if one.name == name), None)


def test_it_reaches_one_address_and_nobody_by_an_answer() -> None:
    message = redirected(mail(), CATCHER).message
    assert [one.email_address.address for one in message.to_recipients or ()] == [CATCHER]
    assert (message.cc_recipients, message.bcc_recipients, message.reply_to) == (None, None, None)


def test_sender_subject_and_what_is_attached_stay() -> None:
    before, after = mail(), redirected(mail(), CATCHER)
    assert (after.message.subject, after.message.from_) == (before.message.subject, before.message.from_)
    assert after.save_to_sent_items == before.save_to_sent_items


@pytest.mark.parametrize("kind", [BodyType.TEXT, BodyType.HTML, None])
def test_the_banner_names_everyone_above_the_body(kind: BodyType | None) -> None:
    text = body(redirected(mail(kind), CATCHER))
    banner, _, rest = text.partition("Hello.")
    assert all(
        f"{name}: {one}" in banner for name, one in {"To": ADELE, "Cc": BEN, "Bcc": CAROL, "Reply-To": DESK}.items()
    )
    assert rest == ""
    assert ("<div" in banner) == (kind is BodyType.HTML)


def test_a_mail_without_a_body_gets_one() -> None:
    assert ADELE in body(redirected(mail(body=None), CATCHER))


def test_where_the_body_is_not_written_into_the_subject_says_it() -> None:
    result = redirected(mail(), CATCHER, banner=False)
    assert result.message.subject == "[Redirected] Meet for lunch?"
    assert body(result) == "Hello."
    assert header(result) == f"to={ADELE} cc={BEN} bcc={CAROL}"
    assert redirected(mail(subject=None), CATCHER, banner=False).message.subject == "[Redirected]"


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
    assert value.endswith(f" and {500 - named} more")
    assert 20 < named < 500
    assert len(value) < 990


def test_many_recipients_are_counted_in_the_banner() -> None:
    many = tuple(person(f"someone{number}@fabrikam.test") for number in range(500))
    text = body(redirected(mail(to_recipients=many), CATCHER))
    assert "someone49@fabrikam.test and 450 more" in text
    assert "someone50@" not in text


def own(count: int) -> tuple[InternetMessageHeader, ...]:
    return tuple(InternetMessageHeader(name=f"x-{number}", value="1") for number in range(count))


@pytest.mark.parametrize(("there", "original", "stamp"), [(0, True, True), (3, True, True), (4, True, False)])
def test_of_graphs_five_headers_the_original_recipients_come_before_the_stamp(
    there: int, *, original: bool, stamp: bool
) -> None:
    result = redirected(mail(internet_message_headers=own(there)), CATCHER)
    marked = SendMail(message=stamped(result.message, "0" * 32))
    assert (header(marked) is not None, header(marked, STAMP_HEADER) is not None) == (original, stamp)
    assert len(marked.message.internet_message_headers or ()) <= 5


def test_a_mail_with_five_headers_of_its_own_is_told_by_its_banner_alone() -> None:
    result = redirected(mail(internet_message_headers=own(5)), CATCHER)
    assert result.message.internet_message_headers == own(5)
    assert ADELE in body(result)


def test_the_banner_does_not_make_a_request_too_large() -> None:
    """A thousand bytes are kept for the stamp and the marks of a thread."""
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


@pytest.mark.parametrize(
    "piece", ["<body ", "<html ", "<!--", "<!doctype ", "<style>", "</head ", "<body \"'", "<!-- <body>"]
)
def test_no_document_takes_long(piece: str) -> None:
    """A million characters that never close what they open, in about linear time."""
    html = piece * (1_000_000 // len(piece))
    began = time.process_time()
    banner_place(html)
    assert time.process_time() - began < 2
