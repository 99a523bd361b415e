"""Readers of events: bodies of webhooks, messages of the queue, and the mails that are made of them."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sandbox.examples import ENVIRONMENT, Example
from shared.settings.config import read
from shared.webhooks.rendering.bounds import bounded
from shared.webhooks.rendering.environment import TemplateSandbox, at_in
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.rendering.summary import summary_of
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.event_messages import events_of, parse_event
from shared.webhooks.routing.route import Route
from shared.webhooks.sources import json_values
from shared.webhooks.sources.alert_groups import grouped, is_internal
from shared.webhooks.sources.azure_legacy import older_alert
from shared.webhooks.sources.expressions import holds
from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest, SourceEvent, source_named
from tests.readers.reader import MEGABYTE, Reader
from tests.readers.shapes import TEXTS, VALUES, Shape, as_json, documents

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
QUEUE: Final = 64 * 1024
WEBHOOK: Final = 2 * MEGABYTE
ROUTES: Final = load().routes
COMPOSER: Final = Composer(read(ENVIRONMENT), Renderer(BUILT_IN / "_layout"))
FOLDER: Final = BUILT_IN / "_layout"
# What the texts of a whole event are made of, one kind after the other.
KINDS: Final = (
    "combining marks, unsorted", "em spaces", "tabs", "line breaks", "nested tables", "links", "markdown", "quotes",
)  # fmt: skip


def _example(route: Route) -> Mapping[str, Any]:
    """The largest example of a route: it fills most of its template."""
    files = sorted((route.folder / "examples").glob("*.json"), key=lambda file: file.stat().st_size)
    written: Mapping[str, Any] = json.loads(files[-1].read_text("utf-8"))
    return {**written, "request": Example(files[-1]).request()}


def _leaves(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(_leaves, value.values() if isinstance(value, dict) else value))
    return int(isinstance(value, str))


def _blown(value: Any, text: str) -> Any:
    """The same with this text behind each text that is no name of anything."""
    if isinstance(value, dict):
        return {name: one if name in KEPT else _blown(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [_blown(one, text) for one in value]
    return f"{value} {text}" if isinstance(value, str) and not value.startswith("http") else value


# What decides which template there is, or whether there is an event at all.
KEPT: Final = frozenset({"type", "eventType", "object", "status", "specversion", "action", "state", "schemaId", "id"})


def _wide(value: Any, size: int) -> Any:
    """The same with every list repeated, and every object with names of its own beside."""
    if isinstance(value, list):
        return [_wide(one, 0) for one in value] * max(1, size // max(1, len(as_json(value))))
    if isinstance(value, dict):
        inner = max(1, sum(isinstance(one, dict | list) for one in value.values()))
        return {name: _wide(one, size // inner) for name, one in value.items()}
    return value


def _broad(value: Any, size: int) -> Any:
    if isinstance(value, dict):
        inner = max(1, sum(isinstance(one, dict | list) for one in value.values()) + 1)
        own = {f"n{n}": "v" for n in range(size // inner // 12)}
        return {name: _broad(one, size // inner) for name, one in value.items()} | own
    return [_broad(one, size // len(value)) for one in value] if isinstance(value, list) else value


def _requests(route: Route) -> Mapping[str, Shape]:
    example = _example(route)
    request: RawRequest = example["request"]

    def made(change: Callable[[Any, int], Any]) -> Shape:
        return lambda size: RawRequest(as_json(change(example["body"], size)), request.headers, request.query)

    def texts(kind: str) -> Callable[[Any, int], Any]:
        return lambda body, size: _blown(body, TEXTS[kind](size // max(1, _leaves(body))))

    return {
        **{f"texts of {kind}": made(texts(kind)) for kind in KINDS},
        "wide lists": made(_wide),
        "broad objects": made(_broad),
    }


def _mails(route: Route) -> Callable[[RawRequest], object]:
    def read_all(request: RawRequest) -> None:
        for event in route.source.events(request)[:3]:
            COMPOSER.mails(route, event, NOW)

    return read_all


def _event(data: Any) -> SourceEvent:
    return SourceEvent(id="1", source="/a", type="a.b", key="1", data=data, subject="a", time=NOW)


QUERIES: Final = [
    "data.a[?a == 'x']", "data[?type(@) == 'object'] | [0]", "length(data)", "join(' ', data.*.name)",
]  # fmt: skip
TEMPLATE: Final = TemplateSandbox(FOLDER, [])
# Filters that change a text; the cost of the others is in options that a template's author chooses.
NO_TEXT: Final = frozenset({
    "attr", "batch", "slice", "groupby", "map", "select", "reject", "selectattr", "rejectattr", "sort", "money",
    "since", "replace", "format", "filesizeformat", "round", "xmlattr", "tojson", "pprint", "random", "sum",
})  # fmt: skip
CALLS: Final = [
    TEMPLATE.from_string(
        "{{ value|" + (f"{name}(20)" if name in ("cut", "shorten", "truncate", "wordwrap") else name) + " }}"
    )
    for name in sorted(TEMPLATE.filters)
    if name not in NO_TEXT
]


def _filtered(text: str) -> None:
    for template in CALLS:
        try:
            template.render(value=text)
        except Exception:  # noqa: BLE001, S112 - a template that fails makes way for the table
            continue


READERS: Final = [
    Reader("the JSON of a webhook", json_values.read_json, WEBHOOK, documents()),
    Reader(
        "a form of a webhook",
        lambda body: json_values.form_field(body, "payload"),
        WEBHOOK,
        {name: lambda size, name=name: b"payload=" + TEXTS[name](size).encode() for name in ("percents", "letters")}
        | {"fields": lambda size: b"a=b&" * (size // 4)},
    ),
    Reader(
        "a list that is read item by item",
        lambda body: [sum(1 for _ in found[1]) for found in [json_values.in_pieces(body, "list")] if found],
        5 * WEBHOOK,
        documents(around=lambda value: {"list": [value]})
        | {
            "nothing": lambda size: as_json({"list": [{}] * (size // 3)}),
            "alerts": lambda size: as_json({"list": [{"labels": {"a": "b"}, "status": "firing"}] * (size // 50)}),
        },
    ),
    Reader(
        "a group of alerts",
        lambda data: (grouped(_event({"alerts": [data, {"labels": data}]})), is_internal(str(data)[:200])),
        WEBHOOK,
        VALUES,
    ),
    Reader(
        "an alert in an older schema",
        lambda value: older_alert({"data": {"context": value, "BudgetName": "a"}, "AlertRuleName": value}),
        WEBHOOK,
        VALUES,
    ),
    Reader(
        "a batch of events",
        lambda body: [
            source_named(name)().events(RawRequest(body, {"content-type": "application/cloudevents-batch+json"}))
            for name in ("cloudevents", "eventgrid")
        ],
        MEGABYTE,
        {
            "CloudEvents": lambda size: as_json(
                [{"specversion": "1.0", "id": "1", "source": "/a", "type": "b"}] * (size // 56)
            ),
            "CloudEvents with data": lambda size: as_json(
                [{"specversion": "1.0", "id": "1", "source": "/a", "type": "b", "data": "a" * 130}]
                * min(5000, size // 200)
            ),
            "Event Grid": lambda size: as_json(
                [{"id": "1", "topic": "/a", "eventType": "b", "data": {}}] * (size // 60)
            ),
            "topics of one's own": lambda size: as_json([{"a": [0] * (size // 2000)}] * 900),
        },
    ),
    Reader(
        "an event in the queue",
        lambda body: events_of(parse_event(body)[1], Key(accept=("bearer",)), "1"),
        QUEUE,
        documents(around=lambda value: {"route": "a", "data": value}, without="fault"),
    ),
    Reader(
        "what a route asks of an event",
        lambda data: [holds(query, _event(data).as_object()) for query in QUERIES],
        MEGABYTE // 4,
        {name: shape for name, shape in VALUES.items() if "text of" not in name},
    ),
    Reader(
        "what a template asks of an event",
        lambda data: (
            at_in(bounded(data)[0], "a[?type(@) == 'object']"),
            summary_of(_event(bounded(data)[0]), "a", str),
        ),
        WEBHOOK,
        VALUES,
    ),
    Reader(
        "filters of templates",
        _filtered,
        20000,
        {
            kind: TEXTS[kind]
            for kind in (*KINDS, "blanks", "em spaces", "dashes", "entities", "percents", "at signs", "dots")
        },
    ),
    *(
        Reader(f"a mail of the route {name}", _mails(route), MEGABYTE, _requests(route))
        for name, route in sorted(ROUTES.items())
    ),
]
