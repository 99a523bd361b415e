"""Whole sendMail bodies for hypothesis, and what must leave for each.

    bodies()        a body as a caller may write it, ready for json.dumps
    messages()      the message in one, recipients or none
    as_sent(body)   the JSON that the SDK must send for it: wire.py's documented normalisation, and nothing else
    addresses()     an address

Written without shared.mail, so that both can be wrong independently.
"""

import base64
from typing import Any

import idna
from hypothesis import strategies as st

__all__ = ["addresses", "as_sent", "bodies", "messages"]

Json = dict[str, Any]

# What readers of dates are tempted by. As text it must stay as it is.
DATES = [
    "2026-02-03", "2026-02-03T04:05:06Z", "2026-02-03T04:05:06.0000000+02:00", "20260203", "04:05:06", "P1DT2H",
    "2026-W05-2", "00000000-0000-0000-0000-000000000000", "1", "1.0", "true", "null", "",
]  # fmt: skip
GUID = "66f5a359-4659-4830-9070-00047ec6ac6e"

_line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)
lines = st.sampled_from(DATES) | _line
texts = st.sampled_from(DATES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
local_parts = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_+'-]{0,8}(\.[a-zA-Z0-9]{1,5})?", fullmatch=True)
domains = st.sampled_from(
    ["contoso.test", "mail.contoso.test", "sandbox.example", "Fabrikam.COM", "bücher.example", "intranet"]
)
binary = st.binary(max_size=40)


def addresses() -> st.SearchStrategy[str]:
    return st.builds("{}@{}".format, local_parts, domains)


def _cased(values: list[str]) -> st.SearchStrategy[str]:
    """One of these names, in some case."""
    return st.sampled_from(values).flatmap(
        lambda value: st.sampled_from([value, value.upper(), value.lower(), value.title()])
    )


def _object(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]], kind: str = ""
) -> st.SearchStrategy[Json]:
    """An object whose optional properties may be left out, or null; in any order, with annotations here and there.

    kind: its type, which may be said; in capitals if it has to be said.
    """
    own = st.fixed_dictionaries(
        required, optional={name: st.none() | value | value for name, value in optional.items()}
    )
    return st.builds(_decorated, own, st.just(kind), st.integers(0, 7), st.randoms(use_true_random=False))


def _decorated(own: Json, kind: str, choice: int, random: Any) -> Json:
    members = list(own.items())
    if kind.startswith("!") or (kind and choice == 1):
        name = kind.removeprefix("!")
        members.append(("@odata.type", [f"#{name}", name, f"#{name}".upper(), name.lower()][choice % 4]))
    if choice == 2 and own:
        members.append((f"{next(iter(own))}@odata.type", "#Collection(microsoft.graph.anything)"))
    if choice == 3:
        members += [("@odata.etag", 'W/"1"'), ("@odata.context", "https://graph.microsoft.com/v1.0/$metadata#x")]
    random.shuffle(members)
    return dict(members)


def _list(items: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=most)


