"""MIME sent on: the same bytes, but for the headers that have to be other ones."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.graph_types import EmailAddress, InternetMessageHeader, Recipient
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import Origin, OutgoingMail, decode, encode, fingerprint
from shared.mail.sizes import check_size
from shared.mail.threading import marks_of
from shared.mime.read import read_mime
from shared.mime.write import as_sent

BOX = "mailroom@contoso.example"
ID = "0197c1b2d3e4f5a6b7c8d9e0f1a2b3c4"
OURS = f"<{ID}@contoso.example>"
HEAD = (
    b"Received: from x by y for fannyd@contoso.example; Thu, 6 May 2021 22:47:18 +0000\r\n"
    b"From: =?utf-8?q?J=C3=B6rg?= <joerg@contoso.example>\r\n"
    b"To: Fanny <fannyd@contoso.example>,\r\n danas@contoso.example\r\n"
    b"Cc: carl@contoso.example\r\nBcc: hidden@contoso.example\r\nReply-To: help@contoso.example\r\n"
    b"Disposition-Notification-To: joerg@contoso.example\r\nX-Original-To: fannyd@contoso.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Odd:   kept  as\r\n\tit is \r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)
BODY = b"\r\n" + "Grüße\nTo: nobody@contoso.example\r\n\n".encode() + b"\xff"
MAIL = HEAD + BODY


def outgoing_mail(mime: bytes = MAIL, **changes: Any) -> OutgoingMail:
    made = OutgoingMail(
        id=ID,
        scope="queue:mail-outbox",
        fingerprint="f",
        sender=BOX,
        request=read_mime(mime),
        origin=Origin(kind="queue", name="mail-outbox"),
        accepted_at=datetime(2026, 7, 1, tzinfo=UTC),
        mime=mime,
    )
    return replace(made, **changes)


def head_of(mail: bytes) -> list[bytes]:
    """The lines of the headers."""
    return mail.partition(b"\r\n\r\n")[0].split(b"\r\n")


def parsed(mail: bytes) -> EmailMessage:
    read = message_from_bytes(mail, policy=default)
    assert isinstance(read, EmailMessage)
    return read


def addressed(*addresses: str) -> tuple[Recipient, ...]:
    return tuple(Recipient(email_address=EmailAddress(address=address)) for address in addresses)


def changed(**changes: Any) -> bytes:
    return rewritten(MAIL, msgspec.structs.replace(read_mime(MAIL).message, **changes))


def rewritten(mime: bytes, message: Message) -> bytes:
    """The mail as it is sent with this message, without what Mailroom adds."""
    sent = as_sent(outgoing_mail(mime, request=SendMail(message=message)), BOX)
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith((b"x-mailroom-id:", b"Message-ID:"))]
    return b"\r\n".join([*lines, b"", body])


def test_a_mail_goes_with_its_own_bytes_and_the_marker() -> None:
    sent = as_sent(outgoing_mail(), BOX)
    assert sent == HEAD + f"x-mailroom-id: {ID}\r\nMessage-ID: {OURS}\r\n".encode() + BODY
    assert as_sent(outgoing_mail(), BOX) == sent


def test_line_ends_of_headers_become_crlf_and_those_of_the_body_stay() -> None:
    """So that nobody finds another end of the headers than we do."""
    mime = b"To: a@contoso.example,\n\tb@contoso.example\nSubject: x\n\nline\nBcc: c@contoso.example\r\n\r\n"
    sent = as_sent(outgoing_mail(mime), BOX)
    assert sent.startswith(b"To: a@contoso.example,\r\n\tb@contoso.example\r\nSubject: x\r\nx-mailroom-id: ")
    assert sent.endswith(b"\r\n\r\nline\nBcc: c@contoso.example\r\n\r\n")
    assert b"\n" not in sent.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")


lines = st.sampled_from([b"", b"x", b"To: a@contoso.example", b"--b", b"\xff\xfe", b" ", b"."])


@settings(max_examples=200, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n"]))), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_any_body_goes_byte_for_byte(body: list[tuple[bytes, bytes]], end: bytes, redirect: bool) -> None:  # noqa: FBT001 - drawn
    content = b"".join(line + ending for line, ending in body)
    mime = b"To: a@contoso.example" + end + b"X-One: 1" + end + end + content
    made = outgoing_mail(mime, thread="t")
    if redirect:
        mail = msgspec.structs.replace(made.request, message=Message(to_recipients=addressed("test@contoso.example")))
        made = replace(made, request=mail)
    head, separator, after = as_sent(made, BOX).partition(b"\r\n\r\n")
    assert (separator, after) == (b"\r\n\r\n", content)
    assert b"X-One: 1" in head.split(b"\r\n")


def test_a_message_id_of_the_sender_is_kept_beside_ours_and_as_a_reference() -> None:
    """Only an id that no other mail has proves that this one has gone."""
    mime = b"Message-ID: <theirs@shop.example>\r\nReferences: <a@shop.example>\r\n <b@shop.example>\r\n" + MAIL
    sent = parsed(as_sent(outgoing_mail(mime), BOX))
    assert sent.get_all("Message-ID") == [OURS]
    assert sent["x-mailroom-message-id"] == "<theirs@shop.example>"
    assert str(sent["References"]).split() == ["<a@shop.example>", "<b@shop.example>", "<theirs@shop.example>"]
    assert parsed(as_sent(outgoing_mail(b"Message-ID: <theirs@shop.example>\r\n" + MAIL), BOX))["References"] == (
        "<theirs@shop.example>"
    )


def test_a_thread_is_marked_in_headers_that_the_sender_has_not_set() -> None:
    made = outgoing_mail(thread="incident 7")
    marks = marks_of(made)
    assert marks is not None
    sent = parsed(as_sent(made, BOX))
    assert sent["In-Reply-To"] == sent["References"] == marks.root
    assert sent["Thread-Topic"] == "Grüße"
    assert sent["Thread-Index"]
    own = b"In-Reply-To: <p@shop.example>\r\nThread-Index: AQ==\r\nThread-Topic: theirs\r\n"
    kept = parsed(as_sent(outgoing_mail(own + MAIL, thread="incident 7"), BOX))
    assert (kept["In-Reply-To"], kept["References"]) == ("<p@shop.example>", None)
    assert (kept["Thread-Index"], kept["Thread-Topic"]) == ("AQ==", "theirs")
    both = parsed(as_sent(outgoing_mail(b"Message-ID: <m@shop.example>\r\n" + MAIL, thread="incident 7"), BOX))
    assert str(both["References"]).split() == [marks.root, "<m@shop.example>"]


def test_what_was_read_changes_nothing() -> None:
    assert changed() == MAIL


def test_with_other_recipients_no_header_names_the_old_ones() -> None:
    sent = changed(
        to_recipients=addressed("test@contoso.example"),
        cc_recipients=None,
        bcc_recipients=(),
        reply_to=None,
        subject="[redirected] Grüße",
        internet_message_headers=(InternetMessageHeader(name="x-mailroom-original-to", value="2 Empfänger"),),
    )
    read = parsed(sent)
    assert (read["To"], read["Cc"], read["Bcc"], read["Reply-To"]) == ("test@contoso.example", None, None, None)
    assert read["Subject"] == "[redirected] Grüße"
    assert read["x-mailroom-original-to"] == "2 Empfänger"
    head = b"\r\n".join(head_of(sent))
    for gone in (b"fannyd", b"danas", b"carl", b"hidden", b"help@", b"X-Original-To", b"Received"):
        assert gone not in head
    assert b"From: =?utf-8?q?J=C3=B6rg?= <joerg@contoso.example>" in head_of(sent)
    assert sent.endswith(b"\r\n" + BODY)


def test_with_fewer_recipients_receipts_still_go_to_who_asked_for_them() -> None:
    sent = changed(to_recipients=addressed("danas@contoso.example"))
    read = parsed(sent)
    assert read["To"] == "danas@contoso.example"
    assert read["Cc"] == "carl@contoso.example"
    assert read["Disposition-Notification-To"] == "joerg@contoso.example"
    assert (read["X-Original-To"], read["Received"]) == (None, None)


def test_a_header_that_was_not_there_is_added() -> None:
    mime = b"Bcc: a@contoso.example\r\n\r\nx"
    message = msgspec.structs.replace(
        read_mime(mime).message,
        to_recipients=addressed("b@contoso.example"),
        from_=addressed("c@contoso.example")[0],
        internet_message_headers=(InternetMessageHeader(name="x-note", value="Grüße"),),
    )
    sent = rewritten(mime, message)
    assert {name: str(value) for name, value in parsed(sent).items()} == {
        "Bcc": "a@contoso.example", "To": "b@contoso.example", "From": "c@contoso.example", "x-note": "Grüße",
    }  # fmt: skip
    assert sent.endswith(b"\r\n\r\nx")


def test_new_addresses_that_no_header_can_hold_are_refused() -> None:
    assert parsed(changed(cc_recipients=addressed("a@xn--bcher-kva.example")))["Cc"] == "a@xn--bcher-kva.example"
    with pytest.raises(Malformed) as caught:
        changed(cc_recipients=addressed("a@contoso.example", "ü@contoso.example"))
    assert (caught.value.code, caught.value.path) == ("ErrorInvalidRecipients", "Cc, address 2")


words = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="<>"), max_size=60)


@settings(max_examples=200, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(words, min_size=1, max_size=4), words)
def test_what_is_written_anew_is_read_as_it_was_meant(names: list[str], subject: str) -> None:
    """By our own reader, which is stricter than any other; and a second time nothing changes."""
    people = tuple(
        Recipient(email_address=EmailAddress(address=f"u{at}@contoso.example", name=" ".join(name.split()) or None))
        for at, name in enumerate(names)
    )
    message = msgspec.structs.replace(
        read_mime(MAIL).message, to_recipients=people, from_=people[0], subject=" ".join(subject.split()) or None
    )
    again = rewritten(MAIL, message)
    assert read_mime(again).message == message
    assert rewritten(again, message) == again


def test_a_mail_of_mime_waits_as_any_other() -> None:
    made = outgoing_mail()
    assert decode(encode(made)) == made
    assert fingerprint(BOX, made.request, None, made.mime) != fingerprint(BOX, made.request)


def test_a_mail_too_large_with_its_marker_is_refused() -> None:
    room = limits.MAX_REQUEST // 4 * 3
    marker = len(as_sent(outgoing_mail(), BOX)) - len(MAIL)
    check_size(outgoing_mail(MAIL + b"x" * (room - len(MAIL) - marker)), large=False)
    with pytest.raises(Malformed) as caught:
        check_size(outgoing_mail(MAIL + b"x" * (room - len(MAIL) - marker + 1)), large=False)
    assert (caught.value.status, caught.value.code) == (413, "RequestEntityTooLarge")
