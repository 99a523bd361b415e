"""MAIL_MODE on hosts of their own. That rules hold as they are when a mail goes: tests/policy/test_pre_send.py."""

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


def check_redirected(mail: dict[str, Any]) -> None:
    assert addresses(mail) == {"toRecipients": [CATCHER]}
    headers = {one["name"]: one["value"] for one in mail["message"]["internetMessageHeaders"]}
    assert headers["x-mailroom-original-recipients"] == f"to={FANNY} cc={DANA}"
    assert "x-mailroom-id" in headers
    banner, found, _ = mail["message"]["body"]["content"].partition("The new cafeteria is open.")
    assert found
    assert f"To: {FANNY}" in banner
    assert f"Cc: {DANA}" in banner


def test_what_capture_has_stopped_can_be_put_back_and_goes_under_the_mode_of_then(host: Host) -> None:
    """Whether it came by request or by queue. Captured mails reach nobody, redirected ones one address alone."""
    with host(MAIL_MODE="capture") as capturing:
        with capturing.dead(2) as found:
            capturing.queue(titled("queued"))
            for _ in range(2):
                captured = capturing.send(titled("direct"), Idempotency_Key="one")
                assert (captured.status_code, captured.headers["mailroom-state"]) == (202, "captured")
        assert {kept.reason for kept in found.values()} == {"captured"}
        assert capturing.requests() == 0
    with host(MAIL_MODE="redirect", MAIL_REDIRECT_TO=CATCHER) as redirecting:
        for mail in found:
            assert redirecting.operator("POST", f"/{mail}/replay").status_code == 202
        reply_to = [{"emailAddress": {"address": "desk@contoso.onmicrosoft.com"}}]
        html = {"contentType": "HTML", "content": "<html><body><p>The new cafeteria is open.</p></body></html>"}
        for options in ({"replyTo": reply_to}, {"body": html}):
            assert redirecting.send(titled("direct", **options)).headers["mailroom-state"] == "sent"
        mails = eventually(lambda: there if len(there := redirecting.accepted()) == 4 else [], 40)
    for sent in mails:
        check_redirected(sent)
    contents = [sent["message"]["body"]["content"] for sent in mails]
    assert sum("Reply-To: desk@contoso.onmicrosoft.com" in content for content in contents) == 1
    assert sum(content.startswith("<html><body><div style=") for content in contents) == 1
