import pytest

from shared.mail.graph_types import InternetMessageHeader, SingleValueLegacyExtendedProperty
from shared.mail.marker import MARKER_GUID, MARKER_HEADER, MARKER_PROPERTY, forged, message_id, with_marker
from shared.mail.model import Message
from tests.mail.samples import ID


def test_the_marker_is_an_extended_property_and_a_header_with_the_mails_id() -> None:
    message = with_marker(Message(subject="x"), ID)
    assert message.single_value_extended_properties == (
        SingleValueLegacyExtendedProperty(id=f"String {{{MARKER_GUID}}} Name MailroomId", value=ID),
    )
    assert message.internet_message_headers == (InternetMessageHeader(name=MARKER_HEADER, value=ID),)
    assert message.subject == "x"


def test_what_the_sender_set_stays_before_it() -> None:
    own = SingleValueLegacyExtendedProperty(id="String 0x1042", value="<a@b.test>")
    header = InternetMessageHeader(name="x-a", value="1")
    message = with_marker(Message(single_value_extended_properties=(own,), internet_message_headers=(header,) * 4), ID)
    assert message.single_value_extended_properties is not None
    assert message.single_value_extended_properties[0] == own
    assert len(message.single_value_extended_properties) == 2
    assert message.internet_message_headers is not None
    assert message.internet_message_headers[:4] == (header,) * 4
    assert len(message.internet_message_headers) == 5


def test_a_message_that_has_five_headers_gets_the_property_only() -> None:
    headers = tuple(InternetMessageHeader(name=f"x-{n}", value="1") for n in range(5))
    message = with_marker(Message(internet_message_headers=headers), ID)
    assert message.internet_message_headers == headers
    assert message.single_value_extended_properties


@pytest.mark.parametrize(
    "property_id",
    [
        MARKER_PROPERTY, MARKER_PROPERTY.lower(), MARKER_PROPERTY.upper(), MARKER_PROPERTY.replace(" ", "\t  "),
        f" {MARKER_PROPERTY} ", MARKER_PROPERTY.replace("{", "").replace("}", ""), MARKER_PROPERTY.replace("-", ""),
        MARKER_PROPERTY.replace("String", "StringArray"),
        "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name MailroomId",
        "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name \uff2dailroomId\u200b",
    ],
)  # fmt: skip
def test_an_id_that_names_the_marker_in_any_spelling_is_forged(property_id: str) -> None:
    assert forged(property_id=property_id)


def test_other_names_are_not_forged() -> None:
    assert not forged(property_id="String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Mailroom")
    assert not forged(property_id="SystemTime 0x3FEF")
    assert not forged(header="x-mailrooms")
    assert forged(header="X-Mailroom-Anything")


@pytest.mark.parametrize(
    ("mailbox", "domain"),
    [
        ("alerts@Contoso.test", "contoso.test"), ("7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10e001", "mailroom.invalid"),
        ("alerts@bücher.example", "mailroom.invalid"), ("a@b'c", "mailroom.invalid"), ("a@", "mailroom.invalid"),
    ],
)  # fmt: skip
def test_the_message_id_follows_from_the_row_alone(mailbox: str, domain: str) -> None:
    """By it a mail is looked for, when all that is known are its id and its mailbox. No quote can get into a filter."""
    assert message_id(ID, mailbox) == f"<{ID}@{domain}>"
