"""JMESPath over events."""

import re
from datetime import UTC, datetime

import pytest

from shared.webhooks.sources.expressions import check, compiled, holds, search
from shared.webhooks.sources.source import SourceEvent

DATA = {"ref": "main", "empty": [], "zero": 0, "no": False}
SEEN = SourceEvent(
    id="1", source="/a", type="t", key="1", data=DATA, time=datetime(2026, 11, 22, 10, tzinfo=UTC)
).as_object()


def test_an_event_is_seen_with_all_its_attributes() -> None:
    assert set(SEEN) == {"id", "source", "type", "subject", "time", "thread", "data", "extensions"}
    assert SEEN["time"] == "2026-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("data.ref == 'main'", True),
        ("data.ref == 'other'", False),
        ("data.missing", False),
        ("data.empty", False),
        ("data.zero", True),
        ("data.no", False),
        ("contains(data.zero, 'x')", True),  # fails on a number: an unwanted mail is better than a missing one
    ],
)
def test_a_filter_passes_what_is_true_and_what_it_cannot_decide(expression: str, expected: object) -> None:
    assert holds(expression, SEEN) is expected


def test_a_query_that_fails_on_a_value_finds_nothing() -> None:
    assert search("join(',', data)", SEEN) is None


@pytest.mark.parametrize(
    "text",
    [
        "data.a == data.b",
        "data.x.\"a-b\" == 'c'",
        "data.x[?\"a b\" == 'c'].d",
        'data.x[?a == "b".c]',
        "!data && sort_by(data.x, &name)[0] | name",
        "{a: data.b, c: [type, id]} | a",
        "*.a && data.*.b && data[].c && data[1:2].d && @.e",
        "data.x == `true` && data.y == `2`",
    ],
)
def test_what_can_be_meant_is_not_complained_about(text: str) -> None:
    check(text, SEEN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data.a == "b"', "\"b\" is a name; the value is 'b'"),
        ('"b" != data.a && id', '"b" is a name'),
        ('data.x[?a == "b c"]', '"b c" is a name'),
        ("data.x[?a == true]", "true is a name; the value is `true`"),
        ("!data.a", r"reads !a.b as (!a).b"),
        ("type == failed", "there is no failed here, only id, source,"),
        ("[data, {a: length(x)}]", "there is no x here"),
        ("data.a > 100", "found 100 in column 10 of data.a > 100; a number is written between backticks"),
        ("data.a = 'b'", "found = in column 8"),
        ("id and type", "found and in column 4 of id and type; expected &&"),
        ("data.a-b", 'found - in column 7 of data.a-b; a name with a dash is written in double quotes, "request-id"'),
        ("{{ data.a }}", "a JMESPath is no template: expected it without {{ }}"),
        ("data.a == 'b", "found 'b in column 11 of data.a == 'b; it has no end"),
        ("data[", r"data[ ends too early"),
    ],
)
def test_what_cannot_be_meant_is_explained(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        check(text, SEEN)


@pytest.mark.parametrize(
    "text",
    ["", "data.", "data[", "data.[", "nosuch(", "nosuch(data)", "a b", "\x00", "a[?nosuch(@)].x", "a | [-1:nosuch()]"],
)
def test_a_wrong_expression_is_reported(text: str) -> None:
    with pytest.raises(ValueError, match="JMESPath"):
        compiled(text)
