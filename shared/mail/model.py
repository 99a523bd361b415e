"""The body of sendMail in Graph's JSON: the properties that a message may have, and no others.

Every property that Graph lets a sender set is here, under the SDK's attribute name; anything else is refused, so that
nothing is dropped silently. Documented normalisation, the complete list of how a caller's JSON and what Graph gets may
differ:

- null means absent. Properties that Graph fills in are dropped, and so are blanks and line ends in base64. Names of
  enumerations and of types (`@odata.type`) are written as Graph writes them.
- Addresses of mails and of attached mails and events are written in one form (addresses.py): domains in lower case and
  as A-labels.
- Annotations that describe the caller's own copy are dropped (strict_json.py has the list), and so is `@odata.type` on
  a property; other annotations (`@odata.bind`, …) are refused.
- The SDK adds `@odata.type` to messages, attachments, attached items and attendees, and names the two outer properties
  `Message` and `SaveToSentItems`. The latter is always written, as true or false.
- Numbers of coordinates are floating point; `birthday` is written with its offset in figures (`Z` as `+00:00`) and to
  the microsecond; base64 is written with its unused bits zero.
- Mailroom adds its marker (marker.py).

Source: https://learn.microsoft.com/graph/api/resources/message, …/fileattachment, …/itemattachment, …/event,
…/attendee, …/contact.
"""

from typing import Final

import msgspec
from msgspec import field

from shared.mail.attached_items import ANY_ITEM, Contact, Event
from shared.mail.graph_types import (
    Category,
    FollowupFlag,
    Importance,
    InferenceClassificationType,
    InternetMessageHeader,
    ItemBody,
    Line,
    MultiValueLegacyExtendedProperty,
    Recipient,
    SingleValueLegacyExtendedProperty,
    Subject,
    Typed,
)

ANY_ATTACHMENT: Final = frozenset({"id", "size", "lastModifiedDateTime"})


class FileAttachment(Typed, frozen=True, kw_only=True):
    filled_in = ANY_ATTACHMENT
    not_taken = frozenset({"contentLocation"})  # Graph's page says that it is not supported
    name: Line
    content_bytes: bytes
    content_type: Line | None = None
    is_inline: bool | None = None
    content_id: Line | None = None


class ItemAttachment(Typed, frozen=True, kw_only=True):
    filled_in = ANY_ATTACHMENT
    name: Line
    item: "Message | Event | Contact"
    content_type: Line | None = None
    is_inline: bool | None = None


class BlobAttachment(Typed, frozen=True, kw_only=True, tag="#mailroom.blobAttachment"):
    """A file in the blob `container/name`; Graph gets it as a FileAttachment.

    size, in bytes, and etag are what Mailroom found there when the mail came in. A file of a payload has no etag.
    """

    name: Line
    blob: str
    content_type: Line | None = None
    is_inline: bool | None = None
    content_id: Line | None = None
    size: int | None = None
    etag: str | None = None

    def filled(self, content: bytes) -> FileAttachment:
        """The attachment that Graph gets."""
        return FileAttachment(
            name=self.name,
            content_bytes=content,
            content_type=self.content_type,
            is_inline=self.is_inline,
            content_id=self.content_id,
        )


# A referenceAttachment cannot be created usefully in v1.0: its URL is not writable there.
Attachment = FileAttachment | ItemAttachment | BlobAttachment


LISTS: Final = ("to_recipients", "cc_recipients", "bcc_recipients")


class Message(Typed, frozen=True, kw_only=True):
    filled_in = ANY_ITEM | {
        "bodyPreview", "conversationId", "conversationIndex", "hasAttachments", "isDraft", "isRead", "parentFolderId",
        "receivedDateTime", "sentDateTime", "uniqueBody", "webLink",
    }  # fmt: skip
    not_taken = frozenset({"extensions"})
    subject: Subject | None = None
    body: ItemBody | None = None
    to_recipients: tuple[Recipient, ...] | None = None
    cc_recipients: tuple[Recipient, ...] | None = None
    bcc_recipients: tuple[Recipient, ...] | None = None
    reply_to: tuple[Recipient, ...] | None = None
    from_: Recipient | None = field(default=None, name="from")
    sender: Recipient | None = None
    importance: Importance | None = None
    categories: tuple[Category, ...] | None = None
    flag: FollowupFlag | None = None
    inference_classification: InferenceClassificationType | None = None
    is_delivery_receipt_requested: bool | None = None
    is_read_receipt_requested: bool | None = None
    internet_message_headers: tuple[InternetMessageHeader, ...] | None = None
    internet_message_id: Line | None = None
    single_value_extended_properties: tuple[SingleValueLegacyExtendedProperty, ...] | None = None
    multi_value_extended_properties: tuple[MultiValueLegacyExtendedProperty, ...] | None = None
    attachments: tuple[Attachment, ...] | None = None

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """To, cc and bcc."""
        return tuple(one for name in LISTS for one in getattr(self, name) or ())


class SendMail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The parameters of the sendMail action."""

    message: Message
    save_to_sent_items: bool = True
