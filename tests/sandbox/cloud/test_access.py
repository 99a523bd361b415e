"""Who gets in: tokens for Graph, mailboxes, permissions, send-as."""

from typing import Any

import jwt
import pytest

from sandbox.cloud.directory import SENDER_OID
from sandbox.cloud.tokens import Issuer
from tests.sandbox.cloud.emulator import BOX, MESSAGES, Emulator, error_code, mail, recipient


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://storage.azure.com"},
        {"aud": ["https://graph.microsoft.com"]},
        {"exp": 1},
        {"nbf": 32503680000},
        {"iss": "https://sts.windows.net/other/"},
        {"tid": "other"},
    ],
)
async def test_a_token_that_is_not_for_graph_is_refused(emulator: Emulator, claims: dict[str, Any]) -> None:
    answer = await emulator.send(token=emulator.token(**claims))
    assert error_code(answer) == (401, "InvalidAuthenticationToken")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await emulator.accepted() == []


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer x.y.z", "Basic bWU6aXQ=", "Bearer é"])
async def test_no_token_is_refused(emulator: Emulator, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    answer = await emulator.client.post(
        f"/v1.0/users/{BOX}/sendMail",
        json={"message": mail()},
        headers=headers,  # type: ignore[arg-type]  # httpx takes bytes
    )
    assert error_code(answer) == (401, "InvalidAuthenticationToken")


async def test_a_forged_signature_is_refused(emulator: Emulator) -> None:
    good = emulator.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    other = Issuer()
    kid = jwt.get_unverified_header(good)["kid"]
    for forged in (
        other.sign(claims),
        other.sign(claims, {"kid": kid}),
        jwt.encode(claims, "", algorithm="none", headers={"kid": kid}),
        f"{good[:-8]}AAAAAAAA",
    ):
        assert error_code(await emulator.send(token=forged)) == (401, "InvalidAuthenticationToken")


async def test_an_error_has_the_shape_and_ids_of_graph(emulator: Emulator) -> None:
    answer = await emulator.send({}, headers={"client-request-id": "mine"})
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "innerError"}
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert error["innerError"]["client-request-id"] == answer.headers["client-request-id"] == "mine"


@pytest.mark.parametrize("box", ["mailroom@sandbox.example", "MAILROOM%40Sandbox.Example", SENDER_OID])
async def test_a_mailbox_is_named_by_address_in_any_case_or_object_id(emulator: Emulator, box: str) -> None:
    assert (await emulator.send(box=box)).status_code == 202
    assert (await emulator.accepted())[0]["mailbox"] == BOX


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ("nobody@sandbox.example", "ErrorInvalidUser"),
        ("someone@contoso.com", "ErrorInvalidUser"),
        ("not an address@sandbox.example", "ErrorInvalidUser"),
        ("noexchange@sandbox.example", "MailboxNotEnabledForRESTAPI"),
    ],
)
async def test_a_mailbox_that_is_none_is_not_found(emulator: Emulator, box: str, code: str) -> None:
    assert error_code(await emulator.send(box=box)) == (404, code)


@pytest.mark.parametrize("name", ["from", "sender"])
async def test_sending_as_another_mailbox_needs_a_grant(emulator: Emulator, name: str) -> None:
    message = mail(**{name: recipient("Orders@sandbox.example")})
    assert error_code(await emulator.send(message)) == (403, "ErrorSendAsDenied")
    await emulator.control("POST", "grants", {"mailbox": BOX, "sendAs": "orders@sandbox.example"})
    assert (await emulator.send(message)).status_code == 202
    await emulator.control("DELETE", "grants")
    assert error_code(await emulator.send(message)) == (403, "ErrorSendAsDenied")
    assert (await emulator.send(mail(**{name: recipient("Mailroom@sandbox.example")}))).status_code == 202


async def test_permissions_are_taken_away_one_by_one(emulator: Emulator) -> None:
    requests = {
        "sendMail": ("POST", f"users/{BOX}/sendMail", {"message": mail()}),
        "read": ("GET", MESSAGES, None),
        "readwrite": ("POST", MESSAGES, mail()),
    }
    for denied in requests:
        await emulator.control("POST", "permissions", {"deny": [denied]})
        for name, (method, path, body) in requests.items():
            answer = await emulator.graph(method, path, json=body)
            assert (answer.status_code == 403) == (name == denied), (denied, name)
            if name == denied:
                assert error_code(answer) == (403, "ErrorAccessDenied")


async def test_a_delegated_token_reaches_its_own_mailbox_with_its_own_scopes(emulator: Emulator) -> None:
    user = emulator.token(user="orders@sandbox.example")
    assert (await emulator.send(box="orders@sandbox.example", token=user)).status_code == 202
    assert error_code(await emulator.send(token=user)) == (403, "ErrorAccessDenied")
    draft = await emulator.graph("POST", "me/messages", json=mail(), token=user)
    assert error_code(draft) == (403, "ErrorAccessDenied")


async def test_the_doubled_slash_of_the_sdk_is_understood(emulator: Emulator) -> None:
    assert (await emulator.graph("POST", f"/users/{BOX}/sendMail", json={"message": mail()})).status_code == 202
