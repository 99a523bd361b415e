"""Reads messages of the queue `mail-events`. Their producers are trusted, because they need a role on the queue.

There are three shapes:

    {"route": "…", "data": …[, "id", "type", "subject", "source", "time", "thread", "headers"]}
    a CloudEvents 1.0 envelope in JSON, whose extension `mailroomroute` names the route
    an event of Event Grid in either of its schemas, as a subscription with a queue as its destination writes it

Without a `type`, the route's source reads `data` as the body of a webhook with these headers (GitHub has the type
there). With a `type`, or if the source finds no event, the message itself is the event. A string that contains JSON is
read as that JSON. Names may be in any case; see parsing/producer_messages.py.

An event that names no route goes to the ready route of its kind: `eventgrid` for Event Grid's own schema and for
CloudEvents of Azure's resources, `cloudevents` for others.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shared.errors import Malformed
from shared.parsing.producer_messages import numbers_as_text, renamed, unwrapped
from shared.settings.queue_names import EVENTS
from shared.webhooks.sources.cloudevents import from_json
from shared.webhooks.sources.json_values import digest, moment, read_json, read_object, text
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

ROUTE: Final = "mailroomroute"
THREAD: Final = "mailroomthread"
OF_AZURE: Final = "/subscriptions/"  # how the source of an event of an Azure resource begins
LONGEST_ID: Final = 256  # characters
Word = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]


class EventMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message of the first shape."""

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
    """An event as its sender writes it, for the source of its route to read."""

    data: Any


_NAMES: Final = {
    name.lower(): name
    for name in (
        *EventMessage.__struct_encode_fields__,
        "specversion", "datacontenttype", "dataschema", "data_base64", ROUTE, THREAD,
        "topic", "eventType", "eventTime", "dataVersion", "metadataVersion",
    )
}  # fmt: skip


def parse_event(body: bytes) -> tuple[str, EventMessage | SourceEvent | AsSent]:
    """Read a message, in whatever wrapping: its route, and the rest. Raises Malformed, 400."""
    tree = renamed(read_object(unwrapped(body)), _NAMES, deep=False)
    if "specversion" in tree:
        event = from_json(tree)
        ready = "eventgrid" if event.source.lower().startswith(OF_AZURE) else "cloudevents"
        return text(tree, ROUTE) or ready, replace(event, data=_read(event.data), thread=text(tree, THREAD))
    if "route" not in tree and "eventType" in tree:
        return "eventgrid", AsSent(tree)
    numbers_as_text(tree, "id", "source", "subject", "thread", "type")
    try:
        message = msgspec.convert(tree, EventMessage)
    except msgspec.ValidationError as error:
        fault, _, path = str(error).partition(" - at ")
        raise Malformed(400, "BadRequest", f"{fault}.", path.strip("`") or "$") from None
    return message.route, msgspec.structs.replace(message, data=_read(message.data))


def events_of(message: EventMessage | SourceEvent | AsSent, source: Source, fallback: str) -> list[SourceEvent]:
    """The events of a message. fallback: its id where it has none, the same in every delivery."""
    if isinstance(message, SourceEvent):
        return [message]
    if isinstance(message, AsSent):
        return source.events(_request(message.data, {}))
    if message.type is None:
        try:
            events = source.events(_request(message.data, message.headers))
        except Malformed:
            events = []
        if events:
            return [_named(event, message, fallback, number, len(events)) for number, event in enumerate(events)]
    return [
        SourceEvent(
            id=message.id or fallback,
            source=message.source or EVENTS,
            type=message.type or "event",
            key=message.id or fallback,
            known_by="sender-id" if message.id else "message",
            data=message.data,
            subject=message.subject,
            time=moment(message.time),
            thread=message.thread,
        )
    ]


def as_message(route: str, event: SourceEvent, name: str) -> bytes:
    """The event as a message, so that an operator can put it into the queue again under this name."""
    message = EventMessage(
        route=route,
        data=event.data,
        id=name,
        type=event.type,
        subject=event.subject,
        source=event.source,
        time=event.time.isoformat() if event.time else None,
        thread=event.thread,
    )
    # Not msgspec's encoder: it refuses numbers of any size, and halves of surrogate pairs.
    return json.dumps(msgspec.to_builtins(message)).encode()


def _request(data: Any, headers: dict[str, str]) -> RawRequest:
    named = {name.lower(): value for name, value in headers.items()}
    return RawRequest(json.dumps(data).encode(), {"content-type": "application/json", **named})


def _named(event: SourceEvent, message: EventMessage, fallback: str, number: int, count: int) -> SourceEvent:
    """With the producer's own id instead of the one that the source found, or made up."""
    own = message.id or fallback
    return replace(
        event,
        key=own if count == 1 else digest(own, str(number)),
        known_by="sender-id" if message.id else "message",
        window=None,
        signed=None,  # a trusted producer needs no signature
        id=message.id or event.id,
        thread=message.thread or event.thread,
    )


def _read(data: Any) -> Any:
    """The JSON in a string; everything else as it is."""
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            return read_json(data.encode("utf-8", "surrogatepass"))
        except Malformed:
            pass
    return data
