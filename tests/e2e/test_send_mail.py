"""sendMail over HTTP: what is sent as Graph would send it, and what is refused before anything is read or sent.

Each refusal has its table in the tests of its module: tests/auth, tests/policy, tests/mail, tests/mime. Here stands one
of each kind, on its way through the host.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.e2e.running import EXAMPLE, Sandbox, eventually, titled

ALERTS = "alerts@sandbox.example"  # the application may send as this mailbox
STRANGE = "ceo@sandbox.example"  # and not as this one
OTHER_ID = "99999999-0000-4000-8000-000000000009"


def test_microsofts_example_is_sent_as_it_stands_by_each_path(sandbox: Sandbox) -> None:
    """With a user's token as /me, with an application's as a user; without a copy, as the example asks for it."""
    for path, token in (("me/sendMail", sandbox.delegated()), (None, sandbox.token())):
        answer = sandbox.send(EXAMPLE, token=token, path=path)
        assert (answer.status_code, answer.content, answer.headers["mailroom-state"]) == (202, b"", "sent")
    for mail in sandbox.accepted():
        message = mail["message"]
        assert (message["subject"], mail["saveToSentItems"], mail["mailbox"]) == (
            "Meet for lunch?",
            False,
            sandbox.sender,
        )
        assert [to["emailAddress"]["address"] for to in message["toRecipients"]] == ["fannyd@contoso.onmicrosoft.com"]
        assert [cc["emailAddress"]["address"] for cc in message["ccRecipients"]] == ["danas@contoso.onmicrosoft.com"]
    assert len(sandbox.accepted()) == 2
    assert sandbox.sent_items() == []


def test_older_sdks_call_the_same_action_by_its_qualified_name(sandbox: Sandbox) -> None:
    """In any case. A key names the same mail under every name of the action."""
    answer = sandbox.send(EXAMPLE, path=f"users/{sandbox.sender}/microsoft.graph.SendMail", Idempotency_Key="named")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "sent")
    assert sandbox.send(EXAMPLE, Idempotency_Key="named").headers["location"] == answer.headers["location"]
    assert sandbox.send(EXAMPLE, token=sandbox.delegated(), path="me/microsoft.graph.sendMail").status_code == 202
    assert sandbox.subjects() == ["Meet for lunch?"] * 2


@pytest.mark.parametrize("path", ["users('{sender}')/sendMail", "users/{sender}/sendMail()", "$batch"])
def test_spellings_that_no_client_of_sendmail_uses_are_not_found(sandbox: Sandbox, path: str) -> None:
    assert sandbox.send(EXAMPLE, path=path.format(sender=sandbox.sender)).status_code == 404


def test_the_copy_in_sent_items_is_found_by_its_marker(sandbox: Sandbox) -> None:
    answer = sandbox.send({"message": EXAMPLE["message"]}, client_request_id="7b2cd1a3-0000-4000-8000-000000000001")
    [mail] = sandbox.accepted()
    [marker] = mail["message"]["singleValueExtendedProperties"]
    match = f"singleValueExtendedProperties/Any(ep: ep/id eq '{marker['id']}' and ep/value eq '{marker['value']}')"
    assert [copy["subject"] for copy in sandbox.sent_items(**{"$filter": match})] == ["Meet for lunch?"]
    headers = {header["name"]: header["value"] for header in mail["message"]["internetMessageHeaders"]}
    assert headers == {"x-mailroom-id": marker["value"]}
    assert answer.headers["client-request-id"] == "7b2cd1a3-0000-4000-8000-000000000001"
    assert answer.headers["request-id"] == mail["requestId"]


def test_an_application_has_no_me(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, path="me/sendMail")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "/me request is only valid with delegated authentication flow."
    assert sandbox.requests() == 0


@pytest.mark.parametrize("path", ["v1.0/users/{sender}/sendMail", "v1.0/me/sendMail", "events/alertmanager"])
def test_a_body_in_chunks_is_411_before_its_token_is_verified(sandbox: Sandbox, path: str) -> None:
    """The platform does not hand such a body on; the same connection serves the next request."""
    url = f"{sandbox.facts['host']}/api/{path.format(sender=sandbox.sender)}"
    answer = sandbox.http.post(url, content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.request.headers["transfer-encoding"]) == (411, "chunked")
    assert "Content-Length" in answer.text
    assert sandbox.send(EXAMPLE).status_code == 202


def with_message(**properties: Any) -> dict[str, Any]:
    return {"message": {**EXAMPLE["message"], **properties}}


TO = {"emailAddress": {"address": "a@contoso.com\r\nBcc: b@contoso.com"}}
MALFORMED: dict[str, tuple[Any, int, str]] = {
    "cut short": (b'{"message": {', 400, "$"),
    "an address with a line break": (
        with_message(toRecipients=[TO]),
        400,
        "$.message.toRecipients[0].emailAddress.address",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_body_is_refused_with_its_place(sandbox: Sandbox, name: str) -> None:
    """The same in the queue is set aside as it came: the queue goes on, and nothing is tried again."""
    body, status, path = MALFORMED[name]
    answer = sandbox.send(body)
    assert (answer.status_code, set(answer.json()["error"])) == (status, {"code", "message", "innerError"})
    assert path in answer.json()["error"]["message"]
    text = body.decode() if isinstance(body, bytes) else json.dumps({"sender": sandbox.sender, **body})
    with sandbox.dead() as found:
        sandbox.put("mail-outbox", text)
    [kept] = found.values()
    assert (kept.kind, kept.content) == ("message", text.encode())
    assert kept.reason
    assert sandbox.requests() == 0


def test_too_large_a_body_another_type_and_a_key_that_names_nothing_are_refused(sandbox: Sandbox) -> None:
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "QUJD" * 1_700_000}
    large = sandbox.send(with_message(attachments=[file]))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "RequestEntityTooLarge")
    for setting in ("MAIL_LARGE_ATTACHMENTS", "Mail.ReadWrite"):
        assert setting in large.json()["error"]["message"]
    assert sandbox.send(EXAMPLE, Content_Type="text/html").status_code == 415
    for key in ("", "a" * 257):
        assert sandbox.send(EXAMPLE, Idempotency_Key=key).status_code == 400
    assert sandbox.requests() == 0


def unsigned(sandbox: Sandbox) -> str:
    """`alg: none`."""
    claims = jwt.decode(sandbox.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none")


def tampered(sandbox: Sandbox) -> str:
    head, claims, signature = sandbox.token().split(".")
    other = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"azp": OTHER_ID}
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(other).encode()).decode().rstrip("="), signature])


UNAUTHENTICATED: dict[str, Callable[[Sandbox], str]] = {
    "none": lambda _: "",
    "expired": lambda sandbox: sandbox.mint(lifetime=-3600),
    "for Graph": lambda sandbox: sandbox.token(scope="https://graph.microsoft.com/.default"),
    "alg none": unsigned,
    "tampered": tampered,
}


@pytest.mark.parametrize("name", UNAUTHENTICATED)
def test_a_token_that_proves_nothing_is_401_and_nothing_is_sent(sandbox: Sandbox, name: str) -> None:
    answer = sandbox.send(EXAMPLE, token=UNAUTHENTICATED[name](sandbox))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert sandbox.requests() == 0


def test_a_caller_without_the_role_and_one_that_nobody_named_are_403_before_the_body_is_read(sandbox: Sandbox) -> None:
    """What is wrong with the body is nobody's business then, and nobody can cause what it costs to read it."""
    for token, path in (
        (sandbox.mint(claims={"roles": ["Mail.Read"]}), None),
        (sandbox.mint(claims={"azp": OTHER_ID}), None),
        (None, f"users/{STRANGE}/sendMail"),
        (sandbox.delegated(), None),
    ):
        answer = sandbox.send(b"{", token=token, path=path)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] in ("ErrorAccessDenied", "ErrorSendAsDenied")
    assert sandbox.send(b"{").status_code == 400
    assert sandbox.requests() == 0


