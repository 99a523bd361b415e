"""Headers as Mailroom writes them, read again by Python's email package, which knows nothing of how that was done."""

import re
from collections.abc import Iterable
from email import message_from_bytes
from email.header import Header, decode_header, make_header
from email.policy import default
from email.utils import getaddresses

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mime.address_lists import holds_an_address
from shared.mime.read import read_mime
from shared.mime.write import address_list, unstructured
from tests.mail.strategies import lines, local_parts, texts
from tests.mime.test_send import rewritten


def person(address: str, name: str | None = None) -> Recipient:
    return Recipient(email_address=EmailAddress(address=address, name=name))


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


@settings(max_examples=100, derandomize=True, deadline=None)
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


@settings(max_examples=100, derandomize=True, deadline=None)
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


@settings(max_examples=120, derandomize=True, deadline=None)
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
        people = (*(message.to_recipients or ()), other)
        anew = rewritten(given_mail, msgspec.structs.replace(message, to_recipients=people))
        [line] = message_from_bytes(anew).get_all("To", [])
        assert decoded_first(str(line).replace("\r\n", "")) <= {own, "x@y.example"}
        assert read_mime(anew).message.to_recipients == people
