"""What policy changes of a mail that came as MIME: its headers, and its calendar parts when it is redirected."""

import base64
import re
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail import limits
from shared.mime.head import MAX_FIELDS
from shared.mime.read import read_mime
from shared.mime.write import as_sent
from shared.policy.pre_send import Declined, before_send
from shared.policy.redirect import LEFT_OUT, ORIGINAL_RECIPIENTS
from shared.policy.size_limits import check_size
from shared.settings.address_patterns import Patterns
from shared.settings.config import Settings
from tests.mail.samples import BOX
from tests.mime.test_write import BODY, outgoing_mail
from tests.policy.test_pre_send import CATCHER, NOBODY, goes

OPEN = Settings(allowed_senders=Patterns.parse("*@contoso.example"))
REDIRECT = replace(OPEN, mode="redirect", redirect_to=CATCHER)


def test_a_redirected_mail_names_nobody_else_in_any_header_that_is_sent_to() -> None:
    """Nor in one that is answered to; whom it was meant for stands in a header that no program sends to."""
    sent = as_sent(goes(outgoing_mail(), REDIRECT).mail, BOX)
    mail = message_from_bytes(sent, policy=default)
    assert mail["To"] == CATCHER
    assert not {"cc", "bcc", "reply-to", "disposition-notification-to"} & {name.lower() for name, _ in mail.items()}
    meant = mail[ORIGINAL_RECIPIENTS]
    assert all(word in meant for word in ("to=fannyd@", "to=danas@", "cc=carl@", "bcc=hidden@"))
    others = [str(value) for name, value in mail.items() if name.lower() != ORIGINAL_RECIPIENTS]
    assert not [value for value in others if "fannyd@" in value or "hidden@" in value]
    assert mail["Subject"] == "[Redirected] Grüße"
    assert sent.partition(b"\r\n\r\n")[2] == BODY.removeprefix(b"\r\n")


def redirect(mime: bytes) -> EmailMessage:
    """The mail as it goes, read by the standard library."""
    verdict = goes(outgoing_mail(mime), REDIRECT)
    sent = as_sent(verdict.mail, BOX)
    read_mime(b"".join(line for line in sent.splitlines(keepends=True) if not line.startswith(b"x-mailroom-")))
    return message_from_bytes(sent, policy=default)


