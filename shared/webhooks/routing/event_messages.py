"""Messages of the queue `mail-events`, in three shapes. Who may put one there is trusted: that is a role on the queue.

    {"route": "…", "data": …[, "id", "type", "subject", "source", "time", "thread", "headers"]}
    a CloudEvents 1.0 envelope in JSON, whose extension `mailroomroute` names the route
    an event of Event Grid in either of its schemas, as a subscription with a queue for its end writes it

data is what the route's source sends: without a `type` the source reads it as it would a webhook's body, with these
headers (GitHub has its type there). With a `type`, or where the source makes nothing of it, it is an event as it is.
JSON in a text is what that JSON says. Names may be in any case, as queue_text.py has it.

An event that names no route goes to the one for what it is: `eventgrid` for Event Grid's own schema and for CloudEvents
of Azure's resources, `cloudevents` for others.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shared.errors import Malformed
from shared.parsing.producer_messages import numbers_as_text, renamed, unwrapped
from shared.webhooks.sources.cloudevents_json import from_json
from shared.webhooks.sources.json_values import digest, moment, read_json, read_object, text
from shared.webhooks.sources.source import Event, RawRequest, Source

__all__ = ["EVENTS", "LONGEST_ID", "AsSent", "EventMessage", "events_of", "parse_event"]

EVENTS: Final = "mail-events"
ROUTE: Final = "mailroomroute"
THREAD: Final = "mailroomthread"
PLAIN_TYPE: Final = "event"
EVENT_GRID: Final = "eventgrid"
CLOUD_EVENTS: Final = "cloudevents"
OF_AZURE: Final = "/subscriptions/"  # how the source of an event of an Azure resource begins
LONGEST_ID: Final = 256  # characters
Word = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]


class EventMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of the first shape."""

    route: Word
    data: Any = None
    id: Word | None = None
    type: Word | None = None
    subject: str | None = None
    source: str | None = None
    time: str | None = None
    thread: Annotated[str, Meta(max_length=256)] | None = None
    headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class AsSent:
    """One event as its sender writes it, for the source of its route to read: its own attributes hold."""

    data: Any


_NAMES: Final = {
    name.lower(): name
    for name in (
        *EventMessage.__struct_encode_fields__,
        "specversion", "datacontenttype", "dataschema", "data_base64", ROUTE, THREAD,
        "topic", "eventType", "eventTime", "dataVersion", "metadataVersion",
    )
}  # fmt: skip


def parse_event(body: bytes) -> tuple[str, EventMessage | Event | AsSent]:
    """Read a message, wrapped or not as queue_text.py has it: its route, and the rest. Raises Malformed, 400."""
    tree = renamed(read_object(unwrapped(body)), _NAMES, deep=False)
    if "specversion" in tree:
        event = from_json(tree)
        ours = EVENT_GRID if event.source.lower().startswith(OF_AZURE) else CLOUD_EVENTS
        return text(tree, ROUTE) or ours, replace(event, data=_read(event.data), thread=text(tree, THREAD))
    if "route" not in tree and "eventType" in tree:
        return EVENT_GRID, AsSent(tree)
    numbers_as_text(tree, "id", "source", "subject", "thread", "type")
    try:
        message = msgspec.convert(tree, EventMessage)
    except msgspec.ValidationError as error:
        fault, _, path = str(error).partition(" - at ")
        raise Malformed(400, "BadRequest", f"{fault}.", path.strip("`") or "$") from None
    return message.route, msgspec.structs.replace(message, data=_read(message.data))


def events_of(message: EventMessage | Event | AsSent, source: Source, fallback: str, now: datetime) -> list[Event]:
    """What has happened. fallback: names the message where it has no id, the same in every delivery of it."""
    if isinstance(message, Event):
        return [message]
    if isinstance(message, AsSent):
        return source.events(RawRequest(json.dumps(message.data).encode(), {"content-type": "application/json"}), now)
    if message.type is None:
        headers = {"content-type": "application/json", **{name.lower(): text for name, text in message.headers.items()}}
        request = RawRequest(body=json.dumps(message.data).encode(), headers=headers)
        try:
            events = source.events(request, now)
        except Malformed:
            events = []
        if events:
            return [_named(event, message, fallback, number, len(events)) for number, event in enumerate(events)]
    return [
        Event(
            id=message.id or fallback,
            source=message.source or EVENTS,
            type=message.type or PLAIN_TYPE,
            key=message.id or fallback,
            known_by="sender-id" if message.id else "message",
            data=message.data,
            subject=message.subject,
            time=moment(message.time),
            thread=message.thread,
        )
    ]


def _named(event: Event, message: EventMessage, fallback: str, number: int, count: int) -> Event:
    """With the producer's own id in place of the one that the source found, or made up."""
    own = message.id or fallback
    key = own if count == 1 else digest(own, str(number))
    return replace(
        event,
        key=key,
        known_by="sender-id" if message.id else "message",
        window=None,
        signed=None,  # who may put a message there needs no signature
        id=message.id or event.id,
        thread=message.thread or event.thread,
    )


def _read(data: Any) -> Any:
    """What JSON in a text says; everything else as it is."""
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            return read_json(data.encode("utf-8", "surrogatepass"))
        except Malformed:
            pass
    return data
