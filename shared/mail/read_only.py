"""What Graph itself fills in: dropped, so that a message, an event or a contact can be sent as it was fetched.

Graph ignores these properties in what a sender writes, whatever their value, and so does Mailroom: by this list, which
is that of Microsoft's pages. SDKs write them as null. What is not on it and not in wire.py is refused, so that nothing
that a sender could mean is lost; null, or an empty list, says nothing and is dropped there too.

Sources: https://learn.microsoft.com/graph/api/resources/message, …/fileattachment, …/itemattachment, …/event,
…/attendee, …/contact.
"""

from typing import Any, Final

__all__ = ["NOT_SENT", "READ_ONLY", "prepare"]

_MESSAGE: Final = "#microsoft.graph.message"
_EVENT: Final = "#microsoft.graph.event"
_CONTACT: Final = "#microsoft.graph.contact"
_FILE: Final = "#microsoft.graph.fileAttachment"
_ITEM: Final = "#microsoft.graph.itemAttachment"
_ATTENDEE: Final = "#microsoft.graph.attendee"
_TYPE: Final = "@odata.type"
_ANY_ITEM: Final = frozenset({"id", "changeKey", "createdDateTime", "lastModifiedDateTime"})
_ANY_ATTACHMENT: Final = frozenset({"id", "size", "lastModifiedDateTime"})

READ_ONLY: Final = {
    _MESSAGE: _ANY_ITEM
    | {
        "bodyPreview", "conversationId", "conversationIndex", "hasAttachments", "isDraft", "isRead", "parentFolderId",
        "receivedDateTime", "sentDateTime", "uniqueBody", "webLink",
    },
    _EVENT: _ANY_ITEM
    | {
        "bodyPreview", "calendar", "cancelledOccurrences", "exceptionOccurrences", "hasAttachments", "iCalUId",
        "instances", "isCancelled", "isDraft", "isOrganizer", "occurrenceId", "onlineMeeting", "onlineMeetingUrl",
        "originalEndTimeZone", "originalStart", "originalStartTimeZone", "responseStatus", "seriesMasterId", "type",
        "webLink",
    },
    _CONTACT: _ANY_ITEM | {"parentFolderId"},
    _FILE: _ANY_ATTACHMENT,
    _ITEM: _ANY_ATTACHMENT,
    _ATTENDEE: frozenset({"proposedNewTime", "status"}),
}  # fmt: skip
# Graph takes these, or knows them, and Mailroom does not: a value is refused.
NOT_SENT: Final = {
    _MESSAGE: frozenset({"extensions"}),
    _EVENT: frozenset({"attachments", "extensions"}),
    _CONTACT: frozenset({"extensions", "photo"}),
    _FILE: frozenset({"contentLocation"}),
}
_BLANKS: Final = str.maketrans("", "", " \t\r\n")


def prepare(message: Any) -> None:
    """Drop all that from a message as it was read from JSON, attached items included, and line ends from base64.

    Types are written as reading.py leaves them. What has another shape than Graph's stays for the check of the shape.
    """
    todo: list[tuple[Any, Any]] = [(message, _MESSAGE)]
    while todo:
        value, kind = todo.pop()
        if not isinstance(value, dict):
            continue
        _drop(value, kind)
        if kind == _MESSAGE:
            todo.extend((one, one.get(_TYPE, "")) for one in _objects(value.get("attachments")))
        elif kind == _EVENT:
            todo.extend((one, _ATTENDEE) for one in _objects(value.get("attendees")))
        elif kind == _ITEM and isinstance(item := value.get("item"), dict):
            todo.append((item, item.get(_TYPE, "")))
        elif kind == _FILE and isinstance(content := value.get("contentBytes"), str):
            value["contentBytes"] = content.translate(_BLANKS)  # as Graph reads it, and MIME programs write it


def _drop(value: dict[str, Any], kind: Any) -> None:
    """The type may be anything that a stranger has written."""
    if not isinstance(kind, str):
        return
    for name in READ_ONLY.get(kind, ()):
        value.pop(name, None)
    for name in NOT_SENT.get(kind, ()):
        if name in value and value[name] in (None, []):
            del value[name]


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
