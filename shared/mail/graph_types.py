"""The values that mails are made of, and the events and contacts that may be attached to one, as Graph's JSON has them.

Class and attribute names are the SDK's, so that sdk_message.py builds the SDK's objects without a table. None means
that the property is absent: Graph reads null the same way. Left out is what Graph itself fills in (read_only.py), and
what has a path of its own in Graph (attachments of an event, photo, extensions). Source: the resource types of Graph
v1.0.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta, field

from shared.mail.limits import LONGEST_HEADER_NAME, LONGEST_ID, LONGEST_LINE, LONGEST_NAME, LONGEST_SUBJECT

# One line of text: nothing that ends a line or a header, in any reading of "line" (C0, DEL, C1, U+2028, U+2029).
LINE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
# RFC 5322, section 3.6.8: printable ASCII without the colon. Graph: beginning with x-.
HEADER_NAME = r"\A[xX]-[!-9;-~]+\Z"

Line = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_LINE)]
Subject = Annotated[str, Meta(max_length=LONGEST_SUBJECT)]
PropertyId = Annotated[str, Meta(pattern=LINE, max_length=LONGEST_ID)]
Category = Annotated[str, Meta(pattern=LINE, min_length=1, max_length=255)]  # 255: Outlook's longest category name
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Meters = Annotated[float, Meta(ge=-1e9, le=1e9)]  # bounded, because JSON's 1e999 reads as infinity, which is no JSON


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """An object of Graph's JSON. An `@odata.type` that the caller wrote goes on unchanged."""


def _odata_type(name: str) -> str:
    return f"#microsoft.graph.{name[0].lower()}{name[1:]}"


class Typed(Property, frozen=True, tag_field="@odata.type", tag=_odata_type):
    """An object that always has its `@odata.type` in the SDK's JSON: the class stands for the type."""


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
    email_address: EmailAddress
    type: AttendeeType | None = None


class PhysicalAddress(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.physicalAddress"] | None = field(default=None, name="@odata.type")
    street: str | None = None
    city: str | None = None
    state: str | None = None
    country_or_region: str | None = None
    postal_code: str | None = None


class OutlookGeoCoordinates(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.outlookGeoCoordinates"] | None = field(default=None, name="@odata.type")
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    accuracy: Meters | None = None
    altitude: Meters | None = None
    altitude_accuracy: Meters | None = None


class Location(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.location"] | None = field(default=None, name="@odata.type")
    display_name: str | None = None
    location_email_address: Line | None = None
    location_uri: Line | None = None
    location_type: LocationType | None = None
    unique_id: Line | None = None
    unique_id_type: LocationUniqueIdType | None = None
    address: PhysicalAddress | None = None
    coordinates: OutlookGeoCoordinates | None = None


class RecurrencePattern(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.recurrencePattern"] | None = field(default=None, name="@odata.type")
    type: RecurrencePatternType | None = None
    interval: Int32 | None = None
    month: Int32 | None = None
    day_of_month: Int32 | None = None
    days_of_week: tuple[DayOfWeek, ...] | None = None
    first_day_of_week: DayOfWeek | None = None
    index: WeekIndex | None = None


class RecurrenceRange(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.recurrenceRange"] | None = field(default=None, name="@odata.type")
    type: RecurrenceRangeType | None = None
    start_date: date | None = None
    end_date: date | None = None
    recurrence_time_zone: Line | None = None
    number_of_occurrences: Int32 | None = None


class PatternedRecurrence(Property, frozen=True, kw_only=True):
    odata_type: Literal["#microsoft.graph.patternedRecurrence"] | None = field(default=None, name="@odata.type")
    pattern: RecurrencePattern | None = None
    range: RecurrenceRange | None = None


class Event(Typed, frozen=True, kw_only=True):
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
