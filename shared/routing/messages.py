"""Messages of the queue `mail-events`, in two shapes. Who may put one there is trusted: that is a role on the queue.

    {"route": "…", "data": …[, "id", "type", "subject", "source", "time", "thread", "headers"]}
    a CloudEvents 1.0 envelope in JSON, whose extension `mailroomroute` names the route

data is what the route's source sends: without a `type` the source reads it as it would a webhook's body, with these
headers (GitHub has its type there). With a `type`, or where the source makes nothing of it, it is an event as it is.
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shared.errors import Malformed
from shared.letters.reading import unwrapped
from shared.sources.envelope import from_json
from shared.sources.reading import digest, moment, read_object, text
from shared.sources.source import Event, RawRequest, Source

__all__ = ["EVENTS", "LONGEST_ID", "EventMessage", "events_of", "parse_event"]

EVENTS: Final = "mail-events"
ROUTE: Final = "mailroomroute"
THREAD: Final = "mailroomthread"
PLAIN_TYPE: Final = "event"
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


def parse_event(body: bytes) -> tuple[str, EventMessage | Event]:
    """Read a message, plain or in base64 as some storage clients write it: its route, and the rest.

    Raises Malformed, 400.
    """
    tree = read_object(unwrapped(body))
    if "specversion" in tree:
        route = text(tree, ROUTE)
        if route is None:
            raise Malformed(
                400, "BadRequest", "A CloudEvent for Mailroom has the name of its route here.", f"$.{ROUTE}"
            )
        return route, replace(from_json(tree), thread=text(tree, THREAD))
    try:
        message = msgspec.convert(tree, EventMessage)
    except msgspec.ValidationError as error:
        fault, _, path = str(error).partition(" - at ")
        raise Malformed(400, "BadRequest", f"{fault}.", path.strip("`") or "$") from None
    return message.route, message


def events_of(message: EventMessage | Event, source: Source, fallback: str, now: datetime) -> list[Event]:
    """What has happened. fallback: names the message where it has no id, the same in every delivery of it."""
    if isinstance(message, Event):
        return [message]
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
