import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.sources.json_values import digest, moment, pick, read_json, read_object, text
from shared.webhooks.sources.source import MEGABYTE
from tests.webhooks.sources.anything import any_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value
    assert read_json(b"\xef\xbb\xbf \n" + json.dumps(value).encode()) == value, "with a byte order mark"


@given(st.binary(max_size=60) | st.text('{}[]",:0123456789eE+-.\\ud8nulltrefas \n\x00', max_size=60).map(str.encode))
def test_whatever_the_bytes_are_they_are_json_or_malformed(body: bytes) -> None:
    """And what is JSON can be written as UTF-8, as every mail is."""
    try:
        value = read_json(body)
    except Malformed:
        return
    json.dumps(value, ensure_ascii=False).encode()


def test_what_is_not_json_is_named_with_its_place() -> None:
    with pytest.raises(Malformed, match=r"line 2, column 8 \(character 9\)"):
        read_json(b'{\n  "a": ,}')


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"nul", b"{'a': 1}", b"[1,]", b"a=b", b"[1] [2]", '{"a": }'.encode("utf-16")]
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(body)


def test_depth_and_digits_without_end_are_malformed_and_quickly() -> None:
    began = time.process_time()
    for body in (b"[" * 2 * MEGABYTE, b'{"a":' * (MEGABYTE // 4), b"1" * MEGABYTE, b"[" * MEGABYTE + b"]" * MEGABYTE):
        with pytest.raises(Malformed) as caught:
            read_json(body)
        assert caught.value.status == 400
    with pytest.raises(Malformed):
        read_json(b'{"a": "\\ud800", "b": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert time.process_time() - began < 2


def test_what_is_json_to_its_sender_is_read() -> None:
    """Python's json writes NaN and Infinity, JavaScript halves of surrogate pairs, others Latin-1 and raw line ends."""
    assert read_json(b"[NaN, Infinity, -Infinity]") == ["NaN", "Infinity", "-Infinity"]
    assert read_json(b'"a\\ud83db"') == "a�b"
    assert read_json(b'"\\ud83d\\ude00"') == "😀"
    assert read_json(b'{"\\udc80": "\\uD800"}') == {"�": "�"}
    assert read_json(b'"caf\xe9"') == "café"
    assert read_json(b'{"text": "Down\r\n\tPING\x00 lost"}') == {"text": "Down\r\n\tPING\x00 lost"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"a": "x\ny", }', "line 1, column 9"),  # where the strict reader stops, though another would go further
        (b'{"a": , "b": "x\ny"}', "line 1, column 7"),
        (b'{"a"\n: "x"\x01}', "line 2, column 6"),
    ],
)
def test_json_that_is_broken_beside_a_raw_line_end_has_the_place_of_its_first_fault(body: bytes, place: str) -> None:
    with pytest.raises(Malformed, match=place):
        read_json(body)


@given(any_json)
def test_half_of_a_surrogate_pair_changes_nothing_beside_it(value: Any) -> None:
    plain = read_json(json.dumps(value).encode())
    both = read_json(json.dumps([value, "\ud800"]).encode())
    assert json.dumps(both) == json.dumps([plain, "�"])


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null"])
def test_where_an_object_is_expected_something_else_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"\$"):
        read_object(body)


VALUE = {"a": {"b": [{"c": "x"}, None]}, "n": 1.5, "0": "name"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), VALUE), (("a", "b", 0, "c"), "x"), (("a", "b", -2, "c"), "x"), (("a", "b", 1), None),
        (("a", "b", 2), None), (("a", "b", -3), None), (("a", "b", "0"), None), (("a", 0), None), (("0",), "name"),
        ((0,), None), (("n", "x"), None), (("missing", "x"), None),
    ],
)  # fmt: skip
def test_pick_finds_what_stands_at_a_path_and_none_elsewhere(path: tuple[str | int, ...], expected: Any) -> None:
    assert pick(VALUE, *path) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), ("", None), (0, "0"), (12, "12"), (1.5, "1.5"), (True, None), (None, None), ([], None), ({}, None)],
)
def test_text_is_a_text_or_a_number(value: Any, expected: str | None) -> None:
    assert text(value) == expected
    assert text({"at": [value]}, "at", 0) == expected


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T10:00:00Z", "2026-11-22T11:00:00+01:00", "2026-11-22T10:00:00.000000000Z", "2026-11-22 10:00:00",
        1795341600, 1795341600.0,
    ],
)  # fmt: skip
def test_a_moment_is_read_however_it_is_written(value: Any) -> None:
    found = moment(value)
    assert found == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    assert found is not None
    assert found.tzinfo is UTC


@given(any_json | st.floats() | st.integers() | st.text("0123456789-:TZ+.W "))
def test_whatever_is_no_moment_is_none(value: Any) -> None:
    found = moment(value)
    assert found is None or found.tzinfo is UTC


TEXTS = st.lists(st.text(st.characters(exclude_categories=()), max_size=3), max_size=3)


@given(TEXTS, TEXTS)
def test_a_digest_is_the_same_for_the_same_texts_only(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)
    assert len(digest(*one)) == 32


def test_a_digest_knows_where_each_text_ends() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", ""), digest("2:ab", "c")}) == 5
