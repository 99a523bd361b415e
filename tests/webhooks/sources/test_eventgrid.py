"""Azure Event Grid, in both schemas."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from shared.errors import Malformed
from shared.webhooks.sources.eventgrid import EventGrid
from shared.webhooks.sources.source import RawRequest, SourceEvent, WebhookReply
from tests.webhooks.sources.anything import damaged, events_or_malformed

SOURCE = EventGrid()
GROUP = "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001/resourceGroups/rg-shop"
TOPIC = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/contosoinvoices"
BLOB = {
    "topic": TOPIC,
    "subject": "/blobServices/default/containers/invoices/blobs/2026/11/4711.pdf",
    "eventType": "Microsoft.Storage.BlobCreated",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {"api": "PutBlob", "contentType": "application/pdf", "contentLength": 524288, "blobType": "BlockBlob"},
    "dataVersion": "",
    "metadataVersion": "1",
    "eventTime": "2026-11-22T09:58:01.1234567Z",
}
CLOUD = {
    "specversion": "1.0",
    "id": "b3ccc7e3-c1cb-49bf-b7c8-0d4e60980616",
    "source": TOPIC,
    "type": "Microsoft.Storage.BlobCreated",
    "subject": "/blobServices/default/containers/invoices/blobs/4712.pdf",
    "time": "2026-11-22T09:58:02Z",
    "data": {"api": "PutBlob"},
}
CODE = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"
VALIDATION = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": TOPIC,
        "subject": "",
        "data": {"validationCode": CODE, "validationUrl": "https://rp-westeurope.eventgrid.example.com/validate"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-11-22T09:58:00Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]
VALIDATING = {"aeg-event-type": "SubscriptionValidation", "content-type": "application/json; charset=utf-8"}
DELIVERED = {
    "aeg-event-type": "Notification",
    "aeg-subscription-name": "INVOICES-TO-MAIL",
    "content-type": "application/json; charset=utf-8",
}


def read(value: Any, headers: Mapping[str, str] = DELIVERED) -> list[SourceEvent]:
    return SOURCE.events(RawRequest(json.dumps(value).encode(), headers))


def test_an_array_in_event_grids_own_schema_gives_one_event_each() -> None:
    first, second = read([BLOB, {**BLOB, "id": "2"}])
    assert (first.id, first.source, first.type) == (BLOB["id"], TOPIC, "Microsoft.Storage.BlobCreated")
    assert first.subject == BLOB["subject"]
    assert first.time == datetime(2026, 11, 22, 9, 58, 1, 123456, UTC)
    assert first.data == BLOB["data"]
    assert first.extensions == {"dataVersion": "", "metadataVersion": "1", "aeg-subscription-name": "INVOICES-TO-MAIL"}
    assert second.key != first.key
    assert read([]) == []


def test_the_key_is_topic_id_and_type_and_all_that_the_event_says() -> None:
    """IoT Hub gives one id to different events of one batch."""

    def key(**changes: Any) -> str:
        return read([{**BLOB, **changes}])[0].key

    others = [
        key(eventType="x"),
        key(eventTime="x"),
        key(data=None),
        key(subject="x"),
        key(id="2"),
        key(topic="/other"),
    ]
    assert len({key(), *others}) == len(others) + 1
    assert key() == read([{**BLOB, "id": "another in its batch"}, dict(reversed(BLOB.items()))])[1].key


@pytest.mark.parametrize("event", [{**BLOB, "id": None}, {"alarm": "down"}, {"id": "1", "alarm": "down"}])
def test_without_an_id_of_event_grids_the_same_event_is_the_same_for_the_day_in_which_it_tries_again(
    event: Any,
) -> None:
    (first,), (again,) = read([event]), read([event])
    assert (first.key, first.known_by, first.window) == (again.key, "same-bytes", 86_400.0)
    assert read([{**event, "alarm": "up"}])[0].key != first.key


def test_in_the_cloudevents_schema_the_key_is_the_same_structured_batched_or_binary() -> None:
    structured = read(CLOUD, {**DELIVERED, "content-type": "application/cloudevents+json; charset=utf-8"})
    batched = read([CLOUD], {**DELIVERED, "content-type": "application/cloudevents-batch+json; charset=utf-8"})
    headers = {f"ce-{name}": str(value) for name, value in CLOUD.items() if name != "data"}
    binary = read(CLOUD["data"], {**DELIVERED, **headers})
    for (event,) in (structured, batched, binary):
        assert event.key == structured[0].key
        assert (event.id, event.source, event.type) == (CLOUD["id"], CLOUD["source"], CLOUD["type"])
        assert event.data == CLOUD["data"]
        assert event.extensions["aeg-subscription-name"] == "INVOICES-TO-MAIL"
    assert read([{**CLOUD, "id": "2"}])[0].key != structured[0].key


def test_a_validation_is_answered_with_200_and_its_code_byte_for_byte() -> None:
    reply = SOURCE.handshake(RawRequest(json.dumps(VALIDATION).encode(), VALIDATING))
    assert reply == WebhookReply(
        200, {"Content-Type": "application/json"}, b'{"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}'
    )


@pytest.mark.parametrize("value", [[], {}, None, [BLOB], [{"data": {"validationCode": 7}}], [{"data": []}], "x"])
def test_a_validation_without_a_code_is_malformed(value: Any) -> None:
    with pytest.raises(Malformed) as error:
        SOURCE.handshake(RawRequest(json.dumps(value).encode(), VALIDATING))
    assert (error.value.status, error.value.path) == (400, "$[0].data.validationCode")


def test_an_event_in_a_topics_custom_schema_is_data_as_a_whole() -> None:
    custom = {"id": "1", "orderNumber": "A-1001"}
    first, second = read([custom, {**custom, "orderNumber": "A-1002"}])
    assert (first.type, first.data, dict(first.extensions)) == (
        "eventgrid",
        custom,
        {"aeg-subscription-name": "INVOICES-TO-MAIL"},
    )
    assert first.key != second.key


def test_what_is_no_event_is_malformed_and_its_place_is_named() -> None:
    with pytest.raises(Malformed) as error:
        read([BLOB, "text"])
    assert (error.value.status, error.value.path) == (400, "$[1]")
    with pytest.raises(Malformed) as error:
        read([BLOB, {**CLOUD, "source": ""}])
    assert error.value.path == "$[1].source"


@given(value=damaged([BLOB]))
def test_an_object_in_event_grids_schema_is_never_refused_whatever_its_fields_hold(value: Any) -> None:
    if isinstance(value, list) and value and all(isinstance(one, dict) and "specversion" not in one for one in value):
        assert len(events_or_malformed(SOURCE, value)) == len(value)
