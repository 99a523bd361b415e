"""Drafts, their attachments and sending; finding a mail again by its marker."""

import pytest

from tests.sandbox.cloud.emulator import BOX, FILE, MARKER, MESSAGES, Emulator, error_code, mail, marker, recipient


def by_stamp(value: str, name: str = MARKER) -> dict[str, str]:
    test = f"ep/id eq '{name}' and ep/value eq '{value}'"
    return {"$filter": f"singleValueExtendedProperties/Any(ep: {test})"}


async def found(emulator: Emulator, path: str = MESSAGES, **params: str) -> list[str]:
    answer = await emulator.graph("GET", path, params=params)
    assert answer.status_code == 200, answer.text
    return [message["id"] for message in answer.json()["value"]]


async def test_a_draft_is_made_read_changed_and_deleted(emulator: Emulator) -> None:
    made = await emulator.draft(toRecipients=[])
    assert made["isDraft"] is True
    assert made["internetMessageId"].startswith("<")
    path = f"{MESSAGES}/{made['id']}"
    changed = await emulator.graph("PATCH", path, json={"subject": "Other", "toRecipients": [recipient("b@c.de")]})
    assert (changed.status_code, changed.json()["subject"]) == (200, "Other")
    assert (await emulator.graph("GET", path)).json()["toRecipients"] == [recipient("b@c.de")]
    assert error_code(await emulator.graph("PATCH", path, json={"subjct": "x"})) == (400, "RequestBodyRead")
    assert (await emulator.graph("PATCH", path, json={"attachments": []})).status_code == 400
    assert (await emulator.graph("DELETE", path)).status_code == 204
    assert error_code(await emulator.graph("GET", path)) == (404, "ErrorItemNotFound")


async def test_sending_a_draft_moves_it_to_sent_items(emulator: Emulator) -> None:
    await emulator.control("POST", "settings", {"sent_delay": 5})
    properties = [marker("draft-1")]
    made = await emulator.draft(singleValueExtendedProperties=properties, internetMessageId="<own@example.com>")
    path = f"{MESSAGES}/{made['id']}"
    attached = await emulator.graph("POST", f"{path}/attachments", json=FILE)
    assert attached.status_code == 201
    assert attached.json()["id"]
    drafts = f"users/{BOX}/mailFolders/drafts/messages"
    assert await found(emulator, drafts, **by_stamp("draft-1")) == [made["id"]]
    answer = await emulator.graph("POST", f"{path}/send")
    assert (answer.status_code, answer.content) == (202, b"")
    assert await found(emulator, **by_stamp("draft-1")) == []
    assert error_code(await emulator.graph("POST", f"{path}/send")) == (404, "ErrorItemNotFound")
    emulator.clock.now += 5
    [copy] = await emulator.sent_items(**by_stamp("draft-1"))
    assert copy["internetMessageId"] == "<own@example.com>"
    assert copy["hasAttachments"] is True
    [accepted] = await emulator.accepted(marker="draft-1", mailbox=BOX)
    assert accepted["via"] == "draft"
    assert accepted["message"] == mail(
        singleValueExtendedProperties=properties, internetMessageId="<own@example.com>", attachments=[FILE]
    )


async def test_a_draft_is_judged_when_it_is_sent(emulator: Emulator) -> None:
    made = await emulator.draft(toRecipients=[])
    answer = await emulator.graph("POST", f"{MESSAGES}/{made['id']}/send")
    assert error_code(answer) == (400, "ErrorInvalidRecipients")
    made = await emulator.draft(**{"from": recipient("orders@sandbox.example")})
    answer = await emulator.graph("POST", f"{MESSAGES}/{made['id']}/send")
    assert error_code(answer) == (403, "ErrorSendAsDenied")
    assert await emulator.accepted() == []


async def test_the_markers_name_counts_letter_by_letter_and_its_value_does_not(emulator: Emulator) -> None:
    await emulator.send(mail(singleValueExtendedProperties=[marker("It's-ABC")]))
    await emulator.send(mail(singleValueExtendedProperties=[marker("other")]))
    assert len(await found(emulator, **by_stamp("it''s-abc"))) == 1
    assert len(await found(emulator, **by_stamp("it''s-abc", MARKER.replace("2f1b7a5e", "2F1B7A5E")))) == 1
    assert await found(emulator, **by_stamp("it''s-abc", MARKER.replace("MailroomId", "mailroomid"))) == []
    assert await found(emulator, **by_stamp("it''s-abc", MARKER.replace("2f1b7a5e", "00000000"))) == []


@pytest.mark.parametrize(
    "params",
    [
        {"$filter": "subject eq 'x'"},
        {"$filter": f"singleValueExtendedProperties/Any(ep: ep/id eq '{MARKER}')"},
        {"$filter": "singleValueExtendedProperties/Any(ep: ep/id eq 'MailroomId' and ep/value eq '1')"},
        {"$filter": f"singleValueExtendedProperties/Any(ep: ep/id eq '{MARKER}' and ep/value eq 'it's')"},
        {"$expand": "singleValueExtendedProperties"},
        {"$expand": "everything"},
        {"$select": "subject,marker"},
        {"$top": "0"},
        {"$top": "many"},
        {"$search": "lunch"},
        {"$orderby": "subject"},
    ],
)
async def test_a_query_option_that_is_not_known_is_refused(emulator: Emulator, params: dict[str, str]) -> None:
    assert error_code(await emulator.graph("GET", MESSAGES, params=params)) == (400, "BadRequest")
