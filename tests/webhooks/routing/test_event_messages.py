"""Messages of `mail-events`."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.routing.event_messages import AsSent, EventMessage, events_of, parse_event
from shared.webhooks.sources.source import RawRequest, SourceEvent, source_named
from tests.webhooks.routing.samples import NOW
from tests.webhooks.sources.anything import any_json

ENVELOPE = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/orders",
    "type": "order.paid",
    "time": "2026-11-22T10:00:00Z",
    "subject": "order 1",
    "mailroomroute": "shop",
    "mailroomthread": "order 1",
    "data": {"total": 12},
}


def read(message: Any) -> tuple[str, EventMessage | SourceEvent | AsSent]:
    return parse_event(json.dumps(message).encode())


def events(message: Any, source: str = "key") -> list[SourceEvent]:
    _, read_message = read(message)
    return events_of(read_message, source_named(source)(), "fallback")


def test_the_plain_shape_is_one_event_under_its_own_id() -> None:
    (event,) = events({"route": "shop", "id": "7", "type": "order.paid", "data": {"total": 12}, "thread": "order 1"})
    assert (event.id, event.key, event.type, event.thread, event.data) == (
        "7",
        "7",
        "order.paid",
        "order 1",
        {"total": 12},
    )
    (event,) = events({"route": "shop", "type": "x", "data": 1})
    assert event.key == "fallback"  # so that the same message delivered twice is one mail


def test_a_cloudevent_is_named_by_source_and_id() -> None:
    (event,) = events(ENVELOPE)
    (other,) = events({**ENVELOPE, "source": "/returns"})
    assert event.key != other.key
    assert (event.type, event.source, event.subject, event.thread) == ("order.paid", "/orders", "order 1", "order 1")
    assert event.time == NOW
    assert event.data == {"total": 12}
    envelope = {key: value for key, value in ENVELOPE.items() if key != "data"}
    data = {"data_base64": base64.b64encode(b'{"total": 12}').decode(), "datacontenttype": "application/json"}
    (event,) = events({**envelope, **data})
    assert event.data == {"total": 12}


@pytest.mark.parametrize(
    ("source", "route"),
    [("/orders", "cloudevents"), ("/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/x", "eventgrid")],
)
def test_a_cloudevent_without_a_route_goes_to_the_one_for_what_it_is(source: str, route: str) -> None:
    name, event = read({**{key: value for key, value in ENVELOPE.items() if key != "mailroomroute"}, "source": source})
    assert name == route
    assert isinstance(event, SourceEvent)


OF_EVENT_GRID = {
    "id": "eg-1",
    "topic": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
    "subject": "/blobServices/default/containers/c/blobs/b",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-11-22T10:00:00.0000000Z",
    "data": {"api": "PutBlob"},
    "dataVersion": "1",
    "metadataVersion": "1",
}


@pytest.mark.parametrize("capital", [False, True])
def test_event_grid_may_write_straight_into_the_queue(*, capital: bool) -> None:
    """As a subscription of Event Grid with a queue for its end does, and as its webhook reads it."""
    sent = {name[0].upper() + name[1:] if capital else name: value for name, value in OF_EVENT_GRID.items()}
    name, message = parse_event(base64.b64encode(json.dumps(sent).encode()))
    assert name == "eventgrid"
    (event,) = events_of(message, source_named("eventgrid")(), "fallback")
    request = RawRequest(json.dumps(OF_EVENT_GRID).encode(), {"content-type": "application/json"})
    assert [event] == source_named("eventgrid")().events(request)


@pytest.mark.parametrize("shape", ["plain", "cloudevent"])
def test_data_that_is_json_in_a_text_is_what_that_says(shape: str) -> None:
    """A string that was serialised once too often."""

    def data(text: str) -> Any:
        message = {"route": "shop", "id": "1", "type": "x"} if shape == "plain" else ENVELOPE
        return events({**message, "data": text})[0].data

    assert data('{"title": "Nightly\nbackup"}') == {"title": "Nightly\nbackup"}
    assert data(' [{"a": 1}]') == [{"a": 1}]
    for text in ("[Disk] is full", "{name} is full", "4711", '"x"', "null", ""):
        assert data(text) == text


def test_names_of_a_message_come_in_any_case_and_data_keeps_its_own() -> None:
    name, message = read({"Route": "shop", "ID": 4711, "TYPE": "x", "Thread": 12, "Data": {"Key": 1, "key": 2}})
    assert isinstance(message, EventMessage)
    assert (name, message.id, message.type, message.thread) == ("shop", "4711", "x", "12")
    assert message.data == {"Key": 1, "key": 2}
    _, numbers = read({"route": "shop", "type": 5, "subject": 16, "source": 7, "data": None})
    assert isinstance(numbers, EventMessage)
    assert (numbers.type, numbers.subject, numbers.source) == ("5", "16", "7")
    name, event = read({key.capitalize(): value for key, value in ENVELOPE.items()})
    assert (name, event) == read(ENVELOPE)


@pytest.mark.parametrize("encode", [lambda body: body, base64.b64encode, lambda body: b"\xef\xbb\xbf" + body])
def test_plain_json_and_base64_of_it_are_the_same(encode: Any) -> None:
    assert parse_event(encode(json.dumps({"route": "shop", "data": 1}).encode()))[0] == "shop"


def test_the_payload_of_a_webhook_is_read_by_the_source_of_its_route() -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "Disk"},
        "fingerprint": "1",
        "startsAt": "2026-11-22T09:00:00Z",
    }
    data = {"version": "4", "groupKey": "{}:{}", "status": "firing", "alerts": [alert]}
    (event,) = events({"route": "alerts", "id": "9", "data": data}, "alertmanager")
    assert (event.type, event.key) == ("alertmanager.firing", "9")
    assert event.thread
    assert events({"route": "alerts", "id": "9", "data": json.dumps(data)}, "alertmanager") == [event]
    issue = {"action": "opened", "issue": {"number": 1}, "repository": {"full_name": "a/b"}}
    (event,) = events({"route": "github", "id": "9", "data": issue, "headers": {"X-GitHub-Event": "issues"}}, "github")
    assert event.type == "issues.opened"
    (event,) = events({"route": "github", "id": "9", "data": "no payload"}, "github")
    assert (event.key, event.data) == ("9", "no payload")


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ([], r"\$"), ({"data": 1}, "route"), ({"route": 3}, r"\$\.route"), ({"route": "shop", "event": 1}, "event"),
        ({"route": "shop", "headers": []}, r"\$\.headers"), ({"route": ""}, r"\$\.route"),
        ({"route": "shop", "Route": "orders"}, r"\$\.Route"),
        *(({key: value for key, value in ENVELOPE.items() if key != name}, name) for name in ("id", "source", "type")),
    ],
)  # fmt: skip
def test_another_shape_is_refused_with_its_place(message: Any, where: str) -> None:
    with pytest.raises(Malformed, match=where):
        read(message)
    with pytest.raises(Malformed, match="200 levels"):
        parse_event(b'{"route": "shop", "data": ' + b"[" * 300 + b"]" * 300 + b"}")


@given(st.binary(max_size=200))
def test_whatever_stands_in_the_queue_is_read_or_refused(body: bytes) -> None:
    with suppress(Malformed):
        parse_event(body)


@given(any_json, st.sampled_from(["github", "alertmanager", "stripe", "cloudevents", "azure-monitor", "key"]))
def test_any_data_is_at_least_one_event(data: Any, source: str) -> None:
    assert events({"route": "shop", "data": data}, source)
