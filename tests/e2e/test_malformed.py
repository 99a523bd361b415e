"""What is no mail gets a 4xx in Graph's shape that names the place, and never reaches Graph."""

import base64
import copy
import json
from typing import Any

import pytest

from tests.e2e.running import EXAMPLE, Sandbox


def changed(path: str, value: Any) -> dict[str, Any]:
    """The example with one value, named by its path below `message`, put in."""
    body = copy.deepcopy(EXAMPLE)
    node: Any = body["message"]
    *parents, last = path.split("/")
    for name in parents:
        node = node[int(name) if name.isdigit() else name]
    node[int(last) if last.isdigit() else last] = value
    return body


def recipients(count: int) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": f"user{number}@contoso.com"}} for number in range(count)]


def headers(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "value": "1"} for name in names]


FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentType": "text/plain"}
MARKER = {"id": "String {00000000-0000-0000-0000-000000000001} Name MailroomId", "value": "0" * 32}

MALFORMED: dict[str, tuple[Any, int, str]] = {
    "empty": (b"", 400, "$"),
    "not JSON": (b"Subject: hello", 400, "$"),
    "cut short": (b'{"message": {', 400, "$"),
    "an array": (b"[]", 400, "$"),
    "50,000 opening brackets": (b"[" * 50_000, 400, "$"),
    "no message": ({"saveToSentItems": True}, 400, "$.message"),
    "message of the wrong type": ({"message": "hello"}, 400, "$.message"),
    "saveToSentItems of the wrong type": ({**EXAMPLE, "saveToSentItems": 1}, 400, "$.saveToSentItems"),
    "an unknown outer property": ({**EXAMPLE, "saveToSent": True}, 400, "$.saveToSent"),
    "an unknown property": (changed("subjct", "hello"), 400, "$.message.subjct"),
    "an unknown property inside": (changed("body/type", "HTML"), 400, "$.message.body.type"),
    "subject of the wrong type": (changed("subject", 1), 400, "$.message.subject"),
    "body of the wrong type": (changed("body", "hello"), 400, "$.message.body"),
    "content type unknown": (changed("body/contentType", "markdown"), 400, "$.message.body.contentType"),
    "recipients of the wrong type": (changed("toRecipients", "a@b.c"), 400, "$.message.toRecipients"),
    "a recipient of the wrong type": (changed("toRecipients/0", "a@b.c"), 400, "$.message.toRecipients[0]"),
    "an address of the wrong type": (
        changed("toRecipients/0/emailAddress/address", 1),
        400,
        "$.message.toRecipients[0].emailAddress.address",
    ),
    "an address that is none": (
        changed("ccRecipients/0/emailAddress/address", "not an address"),
        400,
        "$.message.ccRecipients[0].emailAddress.address",
    ),
    "an address with a line break": (
        changed("toRecipients/0/emailAddress/address", "a@contoso.com\r\nBcc: b@contoso.com"),
        400,
        "$.message.toRecipients[0].emailAddress.address",
    ),
    "no recipients": ({"message": {"subject": "hello"}}, 400, "$.message"),
    "empty recipients": (changed("toRecipients", []) | {"message": {"toRecipients": []}}, 400, "$.message"),
    "501 recipients": (changed("bccRecipients", recipients(499)), 400, "$.message"),
    "6 headers": (
        changed("internetMessageHeaders", headers("x-a", "x-b", "x-c", "x-d", "x-e", "x-f")),
        400,
        "$.message.",
    ),
    "a header without x-": (
        changed("internetMessageHeaders", headers("Subject")),
        400,
        "$.message.internetMessageHeaders[0]",
    ),
    "a header with a line break": (
        changed("internetMessageHeaders", [{"name": "x-a", "value": "1\r\nBcc: b@contoso.com"}]),
        400,
        "$.message.internetMessageHeaders[0].value",
    ),
    "a forged marker": (
        changed("singleValueExtendedProperties", [MARKER]),
        400,
        "$.message.singleValueExtendedProperties[0].id",
    ),
    "a forged header": (
        changed("internetMessageHeaders", headers("X-Mailroom-Id")),
        400,
        "$.message.internetMessageHeaders[0].name",
    ),
    "bad base64": (
        changed("attachments", [{**FILE, "contentBytes": "this is no base64!"}]),
        400,
        "$.message.attachments[0].contentBytes",
    ),
    "an attachment without a type": (
        changed("attachments", [{"name": "a.txt", "contentBytes": "aGk="}]),
        400,
        "$.message.attachments[0]",
    ),
    "importance unknown": (changed("importance", "urgent"), 400, "$.message.importance"),
    "5 MB": (
        changed("attachments", [{**FILE, "contentBytes": base64.b64encode(bytes(5_000_000)).decode()}]),
        413,
        "",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_body_is_refused_with_its_place(sandbox: Sandbox, name: str) -> None:
    body, status, path = MALFORMED[name]
    answer = sandbox.send(body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "innerError"}
    assert error["code"]
    assert path in error["message"]
    assert sandbox.requests() == 0


@pytest.mark.parametrize("name", [name for name in MALFORMED if name not in ("empty", "5 MB")])
def test_the_same_in_the_queue_is_set_aside_with_its_reason(started: Sandbox, name: str) -> None:
    """The queue is not blocked, nothing is tried again, and what the producer said is kept as it came."""
    from tests.e2e.running import eventually

    body = MALFORMED[name][0]
    text = body.decode() if isinstance(body, bytes) else json.dumps({"sender": started.sender, **body})
    known = set(started.dead())
    message = started.put("mail-outbox", text)
    assert message
    aside = eventually(lambda: {mail: kept for mail, kept in started.dead().items() if mail not in known})
    [(metadata, content)] = aside.values()
    assert metadata["kind"] == "message"
    assert metadata["reason"]
    assert content == text.encode()


@pytest.mark.parametrize("content_type", ["text/html", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(sandbox: Sandbox, content_type: str) -> None:
    assert sandbox.send(EXAMPLE, Content_Type=content_type).status_code == 415
    assert sandbox.requests() == 0


@pytest.mark.parametrize("key", ["", "a" * 257])
def test_a_key_that_cannot_name_a_mail_is_refused(sandbox: Sandbox, key: str) -> None:
    assert sandbox.send(EXAMPLE, Idempotency_Key=key).status_code == 400
    assert sandbox.requests() == 0
