"""MAIL_MODE, and rules that have changed: what holds is what holds when a mail goes, not when it came in."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.azurite import azurite
from tests.e2e.running import Sandbox, eventually, running, titled

CATCHER = "catcher@elsewhere.example"
FANNY, DANA = "fannyd@contoso.onmicrosoft.com", "danas@contoso.onmicrosoft.com"  # of the example
Host = Callable[..., AbstractContextManager[Sandbox]]


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """Starts further hosts, one after another, on storage of their own and with settings of their own."""
    with azurite() as (storage, _):
        base = sandbox.facts["environment"] | {"AzureWebJobsStorage": storage, "MAIL_RATE_PER_MINUTE": "100000"}

        @contextmanager
        def start(**settings: str) -> Iterator[Sandbox]:
            with running("--only", "host", **(base | settings)) as other:
                own = {name: other.facts[name] for name in ("host", "storage", "keys")}
                yield Sandbox(sandbox.facts | own, other.http)

        yield start


def addresses(mail: dict[str, Any]) -> dict[str, list[str]]:
    names = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
    return {
        name: [one["emailAddress"]["address"] for one in mail["message"][name]]
        for name in names
        if mail["message"].get(name)
    }


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def state(sandbox: Sandbox, location: str) -> Any:
    """Of a mail, as an operator sees it: a producer of another host's mail is not known."""
    return sandbox.operator("GET", f"/{location.rsplit('/', 1)[1]}").json()["state"]


def test_redirected_mail_reaches_the_operators_address_alone_and_says_whom_it_was_for(host: Host) -> None:
    reply_to = [{"emailAddress": {"address": "desk@contoso.onmicrosoft.com"}}]
    html = {"contentType": "HTML", "content": "<html><body><p>The new cafeteria is open.</p></body></html>"}
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as sandbox:
        assert sandbox.send(titled("direct", replyTo=reply_to)).headers["mailroom-state"] == "sent"
        assert sandbox.send(titled("markup", body=html)).headers["mailroom-state"] == "sent"
        sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled("queued")}))
        sandbox.arrives("queued")
        mails = sandbox.accepted()
    assert [addresses(mail) for mail in mails] == [{"toRecipients": [CATCHER]}] * 3
    for mail in mails:
        headers = {one["name"]: one["value"] for one in mail["message"]["internetMessageHeaders"]}
        assert headers["x-mailroom-original-recipients"] == f"to={FANNY} cc={DANA}"
        assert "x-mailroom-id" in headers
        banner, found, _ = mail["message"]["body"]["content"].partition("The new cafeteria is open.")
        assert found
        assert f"To: {FANNY}" in banner
        assert f"Cc: {DANA}" in banner
    plain, markup, _ = (mail["message"]["body"]["content"] for mail in mails)
    assert "Reply-To: desk@contoso.onmicrosoft.com" in plain
    assert markup.startswith("<html><body><div style=")


def test_captured_mail_is_recorded_and_told_and_not_sent(host: Host) -> None:
    with host(MAIL_MODE="capture") as sandbox:
        answer = sandbox.send(titled("captured"), Idempotency_Key="one")
        assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "captured")
        again = sandbox.send(titled("captured"), Idempotency_Key="one")
        assert (again.status_code, again.headers["mailroom-state"]) == (202, "captured")
        assert sandbox.message(answer).json()["state"] == "captured"
        sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled("queued")}))
        eventually(lambda: len(sandbox.dead()) == 2)
        kept = sandbox.dead()
        assert {metadata["reason"] for metadata, _ in kept.values()} == {"captured"}
        contents = [json.loads(content)["mail"]["message"] for _, content in kept.values()]
        assert {message["subject"] for message in contents} == {"captured", "queued"}
        listed = eventually(lambda: sandbox.operator("GET", "?state=captured").json()["messages"])
        assert len(listed) in (1, 2)
        assert sandbox.requests() == 0


def test_a_mode_holds_for_mail_that_was_waiting_and_what_was_captured_can_be_put_back(host: Host) -> None:
    with host() as live:
        answer = live.send(titled("waited"), Mailroom_Not_Before=in_seconds(5))
        assert answer.headers["mailroom-state"] == "scheduled"
    location = answer.headers["location"]
    with host(MAIL_MODE="capture") as capturing:
        eventually(lambda: state(capturing, location) == "captured", 40)
        assert capturing.requests() == 0
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as redirecting:
        mail = location.rsplit("/", 1)[1]
        assert redirecting.operator("POST", f"/{mail}/replay").status_code == 202
        eventually(lambda: state(redirecting, location) == "sent", 40)
        assert [addresses(mail) for mail in redirecting.accepted()] == [{"toRecipients": [CATCHER]}]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"MAIL_ALLOWED_RECIPIENTS": "*@elsewhere.example"}, "ErrorAccessDenied", marks=pytest.mark.proof),
        pytest.param({"MAIL_ALLOWED_SENDERS": "other@sandbox.example"}, "ErrorSendAsDenied", marks=pytest.mark.proof),
        ({"MAIL_CALLERS": "{}"}, "ErrorAccessDenied"),  # the others' rules are in tests/policy
    ],
    ids=["recipients", "senders", "callers"],
)
def test_waiting_mail_that_a_rule_allows_no_longer_fails_is_kept_and_can_be_put_back(
    host: Host, settings: dict[str, str], code: str
) -> None:
    with host() as before:
        answer = before.send(titled("allowed once"), Mailroom_Not_Before=in_seconds(5))
        assert answer.headers["mailroom-state"] == "scheduled"
    location = answer.headers["location"]
    mail = location.rsplit("/", 1)[1]
    with host(**settings) as after:
        eventually(lambda: state(after, location) == "failed", 40)
        said = after.operator("GET", f"/{mail}").json()
        assert (said["status"], said["code"]) == (403, code)
        assert after.dead()[mail][0]["reason"] == code
        assert after.requests() == 0
    with host() as again:
        assert again.operator("POST", f"/{mail}/replay").status_code == 202
        eventually(lambda: state(again, location) == "sent", 40)
        assert again.subjects() == ["allowed once"]
