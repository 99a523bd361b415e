"""What Graph itself fills in: dropped, so that a message, an event or a contact can be sent as it was fetched.

Graph ignores these properties in a request, whatever their value, and so does Mailroom, by this list from Microsoft's
pages. SDKs write them as null. A property that is neither here nor in model.py is refused, so that nothing a sender
could mean is lost; null and empty lists say nothing and are dropped there too.

Sources: https://learn.microsoft.com/graph/api/resources/message, …/fileattachment, …/itemattachment, …/event,
…/attendee, …/contact.
"""

from typing import Any, Final

from shared.parsing.strict_json import TYPE

_MESSAGE: Final = "#microsoft.graph.message"
_EVENT: Final = "#microsoft.graph.event"
_CONTACT: Final = "#microsoft.graph.contact"
_FILE: Final = "#microsoft.graph.fileAttachment"
_ITEM: Final = "#microsoft.graph.itemAttachment"
_ATTENDEE: Final = "#microsoft.graph.attendee"
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
# Graph knows these and Mailroom does not take them: null is dropped, a value is refused.
NOT_SENT: Final = {
    _MESSAGE: frozenset({"extensions"}),
    _EVENT: frozenset({"attachments", "extensions"}),
    _CONTACT: frozenset({"extensions", "photo"}),
    _FILE: frozenset({"contentLocation"}),
}
_BLANKS: Final = str.maketrans("", "", " \t\r\n")


def prepare(message: Any) -> None:
    """Drop them from a message as strict_json.py has read it, attached items included, and blanks from base64.

    What has another shape than Graph's stays for the check of the shape.
    """
    todo: list[tuple[Any, Any]] = [(message, _MESSAGE)]
    while todo:
        value, kind = todo.pop()
        if not isinstance(value, dict):
            continue
        _drop(value, kind)
        if kind == _MESSAGE:
            todo.extend((one, one.get(TYPE, "")) for one in _objects(value.get("attachments")))
        elif kind == _EVENT:
            todo.extend((one, _ATTENDEE) for one in _objects(value.get("attendees")))
        elif kind == _ITEM and isinstance(item := value.get("item"), dict):
            todo.append((item, item.get(TYPE, "")))
        elif kind == _FILE and isinstance(content := value.get("contentBytes"), str):
            value["contentBytes"] = content.translate(_BLANKS)  # as Graph reads it, and MIME programs write it


def _drop(value: dict[str, Any], kind: Any) -> None:
    if not isinstance(kind, str):  # whatever the caller has written
        return
    for name in READ_ONLY.get(kind, ()):
        value.pop(name, None)
    for name in NOT_SENT.get(kind, ()):
        if name in value and value[name] in (None, []):
            del value[name]


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
