"""Numbers that no sender means and JSON allows, wherever an event has a number: a mail or a refusal, never a crash."""

import json
from functools import cache
from typing import Any

import pytest

from sandbox.examples import Studio, examples_of
from shared.errors import Malformed
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.event_messages import events_of, parse_event
from shared.webhooks.sources.expressions import holds, search
from shared.webhooks.sources.json_values import read_json
from shared.webhooks.sources.source import RawRequest
from tests.webhooks.routing.samples import NOW

NUMBERS = ["1e999", "-1e999", "1" + "0" * 400, "-0.0", "1E-999", "0." + "7" * 400]
MARK = "\u2603"


@cache
def studio() -> Studio:
    return Studio()


def marked(value: Any, strings: bool) -> Any:  # noqa: FBT001 - what is replaced
    """The value with a mark for each number; strings: for each text too."""
    if isinstance(value, dict):
        return {name: marked(one, strings) for name, one in value.items()}
    if isinstance(value, list):
        return [marked(one, strings) for one in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return MARK if number or (strings and isinstance(value, str)) else value


def with_numbers(body: bytes, number: str, *, strings: bool) -> bytes:
    text = json.dumps(marked(json.loads(body), strings), ensure_ascii=False)
    return text.replace(f'"{MARK}"', number).encode()


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:8])
@pytest.mark.parametrize("strings", [False, True])
def test_every_example_is_read_and_rendered_with_such_numbers(number: str, strings: bool) -> None:  # noqa: FBT001
    seen = 0
    for route, example in list(examples_of(load()))[:: 9 if number == "1e999" else 27]:
        request = example.request()
        body = with_numbers(request.body, number, strings=strings)
        try:
            events = route.source.events(RawRequest(body, request.headers, request.query))
        except Malformed:
            continue
        for event in events:
            studio()._composer.compose(route, event, NOW)
            seen += 1
    assert seen > (20 if number == "1e999" and not strings else 1)


FILTERS = ["avg", "sum", "ceil", "floor", "abs", "to_number", "to_string", "max", "min", "sort", "length", "type"]


@pytest.mark.parametrize("number", [*NUMBERS, '"1e999"', f'"{"9" * 5000}"'], ids=lambda number: number[:8])
@pytest.mark.parametrize("function", FILTERS)
def test_a_filter_that_computes_with_them_lets_the_event_through(function: str, number: str) -> None:
    data = {"data": read_json(f'{{"a": {number}, "b": [{number}, {number}, 1]}}'.encode())}
    for expression in (f"{function}(data.a)", f"{function}(data.b)", f"{function}(data.b) > `1`"):
        search(expression, data)
        assert isinstance(holds(expression, data), bool)
    assert holds("avg(data.b)", {"data": {"b": [10**400, 1]}})


def test_a_number_beyond_all_numbers_stays_as_it_was_written() -> None:
    """Not `Infinity`, which is no JSON, nor null."""
    assert read_json(b"[1e999, -1E+999, 1.5, 1e3]") == ["1e999", "-1E+999", 1.5, 1000.0]


def test_a_message_of_the_queue_with_such_numbers_is_an_event() -> None:
    for number in NUMBERS:
        name, message = parse_event(f'{{"route": "generic", "data": {{"n": {number}, "m": [{number}]}}}}'.encode())
        route = load().routes[name]
        for event in events_of(message, route.source, "m"):
            assert studio()._composer.compose(route, event, NOW)