def test_a_caller_sends_as_no_mailbox_but_its_own_by_whatever_name(sandbox: Sandbox) -> None:
    """Neither over HTTP nor by the queue: the permission to put messages is not the permission to send as anyone."""
    for path in ("..%2Fmailroom@sandbox.example", "x%2FsendMail%3Fx%3D@sandbox.example", f"{sandbox.sender}.", "*"):
        assert sandbox.send(EXAMPLE, path=f"users/{path}/sendMail").status_code in (400, 403, 404)
    for name in ("from", "sender"):
        answer = sandbox.send(with_message(**{name: {"emailAddress": {"address": STRANGE}}}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
        assert f"$.message.{name}" in answer.json()["error"]["message"]
    known = {"id": "String 0x0042", "value": "x"}
    answer = sandbox.send(with_message(singleValueExtendedProperties=[known]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert "$.message.singleValueExtendedProperties[0].id" in answer.json()["error"]["message"]
    with sandbox.dead() as found:
        sandbox.queue(EXAMPLE, sender=STRANGE)
    assert [kept.reason for kept in found.values()] == ["ErrorSendAsDenied"]
    assert sandbox.requests() == 0


def test_a_mailbox_may_be_named_in_any_case_and_send_is_deferred_by_its_property(sandbox: Sandbox) -> None:
    deferred = {"id": "SystemTime 0x3FEF", "value": "2026-07-01T08:00:00Z"}
    own = {"emailAddress": {"address": sandbox.sender.upper()}}
    body = with_message(**{"from": own, "singleValueExtendedProperties": [deferred]})
    assert sandbox.send(body, path=f"users/{sandbox.sender.title()}/sendMail").status_code == 202
    [mail] = sandbox.accepted()
    assert deferred in mail["message"]["singleValueExtendedProperties"]


def test_a_pool_sends_from_its_mailboxes_and_a_mail_is_searched_for_where_it_was_sent_from(sandbox: Sandbox) -> None:
    for number in range(20):
        assert sandbox.send(titled(f"pool {number}"), path="users/team/sendMail").status_code == 202
    assert {mail["mailbox"] for mail in sandbox.accepted()} == {sandbox.sender, ALERTS}
    sandbox.fault(kind="lost", count=1)
    answer = sandbox.send(titled("pool, lost"), path="users/team/sendMail")
    assert answer.headers["mailroom-state"] == "accepted"
    sandbox.ends(answer)
    assert sandbox.subjects().count("pool, lost") == 1


THREAD = ("String 0x1042", "String 0x1039", "String 0x0070", "Binary 0x0071", "Boolean 0x3016")


def thread_of(mail: dict[str, Any]) -> dict[str, str]:
    """What puts a mail into a conversation. Of the index its header, in base64 that is 29 characters."""
    properties = mail["message"].get("singleValueExtendedProperties", [])
    return {
        one["id"]: one["value"][:29] if one["id"] == "Binary 0x0071" else one["value"]
        for one in properties
        if one["id"] in THREAD
    }


def test_mails_of_a_thread_are_one_conversation_in_each_scope(sandbox: Sandbox) -> None:
    """Two over HTTP and two over the queue: two conversations, since scopes never mix."""
    for subject in ("[Firing] Disk full", "[Resolved] Disk full"):
        assert sandbox.send(titled(subject), Mailroom_Thread="incident 7").status_code == 202
        sandbox.queue(titled(subject), thread="incident 7")
    assert sandbox.send(titled("Disk full"), Mailroom_Thread="incident 8").status_code == 202
    sandbox.send(titled("plain"))
    mails = eventually(lambda: found if len(found := sandbox.accepted()) == 6 else None) or []
    found = [thread_of(mail) for mail in mails]
    assert found.count({}) == 1
    threads = [one for one in found if one]
    assert all(one.keys() == set(THREAD) and one["String 0x0070"] == "Disk full" for one in threads)
    assert sorted(threads.count(one) for one in threads) == [1, 2, 2, 2, 2]
    refused = sandbox.send(titled("never"), Mailroom_Thread="x" * 257)
    assert (refused.status_code, "Mailroom-Thread" in refused.json()["error"]["message"]) == (400, True)
