"""How much JSON is read is bounded before a parser builds anything of it."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.parsing import strict_json as mails
from shared.parsing.json_text import TooMuch, check_json
from shared.webhooks.sources import json_values as events

JSON = st.recursive(
    st.none() | st.integers() | st.text('ab,[]{}"\\\u2028'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a,[]{}"\\'), inner, max_size=4),
    max_leaves=20,
)
MANY = b"[" + b"[]," * 1_200_000 + b"[]]"


def values(tree: Any) -> int:
    """As the limit counts them: an empty object or array is two."""
    inner = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    if inner is None:
        return 1
    return 1 + (sum(map(values, inner)) if inner else 1)


def levels(tree: Any) -> int:
    if not isinstance(tree, dict | list):
        return 0
    return 1 + max(map(levels, tree.values() if isinstance(tree, dict) else tree), default=0)


@given(JSON, st.booleans())
def test_exactly_what_stands_outside_of_strings_is_counted(tree: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(tree, ensure_ascii=ascii_only).encode()
    count, depth = values(tree), levels(tree)
    check_json(text, values=count, levels=depth)
    with pytest.raises(TooMuch):
        check_json(text, values=count - 1, levels=depth)
    if depth:
        with pytest.raises(TooMuch):
            check_json(text, values=count, levels=depth - 1)


@given(st.binary() | st.text('[]{},"\\a').map(str.encode))
def test_whatever_the_bytes_are_they_are_counted_or_too_much(text: bytes) -> None:
    check_json(text, values=len(text) + 1, levels=len(text))


@pytest.mark.parametrize("read", [mails.read_json, events.read_json])
@pytest.mark.parametrize("text", [MANY, b"[" * 3_000_000, b'{"a":' * 500_000, b'{"a":[' + MANY])
def test_what_is_too_much_is_refused_at_its_place_before_memory_is_spent_on_it(read: Any, text: bytes) -> None:
    """A parser would make more than twenty times as much of it as there is."""
    tracemalloc.start()
    try:
        with pytest.raises(Malformed) as caught:
            read(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.status, caught.value.path) == (400, "$")
    assert peak < 4 * len(text)
