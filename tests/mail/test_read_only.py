"""Parity with Graph: every property of a message and of what it carries is taken, ignored or refused."""

import copy
import json
from typing import Any

import pytest

from shared.delivery.outbox_mail import outbox_mail
from shared.errors import Malformed
from shared.mail.attached_items import Contact, Event
from shared.mail.model import FileAttachment, ItemAttachment, Message, SendMail
from shared.mail.parse import send_mail
from shared.mail.sdk_message import sdk_class

RECIPIENT = {"emailAddress": {"address": "adele@contoso.test"}}
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "QQ=="}
TIME = "2026-11-29T10:15:00Z"

# What stands on Microsoft's pages of `message` and `sendMail`, with a value as Graph gives it or takes it.
# https://learn.microsoft.com/graph/api/resources/message, …/user-sendmail
TAKEN: dict[str, Any] = {
    "subject": "x", "body": {"contentType": "html", "content": "<p>x</p>"}, "toRecipients": [RECIPIENT],
    "ccRecipients": [RECIPIENT], "bccRecipients": [RECIPIENT], "replyTo": [RECIPIENT], "from": RECIPIENT,
    "sender": RECIPIENT, "importance": "normal", "categories": ["Red category"], "flag": {"flagStatus": "notFlagged"},
    "inferenceClassification": "focused", "isDeliveryReceiptRequested": False, "isReadReceiptRequested": False,
    "internetMessageHeaders": [{"name": "x-a", "value": "1"}], "internetMessageId": "<1@contoso.test>",
    "singleValueExtendedProperties": [{"id": "String 0x1042", "value": "1"}],
    "multiValueExtendedProperties": [{"id": "StringArray 0x1234", "value": ["1"]}], "attachments": [FILE],
}  # fmt: skip
IGNORED: dict[str, Any] = {
    "id": "AAMkAGI1", "changeKey": "CQAAABYA", "createdDateTime": TIME, "lastModifiedDateTime": TIME,
    "receivedDateTime": TIME, "sentDateTime": TIME, "hasAttachments": True, "bodyPreview": "x",
    "uniqueBody": {"contentType": "html", "content": "x"}, "parentFolderId": "AAMkAGI1", "conversationId": "AAQkAGI1",
    "conversationIndex": "AQHV", "isRead": True, "isDraft": False,
    "webLink": "https://outlook.office365.com/owa/?ItemID=AAMkAGI1",
}  # fmt: skip
REFUSED: dict[str, Any] = {"extensions": [{"extensionName": "Com.Contoso.Referral"}]}


def read(**message: Any) -> SendMail:
    return send_mail(json.dumps({"message": {"toRecipients": [RECIPIENT]} | message}).encode())


def attached(**properties: Any) -> dict[str, Any]:
    return {"attachments": [{"@odata.type": "#microsoft.graph.itemAttachment", "name": "a"} | properties]}


def item(kind: str, **properties: Any) -> SendMail:
    return read(**attached(item={"@odata.type": f"#microsoft.graph.{kind}"} | properties))


@pytest.mark.parametrize("name", IGNORED)
@pytest.mark.parametrize("value", ["as Graph gives it", None, {"of": ["another", "type"]}])
def test_what_graph_fills_in_itself_is_ignored(name: str, value: Any) -> None:
    value = IGNORED[name] if value == "as Graph gives it" else value
    assert read(**{name: value}) == read()
    assert item("message", **{name: value}) == item("message"), "in an attached message too"


