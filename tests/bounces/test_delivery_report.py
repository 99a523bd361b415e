"""Reading a non-delivery report: what it says of whom, and whether the tenant's own Exchange has written it."""

import base64
import quopri
import re
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.reports import SYSTEM_MAILBOX, reports_for
from shared.bounces import delivery_report
from shared.bounces.delivery_report import DeliveryReport, FailedRecipient, NotAReport, read_report
from shared.mime.head import MAX_HEAD
from tests.sandbox.cloud.emulator import BOX, recipient

MAIL: Final = "0197c1b2d3e4f5a6b7c8d9e0f1a2b3c4"
ID: Final = "<1@sandbox.example>"
AT: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
SENT: Final[dict[str, Any]] = {
    "subject": "Grüße",
    "body": {"contentType": "text", "content": "The new cafeteria is open."},
    "internetMessageId": ID,
    "internetMessageHeaders": [{"name": "x-mailroom-id", "value": MAIL}],
    "toRecipients": [recipient("a@b.example")],
}


def returned(*local_parts: str) -> list[bytes]:
    """What comes back of a mail to these."""
    people = [f"{local}@bounce.example" for local in local_parts]
    return [one.mime for one in reports_for(SENT, None, BOX, people, AT)]


def one(local: str) -> bytes:
    (report,) = returned(local)
    return report


def failed(local: str, code: str | None = None) -> FailedRecipient:
    return FailedRecipient((f"{local}@bounce.example",), code or local.partition("+")[0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("5.1.10", DeliveryReport((failed("5.1.10"),), MAIL, (ID,), by_exchange=True)),
        ("5.1.1-full", DeliveryReport((failed("5.1.1-full", "5.1.1"),), MAIL, (ID,), by_exchange=True)),
        ("5.1.1-bare", DeliveryReport((failed("5.1.1-bare", "5.1.1"),), None, (ID,), by_exchange=True)),
        ("5.7.1-outside", DeliveryReport((failed("5.7.1-outside", "5.7.1"),), MAIL, (ID,), by_exchange=False)),
        ("4.4.7-delayed", DeliveryReport((), MAIL, (ID,), by_exchange=True)),
        ("delivered", DeliveryReport((), MAIL, (ID,), by_exchange=True)),
        ("forged", DeliveryReport((failed("somebody-else", "5.1.1"),), MAIL, (ID,), by_exchange=False)),
    ],
)
def test_a_report_says_whom_the_mail_did_not_reach(kind: str, expected: DeliveryReport) -> None:
    assert read_report(one(kind)) == expected


def test_a_report_may_be_about_several_recipients() -> None:
    (report,) = returned("5.1.1+a", "5.2.2+b", "4.4.7+c")
    found = read_report(report).failed
    assert [(one.code, one.kind) for one in found] == [
        ("5.1.1", "permanent"),
        ("5.2.2", "permanent"),
        ("4.4.7", "transient"),
    ]


@pytest.mark.parametrize("kind", ["absent", "read"])
def test_what_is_no_report_says_so(kind: str) -> None:
    with pytest.raises(NotAReport, match="another kind"):
        read_report(one(kind))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"5.1.10 RESOLVER", b"no code, at 5.1.1.9 or 10.5.1.1", "5.1.0"),  # an address is no code
        (b"5.1.10 RESOLVER", b"5.1.6. Moved.", "5.1.6"),
        (b"Diagnostic-Code: smtp;550 5.1.10", b"X-Supplementary-Info: <mx #550 5.1.10", "5.1.10"),
        (b"Status: 5.1.0\r\nDiagnostic-Code: smtp;550 5.1.10", b"Diagnostic-Code: smtp;", None),
    ],
)
def test_the_most_exact_code_counts(old: bytes, new: bytes, code: str | None) -> None:
    raw = one("5.1.10").replace(b" at [10.5.1.1]", b"")
    assert old in raw
    assert [one.code for one in read_report(raw.replace(old, new)).failed] == [code]


