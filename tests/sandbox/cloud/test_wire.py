"""What sendMail takes and refuses, property by property, with the code and the JSON path."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cloud import wire
from sandbox.cloud.errors import Refusal
from sandbox.cloud.recipients import is_address
from tests.sandbox.cloud.emulator import BOX, DATA, FILE, MARKER, Emulator, error_code, mail, marker, recipient

ITEM = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "note"}


def item(kind: str, **properties: Any) -> dict[str, Any]:
    return {**ITEM, "item": {"@odata.type": f"#microsoft.graph.{kind}", **properties}}


FULL = mail(
    body={"contentType": "HTML", "content": "<b>é</b>"},
    ccRecipients=[recipient("b@example.com", "Ben"), recipient("user@bücher.example")],
    bccRecipients=[recipient('"quoted local"@example.com')],
    replyTo=[recipient("help@example.com")],
    sender=recipient(BOX),
    importance="HIGH",
    categories=["Red category"],
    flag={
        "flagStatus": "flagged",
        "startDateTime": {"dateTime": "2030-01-01T00:00:00", "timeZone": "UTC"},
        "dueDateTime": {"dateTime": "2030-01-02T00:00:00", "timeZone": "UTC"},
    },
    inferenceClassification="focused",
    isDeliveryReceiptRequested=True,
    isReadReceiptRequested=False,
    internetMessageHeaders=[{"name": "X-One", "value": "1"}, {"name": "x-two", "value": "2024-01-01"}],
    singleValueExtendedProperties=[
        marker(),
        {"id": "SystemTime 0x3FEF", "value": "2030-01-01T10:00:00Z"},
        {"id": "Integer {2f1b7a5e-8a0c-4c6e-9d7b-0b6c3f7a1d11} Id 0x8001", "value": "7"},
    ],
    multiValueExtendedProperties=[
        {"id": "StringArray {2f1b7a5e-8a0c-4c6e-9d7b-0b6c3f7a1d11} Name Tags", "value": ["a", "b"]}
    ],
    attachments=[
        {**FILE, "contentType": "text/plain", "isInline": True, "contentId": "logo"},
        item("message", subject="inner", toRecipients=[recipient()], attachments=[FILE]),
        item("event", subject="Lunch", start={"dateTime": "2030-01-01T12:00:00", "timeZone": "UTC"}, isAllDay=False),
        item("contact", givenName="Ada", emailAddresses=[{"address": "ada@example.com"}]),
    ],
) | {"@odata.type": "#microsoft.graph.message", "from": recipient(BOX), "internetMessageId": "<1@example.com>"}


async def test_every_writable_property_is_taken(emulator: Emulator) -> None:
    answer = await emulator.send(FULL)
    assert answer.status_code == 202, answer.text
    assert (await emulator.accepted())[0]["message"] == FULL


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ([], "$.message"),
        (mail(Subject="x"), "$.message.Subject"),
        (mail(subject=1), "$.message.subject"),
        (mail(body="text"), "$.message.body"),
        (mail(body={"contentType": "markdown", "content": ""}), "$.message.body.contentType"),
        (mail(toRecipients="ada@example.com"), "$.message.toRecipients"),
        (mail(toRecipients=[{"address": "ada@example.com"}]), "$.message.toRecipients[0].address"),
        (mail(toRecipients=[recipient(), {"emailAddress": {"address": 1}}]), "$.message.toRecipients[1].emailAddress"),
        (mail(importance="urgent"), "$.message.importance"),
        (mail(isReadReceiptRequested="true"), "$.message.isReadReceiptRequested"),
        (mail(flag={"flagStatus": "red"}), "$.message.flag.flagStatus"),
        (mail(attachments=[{"name": "a", "contentBytes": DATA}]), "$.message.attachments[0]"),
        (mail(attachments=[{**FILE, "contentBytes": "a"}]), "$.message.attachments[0].contentBytes"),
        (mail(attachments=[{**FILE, "contentBytes": "aGk="[:-1]}]), "$.message.attachments[0].contentBytes"),
        (mail(attachments=[{**FILE, "contentBytes": "_-__"}]), "$.message.attachments[0].contentBytes"),
        (mail(attachments=[{"@odata.type": FILE["@odata.type"], "name": "a"}]), "$.message.attachments[0]"),
        (
            mail(attachments=[{**FILE, "@odata.type": "#microsoft.graph.referenceAttachment"}]),
            "$.message.attachments[0]",
        ),
        (mail(attachments=[{**FILE, "@odata.type": "fileAttachment"}]), "$.message.attachments[0]"),
        (mail(attachments=[{**ITEM, "item": {"subject": "x"}}]), "$.message.attachments[0].item"),
        (mail(attachments=[item("message", nonsense=1)]), "$.message.attachments[0].item.nonsense"),
        (mail(singleValueExtendedProperties=[{"id": MARKER}]), "$.message.singleValueExtendedProperties[0]"),
        (mail(**{"@odata.type": "#microsoft.graph.event"}), "$.message['@odata.type']"),
        (mail(**{"@other.thing": "x"}), "$.message.@other.thing"),
    ],
)
async def test_what_does_not_fit_the_model_is_refused_with_its_path(
    emulator: Emulator, message: Any, where: str
) -> None:
    answer = await emulator.send(message)
    assert error_code(answer) == (400, "RequestBodyRead")
    assert f"(at {where}" in answer.json()["error"]["message"]
    assert await emulator.accepted() == []


async def test_a_message_has_up_to_500_recipients(emulator: Emulator) -> None:
    many = [recipient(f"a{n}@example.com") for n in range(499)]
    assert (await emulator.send(mail(toRecipients=[recipient()], bccRecipients=many))).status_code == 202
    assert len(await emulator.accepted()) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (mail(toRecipients=[]), "ErrorInvalidRecipients"),
        ({"subject": "nobody"}, "ErrorInvalidRecipients"),
        (mail(toRecipients=[recipient("no address")]), "ErrorInvalidRecipients"),
        (mail(toRecipients=[recipient(), {"emailAddress": {"name": "Ada"}}]), "ErrorInvalidRecipients"),
        (mail(bccRecipients=[{}]), "ErrorInvalidRecipients"),
        (mail(replyTo=[recipient("nowhere@")]), "ErrorInvalidRecipients"),
        (mail(bccRecipients=[recipient(f"a{n}@example.com") for n in range(500)]), "ErrorInvalidRecipients"),
        (mail(internetMessageHeaders=[{"name": "Subject", "value": "x"}]), "InvalidInternetMessageHeaderCollection"),
        (mail(internetMessageHeaders=[{"name": "x-", "value": "x"}]), "InvalidInternetMessageHeaderCollection"),
        (
            mail(internetMessageHeaders=[{"name": "x-a", "value": "x\r\nBcc: a@b.c"}]),
            "InvalidInternetMessageHeaderCollection",
        ),
        (
            mail(internetMessageHeaders=[{"name": f"x-{n}", "value": "x"} for n in range(6)]),
            "InvalidInternetMessageHeaderCollection",
        ),
        (mail(singleValueExtendedProperties=[{"id": "MailroomId", "value": "1"}]), "ErrorInvalidExtendedProperty"),
        (
            mail(singleValueExtendedProperties=[{"id": "SystemTime 0x3FEF", "value": "soon"}]),
            "ErrorInvalidExtendedPropertyValue",
        ),
        (
            mail(singleValueExtendedProperties=[{"id": "StringArray 0x1042", "value": "1"}]),
            "ErrorInvalidExtendedProperty",
        ),
        (
            mail(multiValueExtendedProperties=[{"id": "IntegerArray 0x1042", "value": ["1", "x"]}]),
            "ErrorInvalidExtendedPropertyValue",
        ),
    ],
)
async def test_a_rule_of_exchange_has_its_own_code(emulator: Emulator, message: Any, code: str) -> None:
    assert error_code(await emulator.send(message)) == (400, code)
    assert await emulator.accepted() == []


@pytest.mark.parametrize("text", ["a@b.example", "o'neil+x@sub.example.com", "ü@bücher.example", "a@[192.0.2.1]"])
def test_an_address_is_one(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b@c.de",
        "a@b@c.de",
        "a..b@c.de",
        "a@b",
        "a@-b.de",
        "<a@b.de>",
        "a@b.de,c@d.de",
        "a@b.de\n",
        "a@b..de",
        f"{'a' * 65}@b.de",
        f"a@{'b' * 64}.de",
        f"a@{'b.' * 160}de",
    ],
)
def test_an_address_is_none(text: str) -> None:
    assert not is_address(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*wire.MESSAGE.properties, "message", "@odata.type", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_taken_or_refused_but_never_breaks_the_emulator(value: Any) -> None:
    with contextlib.suppress(Refusal):
        wire.read_send_mail(json.dumps({"message": value}).encode())


def test_the_judge_imports_nothing_of_mailroom() -> None:
    sources = Path(wire.__file__).parent.glob("*.py")
    own = re.compile(r"^\s*(from|import) (shared|function_app)\b", re.MULTILINE)
    assert not [path.name for path in sources if own.search(path.read_text())]
