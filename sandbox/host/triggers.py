"""What a function is told about the message that runs it: trigger metadata, as the host gives them to a worker.

Texts go as strings, everything else as JSON (GrpcMessageConversionExtensions), under the names of QueueTriggerBinding.
"""

import contextlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .protocol import TypedData

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

__all__ = ["manual_queue_metadata", "queue_metadata", "system_metadata"]

_NO_END = "9999-12-31T23:59:59.9999999+00:00"


def system_metadata(function: str) -> dict[str, TypedData]:
    """What every invocation has."""
    system = {"MethodName": function, "UtcNow": datetime.now(UTC).isoformat(), "RandGuid": str(uuid.uuid4())}
    return {"sys": TypedData(json=json.dumps(system))}


def queue_metadata(function: str, body: bytes, message: "QueueMessage") -> dict[str, TypedData]:
    """Metadata of a message that was received."""
    return _metadata(
        function,
        body,
        {
            "Id": message.id,
            "PopReceipt": message.pop_receipt or "",
            "DequeueCount": message.dequeue_count or 0,
            "InsertionTime": _time(message.inserted_on),
            "ExpirationTime": _time(message.expires_on),
            "NextVisibleTime": _time(message.next_visible_on),
        },
    )


def manual_queue_metadata(function: str, body: bytes) -> dict[str, TypedData]:
    """Metadata of a message that no queue has seen: a function run by hand."""
    return _metadata(
        function,
        body,
        {
            "Id": str(uuid.uuid4()),
            "PopReceipt": "",
            "DequeueCount": 0,
            "InsertionTime": _time(datetime.now(UTC)),
            "ExpirationTime": _NO_END,
            "NextVisibleTime": _NO_END,
        },
    )


def _metadata(function: str, body: bytes, fields: Mapping[str, str | int]) -> dict[str, TypedData]:
    metadata = system_metadata(function)
    with contextlib.suppress(UnicodeDecodeError):  # as in Azure: left out for a body that is not text
        metadata["QueueTrigger"] = TypedData(string=body.decode())
    for name, value in fields.items():
        text = isinstance(value, str) and not name.endswith("Time")
        metadata[name] = TypedData(string=value) if text else TypedData(json=json.dumps(value))
    return metadata


def _time(moment: datetime | None) -> str:
    if moment is None:
        return _NO_END
    # Whole seconds, as the service gives them; the year 9999 of a message that never expires stays as it is.
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()