NAMES = [
    "Reply-To", "Mail-Followup-To", "Disposition-Notification-To", "Return-Receipt-To", "Errors-To", "Return-Path",
    "List-Unsubscribe", "Original-Recipient", "X-Campaign", "Autocrypt", "X-Not-Known-To-Anyone",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_only_headers_that_name_nobody_stay_and_one_names_the_others(name: str) -> None:
    kept = b"X-Priority: 1\r\nReferences: <a@contoso.example>\r\nX-Mailer: shop\r\n"
    mail = redirect(f"{name}: <fannyd@contoso.example>\r\n".encode() + kept + b"To: ada@contoso.example\r\n\r\nx")
    assert mail[name] is None
    assert f"header {name}" in mail[LEFT_OUT]
    assert (mail["X-Priority"], mail["X-Mailer"]) == ("1", "shop")
    assert str(mail["References"]).startswith("<a@contoso.example>")


def leaf(kind: str, text: str = "x", more: str = "") -> str:
    return f"Content-Type: {kind}\r\n{more}\r\n{text}"


def multipart(kind: str, *parts: str, boundary: str = "b") -> str:
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\npreamble\r\n{inner}--{boundary}--\r\nend\r\n'


ICS = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nORGANIZER:mailto:fannyd@contoso.example\r\nEND:VCALENDAR"
PACKED = base64.encodebytes(ICS.encode()).decode().replace("\n", "\r\n").rstrip()
BASE64 = "Content-Transfer-Encoding: base64\r\n"
TEXT, HTML = leaf("text/plain", "hello"), leaf("text/html", "<p>hello</p>")
INVITE = leaf("text/calendar; method=REQUEST; charset=utf-8", ICS)
CALENDARS = {
    "text/calendar": INVITE,
    "in base64": leaf("text/calendar", PACKED, BASE64),
    "by its file's name": leaf(
        "application/octet-stream", "x", "Content-Disposition: attachment; filename=invite.ics\r\n"
    ),
    "by its name": leaf('application/octet-stream; name="Invite.ICS"', "x"),
    "by how it begins": leaf("text/plain", ICS),
    "by how it begins in base64": leaf("application/octet-stream", PACKED, BASE64),
    "a message that holds one": leaf(
        "message/rfc822", f"Subject: x\r\n{multipart('mixed', TEXT, INVITE, boundary='i')}"
    ),
    "by how it begins in quoted-printable": leaf(
        "application/octet-stream", ICS.replace("BEGIN", "=42EGIN"), "Content-Transfer-Encoding: quoted-printable\r\n"
    ),
    "a message that is encoded": leaf("message/rfc822", base64.b64encode(INVITE.encode()).decode(), BASE64),
    "a message by its file's name": leaf(
        "application/octet-stream; name=forwarded.eml", base64.b64encode(INVITE.encode()).decode(), BASE64
    ),
    "a message in a digest, which need not say so": multipart("digest", f"\r\n{INVITE}", boundary="d"),
    "multiparts of nothing else": multipart("mixed", INVITE, multipart("mixed", INVITE, boundary="i"), boundary="o"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALENDARS)
def test_a_calendar_part_is_left_out_wherever_it_stands_and_the_subject_says_so(name: str) -> None:
    """In front, in the middle and at the end of a multipart, and in one within another; the rest stays as it was."""
    gone = CALENDARS[name]
    for parts in ([gone, TEXT, HTML], [TEXT, gone, HTML], [TEXT, HTML, gone], [gone, TEXT, gone, gone, HTML, gone]):
        for whole in (
            multipart("alternative", *parts),
            multipart("mixed", multipart("alternative", *parts, boundary="c")),
        ):
            mail = redirect(b"To: ada@contoso.example\r\nSubject: Lunch\r\n" + whole.encode())
            leaves = [part for part in mail.walk() if not part.is_multipart()]
            assert [(part.get_content_type(), part.get_content().strip()) for part in leaves] == [
                ("text/plain", "hello"), ("text/html", "<p>hello</p>"),
            ]  # fmt: skip
            assert not [part.defects for part in mail.walk() if part.defects]
            assert mail["Subject"] == "[Redirected without its calendar part] Lunch"
            assert "calendar part" in mail[LEFT_OUT]
            assert "VCALENDAR" not in mail.as_string()
            assert PACKED[:40] not in mail.as_string()


@pytest.mark.parametrize("name", CALENDARS)
def test_of_a_mail_that_is_a_calendar_part_alone_a_notice_is_left(name: str) -> None:
    mail = redirect(b"To: ada@contoso.example\r\nSubject: Lunch\r\n" + CALENDARS[name].encode())
    assert mail.get_content_type() == "text/plain"
    assert "left it out" in mail.get_content()
    assert mail["Content-Transfer-Encoding"] is mail["Content-Disposition"] is None
    assert "VCALENDAR" not in mail.as_string()


def test_a_mail_without_calendar_parts_keeps_its_body_byte_for_byte() -> None:
    message = leaf("message/rfc822", f"Subject: x\r\n{TEXT}")
    whole = multipart("mixed", multipart("alternative", TEXT, HTML, boundary="c"), message, leaf("text/calendars"))
    given = b"To: ada@contoso.example\r\n" + whole.encode()
    sent = as_sent(goes(outgoing_mail(given), REDIRECT).mail, BOX)
    assert sent.partition(b"\r\n\r\n")[2] == given.partition(b"\r\n\r\n")[2]


def test_a_mail_with_as_many_headers_as_it_may_have_is_not_failed_by_those_that_are_added() -> None:
    more = b"".join(b"X-Mailer: %d\r\n" % number for number in range(MAX_FIELDS - 1))
    for rules in (REDIRECT, OPEN):
        sent = as_sent(goes(outgoing_mail(more + b"To: ada@contoso.example\r\n\r\nx"), rules).mail, BOX)
        assert sent.count(b"X-Mailer: ") == MAX_FIELDS - 1
        assert b"x-mailroom-id: " in sent
        assert (b"x-mailroom-original-recipients: to=ada@" in sent) is (rules is REDIRECT)


def test_nor_is_the_largest_mail() -> None:
    """What is added would make it too large for a request: then it is not added."""
    head, most = b"To: ada@contoso.example\r\nSubject: x\r\n\r\n", limits.MAX_REQUEST // 4 * 3
    room = most - len(as_sent(outgoing_mail(head), BOX)) - 40
    given = outgoing_mail(head + (b"." * 76 + b"\r\n") * (room // 78))
    check_size(given, large=False)
    verdict = goes(given, replace(REDIRECT, redirect_to="c@e.test"))
    check_size(verdict.mail, large=False)
    assert verdict.mail.request.message.internet_message_headers is None
    assert [one.email_address.address for one in verdict.mail.request.message.to_recipients or ()] == ["c@e.test"]


def test_a_mail_that_can_no_longer_be_read_fails_instead_of_going_as_it_is() -> None:
    odd = replace(outgoing_mail(), mime=b"To: ada@contoso.example\r\nContent-Type: multipart/mixed\r\n\r\nx")
    verdict = before_send(odd, REDIRECT, NOBODY)
    assert isinstance(verdict, Declined)
    assert (verdict.state, verdict.status) == ("failed", 400)


@given(st.data())
def test_whatever_is_left_of_a_mail_is_a_whole_mail_without_calendar_parts(data: st.DataObject) -> None:
    leaves = st.sampled_from([TEXT, HTML, INVITE, CALENDARS["in base64"], leaf("application/pdf", "x")])
    names = iter(range(100))

    def group(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(parts, min_size=1, max_size=4).map(
            lambda given: multipart("mixed", *given, boundary=f"b{next(names)}x")
        )

    body = data.draw(st.recursive(leaves, group, max_leaves=8))
    mail = redirect(b"To: ada@contoso.example\r\n" + body.encode())
    kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    wanted = [kind for kind in re.findall(r"Content-Type: ([a-z/]+)", body) if not kind.startswith("multipart")]
    assert kinds == ([kind for kind in wanted if kind != "text/calendar"] or ["text/plain"])
    assert not [part.defects for part in mail.walk() if part.defects]


def test_suppressed_recipients_are_taken_out_of_the_headers() -> None:
    given = goes(outgoing_mail(), OPEN, frozenset({"danas@contoso.example", "hidden@contoso.example"}))
    assert given.left_out == 2
    mail = message_from_bytes(as_sent(given.mail, BOX), policy=default)
    assert [address.addr_spec for address in mail["To"].addresses] == ["fannyd@contoso.example"]
    assert mail["Bcc"] is None
    assert mail["Cc"] == "carl@contoso.example"
    assert mail["X-Original-To"] is None, "it names those who are left out"
    assert mail["Received"] is None