graph = "microsoft.graph."
booleans = st.booleans()
email_addresses = _object({"address": addresses()}, {"name": lines}, graph + "emailAddress")
recipients = _object({"emailAddress": email_addresses}, {}, graph + "recipient")
item_bodies = _object({}, {"contentType": _cased(["text", "html"]), "content": texts}, graph + "itemBody")
times = _object(
    {"dateTime": st.just("2026-02-03T04:05:06.0000000") | lines},
    {"timeZone": st.sampled_from(["UTC", "Pacific Standard Time", "Europe/Berlin"])},
    graph + "dateTimeTimeZone",
)
flags = _object(
    {},
    {
        "flagStatus": _cased(["notFlagged", "complete", "flagged"]),
        "startDateTime": times,
        "dueDateTime": times,
        "completedDateTime": times,
    },
    graph + "followupFlag",
)
header_names = st.from_regex(r"[xX]-[A-Za-z0-9!#$_-]{1,10}", fullmatch=True).filter(
    lambda name: "mailroom" not in name.lower()
)
headers = _object({"name": header_names, "value": lines}, {}, graph + "internetMessageHeader")
property_ids = st.sampled_from(
    [
        f"String {{{GUID}}} Name Colour",
        f"Integer {{{GUID}}} Id 0x8001",
        "SystemTime 0x3FEF",
        "String 0x1042",
        "2026-02-03",
    ]
)
single_values = _object({"id": property_ids, "value": texts}, {}, graph + "singleValueLegacyExtendedProperty")
multi_values = _object({"id": property_ids, "value": _list(texts)}, {}, graph + "multiValueLegacyExtendedProperty")
extended = {"singleValueExtendedProperties": _list(single_values), "multiValueExtendedProperties": _list(multi_values)}
categories = _list(_line.filter(bool))
file_attachments = _object(
    {"name": lines, "contentBytes": binary.map(lambda data: base64.b64encode(data).decode())},
    {"contentType": lines, "isInline": booleans, "contentId": lines},
    "!" + graph + "fileAttachment",
)
postal = _object(
    {}, dict.fromkeys(["street", "city", "state", "countryOrRegion", "postalCode"], texts), graph + "physicalAddress"
)
degrees = st.floats(-90, 90) | st.integers(-90, 90)
meters = st.floats(-1e6, 1e6) | st.integers(-100, 100)
coordinates = _object(
    {},
    {"latitude": degrees, "longitude": degrees, "accuracy": meters, "altitude": meters, "altitudeAccuracy": meters},
    graph + "outlookGeoCoordinates",
)
locations = _object(
    {},
    {
        "displayName": texts,
        "locationEmailAddress": lines,
        "locationUri": lines,
        "locationType": _cased(["default", "conferenceRoom", "hotel", "postalAddress"]),
        "uniqueId": lines,
        "uniqueIdType": _cased(["unknown", "locationStore", "bing"]),
        "address": postal,
        "coordinates": coordinates,
    },
    graph + "location",
)
days = _cased(["sunday", "monday", "saturday"])
counts = st.integers(0, 2**31 - 1)
recurrences = _object(
    {},
    {
        "pattern": _object(
            {},
            {
                "type": _cased(["daily", "weekly", "absoluteMonthly", "relativeYearly"]),
                "interval": counts,
                "month": counts,
                "dayOfMonth": counts,
                "daysOfWeek": _list(days),
                "firstDayOfWeek": days,
                "index": _cased(["first", "last"]),
            },
            graph + "recurrencePattern",
        ),
        "range": _object(
            {},
            {
                "type": _cased(["endDate", "noEnd", "numbered"]),
                "startDate": st.dates().map(str),
                "endDate": st.dates().map(str),
                "recurrenceTimeZone": lines,
                "numberOfOccurrences": counts,
            },
            graph + "recurrenceRange",
        ),
    },
    graph + "patternedRecurrence",
)
attendees = _object(
    {"emailAddress": email_addresses}, {"type": _cased(["required", "optional", "resource"])}, graph + "attendee"
)
events = _object(
    {},
    {
        "subject": texts,
        "body": item_bodies,
        "start": times,
        "end": times,
        "isAllDay": booleans,
        "location": locations,
        "locations": _list(locations, 1),
        "organizer": recipients,
        "attendees": _list(attendees),
        "recurrence": recurrences,
        "importance": _cased(["low", "normal", "high"]),
        "sensitivity": _cased(["normal", "personal", "private", "confidential"]),
        "showAs": _cased(["free", "busy", "oof", "workingElsewhere"]),
        "categories": categories,
        "isReminderOn": booleans,
        "reminderMinutesBeforeStart": counts,
        "responseRequested": booleans,
        "allowNewTimeProposals": booleans,
        "hideAttendees": booleans,
        "transactionId": lines,
        **extended,
    },
    "!" + graph + "event",
)
CONTACT_TEXTS = [
    "displayName", "fileAs", "title", "givenName", "middleName", "surname", "nickName", "initials", "generation",
    "yomiGivenName", "yomiSurname", "yomiCompanyName", "mobilePhone", "businessHomePage", "companyName", "department",
    "officeLocation", "jobTitle", "profession", "manager", "assistantName", "spouseName", "personalNotes",
]  # fmt: skip
contacts = _object(
    {},
    {
        **dict.fromkeys(CONTACT_TEXTS, texts),
        **dict.fromkeys(["imAddresses", "businessPhones", "homePhones", "children"], _list(texts, 2)),
        **dict.fromkeys(["businessAddress", "homeAddress", "otherAddress"], postal),
        "emailAddresses": _list(email_addresses, 2),
        "birthday": st.sampled_from(["1970-01-02T00:00:00Z", "1985-05-05T05:05:05.123456+05:30"]),
        "categories": categories,
        **extended,
    },
    "!" + graph + "contact",
)


