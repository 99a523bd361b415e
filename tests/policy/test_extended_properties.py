"""Only extended properties that are on the list may be set, in whatever spelling others are tried."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import NotAllowed
from shared.mail.graph_types import MultiValueLegacyExtendedProperty, SingleValueLegacyExtendedProperty
from shared.mail.marker import MARKER_PROPERTY
from shared.mail.model import ItemAttachment, Message
from shared.mail.threading import GROUPS
from shared.policy.admit import admit
from shared.settings.config import Settings
from shared.settings.extended_properties import ALLOWED_TAGS, NEVER_TAGS, ExtendedProperties
from tests.policy.test_admit import APP, QUEUE, SHOP, outgoing, rules

OWN = "66f5a359-4659-4830-9070-00040ec6ac6e"
HEADERS = "00020386-0000-0000-C000-000000000046"
DEFAULT = ExtendedProperties()
ADDED = ExtendedProperties.parse(f"0x3FDF, {OWN.upper()}")


ALLOWED = [
    *(mark for group in GROUPS for mark in group),  # of a thread
    "SystemTime 0x3FEF", "systemtime 0x3fef", "SYSTEMTIME 0X3FEF", "Integer 0x36",
]  # fmt: skip
ALLOWED_BY_AN_OPERATOR = [
    "Integer 0x3FDF", f"String {{{OWN}}} Name Colour", f"stringarray {{{OWN.upper()}}} NAME Größe",
    f"Integer {{{OWN}}} Id 0x8005",
]  # fmt: skip
NOT_ALLOWED = [
    "String 0x0042",  # PidTagSentRepresentingName
    "string 0X42",
    "String 0x0065",  # PidTagSentRepresentingEmailAddress
    "String 0x0C1A",  # PidTagSenderName
    "String 0x0c1f",  # PidTagSenderEmailAddress
    "String 0x5D01",  # PidTagSenderSmtpAddress
    "Boolean 0x0E01",  # PidTagDeleteAfterSubmit
    "Binary 0x004F",  # PidTagReplyRecipientEntries
    "String 0x007D",  # PidTagTransportMessageHeaders
    "String 0x001A",  # PidTagMessageClass
    "SystemTime 0x000F",  # PidTagDeferredDeliveryTime
    "SystemTime 0x3FEF0040",  # with its type: who knows which half is read
    "String 0x0042001F", "String 0x00003FEF", " SystemTime 0x3FEF", "SystemTime  0x3FEF", "SystemTime\u00a00x3FEF",
    "SystemTime 0x3FEF ", "SystemTime 16367", "Anything 0x3FEF", "0x3FEF", f"String {{{HEADERS}}} Name From",
    f"String {{{OWN}}}", "", f"String {{{HEADERS}}} Name {OWN}", f"String {{{OWN}}}Name Colour",
    f"String {OWN} Name Colour", f"String {{{OWN}}} Nam Colour", f"String {{{OWN}}} Name ",
    f"String 0x0042 {{{OWN}}} Name Colour",
]  # fmt: skip


def test_the_marks_of_a_thread_and_what_is_harmless_may_be_set_in_any_case() -> None:
    assert [name for name in ALLOWED if not DEFAULT.allow(name)] == []
    assert [name for name in ALLOWED_BY_AN_OPERATOR if not ADDED.allow(name) or DEFAULT.allow(name)] == []


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_everything_else_may_not(name: str) -> None:
    assert not DEFAULT.allow(name)
    assert not ADDED.allow(name), "a namespace opens nothing beside it"


NEVER = [f"0x{tag:04X}" for tag in (0x0042, 0x0C1F, 0x0E01, 0x007D, 0x1000, 0x6001)]


@pytest.mark.parametrize("entry", [*NEVER, HEADERS, f"{{{HEADERS.lower()}}}", MARKER_PROPERTY[8:44]])
def test_some_tags_no_operator_can_add(entry: str) -> None:
    with pytest.raises(ValueError, match="never allowed"):
        ExtendedProperties.parse(entry)


def test_the_two_lists_have_nothing_in_common() -> None:
    assert not ALLOWED_TAGS & NEVER_TAGS


@given(st.text(max_size=60) | st.from_regex(r"(?i)string 0x[0-9a-f]{1,8}", fullmatch=True))
def test_no_id_is_ever_more_than_allowed_or_not(name: str) -> None:
    if DEFAULT.allow(name):
        assert int(name.split("0", 1)[1][1:], 16) in ALLOWED_TAGS


def properties(*names: str) -> dict[str, Any]:
    return {
        "single_value_extended_properties": tuple(
            SingleValueLegacyExtendedProperty(id=name, value="x") for name in names[:2]
        ),
        "multi_value_extended_properties": tuple(
            MultiValueLegacyExtendedProperty(id=name, value=("x",)) for name in names[2:]
        ),
    }


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("SystemTime 0x3FEF", "String 0x0042"), "$.message.singleValueExtendedProperties[1].id"),
        (("SystemTime 0x3FEF", "String 0x0070", "StringArray 0x0C1F"), "$.message.multiValueExtendedProperties[0].id"),
    ],
)
@pytest.mark.parametrize("origin", [APP, QUEUE], ids=["application", "queue"])
def test_a_mail_with_one_is_refused_with_its_path(names: tuple[str, ...], path: str, origin: Any) -> None:
    with pytest.raises(NotAllowed) as refusal:
        admit(outgoing(origin, **properties(*names)), rules(SHOP, caller=SHOP))
    assert (refusal.value.code, refusal.value.path) == ("ErrorAccessDenied", path)
    assert "MAIL_EXTENDED_PROPERTIES" in str(refusal.value)
    assert "0x0042" not in str(refusal.value)


def test_attached_items_may_have_any() -> None:
    """They are what is sent, not what it is sent as."""
    inner = Message(**properties("String 0x0042"))
    admit(outgoing(QUEUE, attachments=(ItemAttachment(name="m", item=inner),)), rules(SHOP))


def test_settings_hold_for_all() -> None:
    settings = Settings(allowed_senders=rules(SHOP).allowed_senders, extended_properties=ADDED)
    admit(outgoing(QUEUE, **properties(f"String {{{OWN}}} Name Colour")), settings)
