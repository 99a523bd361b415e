"""A caller sends as the mailboxes it was given, and as no other."""

import copy
from typing import Any

import pytest

from tests.e2e.running import EXAMPLE, Sandbox, eventually, titled

OTHER = "ceo@sandbox.example"


def as_sender(**properties: str) -> dict[str, Any]:
    body = copy.deepcopy(EXAMPLE)
    for name, address in properties.items():
        body["message"][name.removesuffix("_")] = {"emailAddress": {"address": address}}
    return body


def test_not_by_path(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, path=f"users/{OTHER}/sendMail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    assert sandbox.requests() == 0


def test_nor_is_a_body_read_of_whoever_may_not_send(sandbox: Sandbox) -> None:
    """What is wrong with it is nobody's business then, and what it costs to read nobody can cause."""
    for token, path in (
        (None, f"users/{OTHER}/sendMail"),
        (sandbox.mint(claims={"azp": "7b1e5c2a-0f7d-4c55-9d7e-5a0d0c10c002"}), None),
        (sandbox.delegated(), None),
    ):
        assert sandbox.send(b"{", token=token, path=path).status_code == 403
    assert sandbox.send(b"{").status_code == 400


@pytest.mark.parametrize("name", ["from_", "sender"])
def test_not_by_from_or_sender(sandbox: Sandbox, name: str) -> None:
    answer = sandbox.send(as_sender(**{name: OTHER}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    assert f"$.message.{name.removesuffix('_')}" in answer.json()["error"]["message"]
    assert sandbox.requests() == 0


@pytest.mark.parametrize(
    "path",
    [
        "..%2Fmailroom@sandbox.example",
        "mailroom@sandbox.example%2F..%2Fceo",
        "x%2FsendMail%3Fx%3D@sandbox.example",
        "%00",
        "mailroom%40%EF%BD%93andbox.example",
        "mailroom@sandbox.example.",
        "*",
    ],
)
def test_not_by_a_path_that_is_no_mailbox(sandbox: Sandbox, path: str) -> None:
    assert sandbox.send(EXAMPLE, path=f"users/{path}/sendMail").status_code in (400, 403, 404)
    assert sandbox.requests() == 0


def test_the_mailbox_itself_may_be_named_in_any_case(sandbox: Sandbox) -> None:
    assert (
        sandbox.send(
            as_sender(from_=sandbox.sender.upper()), path=f"users/{sandbox.sender.title()}/sendMail"
        ).status_code
        == 202
    )


def test_a_producer_may_not_either(sandbox: Sandbox) -> None:
    """The permission to put messages is not the permission to send as anyone."""
    import json

    known = set(sandbox.dead())
    sandbox.put("mail-outbox", json.dumps({"sender": OTHER, **EXAMPLE}))
    aside = eventually(lambda: {mail: kept for mail, kept in sandbox.dead().items() if mail not in known})
    [(metadata, _)] = aside.values()
    assert metadata["reason"] == "ErrorSendAsDenied"
    assert sandbox.requests() == 0


def test_a_pool_sends_from_its_mailboxes(sandbox: Sandbox) -> None:
    for number in range(20):
        assert sandbox.send(titled(f"pool {number}"), path="users/team/sendMail").status_code == 202
    assert {mail["mailbox"] for mail in sandbox.accepted()} == {sandbox.sender, "alerts@sandbox.example"}


def test_a_mail_of_a_pool_that_may_have_gone_is_looked_for_where_it_was_sent_from(sandbox: Sandbox) -> None:
    sandbox.fault(kind="lost", count=1)
    answer = sandbox.send(titled("pool, lost"), path="users/team/sendMail")
    assert answer.headers["mailroom-state"] == "accepted"
    eventually(lambda: sandbox.message(answer).json()["state"] == "sent", 60)
    assert sandbox.subjects().count("pool, lost") == 1


@pytest.mark.parametrize(
    ("name", "property_id"),
    [
        ("singleValueExtendedProperties", "String 0x0042"),
        ("singleValueExtendedProperties", "string 0X0C1f"),
        ("singleValueExtendedProperties", "Boolean 0x0E01"),
        ("singleValueExtendedProperties", "String {00020386-0000-0000-C000-000000000046} Name From"),
        ("multiValueExtendedProperties", "StringArray 0x0065"),
    ],
)
def test_not_by_an_extended_property(sandbox: Sandbox, name: str, property_id: str) -> None:
    """What says whom a mail is from, or what becomes of it, stands in properties too."""
    value: Any = ["x"] if name.startswith("multi") else "x"
    answer = sandbox.send(titled("never", **{name: [{"id": property_id, "value": value}]}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert f"$.message.{name}[0].id" in answer.json()["error"]["message"]
    assert sandbox.requests() == 0


def test_deferred_send_passes(sandbox: Sandbox) -> None:
    properties = [{"id": "SystemTime 0x3FEF", "value": "2026-07-01T08:00:00Z"}]
    assert sandbox.send(titled("deferred", singleValueExtendedProperties=properties)).status_code == 202
    [mail] = sandbox.accepted()
    assert properties[0] in mail["message"]["singleValueExtendedProperties"]
