"""A MIME mail as it goes to Graph, read again by Python's email package, which knows nothing of how it was written."""

import re
from collections.abc import Iterable
from dataclasses import replace
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.mail import limits
from shared.mail.graph_types import InternetMessageHeader, Recipient
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import OutgoingMail
from shared.mail.threading import marks_of
from shared.mime.address_lists import holds_an_address
from shared.mime.read import read_mime
from shared.mime.write import address_list, as_sent, unstructured
from shared.policy.size_limits import check_size
from tests.mail.samples import BOX, ID, outgoing, people, person
from tests.mail.strategies import lines, local_parts, texts

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
    fields: dict[str, Any] = {"request": read_mime(mime), "mime": mime, **changes}
    return outgoing(**fields)


def head_of(mail: bytes) -> list[bytes]:
    return mail.partition(b"\r\n\r\n")[0].split(b"\r\n")


def parsed(mail: bytes) -> EmailMessage:
    read = message_from_bytes(mail, policy=default)
    assert isinstance(read, EmailMessage)
    return read


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
    assert changed() == MAIL


def test_line_ends_of_headers_become_crlf_and_those_of_the_body_stay() -> None:
    """So that nobody finds another end of the headers than we do."""
    mime = b"To: a@contoso.example,\n\tb@contoso.example\nSubject: x\n\nline\nBcc: c@contoso.example\r\n\r\n"
    sent = as_sent(outgoing_mail(mime), BOX)
    assert sent.startswith(b"To: a@contoso.example,\r\n\tb@contoso.example\r\nSubject: x\r\nx-mailroom-id: ")
    assert sent.endswith(b"\r\n\r\nline\nBcc: c@contoso.example\r\n\r\n")
    assert b"\n" not in sent.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")


body_lines = st.sampled_from([b"", b"x", b"To: a@contoso.example", b"--b", b"\xff\xfe", b" ", b"."])


@given(
    st.lists(st.tuples(body_lines, st.sampled_from([b"\n", b"\r\n"]))), st.sampled_from([b"\n", b"\r\n"]), st.booleans()
)
def test_any_body_goes_byte_for_byte(body: list[tuple[bytes, bytes]], end: bytes, redirect: bool) -> None:  # noqa: FBT001 - drawn
    content = b"".join(line + ending for line, ending in body)
    mime = b"To: a@contoso.example" + end + b"X-One: 1" + end + end + content
    made = outgoing_mail(mime, thread="t")
    if redirect:
        mail = msgspec.structs.replace(made.request, message=Message(to_recipients=people("test@contoso.example")))
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


def test_with_other_recipients_no_header_names_the_old_ones() -> None:
    sent = changed(
        to_recipients=people("test@contoso.example"),
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
    sent = changed(to_recipients=people("danas@contoso.example"))
    read = parsed(sent)
    assert read["To"] == "danas@contoso.example"
    assert read["Cc"] == "carl@contoso.example"
    assert read["Disposition-Notification-To"] == "joerg@contoso.example"
    assert (read["X-Original-To"], read["Received"]) == (None, None)


def test_a_header_that_was_not_there_is_added() -> None:
    mime = b"Bcc: a@contoso.example\r\n\r\nx"
    message = msgspec.structs.replace(
        read_mime(mime).message,
        to_recipients=people("b@contoso.example"),
        from_=people("c@contoso.example")[0],
        internet_message_headers=(InternetMessageHeader(name="x-note", value="Grüße"),),
    )
    sent = rewritten(mime, message)
    assert {name: str(value) for name, value in parsed(sent).items()} == {
        "Bcc": "a@contoso.example", "To": "b@contoso.example", "From": "c@contoso.example", "x-note": "Grüße",
    }  # fmt: skip
    assert sent.endswith(b"\r\n\r\nx")


def test_new_addresses_that_no_header_can_hold_are_refused() -> None:
    assert parsed(changed(cc_recipients=people("a@xn--bcher-kva.example")))["Cc"] == "a@xn--bcher-kva.example"
    with pytest.raises(Malformed) as caught:
        changed(cc_recipients=people("a@contoso.example", "ü@contoso.example"))
    assert (caught.value.code, caught.value.path) == ("ErrorInvalidRecipients", "Cc, address 2")


words = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="<>"), max_size=60)


@given(st.lists(words, min_size=1, max_size=4), words)
def test_what_is_written_anew_is_read_as_it_was_meant(names: list[str], subject: str) -> None:
    """By our own reader, which is stricter than any other; and a second time nothing changes."""
    to = tuple(person(f"u{at}@contoso.example", " ".join(name.split()) or None) for at, name in enumerate(names))
    message = msgspec.structs.replace(
        read_mime(MAIL).message, to_recipients=to, from_=to[0], subject=" ".join(subject.split()) or None
    )
    again = rewritten(MAIL, message)
    assert read_mime(again).message == message
    assert rewritten(again, message) == again


def test_a_mail_too_large_with_its_marker_is_refused() -> None:
    room = limits.MAX_REQUEST // 4 * 3
    marker = len(as_sent(outgoing_mail(), BOX)) - len(MAIL)
    check_size(outgoing_mail(MAIL + b"x" * (room - len(MAIL) - marker)), large=False)
    with pytest.raises(Malformed) as caught:
        check_size(outgoing_mail(MAIL + b"x" * (room - len(MAIL) - marker + 1)), large=False)
    assert (caught.value.status, caught.value.code) == (413, "RequestEntityTooLarge")


# Values of headers.


