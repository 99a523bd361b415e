"""The values that mails are made of, and the events and contacts that may be attached to one, as Graph's JSON has them.

Class and attribute names are the SDK's, so that sdk_message.py builds the SDK's objects without a table. None means
that the property is absent: Graph reads null the same way. Source: the resource types of Graph v1.0.
"""

from datetime import date, datetime
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
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Meters = Annotated[float, Meta(ge=-1e9, le=1e9)]  # bounded, because JSON's 1e999 reads as infinity, which is no JSON


def odata_type(name: str) -> str:
    """What `@odata.type` says of an object of the class with this name."""
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
    """An object that has an `@odata.type` where its caller wrote one."""

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


# What an attached event or contact has besides. Mailroom passes these on and never names a member of an enumeration.


class AttendeeType(Choice):
    REQUIRED, OPTIONAL, RESOURCE = "required", "optional", "resource"


class DayOfWeek(Choice):
    SUNDAY, MONDAY, TUESDAY, WEDNESDAY = "sunday", "monday", "tuesday", "wednesday"
    THURSDAY, FRIDAY, SATURDAY = "thursday", "friday", "saturday"


class FreeBusyStatus(Choice):
    UNKNOWN, FREE, TENTATIVE, BUSY, OOF = "unknown", "free", "tentative", "busy", "oof"
    WORKING_ELSEWHERE = "workingElsewhere"


class LocationType(Choice):
    DEFAULT, CONFERENCE_ROOM, GEO_COORDINATES = "default", "conferenceRoom", "geoCoordinates"
    HOME_ADDRESS, BUSINESS_ADDRESS, STREET_ADDRESS = "homeAddress", "businessAddress", "streetAddress"
    POSTAL_ADDRESS, HOTEL, RESTAURANT, LOCAL_BUSINESS = "postalAddress", "hotel", "restaurant", "localBusiness"


class LocationUniqueIdType(Choice):
    UNKNOWN, LOCATION_STORE, DIRECTORY = "unknown", "locationStore", "directory"
    PRIVATE, BING = "private", "bing"


class RecurrencePatternType(Choice):
    DAILY, WEEKLY = "daily", "weekly"
    ABSOLUTE_MONTHLY, RELATIVE_MONTHLY = "absoluteMonthly", "relativeMonthly"
    ABSOLUTE_YEARLY, RELATIVE_YEARLY = "absoluteYearly", "relativeYearly"


class RecurrenceRangeType(Choice):
    END_DATE, NO_END, NUMBERED = "endDate", "noEnd", "numbered"


class Sensitivity(Choice):
    NORMAL, PERSONAL, PRIVATE, CONFIDENTIAL = "normal", "personal", "private", "confidential"


class WeekIndex(Choice):
    FIRST, SECOND, THIRD, FOURTH, LAST = "first", "second", "third", "fourth", "last"


class OnlineMeetingProviderType(Choice):
    UNKNOWN, TEAMS_FOR_BUSINESS = "unknown", "teamsForBusiness"
    SKYPE_FOR_BUSINESS, SKYPE_FOR_CONSUMER = "skypeForBusiness", "skypeForConsumer"


class Attendee(Typed, frozen=True, kw_only=True):
    filled_in = frozenset({"proposedNewTime", "status"})
    email_address: EmailAddress
    type: AttendeeType | None = None


class PhysicalAddress(Complex, frozen=True, kw_only=True):
    street: str | None = None
    city: str | None = None
    state: str | None = None
    country_or_region: str | None = None
    postal_code: str | None = None


class OutlookGeoCoordinates(Complex, frozen=True, kw_only=True):
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    accuracy: Meters | None = None
    altitude: Meters | None = None
    altitude_accuracy: Meters | None = None


class Location(Complex, frozen=True, kw_only=True):
    display_name: str | None = None
    location_email_address: Line | None = None
    location_uri: Line | None = None
    location_type: LocationType | None = None
    unique_id: Line | None = None
    unique_id_type: LocationUniqueIdType | None = None
    address: PhysicalAddress | None = None
    coordinates: OutlookGeoCoordinates | None = None


