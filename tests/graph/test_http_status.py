"""What an HTTP answer of Graph stands for, and how long its Retry-After is."""

import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.graph.http_status import LONGEST_WAIT, classify, retry_after
from shared.graph.outcome import Accepted, Kind, Rejected, Throttled, Unknown

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOVEMBER = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)


def body(code: Any, inner: str = "innerError") -> bytes:
    ids = {"request-id": "r-1", "client-request-id": "c-1", "date": "2026-01-01T00:00:00"}
    return json.dumps({"error": {"code": code, "message": "Said Graph.", inner: ids}}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ErrorInvalidRecipients", "permanent"),
        (400, "BadRequest", "permanent"),
        (400, "ErrorQuotaExceeded", "quota"),
        (401, "InvalidAuthenticationToken", "permission"),
        (401, "NoPermissionsInAccessToken", "permission"),
        (403, "ErrorAccessDenied", "permission"),
        (403, "ErrorSendAsDenied", "permanent"),
        (404, "MailboxNotEnabledForRESTAPI", "permanent"),
        (409, "ErrorIrresolvableConflict", "permanent"),
        (413, "RequestEntityTooLarge", "permanent"),
        (400, "ErrorExceededMessageLimit", "limit"),
        (403, "ErrorExceededMessageLimit", "limit"),
        (429, "ErrorExceededMessageLimit", "limit"),
    ],
)
def test_a_refusal_has_its_kind(status: int, code: str, kind: Kind) -> None:
    outcome = classify(status, {}, body(code), NOW)
    assert outcome == Rejected(status, code, kind, "Said Graph.", None, body(code), "r-1", "c-1")


@pytest.mark.parametrize("status", [100, 200, 201, 204, 206, 301, 302, 304, 307, 408, 500, 502, 503, 504, 599, 0, 999])
@pytest.mark.parametrize("code", ["ErrorInvalidRecipients", "ErrorExceededMessageLimit", None])
def test_what_is_neither_202_nor_a_refusal_is_unknown(status: int, code: str | None) -> None:
    """A 5xx often comes after the mail was sent; another 2xx or a redirect says nothing."""
    outcome = classify(status, {"Retry-After": "3"}, body(code), NOW)
    assert outcome == Unknown("status", status, code, 3.0, "r-1", "c-1")


@pytest.mark.parametrize("content", [b"", b"<html>", b"{", body("ErrorInvalidRecipients")])
def test_only_202_is_accepted_whatever_comes_with_it(content: bytes) -> None:
    outcome = classify(202, {"Retry-After": "60", "Request-Id": "r-9"}, content, NOW)
    assert isinstance(outcome, Accepted)
    assert outcome.request_id == "r-9"


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
def test_a_429_is_throttled_for_as_long_as_it_says(name: str) -> None:
    """Header names come in any case; a fraction counts."""
    assert classify(429, {name: "2.128"}, b"", NOW) == Throttled(2.128)
    assert classify(429, {}, b"<html>", NOW) == Throttled(None)


NOT_GRAPHS = [
    b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"null", b"[]", b"7", b'"error"', b"{}", b'{"error": null}',
    b'{"error": "invalid_grant"}', b'{"error": []}', b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", NOT_GRAPHS)
def test_a_body_that_is_not_graphs_is_not_passed_on(content: bytes) -> None:
    """An answer of something before Graph has a status and no more."""
    assert classify(403, {}, content, NOW) == Rejected(403, None, "permission")


@pytest.mark.parametrize("code", [None, 7, ["x"], {}, "", "two words", "a@b.example", "x" * 200])
def test_only_a_code_is_taken_for_a_code(code: Any) -> None:
    """Codes go into logs: what could be anything else stays out."""
    outcome = classify(400, {"request-id": "with spaces"}, body(code), NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.code is None
    assert outcome.request_id == "r-1"


def test_both_spellings_of_inner_error_are_read() -> None:
    outcome = classify(400, {}, body("BadRequest", "innererror"), NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.client_request_id == "c-1"


PARTS = st.none() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
NAMES = st.sampled_from(["error", "code", "message", "innerError", "request-id"]) | st.text(max_size=3)
JSON = PARTS | st.dictionaries(NAMES, PARTS | st.dictionaries(NAMES, PARTS, max_size=3), max_size=3)


@given(
    st.integers(0, 999),
    st.dictionaries(st.sampled_from(["retry-after", "Retry-After", "request-id"]) | st.text(), st.text()),
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_no_answer_raises(status: int, headers: dict[str, str], content: bytes) -> None:
    outcome = classify(status, headers, content, NOW)
    assert isinstance(outcome, Accepted) == (status == 202)


WAITS = {
    "0": 0.0, "120": 120.0, " 120 ": 120.0, "2.128": 2.128, "0.5": 0.5, "86400": 86400.0, "86401": LONGEST_WAIT,
    "9" * 60: LONGEST_WAIT, "Sun, 06 Nov 1994 08:49:37 GMT": 30.0, "Sunday, 06-Nov-94 08:49:37 GMT": 30.0,
    "Sun Nov  6 08:49:37 1994": 30.0, "Sun, 06 Nov 1994 08:48:37 GMT": 0.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": LONGEST_WAIT,
}  # fmt: skip


@pytest.mark.parametrize(("value", "seconds"), WAITS.items())
def test_every_form_of_rfc_9110_and_fractions_are_read(value: str, seconds: float) -> None:
    assert retry_after(value, NOVEMBER) == seconds


NO_WAITS = [
    None, "", " ", "soon", "-1", "+1", "1e3", "nan", "inf", "0x10", "1,5", "1.", ".5", "1 2", "٣", "9" * 65,
    "Sun", "Sun, ", "Sunday", "06 Nov 1994 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT",
]  # fmt: skip


@pytest.mark.parametrize("value", NO_WAITS)
def test_what_is_no_retry_after_is_none(value: str | None) -> None:
    assert retry_after(value, NOVEMBER) is None


@given(st.text() | st.from_regex(r"(Mon|Sun)[a-z]*,? [0-9A-Za-z:+\- ]*", fullmatch=True))
def test_no_header_raises(value: str) -> None:
    wait = retry_after(value, NOVEMBER)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@given(st.integers(0, 86400), st.integers(-12, 12))
def test_a_date_is_read_back(wait: int, hours: int) -> None:
    """A date that was written by the rules is the seconds until then, whatever zone `now` is in."""
    now = NOVEMBER.astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(NOVEMBER + timedelta(seconds=wait), usegmt=True), now) == wait