def raw(name: str, value: str) -> bytes:
    """A whole mail with this header, another one, and a body."""
    return f"{name}: {value}\r\nX-Last: x\r\n\r\nbody".encode()


def value_of(mail: bytes, name: str) -> str:
    """As any reader of RFC 2047 has it, older than Python's new parser, which puts blanks between encoded words."""
    [value] = message_from_bytes(mail).get_all(name, [])
    return decoded(str(value))


def decoded(text: str) -> str:
    return str(make_header(decode_header(text.replace("\r\n", ""))))


def people_of(mail: bytes, name: str) -> list[tuple[str, str]]:
    values = [str(value).replace("\r\n", "") for value in message_from_bytes(mail).get_all(name, [])]
    return [(decoded(shown), address) for shown, address in getaddresses(values)]


def well_formed(mail: bytes, names: Iterable[str]) -> None:
    """ASCII, lines that end as lines do and have at most 998 characters (RFC 5322, section 2.1.1), no other header."""
    mail.decode("ascii")
    assert b"\n" not in mail.replace(b"\r\n", b"")
    assert b"\r" not in mail.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in mail.split(b"\r\n"))
    read = message_from_bytes(mail, policy=default)
    assert read.keys() == [*names, "X-Last"]
    assert not read.defects
    assert mail.endswith(b"\r\nX-Last: x\r\n\r\nbody")


@pytest.mark.parametrize(
    ("people", "written"),
    [
        ([person("a@b.example")], "a@b.example"),
        ([person("a@b.example", "Ada L")], "Ada L\r\n <a@b.example>"),
        ([person("a@b.example", 'Ada, "L"')], '"Ada,\r\n \\"L\\""\r\n <a@b.example>'),
        ([person("a@b.example", "Adé")], "=?utf-8?b?QWTDqQ==?=\r\n <a@b.example>"),
        ([person("a@b.example"), person("c@d.example", "C")], "a@b.example,\r\n C\r\n <c@d.example>"),
    ],
)
def test_a_name_is_written_in_the_plainest_way_that_holds_it(people: list[Recipient], written: str) -> None:
    assert address_list(people) == written


plain_addresses = st.builds("{}@{}".format, local_parts, st.sampled_from(["contoso.test", "Fabrikam.COM", "intranet"]))
odd = st.sampled_from(["=?utf-8?q?x?=", "a, b <c@d.e>", '"', "\\", "(x)", "ä" * 90, " x ", "a  b"])
somebody = st.builds(person, plain_addresses, st.none() | lines | odd)
hostile = st.text(st.sampled_from('=?utf8qb 8äöü<>",;:()@\\a.🦉'), max_size=120)


@given(st.lists(somebody, min_size=1, max_size=3), hostile | lines)
@example([person("a@b.example", "=?utf-8?q?Bcc=3A?=")], "=?utf-8?q?Bcc=3A?=")
def test_people_and_subjects_are_read_as_they_were_written(people: list[Recipient], subject: str) -> None:
    written = raw("To", address_list(people))
    named = [one.email_address.name or "" for one in people]
    well_formed(written, ["To"])
    if not any(holds_an_address(name) for name in named):  # what reads differently is refused when a mail is read
        assert people_of(written, "To") == [(one.email_address.name or "", one.email_address.address) for one in people]
    if subject:
        written = raw("Subject", unstructured("Subject", subject))
        well_formed(written, ["Subject"])
        assert value_of(written, "Subject") == subject


@given(texts | hostile, texts | hostile)
@example("a\r\nBcc: eve@x.test", "a\nBcc: e@x.test")
@example("\x85Bcc: x", "\u2028Bcc: x")
@example("a\x0bBcc: x", "a\x1cBcc: x")
@example("\r\n\r\n", "\x1eBcc: x")
def test_no_value_can_add_a_header(name: str, subject: str) -> None:
    """Not even one that nobody has checked: values end neither their header nor the head."""
    well_formed(raw("To", address_list([person("ada@contoso.test", name)])), ["To"])
    if subject:
        well_formed(raw("Subject", unstructured("Subject", subject)), ["Subject"])


def decoded_first(header: str) -> set[str]:
    """Whom a program finds that reads encoded words in a whole header, and addresses in what that gives."""
    found = [address for _, address in getaddresses([decoded(header)])]
    return {address for address in found if re.fullmatch(r"[^\s<>\"]+@[^\s<>\"]+", address)}


names_of_people = st.lists(
    st.sampled_from(["c@d.example", ",", ";", ":", "<", ">", '"', "(", ")", "\\", " ", "Ada", "ü", "@"]), max_size=8
).map("".join)


@given(names_of_people)
@example("c@d.example, ü")
@example('"c@d.example" <x')
def test_a_name_that_holds_an_address_is_one_name_to_every_reader(name: str) -> None:
    """In a mail that comes as MIME, and in a header that is written anew."""
    own, other = "a@b.example", person("x@y.example")
    encoded = Header(name, "utf-8").encode().replace("\n", "")
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    within = f'"{encoded}"'
    for written_name in (encoded, within, quoted):
        given_mail = f"To: {written_name} <{own}>\r\n\r\n".encode(errors="replace")
        try:
            message = read_mime(given_mail).message
        except Malformed:
            continue
        assert decoded_first(f"{written_name} <{own}>") <= {own}
        to = (*(message.to_recipients or ()), other)
        anew = rewritten(given_mail, msgspec.structs.replace(message, to_recipients=to))
        [line] = message_from_bytes(anew).get_all("To", [])
        assert decoded_first(str(line).replace("\r\n", "")) <= {own, "x@y.example"}
        assert read_mime(anew).message.to_recipients == to