def _attachments(items: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return _object(
        {"name": lines, "item": items}, {"contentType": lines, "isInline": booleans}, "!" + graph + "itemAttachment"
    )


def messages(depth: int = 1, *, kind: str = graph + "message") -> st.SearchStrategy[Json]:
    """A message. depth: how many more may be attached within one another."""
    items = events | contacts if depth == 0 else events | contacts | messages(depth - 1, kind="!" + graph + "message")
    return _object(
        {},
        {
            "subject": lines,
            "body": item_bodies,
            "toRecipients": _list(recipients),
            "ccRecipients": _list(recipients),
            "bccRecipients": _list(recipients),
            "replyTo": _list(recipients, 2),
            "from": recipients,
            "sender": recipients,
            "importance": _cased(["low", "normal", "high"]),
            "categories": categories,
            "flag": flags,
            "inferenceClassification": _cased(["focused", "other"]),
            "isDeliveryReceiptRequested": booleans,
            "isReadReceiptRequested": booleans,
            "internetMessageHeaders": _list(headers, 5),
            "internetMessageId": st.from_regex(r"<[a-z0-9]{1,8}@contoso\.test>", fullmatch=True),
            "attachments": _list(file_attachments | _attachments(items), 2),
            **extended,
        },
        kind,
    )


def _addressed(message: Json, to: list[Json]) -> Json:
    return (
        message
        if any(message.get(f"{kind}Recipients") for kind in ("to", "cc", "bcc"))
        else message | {"toRecipients": to}
    )


def bodies(*, items: bool = False) -> st.SearchStrategy[Json]:
    """The whole body of a sendMail request that is to be accepted. items: with an event and a contact attached."""
    message = messages()
    if items:
        attached = st.tuples(_attachments(events), _attachments(contacts)).map(list)
        message = st.builds(lambda whole, these: whole | {"attachments": these}, message, attached)
    addressed = st.builds(_addressed, message, st.lists(recipients, min_size=1, max_size=2))
    saved = st.sampled_from([True, False, "true", "false", "False", None])
    return st.builds(
        lambda name, message, save_name, save: {name: message} | ({} if save_name is None else {save_name: save}),
        st.sampled_from(["message", "Message"]),
        addressed,
        st.sampled_from(["saveToSentItems", "SaveToSentItems", None]),
        saved,
    )


# What as_sent knows of Graph's names.
ENUMERATED = {
    name.lower(): name
    for name in [
        "text", "html", "low", "normal", "high", "notFlagged", "complete", "flagged", "focused", "other", "required",
        "optional", "resource", "personal", "private", "confidential", "free", "busy", "oof", "workingElsewhere",
        "default", "conferenceRoom", "hotel", "postalAddress", "unknown", "locationStore", "bing", "daily", "weekly",
        "absoluteMonthly", "relativeYearly", "endDate", "noEnd", "numbered", "sunday", "monday", "saturday", "first",
        "last",
    ]
}  # fmt: skip
ENUMERATIONS = {
    "importance", "flagStatus", "inferenceClassification", "type", "sensitivity", "showAs", "locationType",
    "uniqueIdType", "daysOfWeek", "firstDayOfWeek", "index",
}  # fmt: skip
TYPES = {
    name.lower(): name
    for name in [
        "emailAddress", "recipient", "itemBody", "dateTimeTimeZone", "followupFlag", "internetMessageHeader",
        "singleValueLegacyExtendedProperty", "multiValueLegacyExtendedProperty", "fileAttachment", "itemAttachment",
        "physicalAddress", "outlookGeoCoordinates", "location", "recurrencePattern", "recurrenceRange",
        "patternedRecurrence", "attendee", "event", "contact", "message",
    ]
}  # fmt: skip


def as_sent(body: Json) -> Json:
    """What the SDK must send for a body of `bodies()`."""
    message = next(value for name, value in body.items() if name.lower() == "message")
    save = next((value for name, value in body.items() if name.lower() == "savetosentitems"), None)
    return {
        "Message": {**_normal("message", message), "@odata.type": "#microsoft.graph.message"},
        "SaveToSentItems": str(save).lower() != "false",
    }


def _normal(name: str, value: Any) -> Any:
    match value:
        case dict():
            result = {key: _normal(key, there) for key, there in value.items() if there is not None and _kept(key)}
            if name == "emailAddress":
                local, _, domain = result["address"].partition("@")
                result["address"] = f"{local}@{idna.encode(domain.lower()).decode()}"
            if name == "attendees":
                result["@odata.type"] = "#microsoft.graph.attendee"
            if name == "body" and "contentType" in result:
                result["contentType"] = result["contentType"].lower()
            return result
        case list():
            return [_normal(name, item) for item in value]
        case str() if name == "@odata.type":
            return "#microsoft.graph." + TYPES[value.lower().rpartition(".")[2]]
        case str() if name in ENUMERATIONS:
            return ENUMERATED[value.lower()]
        case str() if name == "birthday":
            return value.replace("Z", "+00:00")
        case _:
            return value


def _kept(name: str) -> bool:
    return name == "@odata.type" or "@odata." not in name