def test_of_the_returned_mail_the_headers_are_read_however_long_it_is_and_however_it_is_encoded() -> None:
    whole = one("5.1.1-full").replace(b"The new cafeteria is open.", b"=20" * 4_000_000)
    assert len(whole) < delivery_report.LARGEST
    assert read_report(whole).mail == MAIL
    headers = f"x-mailroom-id: {MAIL}\r\nMessage-ID: {ID}\r\n\r\n".encode()
    for name, encoded in (("base64", base64.encodebytes(headers)), ("quoted-printable", quopri.encodestring(headers))):
        part = b"Content-Type: message/global-headers\r\nContent-Transfer-Encoding: %s\r\n\r\n" % name.encode()
        raw = re.sub(rb"Content-Type: text/rfc822-headers\r\n\r\n.*?(?=--_000)", b"@", one("5.1.1"), flags=re.DOTALL)
        assert read_report(raw.replace(b"@--_000", part + encoded + b"\r\n--_000")).mail == MAIL


def test_both_addresses_of_a_recipient_are_read() -> None:
    """The one that it was sent to, and the one that it was for after a redirection."""
    raw = one("5.1.1").replace(
        b"Final-Recipient:", b"Original-Recipient: rfc822;<Old@Bounce.Example>\r\nFinal-Recipient:"
    )
    assert read_report(raw).failed == (FailedRecipient(("old@bounce.example", "5.1.1@bounce.example"), "5.1.1"),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"AuthAs: Internal", b"AuthAs: Anonymous"),
        (b"AuthAs: Internal", b"AuthAs: Internal\r\nX-MS-Exchange-Organization-AuthAs: Anonymous"),
        (b"X-MS-Exchange-Organization-AuthAs: Internal\r\n", b""),
        (b"X-MS-Exchange-Message-Is-Ndr: \r\n", b""),
        (SYSTEM_MAILBOX.encode(), b"postmaster@sandbox.example"),
        (SYSTEM_MAILBOX.encode(), b"x" + SYSTEM_MAILBOX.encode()),
        (b"To: <", b"Sender: <insider@sandbox.example>\r\nTo: <"),
        (b"To: <", b"From: <insider@sandbox.example>\r\nTo: <"),
    ],
)
def test_a_report_whose_author_is_in_doubt_is_not_exchanges(old: bytes, new: bytes) -> None:
    raw = one("5.1.1")
    assert read_report(raw).by_exchange
    assert old in raw
    assert not read_report(raw.replace(old, new, 1)).by_exchange


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"x" * (delivery_report.LARGEST + 1), "too large"),
        (b"x" * MAX_HEAD * 2, "too many headers"),
        (one("5.1.1").replace(b"message/delivery-status", b"text/plain"), "no machine-readable part"),
        (one("5.1.1")[:-20], "cannot be told apart"),
        (one("5.1.1").replace(b"Reporting-MTA", b"X: " + b"x" * 600_000 + b"\r\nReporting-MTA"), "too large a part"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(NotAReport, match=why):
        read_report(raw)


PIECES: Final = st.lists(
    st.sampled_from(
        [
            *one("5.1.1").splitlines(keepends=True),
            b"\r\n", b"\n", b"\r", b"--", b"\0", b"\xff", b"Content-Type: multipart/report; boundary=x\r\n", b"--x\r\n",
            b"Content-Transfer-Encoding: base64\r\n", b"=?utf-8?q?=00?=", b"Status: 9.9.9.9\r\n",
            b"Final-Recipient: rfc822;\xc3\xbc@\xc3\xbc.test\r\n",
        ]
    ),
    max_size=60,
).map(b"".join)  # fmt: skip


@given(st.one_of(st.binary(max_size=2000), PIECES, PIECES.map(lambda tail: one("5.1.1")[:-60] + tail)))
def test_nothing_in_a_mailbox_raises_anything_else(raw: bytes) -> None:
    try:
        report = read_report(raw)
    except NotAReport:
        return
    assert len(report.message_ids) <= delivery_report.MOST_IDS


@given(st.dictionaries(st.from_regex(r"[a-z]{1,20}", fullmatch=True), st.sampled_from(["5.1.1", "4.4.7"]), min_size=1))
def test_every_failed_recipient_is_read_whatever_their_number(people: dict[str, str]) -> None:
    wanted = [(f"{code}+{name}", code) for name, code in people.items()]
    (report,) = returned(*(local for local, _ in wanted))
    assert read_report(report).failed == tuple(failed(local, code) for local, code in wanted)
