"""What templates do with texts, times and amounts."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from markupsafe import Markup

from shared.webhooks.rendering.filters import FILTERS, SUBJECT, cut, one_line, shown, told
from tests.webhooks.sources.anything import any_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T10:00:00Z", "22 Nov 2026, 10:00 UTC"),
        ("2026-11-22T11:30:00.123456789+01:30", "22 Nov 2026, 10:00 UTC"),
        ("2026-11-02", "2 Nov 2026"),
        (1_795_341_600, "22 Nov 2026, 10:00 UTC"),
        (datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=2))), "22 Nov 2026, 10:00 UTC"),
        ("yesterday", "yesterday"),
        ("20261122", "20261122"),
        ("2026-13-22T10:00:00Z", "2026-13-22T10:00:00Z"),
        (10**15, str(10**15)),
        (True, None),
        (0, None),
        ({}, None),
        ("[no value]", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),  # before the calendar begins
        (datetime(2, 1, 1, tzinfo=UTC), "1 Jan 2, 00:00 UTC"),
        (None, None),
    ],
)
def test_times_are_written_in_words_and_what_is_none_stays_as_it_is(value: Any, expected: str | None) -> None:
    assert FILTERS["moment"](value) == expected


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2026-11-22T10:00:00Z", "Europe/Berlin", "22 Nov 2026, 11:00 CET (10:00 UTC)"),
        ("2026-07-22T23:30:00Z", "Europe/Berlin", "23 Jul 2026, 01:30 CEST (22 Jul 2026, 23:30 UTC)"),
        ("2026-11-22T10:00:00Z", "Asia/Kathmandu", "22 Nov 2026, 15:45 +0545 (10:00 UTC)"),
        ("2026-11-22T10:00:00Z", "Etc/UTC", "22 Nov 2026, 10:00 UTC"),
        ("2026-11-22", "Europe/Berlin", "22 Nov 2026"),
        ("0001-01-01T00:00:00Z", "America/Lima", None),
        ("9999-12-31T23:59:59Z", "Asia/Tokyo", "31 Dec 9999, 23:59 UTC"),
    ],
)
def test_a_local_time_has_utc_beside_it(value: Any, zone: str, expected: str | None) -> None:
    assert FILTERS["moment"](value, zone=ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1234, "eur", "EUR 12.34"), (5, "usd", "USD 0.05"), (-123456, "USD", "USD -1,234.56"),
        (1234, "jpy", "JPY 1,234"), (1234, "KWD", "KWD 1.234"), (0, "krw", "KRW 0"), (1234, "isk", "ISK 12.34"),
        ("12.50", "eur", "EUR 12.50"), ("1250", "eur", None), (12.5, "eur", None), (12, None, None), (12, "", None),
        (12, {}, None), (True, "eur", None), ("much", "eur", None), (None, "eur", None),
    ],
)  # fmt: skip
def test_amounts_have_the_decimals_of_their_currency_or_are_none(
    amount: Any, currency: Any, expected: str | None
) -> None:
    assert FILTERS["money"](amount, currency) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (200, "3 min 20 s"), (60, "1 min"), (0, "0 s"), (0.35, "350 ms"), (59.6, "1 min"), (7_500, "2 h 5 min"),
        (90_061, "1 d 1 h"), (86_405, "1 d"), (-65, "-1 min 5 s"), ("a while", "a while"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_durations_have_their_two_largest_units(seconds: Any, expected: str) -> None:
    assert FILTERS["duration"](seconds) == expected


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("words", ("pull_request",), "Pull request"),
        ("words", ("workflow_run.completed",), "Workflow run completed"),
        ("words", ("",), ""),
        ("first_line", ("\n\n  Fix it \nand more",), "Fix it"),
        ("first_line", ("",), ""),
        ("shorten", ("abcdef", 4), "abc…"),
        ("shorten", ("abcd", 4), "abcd"),
        ("shorten", ("ab cdef", 4), "ab…"),
        ("cut", ("abcdef", 2), "ab … (4 more characters)"),
        ("cut", ("ab", 2), "ab"),
    ],
)
def test_texts_are_shortened_where_they_are_too_long(name: str, arguments: tuple[Any, ...], expected: str) -> None:
    assert FILTERS[name](*arguments) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1.5, "1.5"),
        (["a", 1, None], "a, 1, "),
        ([], ""),
        ({"a": ["ä"]}, '{"a": ["ä"]}'),
        ([[1], {"a": 2}], '[[1], {"a": 2}]'),
        (Markup("&lt;b&gt; &amp;amp;"), "<b> &amp;"),
        pytest.param(10**5000, "…", id="huge"),
        pytest.param([{"a": 10**5000}], "…", id="huge in a list"),
    ],
)
def test_any_value_is_readable_as_text(value: Any, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\r\nBcc: x@example.com", "a Bcc: x@example.com"), ("  a \t\x00\x1b\x7f\x85\u2028\u2029 b\n", "a b"),
        ("invoice\u202efdp.exe", "invoice fdp.exe"), ("\ud800", "\ufffd"), ("a" * 256, "a" * 254 + "…"),
        ("a" * 255, "a" * 255), ("\u200b\u2060", ""), ("\n", ""), ("👩‍🔧 ü", "👩‍🔧 ü"),
    ],
)  # fmt: skip
def test_a_subject_is_one_line_of_at_most_255_characters(value: str, expected: str) -> None:
    assert one_line(value) == expected


@given(any_json)
def test_no_filter_fails_on_any_value(value: Any) -> None:
    for name, apply in FILTERS.items():
        found = apply(value, *{"money": ("eur",), "shorten": (9,), "since": (value,)}.get(name, ()))
        if name in ("earliest", "latest"):
            assert found is None or found in value
        elif name == "labels":
            assert found is None or all(isinstance(text, str) for pair in found for text in pair)
        else:
            assert found is None or isinstance(found, float if name == "since" else str)
        assert found is None or value is not None
    assert len(cut(value, 10)) <= 10 + len(f" … ({10**6:,} more characters)")
    line = one_line(value)
    assert len(line) <= SUBJECT
    assert line.splitlines() in ([], [line])
    line.encode("utf-16")


@pytest.mark.parametrize(
    ("end", "begin", "seconds"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T09:58:30Z", 90.0),
        ("2026-11-22T10:00:00+01:00", "2026-11-22T08:00:00", 3600.0),
        (1_763_805_600, 1_763_805_000, 600.0),
        ("2026-11-22T10:00:00Z", "0001-01-01T00:00:00Z", None),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:01Z", None),
        ("2026-11-22T10:00:00Z", None, None),
        ("soon", "2026-11-22T10:00:01Z", None),
    ],
)
def test_the_time_between_two_times(end: Any, begin: Any, seconds: float | None) -> None:
    assert FILTERS["since"](end, begin) == seconds


def test_labels_that_tell_a_person_nothing_are_left_out() -> None:
    """Internal names of Prometheus and Grafana, and values that are none."""
    given = {
        "severity": "critical",
        "instance": "web-1",
        "count": 3,
        "__alert_rule_uid__": "x",
        "__value_string__": "[ var='A' ]",
        "PanelId": "4",
        "DashboardUID": "abc",
        "dashboard_uid": "abc",
        "orgId": "1",
        "note": "[no value]",
        "empty": "",
        "none": None,
        "blank": " \n",
        "objects": {},
    }
    assert FILTERS["labels"](given) == [("count", "3"), ("instance", "web-1"), ("severity", "critical")]
    assert FILTERS["labels"]("no labels") == []


NOTHING: tuple[Any, ...] = (None, "", "  ", "[no value]", "<no value>", " <nil> ", [], {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((value, None) for value in NOTHING),
        *(("none", "none"), (0, "0"), (False, "no"), ("[no value] %", "[no value] %")),
    ],
)
def test_what_tells_something_is_text(value: Any, text: str | None) -> None:
    """A name may be None, and 0 is a number."""
    assert told(value) == text


def test_the_first_and_the_last_of_times_are_found_by_time_and_not_by_how_they_are_written() -> None:
    times = ["2026-11-22T10:00:00+02:00", "2026-11-22T09:00:00Z", "soon", None, "0001-01-01T00:00:00Z"]
    assert FILTERS["earliest"](times) == "2026-11-22T10:00:00+02:00"
    assert FILTERS["latest"](times) == "2026-11-22T09:00:00Z"
    assert FILTERS["earliest"](["soon"]) is None
    assert FILTERS["latest"]("2026-11-22T09:00:00Z") is None
