"""JMESPath over events."""

import pytest

from shared.webhooks.routing.queries import Query, as_object
from tests.webhooks.routing.samples import event


def test_an_event_is_seen_with_all_its_attributes() -> None:
    seen = as_object(event(data={"a": 1}))
    assert set(seen) == {"id", "source", "type", "subject", "time", "thread", "data", "extensions"}
    assert seen["time"] == "2026-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("data.ref == 'main'", True),
        ("data.ref == 'other'", False),
        ("data.missing", False),
        ("data.empty", False),
        ("data.zero", True),
        ("data.no", False),
        ("contains(data.zero, 'x')", True),  # fails on a number: a mail too many is better than one too few
    ],
)
def test_a_filter_lets_through_what_is_true_and_what_it_cannot_say(expression: str, holds: object) -> None:
    seen = as_object(event(data={"ref": "main", "empty": [], "zero": 0, "no": False}))
    assert Query(expression).holds(seen) is holds


def test_a_query_that_fails_on_a_value_finds_nothing() -> None:
    assert Query("join(',', data)").of(as_object(event(data=3))) is None


@pytest.mark.parametrize("text", ["", "data.[", "nosuch(", "nosuch(data)", "a b", "\x00"])
def test_what_is_no_jmespath_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="JMESPath"):
        Query(text)
