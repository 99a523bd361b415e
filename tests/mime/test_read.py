"""MIME read in: what is a mail, what is none and where, and that no bytes whatever get past that."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.outbox_mail import outbox_mail
from shared.errors import Malformed
from shared.mail.limits import MAX_REQUEST
from shared.mail.model import Message
from shared.mail.outgoing import fingerprint
from shared.mime.head import read_head
from shared.mime.parts import check_parts
from shared.mime.read import decode_mime, read_mime

# In the form of the example on Microsoft's page of sendMail: LF alone, no blank after a colon, a semicolon too many, a
# folded parameter, and no line end after the last boundary.
MICROSOFTS = (
    b"From: Megan Bowen <meganb@contoso.example>\nTo: Fanny Downs <fannyd@contoso.example>\nSubject:Lunch\n"
    b'Content-Type: multipart/mixed;\n\tboundary="_004_outer_"\nMIME-Version: 1.0\n\n'
    b'--_004_outer_\nContent-Type: multipart/alternative;\n\tboundary="_000_inner_"\n\n'
    b'--_000_inner_\nContent-Type: text/plain; charset="iso-8859-1"\nContent-Transfer-Encoding: quoted-printable\n\n'
    b'The new cafeteria is open.\n\n--_000_inner_\nContent-Type: text/html; charset="iso-8859-1"\n'
    b"Content-Transfer-Encoding: quoted-printable\n\n<p>open</p>\n\n--_000_inner_--\n\n"
    b'--_004_outer_\nContent-Type: text/plain;\nContent-Disposition: attachment;\n        filename="menu.txt"\n\n'
    b"soup\n\n--_004_outer_--"
)
MAIL = b"From: a@contoso.example\r\nTo: b@contoso.example\r\nSubject: x\r\n\r\nbody\r\n"
TO = b"To: b@contoso.example\r\n"


def people(message: Message) -> dict[str, list[tuple[str | None, str]]]:
    """Name and address of everyone whom the mail names, by property."""
    found: dict[str, list[tuple[str | None, str]]] = {}
    for name in ("from_", "sender", "to_recipients", "cc_recipients", "bcc_recipients", "reply_to"):
        value = getattr(message, name)
        group = value if isinstance(value, tuple) else [value] if value else []
        if group:
            found[name] = [(one.email_address.name, one.email_address.address) for one in group]
    return found


def refusal(raw: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read_mime(raw)
    return caught.value


def test_a_mail_of_the_form_that_microsofts_page_shows_is_read() -> None:
    mail = read_mime(decode_mime(base64.encodebytes(MICROSOFTS)))
    assert mail.save_to_sent_items
    assert mail.message.subject == "Lunch"
    assert people(mail.message) == {
        "from_": [("Megan Bowen", "meganb@contoso.example")],
        "to_recipients": [("Fanny Downs", "fannyd@contoso.example")],
    }


def test_everyone_is_found_in_whatever_form_a_header_takes() -> None:
    raw = (
        b"From: =?utf-8?q?J=C3=B6rg?= =?utf-8?q?_M=C3=BCller?= <joerg@contoso.example>\r\n"
        b"SENDER: <desk@contoso.example>\r\n"
        b'To: "Downs, Fanny" <fannyd@contoso.example>,\r\n\tJ. Q. Public <jq@contoso.example>'
        b",\r\n plain@contoso.example\r\n"
        b'Cc: "a \\"b\\" @ c" <c@xn--bcher-kva.example>\r\n'
        b"Bcc: hidden@contoso.example\r\nReply-To: help@contoso.example\r\n"
        b"Disposition-Notification-To: receipt@contoso.example\r\nReturn-Receipt-To: receipt@contoso.example\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?= again\r\n\r\n"
    )
    message = read_mime(raw).message
    assert people(message) == {
        "from_": [("Jörg Müller", "joerg@contoso.example")],
        "sender": [(None, "desk@contoso.example")],
        "to_recipients": [
            ("Downs, Fanny", "fannyd@contoso.example"),
            ("J. Q. Public", "jq@contoso.example"),
            (None, "plain@contoso.example"),
        ],
        "cc_recipients": [('a "b" @ c', "c@xn--bcher-kva.example")],
        "bcc_recipients": [(None, "hidden@contoso.example")],
        "reply_to": [(None, "help@contoso.example")],
    }
    assert message.subject == "Grüße again"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?=", "Müller, Jörg"),  # as Outlook lists people; no address in it
        (b"=?utf-8?q?joerg=40contoso=2Eexample?=", "joerg@contoso.example"),
        (b"=?utf-8?q?J=C3=B6rg_=28Sales=29?=", "Jörg (Sales)"),
        (b'"=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?="', "Müller, Jörg"),
        (b'"=?iso-8859-1?B?SvZyZw==?= =?iso-8859-1?B?IE38bGxlcg==?="', "Jörg Müller"),
        (b'"=?x"', "=?x"),
        (b'"c@d.example, x"', "c@d.example, x"),
        (b'Any "Name" =?utf-8?q?=C3=BC?=', "Any Name ü"),
    ],
)
def test_a_name_that_is_no_address_to_anybody_is_read(written: bytes, name: str) -> None:
    message = read_mime(b"To: " + written + b" <a@b.example>\r\n\r\n").message
    assert people(message)["to_recipients"] == [(name, "a@b.example")]


@pytest.mark.parametrize("to", [b"", b"To: undisclosed-recipients:;\r\n", b"To:\r\n", b"Cc: \r\nReply-To:\r\n"])
def test_a_mail_with_bcc_only_is_a_mail(to: bytes) -> None:
    message = read_mime(to + b"Bcc: hidden@contoso.example\r\n\r\nx").message
    assert people(message) == {"bcc_recipients": [(None, "hidden@contoso.example")]}


@pytest.mark.parametrize("raw", [b"Subject: x\r\n\r\n", b"To: nobody:;\r\n\r\n", b"Reply-To: a@b.example\r\n\r\n"])
def test_a_mail_to_nobody_is_refused(raw: bytes) -> None:
    assert refusal(raw).code == "ErrorMissingRecipients"


def headed(*lines: bytes, to: bytes = TO) -> bytes:
    return to + b"".join(line + b"\r\n" for line in lines) + b"\r\nbody"


def parts(*pieces: bytes) -> bytes:
    return headed(b'Content-Type: multipart/mixed; boundary="b"').removesuffix(b"body") + b"\r\n".join(pieces)


MALFORMED: dict[str, tuple[bytes, str]] = {
    # the head
    "nothing": (b"", "line 1"),
    "no headers": (b"hello\r\n\r\n", "line 1"),
    "an mbox": (b"From a@b.example Thu Jan  1\r\n" + MAIL, "line 1"),
    "cut short within the headers": (b"To: b@contoso.example\r\nSubject: x", "line 2"),
    "a byte order mark": (b"\xef\xbb\xbf" + MAIL, "line 1"),
    "a blank before the colon": (headed(b"Bcc : c@contoso.example"), "line 2"),
    "a line of blanks": (b"To: b@contoso.example\r\n \r\nBcc: c@contoso.example\r\n\r\n", "line 2"),
    "a first line that continues nothing": (b" To: b@contoso.example\r\n\r\n", "line 1"),
    "LF among CRLF": (headed(b"Subject: x\nBcc: c@contoso.example"), "line 2"),
    "CRLF among LF": (b"To: b@contoso.example\nSubject: x\r\n\nbody", "line 2"),
    "an end of headers that others do not see": (
        b"To: b@contoso.example\r\nSubject: x\n\nBcc: c@contoso.example\r\n\r\nbody", "line 2",
    ),
    "a bare CR in a header": (headed(b"Subject: x\rBcc: c@contoso.example"), "line 2"),
    "a bare CR in the body": (MAIL + b"a\rb", "line 6"),
    "NUL": (MAIL + b"a\0b", "line 6"),
    "a control character": (headed(b"Subject: a\x1bb"), "Subject, line 2"),
    "8-bit text in a header": (headed("Subject: Grüße".encode()), "Subject, line 2"),
    "8-bit text in a folded header": (headed(b"Subject: a", " Grüße".encode()), "Subject, line 3"),
    "a line too long": (headed(b"X-A: " + b"a" * 994), "X-A, line 2"),
    "201 headers": (headed(*[b"X-A: 1"] * 200), "line 201"),
    "headers without end": (headed(b"X-A: 1", *[b" " + b"a" * 900] * 300), "line 293"),
    "an encoded line end": (headed(b"Subject: =?utf-8?q?a=0D=0ABcc:_c?="), "Subject, line 2"),
    "an unknown charset": (headed(b"Subject: =?x-none?q?a?="), "Subject, line 2"),
    "bytes that the charset has not": (headed(b"Subject: =?utf-8?q?=FF?="), "Subject, line 2"),
    "a subject without end": (headed(b"Subject: a", *[b" " + b"a" * 900] * 6), "Subject, line 2"),
    # headers that are not to be there, or once only
    "To twice": (headed(b"To: c@contoso.example"), "To, line 2"),
    **{f"{name} twice": (headed(*[f"{name}: a@b.example".encode()] * 2), f"{name}, line 3")
       for name in ("From", "bcc", "Reply-To", "Content-Type", "Date", "In-Reply-To", "Sender")},
    "Message-ID twice": (headed(b"Message-ID: <1@b.example>", b"Message-Id: <2@b.example>"), "Message-Id, line 3"),
    "a Message-ID that is none": (headed(b"Message-ID: <1@b.example> <2@b.example>"), "Message-ID, line 2"),
    "the marker": (headed(b"X-Mailroom-Id: 1"), "X-Mailroom-Id, line 2"),
    **{name: (headed(f"{name}: c@contoso.example".encode()), f"{name}, line 2")
       for name in ("Resent-To", "RESENT-BCC", "Apparently-To", "X-Receiver")},
    # the parts
    "no boundary": (headed(b"Content-Type: multipart/mixed"), "line 4"),
    "a boundary that is nowhere": (headed(b"Content-Type: multipart/mixed; boundary=x"), "line 4"),
    "a boundary of 71 characters": (
        headed(b"Content-Type: multipart/mixed;", b' boundary="' + b"x" * 71 + b'"'), "line 5",
    ),
    "no last boundary": (parts(b"--b", b"", b"hello", b"--b"), "line 7"),
    "a last boundary first": (parts(b"--b--", b"--b", b"", b"hello", b"--b--"), "line 4"),
    "two boundaries": (headed(b"Content-Type: multipart/mixed; boundary=a; boundary=b"), "Content-Type, line 2"),
    "a part's head that is none": (parts(b"--b", b"hello", b"--b--"), "part 1, line 5"),
    "8-bit text in a part's head": (
        parts(
            b"--b", b"", b"a", b"--b", "Content-Disposition: attachment; filename=ü".encode("latin-1"), b"", b"--b--"
        ),
        "part 2, Content-Disposition, line 8",
    ),
    "a parameter that needs quotes": (
        parts(b"--b", b"Content-Type: text/plain; name=a b.txt", b"", b"--b--"), "part 1, Content-Type, line 5",
    ),
    "no content type": (parts(b"--b", b"Content-Type: text", b"", b"--b--"), "part 1, Content-Type, line 5"),
    "a transfer encoding that is none": (
        parts(b"--b", b"Content-Transfer-Encoding: uuencode", b"", b"--b--"),
        "part 1, Content-Transfer-Encoding, line 5",
    ),
    "an encoded multipart": (
        headed(b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: base64"),
        "Content-Transfer-Encoding, line 3",
    ),
    "bad base64": (parts(b"--b", b"Content-Transfer-Encoding: base64", b"", b"aGVsbG8*", b"--b--"), "part 1, line 7"),
    "base64 after its padding": (headed(b"Content-Transfer-Encoding: base64").replace(b"body", b"YQ==YQ=="), "line 4"),
    **{f"{kind}, which may hold recipients": (
        parts(b"--b", f"Content-Type: {kind}".encode(), b"", b"--b--"), "part 1, Content-Type, line 5",
    ) for kind in ("Application/MS-TNEF", "application/vnd.ms-tnef")},
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_mail_is_refused_with_its_place(name: str) -> None:
    raw, place = MALFORMED[name]
    refused = refusal(raw)
    assert (refused.status, refused.code, refused.path) == (400, "ErrorMimeContentInvalid", place)


ADDRESSES: dict[str, bytes] = {
    "no address": b"Fanny",
    "an empty one": b"<>",
    "a comma too many": b"a@b.example,",
    "two commas": b"a@b.example,, c@d.example",
    "no comma": b"a@b.example c@d.example",
    "a group": b"friends: a@b.example;",
    "a group that names nobody beside another address": b"nobody:;, a@b.example",
    "a comment": b"a@b.example (Fanny)",
    "a comment within": b"a(x)@b.example",
    "a comment without end": b"(((a@b.example",
    "a route": b"<@x.example,@y.example:a@b.example>",
    "a domain literal": b"a@[127.0.0.1]",
    "a quoted local part": b'"a b"@b.example',
    "a name without end": b'"Fanny <a@b.example>',
    "an address for a name": b"c@d.example <a@b.example>",
    "two addresses in one": b"<a@b.example> <c@d.example>",
    "text after it": b"<a@b.example> Fanny",
    "brackets in brackets": b"<<a@b.example>>",
    "blanks in brackets": b"<a @b.example>",
    "an encoded address": b"=?utf-8?q?c=40d=2Eexample?=@b.example",
    "an encoded name that holds an address": b"=?utf-8?q?x_=3Cc=40d=2Eexample=3E=2C?= <a@b.example>",
    "an encoded name that is two for those who decode first": b"=?utf-8?q?c=40d=2Eexample=2C_x?= <a@b.example>",
    "an encoded name that hides the address behind it": b"=?utf-8?q?c=40d=2Eexample_=28?= <a@b.example>",
    "an encoded name of a group": b"=?utf-8?q?x=3A_c=40d=2Eexample=3B?= <a@b.example>",
    "encoded words that are one only together": b"=?utf-8?q?c=40?= =?utf-8?q?d=2Eexample=2C?= <a@b.example>",
    "a plain and an encoded word that are one together": b'"c@d.example," =?utf-8?q?=C3=BC?= <a@b.example>',
    "an encoded name within quotes that ends them": b'"=?utf-8?q?x=22?=" <a@b.example>',
    "an encoded name within quotes": b'"=?utf-8?q?x=22_=3Cc=40d=2Eexample=3E?=" <a@b.example>',
    "an encoded name with a line end": b"=?utf-8?b?YQ0KQmNjOiBj?= <a@b.example>",
    "an unknown charset": b"=?x-none?q?a?= <a@b.example>",
    "no domain": b"a@",
    "a domain with a blank": b"a@b .example",
    "a name of 2,001 characters": b"a\r\n " + b"\r\n ".join([b"a" * 900] * 3) + b"\r\n <a@b.example>",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_that_programs_may_read_differently_is_refused(name: str) -> None:
    for header in ("From", "Sender", "To", "Cc", "Bcc", "Reply-To"):
        head = b"" if header == "To" else TO
        refused = refusal(head + header.encode() + b": " + ADDRESSES[name] + b"\r\n\r\n")
        assert refused.code in ("ErrorInvalidRecipients", "ErrorMimeContentInvalid")
        assert str(refused.path).startswith(f"{header}, address ")


def test_from_and_sender_name_one_each() -> None:
    for header in (b"From", b"Sender"):
        assert refusal(headed(header + b": a@b.example, c@d.example")).path == f"{header.decode()}, address 2"
        assert refusal(headed(header + b":")).path == header.decode()


def numbered(count: int, name: str = "") -> bytes:
    return b",\r\n ".join(f"{name} <user{number}@contoso.example>".encode() for number in range(count))


def test_500_recipients_are_a_mail_and_501_are_none() -> None:
    """To, Cc and Bcc together."""
    raw = b"To: " + numbered(200) + b"\r\nCc: " + numbered(200) + b"\r\nBcc: " + numbered(100)
    message = read_mime(raw + b"\r\n\r\n").message
    assert sum(len(group) for group in people(message).values()) == 500
    refused = refusal(raw + b",\r\n one@contoso.example\r\n\r\n")
    assert (refused.code, refused.path) == ("ErrorInvalidRecipients", "Bcc, address 101")


def test_an_attached_message_is_a_file_whatever_is_wrong_with_it() -> None:
    """Mail that came from outside is forwarded as it is; nobody is mailed for standing in it."""
    inner = b"To: a@b.example\nTo: c@d.example\nResent-To: e@f.example\n\0"[:-1] + "\nGrüße".encode()
    read_mime(parts(b"--b", b"Content-Type: message/rfc822", b"", inner, b"--b--"))


def nested(levels: int) -> bytes:
    opened = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(1, levels)
    )
    closed = b"".join(b"\r\n--b%d--\r\n" % n for n in range(levels, 0, -1))
    start = headed(b"Content-Type: multipart/mixed; boundary=b1").removesuffix(b"body")
    return start + opened + b"--b%d\r\n\r\nx" % levels + closed


def with_parameters(count: int) -> list[bytes]:
    """Parts with so many in all; the boundary is one more."""
    lines = []
    for at in range(0, count, 100):
        names = b"".join(b";p%d=x" % number for number in range(min(100, count - at)))
        lines += [b"--b", b"Content-Type: text/plain" + names, b""]
    return lines


def outlines(count: int) -> bytes:
    """Addresses of which each has another outline, fewer than so many."""
    return b"To: " + b",\r\n ".join(b'"%b" <a@b.example>' % (b"(" * n) for n in range(1, count)) + b"\r\n\r\n"


BOUNDS: list[tuple[Callable[[int], bytes], int, int, str]] = [
    (nested, 10, 11, "10 deep"),
    (lambda count: parts(*[b"--b", b""] * count, b"--b--"), 500, 501, "500 parts"),
    (lambda count: parts(b"--b", b"", *[b"--bb"] * count, b"--b--"), 10_000, 10_001, "10000 lines"),
    (lambda count: parts(*with_parameters(count), b"--b--"), 9_999, 10_000, "10000 parameters"),
    (lambda count: parts(*[b"--b", *[b"X-A: " + b"a" * 900] * 10, b""] * count, b"--b--"), 57, 58, "524288 bytes in"),
    (lambda count: b'To: "%b" <a@b.example>\r\n\r\n' % (b"(" * count), 180, 200, "too many characters"),
    (outlines, 33, 60, "too many characters"),
]


@pytest.mark.parametrize(("made", "most", "more", "what"), BOUNDS)
def test_what_bounds_the_time_is_counted(made: Callable[[int], bytes], most: int, more: int, what: str) -> None:
    read_mime(made(most))
    assert what in str(refusal(made(more)))


PIECES = st.sampled_from(
    [
        b"To: ", b"From: ", b"Bcc: ", b"Subject: ", b"Content-Type: ", b"multipart/mixed; boundary=b",
        b"message/rfc822", b"Content-Transfer-Encoding: base64", b"a@b.example", b"=?utf-8?q?", b"=?utf-8?b?", b"?=",
        b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--b", b"--", b" ", b"\t", b",", b";", b":", b'"', b"(", b")", b"<", b">",
        b"\\", b"x*0*=", b"\xff",
    ]
)  # fmt: skip
PREFIXES = st.sampled_from([b"", TO, TO + b"\r\n", MICROSOFTS, parts(b"--b", b"")])


@given(PREFIXES, st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join))
def test_any_bytes_are_a_mail_or_malformed(prefix: bytes, raw: bytes) -> None:
    with suppress(Malformed):
        mail = read_mime(prefix + raw)
        assert fingerprint("a", mail)  # it can be written as JSON, as everything that waits is


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_whom_the_standard_library_finds_is_found(raw: bytes) -> None:
    """A second reader of the headers, in a mail that was taken: nobody else, nobody less."""
    head = TO.removesuffix(b"\r\n") + b", " + raw
    try:
        message = read_mime(head + b"\r\n\r\n").message
    except Malformed:
        return
    read = message_from_bytes(head + b"\r\n\r\n", policy=default)
    for header, name in (("To", "to_recipients"), ("From", "from_"), ("Bcc", "bcc_recipients")):
        found = [address for _, address in people(message).get(name, [])]
        assert found == [address.addr_spec for value in read.get_all(header, []) for address in value.addresses]


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_a_mail_that_is_whole_is_whole_for_the_standard_library_too(raw: bytes) -> None:
    """What is taken has no defect of structure in another reader."""
    data = parts(b"--b", raw)
    try:
        check_parts(data, read_head(data, 0, len(data)))
    except Malformed:
        return
    read = message_from_bytes(data, policy=default)
    defects = [type(defect).__name__ for part in read.walk() for defect in part.defects]
    assert not {"NoBoundaryInMultipartDefect", "StartBoundaryNotFoundDefect", "CloseBoundaryNotFoundDefect"} & set(
        defects
    )


# The base64 around it.


@pytest.mark.parametrize(
    "body",
    [base64.b64encode(MAIL), base64.encodebytes(MAIL), base64.encodebytes(MAIL).replace(b"\n", b"\r\n") + b"\r\n"],
)
def test_base64_comes_in_one_line_or_in_many(body: bytes) -> None:
    assert decode_mime(body) == decode_mime(body.decode()) == MAIL


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b"hello!", MAIL, b'{"message": {}}', b"QUJ", b"QQ==QQ==", b"Q=Q=", b"\xff"]
)
def test_what_is_no_base64_is_refused_with_graphs_own_code(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_mime(body)
    assert (caught.value.status, caught.value.code) == (400, "ErrorMimeContentInvalidBase64String")


def test_what_does_not_fit_into_a_request_is_refused() -> None:
    fits = b"A" * MAX_REQUEST
    assert len(decode_mime(fits)) == MAX_REQUEST * 3 // 4
    for body in (fits + b"AAAA", b" " * (MAX_REQUEST * 2)):
        with pytest.raises(Malformed) as caught:
            decode_mime(body)
        assert (caught.value.status, caught.value.code) == (413, "RequestEntityTooLarge")


# In the queue.


def queued(**properties: Any) -> bytes:
    return json.dumps({"sender": "a@contoso.example", **properties}).encode()


def test_a_message_of_the_queue_brings_mime_instead_of_a_message() -> None:
    mail = outbox_mail(queued(mime=coded(), message=None, key="1", thread="t", saveToSentItems=True))
    assert (mail.mime, mail.key, mail.thread) == (MAIL, "1", "t")
    assert people(mail.mail.message)["to_recipients"] == [(None, "b@contoso.example")]


def coded(mime: bytes = MAIL) -> str:
    return base64.encodebytes(mime).decode()


@pytest.mark.parametrize(
    ("properties", "path"),
    [
        ({"mime": "no base64!"}, "$.mime"),
        ({"mime": 1}, "$.mime"),
        ({"mime": coded(), "message": {}}, "$.message"),
        ({"mime": coded(), "Message": {}}, "$.message"),
        ({"mime": coded(), "saveToSentItems": "false"}, "$.saveToSentItems"),
        ({"mime": coded(b"Subject: x\r\n\r\n")}, "$.mime"),
        ({"mime": coded(headed(b"Cc: a@b.example, x"))}, "$.mime: Cc, address 2"),
    ],
)
def test_a_fault_of_mime_in_the_queue_has_its_place(properties: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as caught:
        outbox_mail(queued(**properties))
    assert (caught.value.status, caught.value.path) == (400, path)
    assert str(caught.value).endswith(f"at `{path}`")
