"""sendMail over HTTP: what is sent as Graph would send it, and what is refused before anything is read or sent.

Each refusal has its table in the tests of its module: functions, auth, policy, mail, mime.
Each status comes about in test_openapi.py. Here stand those that cross several of them.
"""

import json
from typing import Any

from tests.e2e.running import EXAMPLE, Sandbox, eventually, titled

STRANGE = "ceo@sandbox.example"  # the application may not send as this mailbox
ALERTS = "alerts@sandbox.example"


def test_microsofts_example_is_sent_as_it_stands_by_each_path(sandbox: Sandbox) -> None:
    """With a user's token as /me, with an application's as a user; without a copy, as the example asks for it."""
    for path, token in (("me/sendMail", sandbox.delegated()), (None, sandbox.token())):
        answer = sandbox.send(EXAMPLE, token=token, path=path)
        assert (answer.status_code, answer.content, answer.headers["mailroom-state"]) == (202, b"", "sent")
    for mail in sandbox.accepted():
        assert (mail["saveToSentItems"], mail["mailbox"]) == (False, sandbox.sender)
        message = mail["message"]
        assert message["subject"] == "Meet for lunch?"
        assert [to["emailAddress"]["address"] for to in message["toRecipients"]] == ["fannyd@contoso.onmicrosoft.com"]
        assert [cc["emailAddress"]["address"] for cc in message["ccRecipients"]] == ["danas@contoso.onmicrosoft.com"]
    assert len(sandbox.accepted()) == 2
    assert sandbox.sent_items() == []


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


def with_message(**properties: Any) -> dict[str, Any]:
    return {"message": {**EXAMPLE["message"], **properties}}


def test_a_malformed_body_is_refused_with_its_place(sandbox: Sandbox) -> None:
    """The same in the queue is set aside as it came: the queue goes on, and nothing is tried again."""
    body = with_message(toRecipients=[{"emailAddress": {"address": "a@contoso.com\r\nBcc: b@contoso.com"}}])
    answer = sandbox.send(body)
    assert (answer.status_code, set(answer.json()["error"])) == (400, {"code", "message", "innerError"})
    assert "$.message.toRecipients[0].emailAddress.address" in answer.json()["error"]["message"]
    text = json.dumps({"sender": sandbox.sender, **body})
    with sandbox.dead() as found:
        sandbox.put("mail-outbox", text)
    [kept] = found.values()
    assert (kept.kind, kept.content) == ("message", text.encode())
    assert kept.reason
    assert sandbox.requests() == 0


def test_a_token_that_proves_nothing_is_401_and_nothing_is_sent(sandbox: Sandbox) -> None:
    expired, for_graph = sandbox.mint(lifetime=-3600), sandbox.token(scope="https://graph.microsoft.com/.default")
    for token in ("", expired, for_graph):
        answer = sandbox.send(EXAMPLE, token=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert sandbox.requests() == 0


def test_a_caller_sends_as_no_mailbox_but_its_own_by_whatever_name(sandbox: Sandbox) -> None:
    """Neither over HTTP nor by the queue: the permission to put messages is not the permission to send as anyone."""
    for path in ("..%2Fmailroom@sandbox.example", "x%2FsendMail%3Fx%3D@sandbox.example", f"{sandbox.sender}.", "*"):
        assert sandbox.send(EXAMPLE, path=f"users/{path}/sendMail").status_code in (400, 403, 404)
    for name in ("from", "sender"):
        answer = sandbox.send(with_message(**{name: {"emailAddress": {"address": STRANGE}}}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
        assert f"$.message.{name}" in answer.json()["error"]["message"]
    with sandbox.dead() as found:
        sandbox.queue(EXAMPLE, sender=STRANGE)
    assert [kept.reason for kept in found.values()] == ["ErrorSendAsDenied"]
    assert sandbox.requests() == 0


def test_a_pool_sends_from_its_mailboxes_and_a_mail_is_searched_for_where_it_was_sent_from(sandbox: Sandbox) -> None:
    for number in range(6):
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
    properties = {one["id"]: one["value"] for one in mail["message"].get("singleValueExtendedProperties", [])}
    return {name: properties[name][:29] for name in THREAD if name in properties}


def test_mails_of_a_thread_are_one_conversation_in_each_scope(sandbox: Sandbox) -> None:
    """Two over HTTP and two over the queue: two conversations, since scopes never mix."""
    for subject in ("[Firing] Disk full", "[Resolved] Disk full"):
        assert sandbox.send(titled(subject), Mailroom_Thread="incident 7").status_code == 202
        sandbox.queue(titled(subject), thread="incident 7")
    sandbox.send(titled("plain"))
    mails = eventually(lambda: there if len(there := sandbox.accepted()) == 5 else [])
    found = [thread_of(mail) for mail in mails]
    assert found.count({}) == 1
    threads = [one for one in found if one]
    assert all(one.keys() == set(THREAD) and one["String 0x0070"] == "Disk full" for one in threads)
    assert [threads.count(one) for one in threads] == [2, 2, 2, 2]
