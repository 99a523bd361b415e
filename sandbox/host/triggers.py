"""What a function is told about the message that runs it: trigger metadata, as the host gives them to a worker.

Texts go as strings, everything else as JSON (GrpcMessageConversionExtensions), under the names of QueueTriggerBinding.

A function that takes its message as text, which is the default, is told what the message says of itself: the top-level
properties of a JSON object overwrite storage's own, whatever their case (Utility.ApplyBindingData of the functions
host, which ignores arrays and nulls). A value that is no time or no number then fails in the worker, before the
function runs. With dataType binary the host has no text, and nothing is overwritten.
"""

import contextlib
import json
import re
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .protocol import TypedData

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

_NO_END = "9999-12-31T23:59:59.9999999+00:00"
# What Newtonsoft.Json takes for a time where a text is expected.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")


def system_metadata(function: str) -> dict[str, TypedData]:
    """What every invocation has."""
    system = {"MethodName": function, "UtcNow": datetime.now(UTC).isoformat(), "RandGuid": str(uuid.uuid4())}
    return {"sys": TypedData(json=json.dumps(system))}


def queue_metadata(function: str, body: bytes, message: "QueueMessage | None", *, binary: bool) -> dict[str, TypedData]:
    """Metadata of a message. None: no queue has seen it, a function is run by hand. binary: it is taken as bytes."""
    now = datetime.now(UTC)
    by_hand = {"id": str(uuid.uuid4()), "inserted_on": now, "expires_on": None, "next_visible_on": None}
    seen: Any = message or SimpleNamespace(**by_hand, pop_receipt=None, dequeue_count=None)
    fields = {
        "Id": seen.id,
        "PopReceipt": seen.pop_receipt or "",
        "DequeueCount": seen.dequeue_count or 0,
        "InsertionTime": _time(seen.inserted_on),
        "ExpirationTime": _time(seen.expires_on),
        "NextVisibleTime": _time(seen.next_visible_on),
    }
    metadata = system_metadata(function)
    with contextlib.suppress(UnicodeDecodeError):  # as in Azure: left out for a body that is not text
        metadata["QueueTrigger"] = TypedData(string=body.decode())
    for name, value in fields.items():
        text = isinstance(value, str) and not name.endswith("Time")
        metadata[name] = TypedData(string=value) if text else TypedData(json=json.dumps(value))
    if not binary:
        spelling = {name.lower(): name for name in metadata}
        for name, own in _said_by(body).items():
            metadata[spelling.setdefault(name.lower(), name)] = own
    return metadata


def _said_by(body: bytes) -> dict[str, TypedData]:
    """The properties of a message that is a JSON object, as the host converts them."""
    text = body.decode()
    try:
        found = json.loads(text) if text.strip().startswith("{") else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {}
    values = {name: value for name, value in found.items() if value is not None and not isinstance(value, list)}
    return {name: _converted(value) for name, value in values.items()}


def _converted(value: Any) -> TypedData:
    if isinstance(value, dict):
        return TypedData(json=json.dumps(value))
    if isinstance(value, str) and _TIME.fullmatch(value):  # it is a DateTime by then, written in invariant culture
        with contextlib.suppress(ValueError):
            return TypedData(string=datetime.fromisoformat(value).strftime("%m/%d/%Y %H:%M:%S"))
    return TypedData(string=value if isinstance(value, str) else str(value))


def _time(moment: datetime | None) -> str:
    if moment is None:
        return _NO_END
    # Whole seconds, as the service gives them; the year 9999 of a message that never expires stays as it is.
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()
