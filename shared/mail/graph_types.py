"""The small types that mails, events and contacts are made of, as Graph's JSON has them.

Class and attribute names are the SDK's, so that model.py can build the SDK's objects without a table. None means that
the property is absent: Graph reads null the same way. Source: the resource types of Microsoft Graph v1.0.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta, field

__all__ = [
    "HEADER_NAME",
    "LINE",
    "LONGEST_ID",
    "LONGEST_LINE",
    "LONGEST_NAME",
    "LONGEST_SUBJECT",
    "BodyType",
    "Category",
    "Choice",
    "DateTimeTimeZone",
    "EmailAddress",
    "FollowupFlag",
    "FollowupFlagStatus",
    "Importance",
    "InferenceClassificationType",
    "Int32",
    "InternetMessageHeader",
    "ItemBody",
    "Line",
    "MultiValueLegacyExtendedProperty",
    "Property",
    "PropertyId",
    "Recipient",
    "SingleValueLegacyExtendedProperty",
    "Subject",
    "Typed",
]

# One line of text: nothing that ends a line or a header, in any reading of "line" (C0, DEL, C1, U+2028, U+2029).
LINE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
# RFC 5322, section 3.6.8: printable ASCII without the colon. Graph: beginning with x-.
HEADER_NAME = r"\A[xX]-[!-9;-~]+\Z"

# Characters. msgspec counts them before it looks at them. Ours, far above what Exchange keeps.
LONGEST_SUBJECT: Final = 5_000
LONGEST_NAME: Final = 1_000  # of a person
LONGEST_LINE: Final = 10_000  # of everything else in one line
LONGEST_HEADER_NAME: Final = 200
LONGEST_ID: Final = 512  # of an extended property: a name of 254 with its type and its namespace

Line = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_LINE)]
Subject = Annotated[str, Meta(max_length=LONGEST_SUBJECT)]
PropertyId = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_ID)]
Category = Annotated[str, Meta(pattern=LINE, min_length=1, max_length=255)]  # 255: Outlook's longest category name
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An object of Graph's JSON. It may carry its `@odata.type`, which goes on as it came."""


def _odata_type(name: str) -> str:
    return f"#microsoft.graph.{name[0].lower()}{name[1:]}"


class Typed(Property, frozen=True, tag_field="@odata.type", tag=_odata_type):
    """One to which the SDK always gives its `@odata.type`: the type is the class, not a property."""


class Choice(StrEnum):
    """An enumeration of Graph's: its names are read in any case and written as Graph writes them."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        name = str(value).lower()
        return next((member for member in cls if member.lower() == name), None)


class BodyType(Choice):
    TEXT = "text"
    HTML = "html"


class Importance(Choice):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class FollowupFlagStatus(Choice):
    NOT_FLAGGED = "notFlagged"
    COMPLETE = "complete"
    FLAGGED = "flagged"


class InferenceClassificationType(Choice):
    FOCUSED = "focused"
    OTHER = "other"


class ItemBody(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.itemBody"] | None = field(default=None, name="@odata.type")
    content_type: BodyType | None = None
    content: str | None = None


class EmailAddress(Property, frozen=True, kw_only=True):
    address: str
    odata_type: Literal["#microsoft.graph.emailAddress"] | None = field(default=None, name="@odata.type")
    name: Annotated[str, Meta(pattern=LINE, max_length=LONGEST_NAME)] | None = None


class Recipient(Property, frozen=True, kw_only=True):
    email_address: EmailAddress
    odata_type: Literal["#microsoft.graph.recipient"] | None = field(default=None, name="@odata.type")


class DateTimeTimeZone(Property, frozen=True, kw_only=True):
    """A wall-clock time and its zone, both as text: `2017-08-29T04:00:00.0000000`, `Pacific Standard Time`."""

    date_time: Line
    odata_type: Literal["#microsoft.graph.dateTimeTimeZone"] | None = field(default=None, name="@odata.type")
    time_zone: Line | None = None


class FollowupFlag(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.followupFlag"] | None = field(default=None, name="@odata.type")
    flag_status: FollowupFlagStatus | None = None
    start_date_time: DateTimeTimeZone | None = None
    due_date_time: DateTimeTimeZone | None = None
    completed_date_time: DateTimeTimeZone | None = None


class InternetMessageHeader(Property, frozen=True, kw_only=True):
    name: Annotated[str, Meta(pattern=HEADER_NAME, max_length=LONGEST_HEADER_NAME)]
    value: Line
    odata_type: Literal["#microsoft.graph.internetMessageHeader"] | None = field(default=None, name="@odata.type")


class SingleValueLegacyExtendedProperty(Property, frozen=True, kw_only=True):
    id: PropertyId
    value: str
    odata_type: Literal["#microsoft.graph.singleValueLegacyExtendedProperty"] | None = field(
        default=None, name="@odata.type"
    )


class MultiValueLegacyExtendedProperty(Property, frozen=True, kw_only=True):
    id: PropertyId
    value: tuple[str, ...]
    odata_type: Literal["#microsoft.graph.multiValueLegacyExtendedProperty"] | None = field(
        default=None, name="@odata.type"
    )
