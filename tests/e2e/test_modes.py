"""MAIL_MODE, and rules that have changed: what holds is what holds when a mail goes, not when it came in."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.azurite import azurite
from tests.e2e.running import UNPACED, Sandbox, beside, eventually, titled

CATCHER = "catcher@elsewhere.example"
FANNY, DANA = "fannyd@contoso.onmicrosoft.com", "danas@contoso.onmicrosoft.com"  # of the example
Host = Callable[..., AbstractContextManager[Sandbox]]


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """Starts further hosts, one after another, on storage of their own and with settings of their own."""
    with azurite() as (storage, _):
        yield partial(beside, sandbox, **UNPACED, AzureWebJobsStorage=storage)


def addresses(mail: dict[str, Any]) -> dict[str, list[str]]:
    names = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
    message = mail["message"]
    return {name: [one["emailAddress"]["address"] for one in message[name]] for name in names if message.get(name)}


def said(sandbox: Sandbox, location: str) -> Any:
    """What an operator is told of a mail: a producer of another host's mail is not known."""
    return sandbox.operator("GET", f"/{location.rpartition('/')[2]}").json()


def check_redirected(mail: dict[str, Any]) -> None:
    assert addresses(mail) == {"toRecipients": [CATCHER]}
    headers = {one["name"]: one["value"] for one in mail["message"]["internetMessageHeaders"]}
    assert headers["x-mailroom-original-recipients"] == f"to={FANNY} cc={DANA}"
    assert "x-mailroom-id" in headers
    banner, found, _ = mail["message"]["body"]["content"].partition("The new cafeteria is open.")
    assert found
    assert f"To: {FANNY}" in banner
    assert f"Cc: {DANA}" in banner


def test_a_mode_and_a_rule_hold_for_mail_that_was_waiting_and_what_they_stopped_can_be_put_back(host: Host) -> None:
    """Allowed as it came in; then captured, or failed where its caller may send no longer; redirected in the end."""
    with host() as live:
        soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
        answer = live.send(titled("waited"), Mailroom_Not_Before=soon)
        assert answer.headers["mailroom-state"] == "scheduled"
        live.queue(titled("no longer allowed"), notBefore=soon)
        eventually(lambda: live.count("mail-work") == 2)
    waited = answer.headers["location"]
    callers = json.loads(live.facts["environment"]["MAIL_CALLERS"]) | {"mail-outbox": {"senders": ["a@b.example"]}}
    with host(MAIL_MODE="capture", MAIL_CALLERS=json.dumps(callers)) as capturing:
        with capturing.dead(3) as found:
            for _ in range(2):
                captured = capturing.send(titled("captured"), Idempotency_Key="one")
                assert (captured.status_code, captured.headers["mailroom-state"]) == (202, "captured")
        by_subject = {json.loads(kept.content)["request"]["message"]["subject"]: kept for kept in found.values()}
        assert {subject: kept.reason for subject, kept in by_subject.items()} == {
            "captured": "captured",
            "waited": "captured",
            "no longer allowed": "ErrorSendAsDenied",
        }
        assert said(capturing, waited)["state"] == "captured"
        [failed] = [mail for mail, kept in found.items() if kept.reason == "ErrorSendAsDenied"]
        assert (said(capturing, failed)["state"], said(capturing, failed)["status"]) == ("failed", 403)
        assert capturing.requests() == 0
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as redirecting:
        for mail in (waited, failed):
            assert redirecting.operator("POST", f"/{mail.rpartition('/')[2]}/replay").status_code == 202
        eventually(lambda: len(redirecting.accepted()) == 2, 40)
        for accepted in redirecting.accepted():
            check_redirected(accepted)


def test_redirected_mail_reaches_the_operators_address_alone_and_says_whom_it_was_for(host: Host) -> None:
    reply_to = [{"emailAddress": {"address": "desk@contoso.onmicrosoft.com"}}]
    html = {"contentType": "HTML", "content": "<html><body><p>The new cafeteria is open.</p></body></html>"}
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as sandbox:
        assert sandbox.send(titled("direct", replyTo=reply_to)).headers["mailroom-state"] == "sent"
        assert sandbox.send(titled("markup", body=html)).headers["mailroom-state"] == "sent"
        sandbox.queue(titled("queued"))
        sandbox.arrives("queued")
        mails = sandbox.accepted()
    assert len(mails) == 3
    for mail in mails:
        check_redirected(mail)
    plain, markup, _ = (mail["message"]["body"]["content"] for mail in mails)
    assert "Reply-To: desk@contoso.onmicrosoft.com" in plain
    assert markup.startswith("<html><body><div style=")
