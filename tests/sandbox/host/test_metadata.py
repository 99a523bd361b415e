"""What a queue function is told about its message, by the message itself."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.functions.queue import QueueMessageInConverter
from azure.storage.queue import QueueMessage
from azure_functions_runtime.bindings.datumdef import Datum  # type: ignore[import-untyped]

from sandbox.host.protocol import TypedData
from sandbox.host.triggers import queue_metadata

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def received(body: str, *, binary: bool) -> Any:
    """The message as Microsoft's worker library makes it for the function."""
    message = QueueMessage(id="storages-own", pop_receipt="receipt", dequeue_count=1)
    message.inserted_on = message.expires_on = message.next_visible_on = NOW
    metadata = queue_metadata("f", body.encode(), message, binary=binary)
    data = TypedData(bytes=body.encode()) if binary else TypedData(string=body)
    return QueueMessageInConverter.decode(
        Datum.from_typed_data(data),
        trigger_metadata={name: Datum.from_typed_data(value) for name, value in metadata.items()},
    )


# Source: host: Utility.cs, ApplyBindingData.
@pytest.mark.parametrize("name", ["id", "ID", "Id"])
@pytest.mark.parametrize(("value", "taken"), [("1", "1"), (4711, "4711"), (True, "True")])
def test_a_text_message_overwrites_its_own_id_whatever_the_case(name: str, value: object, taken: str) -> None:
    assert received(json.dumps({name: value}), binary=False).id == taken


# Source: library: meta.py, _parse_datetime_metadata.
@pytest.mark.parametrize("name", ["insertionTime", "expirationTime", "nextVisibleTime"])
@pytest.mark.parametrize("value", ["soon", 1, "2026-11-22T09:58:00Z", {"a": 1}])
def test_a_text_message_whose_value_is_no_time_never_reaches_its_function(name: str, value: object) -> None:
    """ISO times neither: the host has made another text of them by then."""
    with pytest.raises(ValueError, match=r"does not match|cannot convert"):
        received(json.dumps({name: value}), binary=False)


def test_a_text_message_whose_dequeue_count_is_no_number_never_reaches_its_function() -> None:
    with pytest.raises(ValueError, match="DequeueCount"):
        received('{"dequeuecount": "often"}', binary=False)


@pytest.mark.parametrize("body", ['{"id": null}', '{"id": ["1"]}', '["id"]', "id", '{"id": "1"', '{"other": "1"}', ""])
def test_what_says_nothing_of_itself_keeps_storages_own(body: str) -> None:
    assert received(body, binary=False).id == "storages-own"


# Source: host: Utility.cs, ApplyBindingData: only a string is read.
def test_a_message_taken_as_bytes_overwrites_nothing() -> None:
    said = {"id": "1", "insertionTime": "soon", "expirationTime": 1, "nextVisibleTime": {}, "dequeueCount": "often"}
    message = received(json.dumps(said), binary=True)
    assert (message.id, message.dequeue_count, message.pop_receipt) == ("storages-own", 1, "receipt")
    assert (message.insertion_time, message.expiration_time, message.time_next_visible) == (NOW, NOW, NOW)
    assert message.get_body() == json.dumps(said).encode()
