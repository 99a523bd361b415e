"""The tables of what an itemAttachment can carry beside a message: event and contact, and the types all share."""

from typing import Any

from sandbox.cloud.edm import Entity, binary, boolean, collection, date_time_offset, enum, int32, nullable, string
from sandbox.cloud.extended import check_multi_value, check_single_value

DATE_TIME_TIME_ZONE = Entity("dateTimeTimeZone", {"dateTime": string, "timeZone": nullable(string)}, ("dateTime",))
EMAIL_ADDRESS = Entity("emailAddress", {"address": nullable(string), "name": nullable(string)})
ITEM_BODY = Entity("itemBody", {"contentType": nullable(enum("bodyType", "text", "html")), "content": nullable(string)})
_SINGLE_VALUE = Entity("singleValueLegacyExtendedProperty", {"id": string, "value": string}, ("id", "value"))
_MULTI_VALUE = Entity("multiValueLegacyExtendedProperty", {"id": string, "value": collection(string)}, ("id", "value"))


def _single_value(value: Any, path: str) -> None:
    _SINGLE_VALUE(value, path)
    check_single_value(value, path)


def _multi_value(value: Any, path: str) -> None:
    _MULTI_VALUE(value, path)
    check_multi_value(value, path)


EXTENDED = {
    "singleValueExtendedProperties": collection(_single_value),
    "multiValueExtendedProperties": collection(_multi_value),
}
"""The extended properties of a message, an event or a contact."""

_OUTLOOK_ITEM = {
    **EXTENDED,
    "id": nullable(string),
    "changeKey": nullable(string),
    "categories": collection(string),
    "createdDateTime": nullable(date_time_offset),
    "lastModifiedDateTime": nullable(date_time_offset),
}
_PHYSICAL_ADDRESS = Entity(
    "physicalAddress",
    dict.fromkeys(("city", "countryOrRegion", "postalCode", "state", "street"), nullable(string)),
)
_LOCATION = Entity(
    "location",
    {
        **dict.fromkeys(
            ("displayName", "locationEmailAddress", "locationUri", "uniqueId", "uniqueIdType", "locationType"),
            nullable(string),
        ),
        "address": nullable(_PHYSICAL_ADDRESS),
        "coordinates": nullable(Entity("outlookGeoCoordinates", {}, open_type=True)),
    },
)
_ATTENDEE = Entity(
    "attendee",
    {
        "emailAddress": nullable(EMAIL_ADDRESS),
        "type": nullable(enum("attendeeType", "required", "optional", "resource")),
        "status": nullable(
            Entity("responseStatus", {"response": nullable(string), "time": nullable(date_time_offset)})
        ),
        "proposedNewTime": nullable(Entity("timeSlot", {"start": DATE_TIME_TIME_ZONE, "end": DATE_TIME_TIME_ZONE})),
    },
)

EVENT = Entity(
    "event",
    {
        **_OUTLOOK_ITEM,
        **dict.fromkeys(
            (
                "subject",
                "bodyPreview",
                "iCalUId",
                "originalStartTimeZone",
                "originalEndTimeZone",
                "transactionId",
                "seriesMasterId",
                "onlineMeetingProvider",
                "onlineMeetingUrl",
                "webLink",
                "type",
            ),
            nullable(string),
        ),
        **dict.fromkeys(
            (
                "allowNewTimeProposals",
                "hasAttachments",
                "hideAttendees",
                "isAllDay",
                "isCancelled",
                "isDraft",
                "isOnlineMeeting",
                "isOrganizer",
                "isReminderOn",
                "responseRequested",
            ),
            nullable(boolean),
        ),
        "body": nullable(ITEM_BODY),
        "start": nullable(DATE_TIME_TIME_ZONE),
        "end": nullable(DATE_TIME_TIME_ZONE),
        "location": nullable(_LOCATION),
        "locations": collection(_LOCATION),
        "attendees": collection(_ATTENDEE),
        "organizer": nullable(Entity("recipient", {"emailAddress": nullable(EMAIL_ADDRESS)})),
        "importance": nullable(enum("importance", "low", "normal", "high")),
        "sensitivity": nullable(enum("sensitivity", "normal", "personal", "private", "confidential")),
        "showAs": nullable(enum("freeBusyStatus", "unknown", "free", "tentative", "busy", "oof", "workingElsewhere")),
        "reminderMinutesBeforeStart": nullable(int32),
        "originalStart": nullable(date_time_offset),
        "recurrence": nullable(Entity("patternedRecurrence", {}, open_type=True)),
    },
)

CONTACT = Entity(
    "contact",
    {
        **_OUTLOOK_ITEM,
        **dict.fromkeys(
            (
                "assistantName",
                "businessHomePage",
                "companyName",
                "department",
                "displayName",
                "fileAs",
                "generation",
                "givenName",
                "initials",
                "jobTitle",
                "manager",
                "middleName",
                "mobilePhone",
                "nickName",
                "officeLocation",
                "parentFolderId",
                "personalNotes",
                "profession",
                "spouseName",
                "surname",
                "title",
                "yomiCompanyName",
                "yomiGivenName",
                "yomiSurname",
            ),
            nullable(string),
        ),
        **dict.fromkeys(("businessPhones", "children", "homePhones", "imAddresses"), collection(string)),
        **dict.fromkeys(("businessAddress", "homeAddress", "otherAddress"), nullable(_PHYSICAL_ADDRESS)),
        "birthday": nullable(date_time_offset),
        "emailAddresses": collection(EMAIL_ADDRESS),
        **dict.fromkeys(
            ("primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress"), nullable(EMAIL_ADDRESS)
        ),
        "photo": nullable(Entity("profilePhoto", {"id": string, "height": int32, "width": int32, "data": binary})),
    },
)
