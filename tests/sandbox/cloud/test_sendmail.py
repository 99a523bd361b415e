"""sendMail: what is accepted, what is refused and with which code, and where the copy goes."""

import base64
import json
from typing import Any

import pytest

from tests.sandbox.cloud.emulator import BOX, MESSAGES, Emulator, error_code, mail


async def post(emulator: Emulator, body: bytes, content_type: str = "application/json") -> Any:
    headers = {"Content-Type": content_type}
    return await emulator.graph("POST", f"users/{BOX}/sendMail", content=body, headers=headers)


@pytest.mark.parametrize(
    ("parameters", "saved"),
    [
        ({}, True),
        ({"saveToSentItems": True}, True),
        ({"SaveToSentItems": "true"}, True),
        ({"SaveToSentItems": False}, False),
        ({"saveToSentItems": "false"}, False),
        ({"saveToSentItems": None}, True),
    ],
)
async def test_the_copy_is_kept_unless_told_not_to(emulator: Emulator, parameters: Any, saved: bool) -> None:  # noqa: FBT001 - a row of the table
    assert (await emulator.send(parameters=parameters)).status_code == 202
    assert len(await emulator.sent_items()) == saved


async def test_the_copy_appears_after_the_delay(emulator: Emulator) -> None:
    await emulator.control("POST", "settings", {"sent_delay": 15})
    await emulator.send()
    assert (await emulator.graph("GET", MESSAGES)).json()["value"] == []
    emulator.clock.now += 14.9
    assert await emulator.sent_items() == []
    emulator.clock.now += 0.1
    [copy] = await emulator.sent_items()
    assert copy["subject"] == "Meet for lunch?"
    assert copy["isDraft"] is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"no json",
        b"[" * 50_000,
        b'{"message":' * 50_000,
        b'{"message": {"subject": "\\ud800", "toRecipients": []}}',
        b'{"message": {"subject": "a", "subject": "b"}}',
        b'{"message": {"subject": NaN}}',
        b'{"message": {"subject": "\xff"}}',
        json.dumps({"message": mail()}).encode("utf-16"),
        json.dumps({"message": mail()}).encode() + b"x",
    ],
)
async def test_what_is_no_json_is_refused(emulator: Emulator, body: bytes) -> None:
    assert error_code(await post(emulator, body)) == (400, "BadRequest")


@pytest.mark.parametrize(
    "body",
    [
        {"message": mail(), "other": 1},
        {"message": mail(), "Message": mail()},
        {"MESSAGE": mail()},
        {"message": mail(), "saveToSentItems": "yes"},
        {"message": mail(), "saveToSentItems": 0},
        {"message": mail(), "saveToSentItems": []},
        {"message": None},
        {},
        [mail()],
    ],
)
async def test_the_parameters_are_message_and_save_to_sent_items(emulator: Emulator, body: Any) -> None:
    assert (await post(emulator, json.dumps(body).encode())).status_code == 400


async def test_the_content_type_decides(emulator: Emulator) -> None:
    body = json.dumps({"message": mail()}).encode()
    assert (await post(emulator, body, "application/json; charset=utf-8")).status_code == 202
    assert (await post(emulator, body, "application/xml")).status_code == 415
    assert (await emulator.graph("POST", f"users/{BOX}/sendMail", content=body)).status_code == 400


async def test_a_request_has_at_most_4_mb(emulator: Emulator) -> None:
    body = json.dumps({"message": mail(body={"contentType": "text", "content": ""})}).encode()
    padding = 4 * 1024 * 1024 - len(body)
    assert (await post(emulator, body + b" " * padding)).status_code == 202
    assert error_code(await post(emulator, body + b" " * (padding + 1))) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no base64!", 400, "ErrorMimeContentInvalidBase64String"),
        (b"", 400, "ErrorMimeContentInvalidBase64String"),
        (base64.b64encode(b"Subject: nobody\n\nx"), 400, "ErrorInvalidRecipients"),
        (base64.b64encode(b"To: not an address\n\nx"), 400, "ErrorInvalidRecipients"),
        (base64.b64encode(b"To: a@example.com\nFrom: orders@sandbox.example\n\nx"), 403, "ErrorSendAsDenied"),
    ],
)
async def test_mime_is_judged_like_json(emulator: Emulator, body: bytes, status: int, code: str) -> None:
    assert error_code(await post(emulator, body, "text/plain")) == (status, code)
