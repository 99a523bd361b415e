"""The list of extended properties that a mail may set. Any other property could do anything to a mail.

An id is read as Graph documents it, in any case:

    String 0x0070                                                   by tag
    String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Colour       by name, in a namespace
    Integer {66f5a359-4659-4830-9070-00040ec6ac6e} Id 0x8005        by number, in a namespace

MAIL_EXTENDED_PROPERTIES allows more tags, and namespaces. An id in any other spelling is refused, because nobody knows
how Graph would read it. Properties that say who a mail is from or to, what becomes of it, or what its headers contain
are never allowed (https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxprops). Properties of attached
items are not checked, because they are content.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from shared.mail.marker import MARKER_GUID
from shared.settings.address_patterns import GUID

_TYPE: Final = (
    r"(?:binary|boolean|clsid|currency|double|float|integer|long|short|string|systemtime|applicationtime)(?:array)?"
)
_ID: Final = re.compile(
    rf"{_TYPE} (?:0x(?P<tag>[0-9a-f]{{1,4}})|\{{(?P<guid>{GUID.pattern})\}} (?:name \S.*|id 0x[0-9a-f]{{1,8}}))",
    re.IGNORECASE | re.ASCII,
)
_ENTRY: Final = re.compile(rf"0x(?P<tag>[0-9a-f]{{4}})|\{{?(?P<guid>{GUID.pattern})\}}?", re.IGNORECASE | re.ASCII)

ALLOWED_TAGS: Final = frozenset(
    {
        0x3FEF,  # PidTagDeferredSendTime
        0x1042,  # PidTagInReplyToId, and the other marks of a thread: mail/threading.py
        0x1039,  # PidTagInternetReferences
        0x0070,  # PidTagConversationTopic
        0x0071,  # PidTagConversationIndex
        0x3016,  # PidTagConversationIndexTracking
        0x0036,  # PidTagSensitivity
        0x0015,  # PidTagExpiryTime
    }
)
# Who a mail is from, to whom it and its answers go, what becomes of it, its headers and its body.
NEVER_TAGS: Final = frozenset(
    {
        *range(0x003B, 0x0047),  # PidTagSentRepresentingSearchKey … PidTagReadReceiptEntryId
        *range(0x004F, 0x0054),  # PidTagReplyRecipientEntries … PidTagReceivedRepresentingSearchKey
        *range(0x0064, 0x0066),  # PidTagSentRepresentingAddressType, …EmailAddress
        *range(0x0075, 0x007A),  # PidTagReceivedByAddressType … PidTagReceivedRepresentingEmailAddress
        0x007D,  # PidTagTransportMessageHeaders
        *range(0x0C15, 0x0C20),  # PidTagRecipientType, PidTagSender…
        *range(0x0E01, 0x0E10),  # PidTagDeleteAfterSubmit, …DisplayTo, …MessageFlags, …MessageRecipients
        0x0E1D,  # PidTagNormalizedSubject
        0x001A,  # PidTagMessageClass
        0x000F,  # PidTagDeferredDeliveryTime
        *range(0x1000, 0x1020),  # PidTagBody … PidTagBodyHtml
        0x1035,  # PidTagInternetMessageId
        *range(0x5D00, 0x5D12),  # PidTagSenderSmtpAddress, PidTagSentRepresentingSmtpAddress …
        *range(0x3FF7, 0x3FFE),  # PidTagCreatorName … PidTagMessageCodepage
        *range(0x4018, 0x403A),  # PidTagSenderFlags, …SimpleDisplayName: who it is from, once more
        *range(0x6000, 0x8000),  # what transport and stores keep for themselves
    }
)
NEVER_NAMESPACES: Final = frozenset(
    {
        MARKER_GUID,  # Mailroom's own
        "00020386-0000-0000-c000-000000000046",  # PS_INTERNET_HEADERS: any header by its name, From too
        "00020328-0000-0000-c000-000000000046",  # PS_MAPI: the tags once more
    }
)


@dataclass(frozen=True, slots=True)
class ExtendedProperties:
    """What may be set: tags, and namespaces in lower case."""

    tags: frozenset[int] = ALLOWED_TAGS
    namespaces: frozenset[str] = field(default=frozenset())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Tags and namespaces that an operator adds, separated by spaces or commas. Raises ValueError for others."""
        tags, namespaces = set(ALLOWED_TAGS), set[str]()
        for entry in text.replace(",", " ").split():
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ValueError(f"{entry!r} is neither a tag, such as 0x0036, nor the GUID of a namespace")
            if match["guid"]:
                namespaces.add(match["guid"].lower())
            else:
                tags.add(int(match["tag"], 16))
        if never := sorted(tags & NEVER_TAGS):
            raise ValueError(
                f"0x{never[0]:04x} is never allowed: it says who a mail is from, to, or what becomes of it"
            )
        if taken := sorted(namespaces & NEVER_NAMESPACES):
            raise ValueError(f"the namespace {taken[0]} is never allowed: headers, or Mailroom's own marker, are in it")
        return cls(frozenset(tags), frozenset(namespaces))

    def allow(self, property_id: str) -> bool:
        """Whether a mail may set the property with this id. Never raises."""
        match = _ID.fullmatch(property_id)
        if match is None:
            return False
        if match["guid"]:
            return match["guid"].lower() in self.namespaces
        return int(match["tag"], 16) in self.tags
