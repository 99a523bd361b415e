import pytest

from shared.mail.graph_types import InternetMessageHeader, SingleValueLegacyExtendedProperty
from shared.mail.marker import MARKER_GUID, MARKER_HEADER, MARKER_PROPERTY, forged, message_id, with_marker
from shared.mail.model import Message
from tests.mail.samples import ID


@pytest.mark.parametrize("count", [0, 4, 5])
def test_the_marker_comes_behind_what_the_sender_set_and_its_header_only_where_graph_takes_one_more(count: int) -> None:
    own = SingleValueLegacyExtendedProperty(id="String 0x1042", value="<a@b.test>")
    headers = tuple(InternetMessageHeader(name=f"x-{n}", value="1") for n in range(count))
    before = Message(subject="x", single_value_extended_properties=(own,), internet_message_headers=headers)
    message = with_marker(before, ID)
    mark = SingleValueLegacyExtendedProperty(id=f"String {{{MARKER_GUID}}} Name MailroomId", value=ID)
    assert message.single_value_extended_properties == (own, mark)
    added = (InternetMessageHeader(name=MARKER_HEADER, value=ID),) if count < 5 else ()
    assert message.internet_message_headers == headers + added
    assert message.subject == "x"


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
