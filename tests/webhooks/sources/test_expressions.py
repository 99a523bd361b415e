"""JMESPath over events."""

from datetime import UTC, datetime

import pytest

from shared.webhooks.sources.expressions import compiled, holds, search
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


@pytest.mark.parametrize("text", ["", "data.[", "nosuch(", "nosuch(data)", "a b", "\x00"])
def test_a_wrong_expression_is_reported(text: str) -> None:
    with pytest.raises(ValueError, match="JMESPath"):
        compiled(text)
