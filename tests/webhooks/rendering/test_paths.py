"""What templates read out of an event: of a type that they can print, or nothing."""

from typing import Any

import pytest
from hypothesis import given

from shared.webhooks.rendering.environment import at_in, list_in, object_in, text_in
from tests.webhooks.sources.anything import any_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Ada", "Ada"), (418, "418"), (1.5, "1.5"), (0, "0"), (True, None), (None, None), ("", None), (" ", None),
        ("[no value]", None), (float("nan"), None), (float("inf"), None), ({"login": "ada"}, None), (["ada"], None),
    ],
)  # fmt: skip
def test_a_text_is_a_text_or_a_number_with_something_in_it(value: Any, text: str | None) -> None:
    assert text_in({"a": value}, "a") == text
    assert text_in({"a": value, "b": "other"}, "a", "b") == (text or "other")


def test_a_list_is_without_nulls_and_empty_where_there_is_none() -> None:
    assert list_in({"a": [1, None, 2]}, "a") == [1, 2]
    assert list_in({"a": "text"}, "a") == list_in({"a": {}}, "a") == list_in(None, "a") == []


def test_an_object_is_empty_where_there_is_none() -> None:
    assert object_in({"a": {"b": 1}}, "a") == {"b": 1}
    assert object_in({"a": [1]}, "a") == object_in({"a": "text"}, "a") == object_in({}, "a") == {}


@given(any_json)
def test_no_value_fails_and_each_has_the_type_that_was_asked_for(value: Any) -> None:
    data = {"a": value}
    text = text_in(data, "a", "a.b", "a[0]", "length(a)")
    assert text is None or text.strip()
    assert isinstance(list_in(data, "a"), list)
    assert isinstance(object_in(data, "a"), dict)
    assert at_in(data, "nothing.there", "default") == "default"
