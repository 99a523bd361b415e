"""What an itemAttachment may carry besides a message: an event or a contact, with what a writer may set.

Left out is what Graph itself fills in, which read_only.py drops (ids, change keys, times of change, response states,
links, the details of online meetings), and what is reached by a path of its own (attachments of an event, photo,
extensions).
"""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from shared.mail.graph_types import (
    Category,
    Choice,
    DateTimeTimeZone,
    EmailAddress,
    Importance,
    Int32,
    ItemBody,
    Line,
    MultiValueLegacyExtendedProperty,
    Property,
    Recipient,
    SingleValueLegacyExtendedProperty,
    Subject,
    Typed,
)

__all__ = [
    "Attendee",
    "AttendeeType",
    "Contact",
    "DayOfWeek",
    "Event",
    "FreeBusyStatus",
    "Location",
    "LocationType",
    "LocationUniqueIdType",
    "OnlineMeetingProviderType",
    "OutlookGeoCoordinates",
    "PatternedRecurrence",
    "PhysicalAddress",
    "RecurrencePattern",
    "RecurrencePatternType",
    "RecurrenceRange",
    "RecurrenceRangeType",
    "Sensitivity",
    "WeekIndex",
]

Meters = Annotated[float, Meta(ge=-1e9, le=1e9)]  # bounded, because JSON's 1e999 reads as infinity, which is no JSON


class AttendeeType(Choice):
    REQUIRED = "required"
    OPTIONAL = "optional"
    RESOURCE = "resource"


class DayOfWeek(Choice):
    SUNDAY = "sunday"
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"


class FreeBusyStatus(Choice):
    UNKNOWN = "unknown"
    FREE = "free"
    TENTATIVE = "tentative"
    BUSY = "busy"
    OOF = "oof"
    WORKING_ELSEWHERE = "workingElsewhere"


class LocationType(Choice):
    DEFAULT = "default"
    CONFERENCE_ROOM = "conferenceRoom"
    HOME_ADDRESS = "homeAddress"
    BUSINESS_ADDRESS = "businessAddress"
    GEO_COORDINATES = "geoCoordinates"
    STREET_ADDRESS = "streetAddress"
    HOTEL = "hotel"
    RESTAURANT = "restaurant"
    LOCAL_BUSINESS = "localBusiness"
    POSTAL_ADDRESS = "postalAddress"


class LocationUniqueIdType(Choice):
    UNKNOWN = "unknown"
    LOCATION_STORE = "locationStore"
    DIRECTORY = "directory"
    PRIVATE = "private"
    BING = "bing"


class RecurrencePatternType(Choice):
    DAILY = "daily"
    WEEKLY = "weekly"
    ABSOLUTE_MONTHLY = "absoluteMonthly"
    RELATIVE_MONTHLY = "relativeMonthly"
    ABSOLUTE_YEARLY = "absoluteYearly"
    RELATIVE_YEARLY = "relativeYearly"


class RecurrenceRangeType(Choice):
    END_DATE = "endDate"
    NO_END = "noEnd"
    NUMBERED = "numbered"


class Sensitivity(Choice):
    NORMAL = "normal"
    PERSONAL = "personal"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"


class WeekIndex(Choice):
    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    LAST = "last"


class Attendee(Typed, frozen=True, kw_only=True):
    email_address: EmailAddress
    type: AttendeeType | None = None


class OnlineMeetingProviderType(Choice):
    UNKNOWN = "unknown"
    TEAMS_FOR_BUSINESS = "teamsForBusiness"
    SKYPE_FOR_BUSINESS = "skypeForBusiness"
    SKYPE_FOR_CONSUMER = "skypeForConsumer"


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
