"""MAIL_MODE, and rules that have changed: what holds is what holds when a mail goes, not when it came in."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
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


def listed(sandbox: Sandbox, code: str) -> list[str]:
    """The mails that wait for this reason."""
    found = sandbox.operator("GET", "?state=accepted").json()["messages"]
    return [mail["id"] for mail in found if mail.get("code") == code]


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
        live.fault(kind="quota", count=2)  # both wait for an hour
        answer = live.send(titled("waited"))
        assert answer.headers["mailroom-state"] == "accepted"
        live.queue(titled("no longer allowed"))
        waiting = eventually(lambda: found if len(found := listed(live, "ErrorQuotaExceeded")) == 2 else None) or []
    waited = answer.headers["location"].rpartition("/")[2]
    callers = json.loads(live.facts["environment"]["MAIL_CALLERS"]) | {"mail-outbox": {"senders": ["a@b.example"]}}
    with host(MAIL_MODE="capture", MAIL_CALLERS=json.dumps(callers)) as capturing:
        before = capturing.requests()
        with capturing.dead(3) as found:
            for mail in waiting:
                assert capturing.operator("POST", f"/{mail}/retry").status_code == 202
            for _ in range(2):
                captured = capturing.send(titled("captured"), Idempotency_Key="one")
                assert (captured.status_code, captured.headers["mailroom-state"]) == (202, "captured")
        by_subject = {json.loads(kept.content)["request"]["message"]["subject"]: kept for kept in found.values()}
        assert {subject: kept.reason for subject, kept in by_subject.items()} == {
            "captured": "captured",
            "waited": "captured",
            "no longer allowed": "ErrorSendAsDenied",
        }
        assert capturing.operator("GET", f"/{waited}").json()["state"] == "captured"
        [failed] = [mail for mail, kept in found.items() if kept.reason == "ErrorSendAsDenied"]
        said = capturing.operator("GET", f"/{failed}").json()
        assert (said["state"], said["status"]) == ("failed", 403)
        assert capturing.requests() == before
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as redirecting:
        for mail in (waited, failed):
            assert redirecting.operator("POST", f"/{mail}/replay").status_code == 202
        reply_to = [{"emailAddress": {"address": "desk@contoso.onmicrosoft.com"}}]
        html = {"contentType": "HTML", "content": "<html><body><p>The new cafeteria is open.</p></body></html>"}
        redirecting.queue(titled("queued"))
        for options in ({"replyTo": reply_to}, {"body": html}):
            assert redirecting.send(titled("direct", **options)).headers["mailroom-state"] == "sent"
        mails = eventually(lambda: found if len(found := redirecting.accepted()) == 5 else None, 40) or []
    for sent in mails:
        check_redirected(sent)
    contents = [sent["message"]["body"]["content"] for sent in mails]
    assert sum("Reply-To: desk@contoso.onmicrosoft.com" in content for content in contents) == 1
    assert sum(content.startswith("<html><body><div style=") for content in contents) == 1
