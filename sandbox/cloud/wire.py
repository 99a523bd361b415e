"""What Graph takes: the tables of message, attachments and the parameters of sendMail, and the checks over them.

Independent of Mailroom's own model on purpose: this is the judge. Source: Graph's reference of message, fileAttachment,
itemAttachment, sendMail and createUploadSession. Read-only properties are known by name and type and have no effect.
"""

import re
from typing import Any

from sandbox.cloud import edm
from sandbox.cloud.edm import Entity, binary, boolean, collection, date_time_offset, enum, int32, nullable, string
from sandbox.cloud.errors import Refusal
from sandbox.cloud.items import CONTACT, DATE_TIME_TIME_ZONE, EMAIL_ADDRESS, EVENT, EXTENDED, ITEM_BODY

MAX_HEADERS = 5
_HEADER_NAME = re.compile(r"[xX]-[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

RECIPIENT = Entity("recipient", {"emailAddress": nullable(EMAIL_ADDRESS)})


def _headers(value: Any, path: str) -> None:
    collection(Entity("internetMessageHeader", {"name": string, "value": string}, ("name", "value")))(value, path)
    code = "InvalidInternetMessageHeaderCollection"
    if len(value) > MAX_HEADERS:
        edm.refuse(
            f"Maximum number of headers in one message should be less than or equal to {MAX_HEADERS}.", path, code
        )
    for index, header in enumerate(value):
        if not _HEADER_NAME.fullmatch(header["name"]):
            text = f"The internet message header name '{header['name']}' should start with 'x-' or 'X-'."
            edm.refuse(text, f"{path}[{index}].name", code)
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", header["value"]):
            edm.refuse(
                "The value of an internet message header has control characters.", f"{path}[{index}].value", code
            )


def _attachment(value: Any, path: str) -> None:
    edm.Derived("attachment", {"fileAttachment": _FILE_ATTACHMENT, "itemAttachment": _ITEM_ATTACHMENT})(value, path)


def _item(value: Any, path: str) -> None:
    edm.Derived("outlookItem", {"message": MESSAGE, "event": EVENT, "contact": CONTACT})(value, path)


_FOLLOWUP_FLAG = Entity(
    "followupFlag",
    {
        "flagStatus": nullable(enum("followupFlagStatus", "notFlagged", "complete", "flagged")),
        **dict.fromkeys(("startDateTime", "dueDateTime", "completedDateTime"), nullable(DATE_TIME_TIME_ZONE)),
    },
)

MESSAGE = Entity(
    "message",
    {
        "subject": nullable(string),
        "body": nullable(ITEM_BODY),
        **dict.fromkeys(("toRecipients", "ccRecipients", "bccRecipients", "replyTo"), collection(RECIPIENT)),
        **dict.fromkeys(("from", "sender"), nullable(RECIPIENT)),
        "importance": nullable(enum("importance", "low", "normal", "high")),
        "categories": collection(string),
        "flag": nullable(_FOLLOWUP_FLAG),
        "inferenceClassification": nullable(enum("inferenceClassificationType", "focused", "other")),
        "isDeliveryReceiptRequested": nullable(boolean),
        "isReadReceiptRequested": nullable(boolean),
        "internetMessageHeaders": _headers,
        "internetMessageId": nullable(string),
        **EXTENDED,
        "attachments": collection(_attachment),
        "extensions": collection(
            Entity("openTypeExtension", {"extensionName": string}, type_required=True, open_type=True)
        ),
        # Read-only, or without effect on a mail that is sent.
        **dict.fromkeys(
            ("id", "changeKey", "bodyPreview", "conversationId", "parentFolderId", "webLink"), nullable(string)
        ),
        **dict.fromkeys(("hasAttachments", "isDraft", "isRead"), nullable(boolean)),
        **dict.fromkeys(
            ("createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime"), nullable(date_time_offset)
        ),
        "conversationIndex": nullable(binary),
        "uniqueBody": nullable(ITEM_BODY),
    },
)

_ANY_ATTACHMENT = {
    "id": nullable(string),
    "name": string,
    "contentType": nullable(string),
    "isInline": nullable(boolean),
    "size": nullable(int32),
    "lastModifiedDateTime": nullable(date_time_offset),
}
_FILE_ATTACHMENT = Entity(
    "fileAttachment",
    {
        **_ANY_ATTACHMENT,
        "contentBytes": binary,
        "contentId": nullable(string),
        "contentLocation": nullable(string),
    },
    ("name", "contentBytes"),
)
_ITEM_ATTACHMENT = Entity("itemAttachment", {**_ANY_ATTACHMENT, "item": _item}, ("name", "item"))
_ATTACHMENT_ITEM = Entity(
    "attachmentItem",
    {
        "attachmentType": enum("attachmentType", "file", "item", "reference"),
        "name": string,
        "size": edm.int32,
        "contentType": nullable(string),
        "isInline": nullable(boolean),
        "contentId": nullable(string),
    },
    ("attachmentType", "name", "size"),
)


def check_message(value: Any) -> None:
    """A message, for instance a new draft. Raises Refusal 400."""
    edm.run(MESSAGE, value)


def check_attachment(value: Any) -> None:
    """A file or item attachment on its own. Raises Refusal 400."""
    edm.run(_attachment, value)


def read_send_mail(body: bytes) -> tuple[dict[str, Any], bool]:
    """The message and saveToSentItems out of sendMail's body. Raises Refusal 400.

    The names of the two come in either case (documentation and SDKs differ); saveToSentItems also as text.
    """
    value = edm.parse(body)
    parameters = _parameters(value, {"message": "Message", "saveToSentItems": "SaveToSentItems"})
    if parameters.get("message") is None:
        raise Refusal(400, "ErrorInvalidParameter", "The value of the parameter 'Message' is missing or null.")
    save = parameters.get("saveToSentItems")
    if not isinstance(save, str) or save not in {"true", "false"}:
        edm.run(nullable(boolean), save, "$.saveToSentItems")
    edm.run(MESSAGE, parameters["message"], "$.message")
    return parameters["message"], save not in (False, "false")


def read_attachment_item(body: bytes) -> dict[str, Any]:
    """The AttachmentItem out of createUploadSession's body. Raises Refusal 400."""
    item: Any = _parameters(edm.parse(body), {"attachmentItem": "AttachmentItem"}).get("attachmentItem")
    edm.run(_ATTACHMENT_ITEM, item, "$.AttachmentItem")
    return dict(item)


def _parameters(value: Any, names: dict[str, str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        edm.refuse("The parameters of an action are a JSON object.", "$")
    known = {spelling: name for name, other in names.items() for spelling in (name, other)}
    found: dict[str, Any] = {}
    for spelling, item in value.items():
        name = known.get(spelling)
        if name is None:
            edm.refuse(f"The parameter '{spelling}' in the request payload is not a valid parameter.", f"$.{spelling}")
        if name in found:
            edm.refuse(f"The parameter '{spelling}' is given twice.", f"$.{spelling}")
        found[name] = item
    return found