@pytest.mark.parametrize("name", REFUSED)
def test_what_mailroom_would_lose_is_refused_and_nothing_is_not(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(**{name: REFUSED[name]})
    assert refused.value.path == f"$.message.{name}"
    assert read(**{name: None}) == read(**{name: []}) == read()


def test_every_property_that_the_sdk_knows_is_taken_ignored_or_refused() -> None:
    """The SDK is made from Graph's metadata: a property that comes to be there fails this until it has its place."""
    known = set(sdk_class(Message)().get_field_deserializers()) - {"@odata.type"}
    assert known == TAKEN.keys() | IGNORED.keys() | REFUSED.keys()
    assert set(Message.__struct_encode_fields__) == TAKEN.keys()
    assert Message.filled_in == IGNORED.keys()
    assert Message.not_taken == REFUSED.keys()


@pytest.mark.parametrize("wire", [FileAttachment, ItemAttachment, Event, Contact])
def test_the_same_of_what_is_attached(wire: Any) -> None:
    known = set(sdk_class(wire)().get_field_deserializers()) - {"@odata.type"}
    taken, ignored = set(wire.__struct_encode_fields__), wire.filled_in
    refused = wire.not_taken
    assert known == (taken | ignored | refused) - {"occurrenceId"}  # on the page of event, of occurrences only
    assert not taken & ignored
    assert not taken & refused
    assert not ignored & refused


FETCHED: dict[str, Any] = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('x')/messages/$entity",
    "@odata.etag": 'W/"CQAAABYA"',
    **IGNORED,
    **{name: value for name, value in TAKEN.items() if name not in {"internetMessageHeaders", "attachments"}},
    "attachments@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x",
    "attachments": [
        FILE | {
            "@odata.mediaContentType": "text/plain", "id": "AAMk", "lastModifiedDateTime": TIME, "size": 130,
            "contentType": "text/plain", "isInline": False, "contentId": None, "contentLocation": None,
        },
        {
            "@odata.type": "#microsoft.graph.itemAttachment", "id": "AAMk", "lastModifiedDateTime": TIME, "size": 2000,
            "name": "meeting", "contentType": None, "isInline": False,
            "item": {
                "@odata.type": "#microsoft.graph.event", "@odata.etag": 'W/"x"', **dict.fromkeys(Event.filled_in, "x"),
                "subject": "Lunch", "categories": [], "onlineMeetingProvider": "unknown", "recurrence": None,
                "start": {"dateTime": TIME, "timeZone": "UTC"}, "location": {"displayName": "", "locationType":
                "default", "uniqueIdType": "unknown", "address": {}, "coordinates": {}}, "locations": [],
                "attendees": [{"type": "required", "status": {"response": "none", "time": TIME}, **RECIPIENT}],
                "organizer": RECIPIENT, "attachments": [], "extensions": None,
            },
        },
        {
            "@odata.type": "#microsoft.graph.itemAttachment", "name": "card",
            "item": {"@odata.type": "#microsoft.graph.contact", "id": "1", "parentFolderId": "2", "displayName": "A",
                     "primaryEmailAddress": {"name": "A", "address": "a@b.test"}, "photo": None},
        },
        {
            "@odata.type": "#microsoft.graph.itemAttachment", "name": "mail",
            "item": {"@odata.type": "#microsoft.graph.message", **IGNORED, "subject": "inner", "attachments": [
                FILE | {"size": 1, "id": "AAMk"}]},
        },
    ],
}  # fmt: skip


def test_a_message_can_be_sent_as_it_was_fetched() -> None:
    """With an event, a contact and a message attached that were fetched too."""
    fetched = read(**FETCHED)
    said = copy.deepcopy(FETCHED)
    for name in IGNORED:
        del said[name]
    assert fetched == read(**said)
    assert len(fetched.message.attachments or ()) == 4
    queued = {"sender": "a@b.test", "message": FETCHED}
    assert outbox_mail(json.dumps(queued).encode()).mail == fetched


@pytest.mark.parametrize(
    ("content", "expected"),
    [("QUFB\r\nQUFB", b"AAAAAA"), ("QUFB\nQUFB\n", b"AAAAAA"), (" QQ= =\t", b"A"), ("\n", b""), ("", b"")],
)
def test_base64_of_a_file_may_come_in_lines(content: str, expected: bytes) -> None:
    [file] = read(attachments=[FILE | {"contentBytes": content}]).message.attachments or ()
    assert isinstance(file, FileAttachment)
    assert file.content_bytes == expected