class RecurrencePattern(Complex, frozen=True, kw_only=True):
    type: RecurrencePatternType | None = None
    interval: Int32 | None = None
    month: Int32 | None = None
    day_of_month: Int32 | None = None
    days_of_week: tuple[DayOfWeek, ...] | None = None
    first_day_of_week: DayOfWeek | None = None
    index: WeekIndex | None = None


class RecurrenceRange(Complex, frozen=True, kw_only=True):
    type: RecurrenceRangeType | None = None
    start_date: date | None = None
    end_date: date | None = None
    recurrence_time_zone: Line | None = None
    number_of_occurrences: Int32 | None = None


class PatternedRecurrence(Complex, frozen=True, kw_only=True):
    pattern: RecurrencePattern | None = None
    range: RecurrenceRange | None = None


ANY_ITEM: Final = frozenset({"id", "changeKey", "createdDateTime", "lastModifiedDateTime"})  # is filled in by Graph


class Event(Typed, frozen=True, kw_only=True):
    filled_in = ANY_ITEM | {
        "bodyPreview", "calendar", "cancelledOccurrences", "exceptionOccurrences", "hasAttachments", "iCalUId",
        "instances", "isCancelled", "isDraft", "isOrganizer", "occurrenceId", "onlineMeeting", "onlineMeetingUrl",
        "originalEndTimeZone", "originalStart", "originalStartTimeZone", "responseStatus", "seriesMasterId", "type",
        "webLink",
    }  # fmt: skip
    not_taken = frozenset({"attachments", "extensions"})
    subject: Subject | None = None
    body: ItemBody | None = None
    start: DateTimeTimeZone | None = None
    end: DateTimeTimeZone | None = None
    is_all_day: bool | None = None
    location: Location | None = None
    locations: tuple[Location, ...] | None = None
    organizer: Recipient | None = None
    attendees: tuple[Attendee, ...] | None = None
    recurrence: PatternedRecurrence | None = None
    importance: Importance | None = None
    sensitivity: Sensitivity | None = None
    show_as: FreeBusyStatus | None = None
    categories: tuple[Category, ...] | None = None
    is_reminder_on: bool | None = None
    reminder_minutes_before_start: Int32 | None = None
    response_requested: bool | None = None
    allow_new_time_proposals: bool | None = None
    hide_attendees: bool | None = None
    is_online_meeting: bool | None = None
    online_meeting_provider: OnlineMeetingProviderType | None = None
    transaction_id: Line | None = None
    single_value_extended_properties: tuple[SingleValueLegacyExtendedProperty, ...] | None = None
    multi_value_extended_properties: tuple[MultiValueLegacyExtendedProperty, ...] | None = None


class Contact(Typed, frozen=True, kw_only=True):
    filled_in = ANY_ITEM | {"parentFolderId"}
    not_taken = frozenset({"extensions", "photo"})
    display_name: str | None = None
    file_as: str | None = None
    title: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    surname: str | None = None
    nick_name: str | None = None
    initials: str | None = None
    generation: str | None = None
    yomi_given_name: str | None = None
    yomi_surname: str | None = None
    yomi_company_name: str | None = None
    email_addresses: tuple[EmailAddress, ...] | None = None
    primary_email_address: EmailAddress | None = None
    secondary_email_address: EmailAddress | None = None
    tertiary_email_address: EmailAddress | None = None
    im_addresses: tuple[str, ...] | None = None
    business_phones: tuple[str, ...] | None = None
    home_phones: tuple[str, ...] | None = None
    mobile_phone: str | None = None
    business_address: PhysicalAddress | None = None
    home_address: PhysicalAddress | None = None
    other_address: PhysicalAddress | None = None
    business_home_page: str | None = None
    company_name: str | None = None
    department: str | None = None
    office_location: str | None = None
    job_title: str | None = None
    profession: str | None = None
    manager: str | None = None
    assistant_name: str | None = None
    spouse_name: str | None = None
    children: tuple[str, ...] | None = None
    birthday: Annotated[datetime, Meta(tz=True)] | None = None
    personal_notes: str | None = None
    categories: tuple[Category, ...] | None = None
    single_value_extended_properties: tuple[SingleValueLegacyExtendedProperty, ...] | None = None
    multi_value_extended_properties: tuple[MultiValueLegacyExtendedProperty, ...] | None = None
