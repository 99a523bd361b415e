"""The general table: any JSON as names and values."""

import json
import re
from pathlib import Path
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.rendering.facts_table import LONGEST_NAME, LONGEST_VALUE, ROWS, table_of
from shared.webhooks.rendering.mails import LARGEST, Renderer
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.sources.source import SourceEvent
from tests.webhooks.rendering.samples import LAYOUT, RENDERER, event

# Surrogates too: they come in JSON as escapes.
TEXTS = st.text(st.characters(codec=None)) | st.sampled_from(
    ["{{ 7*7 }}", "<b>", "&amp;", "https://a.example/?a&b", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def written(data: Any) -> list[str]:
    """Every row as `group | name | text`."""
    return [f"{group.name} | {row.name} | {row.text}" for group in table_of(data).groups for row in group.rows]


def test_values_of_the_event_itself_come_first_and_then_a_group_for_each_object_and_list() -> None:
    data = {
        "repo": {"name": "shop", "owner": {"login": "ada"}},
        "action": "push",
        "tags": ["a", {"b": True}],
        "n": None,
    }
    assert written(data) == [
        " | action | push",
        " | n | none",
        "repo | name | shop",
        "repo | owner.login | ada",
        "tags | [0] | a",
        "tags | [1].b | yes",
    ]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (None, []),
        ({}, []),
        ([], []),
        ("text", [" | data | text"]),
        ("", [" | data | empty"]),
        (0, [" | data | 0"]),
        (False, [" | data | no"]),
        ([1, [2]], [" | [0] | 1", "[1] | [0] | 2"]),
        ({"a": {}, "b": [], "c": "  "}, [" | a | empty", " | b | empty", " | c | empty"]),
        ({"e-mail": {"the name": {"a.b": 1}}}, ['"e-mail" | "the name"."a.b" | 1']),
    ],
)
def test_every_shape_of_data_is_shown(data: Any, rows: list[str]) -> None:
    assert written(data) == rows


@given(
    st.dictionaries(st.text(min_size=1, max_size=9), st.dictionaries(st.text(max_size=9), st.integers()), min_size=1)
)
def test_a_name_is_the_path_that_finds_the_value(data: dict[str, Any]) -> None:
    for group in table_of(data).groups:
        for row in group.rows:
            joint = "" if not group.name or row.name.startswith("[") else "."
            found = jmespath.search(f"{group.name}{joint}{row.name}", data)
            assert row.text in ("empty" if found == {} else str(found), "not shown here")


def test_what_is_too_much_is_left_out_and_counted() -> None:
    table = table_of({"rows": list(range(ROWS + 5))})
    assert sum(len(group.rows) for group in table.groups) == ROWS
    assert (table.left_out, table.uncounted) == (5, False)
    table = table_of({"rows": ["x" * 3_000] * 20_000})
    assert sum(len(group.rows) for group in table.groups) < 40
    assert table.uncounted
    (row,) = table_of("x" * (LONGEST_VALUE + 7)).groups[0].rows
    assert row.text.endswith("(7 more characters)")


def test_deep_data_neither_fails_nor_makes_long_names() -> None:
    deep: Any = "end"
    for _ in range(50_000):
        deep = {"step": deep}
    (group,) = table_of(deep).groups
    (row,) = group.rows
    assert len(row.name) <= LONGEST_NAME
    assert row.text == "end"


@given(JSON, TEXTS, TEXTS, st.none() | TEXTS)
def test_any_event_gives_a_mail_with_nothing_unescaped(data: Any, kind: str, source: str, subject: str | None) -> None:
    mail = RENDERER.render(event(data=data, type=kind, source=source, subject=subject), "shop", None)
    assert (mail.template, mail.failed) == ("table", None)
    assert mail.subject
    mail.html.encode()
    assert not re.search(
        r"<(?!(/?(html|head|meta|title|style|body|table|tbody|tr|td|h1|h2|div|p|a|br)\b)|!)", mail.html
    )
    assert "49" not in text_of(mail.html) or "49" in json.dumps([data, kind, source, subject])


@pytest.mark.parametrize(
    "text", ["&" * 3_000_000, "\n\n" * 1_000_000, "https://a.example/" + "&" * 1_900, "\U0001f600" * 10**6]
)
@pytest.mark.parametrize("field", ["id", "source", "type", "subject"])
def test_the_largest_event_is_a_mail_that_graph_takes(field: str, text: str) -> None:
    given: dict[str, Any] = {field: text, "data": {text: [text] * 1_000}}
    mail = Renderer(LAYOUT).render(
        SourceEvent(**{"key": "k", "id": "1", "source": "s", "type": "t", **given}), "shop", None
    )
    assert len(mail.html.encode()) < LARGEST


def test_the_table_begins_with_what_the_event_is() -> None:
    mail = RENDERER.render(
        event(subject="Order 7 <new>", data={"url": "https://shop.example.com/7", "n": None}), "shop", None
    )
    assert mail.subject == "order.paid: Order 7 <new>"
    assert text_of(mail.html) == (
        "order.paid\n\nOrder 7 <new>\n\n"
        "Type: order.paid\nSource: https://shop.example.com\nSubject: Order 7 <new>\nTime: 22 Nov 2026, 10:00 UTC\n\n"
        "url: https://shop.example.com/7\nn: none\n\n"
        "You get this because you are a recipient of the route shop. "
        "To change that, ask whoever runs Mailroom for you.\n"
        "The event is of 22 Nov 2026, 10:00 UTC."
    )
    assert '<a href="https://shop.example.com/7"' in mail.html


def test_an_event_without_data_says_so(tmp_path: Path) -> None:
    assert "The event carries no data." in text_of(RENDERER.render(event(data=None), "shop", tmp_path).html)


def test_a_mail_says_how_much_of_the_event_is_left_out() -> None:
    text = text_of(RENDERER.render(event(data=[{"a": n} for n in range(1_300)]), "shop", None).html)
    assert "1,100 more values are left out." in text
    text = text_of(RENDERER.render(event(data=list(range(20_000))), "shop", None).html)
    assert "More than 10,000 more values are left out." in text


def test_what_is_a_secret_by_its_name_is_not_mailed() -> None:
    data = {"client_secret": "seti_1", "user": {"Password": "hush", "api-key": "k", "apiKey": "k"}, "secretary": "Ada"}
    rows = written(data)
    assert " | client_secret | not shown here" in rows
    assert "user | Password | not shown here" in rows
    assert "user | apiKey | not shown here" in rows
    assert " | secretary | Ada" in rows
