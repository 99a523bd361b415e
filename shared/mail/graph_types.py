"""The types of a mail's properties in Graph's JSON. Events and contacts are in attached_items.py.

Class and attribute names are the SDK's, so that sdk_message.py builds the SDK's objects without a table. None means
that the property is absent: Graph reads null the same way. Source: the resource types of Graph v1.0.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

import msgspec
from msgspec import Meta, field

from shared.mail.limits import LONGEST_HEADER_NAME, LONGEST_ID, LONGEST_LINE, LONGEST_NAME, LONGEST_SUBJECT

# One line of text: nothing that ends a line or a header, in any reading of "line" (C0, DEL, C1, U+2028, U+2029).
LINE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
# RFC 5322, section 3.6.8: printable ASCII without the colon. Graph: beginning with x-.
HEADER_NAME = r"\A[xX]-[!-9;-~]+\Z"

UNKNOWN: Final = "Found a value that is unknown here"

Line = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_LINE)]
Subject = Annotated[str, Meta(max_length=LONGEST_SUBJECT)]
PropertyId = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_ID)]
Category = Annotated[str, Meta(pattern=LINE, min_length=1, max_length=255)]  # 255: Outlook's longest category name


def odata_type(name: str) -> str:
    """The `@odata.type` of objects of the class with this name."""
    return f"#microsoft.graph.{name[0].lower()}{name[1:]}"


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An object of Graph's JSON."""


class Typed(Property, frozen=True, tag_field="@odata.type", tag=odata_type):
    """An object that always has its `@odata.type` in the SDK's JSON: the class stands for the type.

    filled_in: properties that Graph itself fills in and ignores in a request. They are dropped, whatever their value,
    so that an object can be sent as it was fetched. not_taken: Graph knows them and Mailroom does not take them. Null
    and an empty list say nothing and are dropped; a value is refused, as is every property that is not named here.
    """

    filled_in: ClassVar[frozenset[str]] = frozenset()
    not_taken: ClassVar[frozenset[str]] = frozenset()


class Complex(Property, frozen=True, kw_only=True):
    """An object that has an `@odata.type` only if its caller wrote one."""

    odata_type: str | None = field(default=None, name="@odata.type")

    def __post_init__(self) -> None:
        """Write the type as Graph does. Raises ValueError, which msgspec reports with the object's path."""
        if self.odata_type is not None:
            right = odata_type(type(self).__name__)
            if self.odata_type.removeprefix("#").lower() != right[1:].lower():
                raise ValueError(f"{UNKNOWN}; expected one of {right}.")
            msgspec.structs.force_setattr(self, "odata_type", right)


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


class ItemBody(Complex, frozen=True, kw_only=True):
    content_type: BodyType | None = None
    content: str | None = None


class EmailAddress(Complex, frozen=True, kw_only=True):
    address: str
    name: Annotated[str, Meta(pattern=LINE, max_length=LONGEST_NAME)] | None = None


class Recipient(Complex, frozen=True, kw_only=True):
    email_address: EmailAddress


class DateTimeTimeZone(Complex, frozen=True, kw_only=True):
    """A wall-clock time and its zone, both as text: `2017-08-29T04:00:00.0000000`, `Pacific Standard Time`."""

    date_time: Line
    time_zone: Line | None = None


class FollowupFlag(Complex, frozen=True, kw_only=True):
    flag_status: FollowupFlagStatus | None = None
    start_date_time: DateTimeTimeZone | None = None
    due_date_time: DateTimeTimeZone | None = None
    completed_date_time: DateTimeTimeZone | None = None


class InternetMessageHeader(Complex, frozen=True, kw_only=True):
    name: Annotated[str, Meta(pattern=HEADER_NAME, max_length=LONGEST_HEADER_NAME)]
    value: Line


class SingleValueLegacyExtendedProperty(Complex, frozen=True, kw_only=True):
    id: PropertyId
    value: str


class MultiValueLegacyExtendedProperty(Complex, frozen=True, kw_only=True):
    id: PropertyId
    value: tuple[str, ...]
