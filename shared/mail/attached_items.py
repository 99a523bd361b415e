"""Events and contacts that may be attached to a mail, as Graph's JSON has them.

Mailroom passes them on and never names a member of an enumeration. Properties with a path of their own in Graph are
left out: the attachments of an event, photo, extensions.
"""

from datetime import date, datetime
from typing import Annotated, Final

from msgspec import Meta

from shared.mail.graph_types import (
    Category,
    Choice,
    Complex,
    DateTimeTimeZone,
    EmailAddress,
    Importance,
    ItemBody,
    Line,
    MultiValueLegacyExtendedProperty,
    Recipient,
    SingleValueLegacyExtendedProperty,
    Subject,
    Typed,
)  # fmt: skip

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Meters = Annotated[float, Meta(ge=-1e9, le=1e9)]  # bounded, because JSON's 1e999 reads as infinity, which is no JSON


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
