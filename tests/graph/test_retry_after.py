from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.graph.http_status import LONGEST_WAIT, retry_after

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("2.128", 2.128),
        ("0.5", 0.5),
        ("86400", 86400.0),
        ("86401", LONGEST_WAIT),
        ("9" * 60, LONGEST_WAIT),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 30.0),
        ("Sun Nov  6 08:49:37 1994", 30.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
    ],
)
def test_every_form_of_rfc_9110_and_fractions_are_read(value: str, seconds: float) -> None:
    """Seconds, fractions of them, and the three forms of an HTTP date; at most a day."""
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "soon",
        "-1",
        "+1",
        "1e3",
        "nan",
        "inf",
        "Infinity",
        "0x10",
        "1,5",
        "1.",
        ".5",
        "1 2",
        "٣",
        "9" * 65,
        "Sun",
        "Sun, ",
        "Sunday",
        "06 Nov 1994 08:49:37 GMT",
        "Sun, 99 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_retry_after_is_none(value: str | None) -> None:
    """A header that cannot be read says nothing."""
    assert retry_after(value, NOW) is None


@settings(max_examples=60, deadline=None)
@given(st.text() | st.from_regex(r"(Mon|Sun)[a-z]*,? [0-9A-Za-z:+\- ]*", fullmatch=True))
def test_no_header_raises(value: str) -> None:
    """Whatever comes, the answer is None or between nothing and a day."""
    wait = retry_after(value, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 86400), st.integers(-12, 12))
def test_a_date_is_read_back(wait: int, hours: int) -> None:
    """A date that was written by the rules is the seconds until then, whatever zone `now` is in."""
    now = NOW.astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(NOW + timedelta(seconds=wait), usegmt=True), now) == wait
