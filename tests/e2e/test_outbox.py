"""Mail that comes by queue, and mail that has to wait."""

import base64
import json
from typing import Any

import pytest

from tests.e2e.running import EXAMPLE, NOBODY, Sandbox, eventually


def mail(sandbox: Sandbox, subject: str, **properties: Any) -> str:
    return json.dumps(
        {"sender": sandbox.sender, **EXAMPLE, "message": {**EXAMPLE["message"], "subject": subject}, **properties}
    )


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_a_mail_put_into_the_queue_is_sent(sandbox: Sandbox, encoded: bool) -> None:  # noqa: FBT001
    """Every producer's library works with its default encoding."""
    text = mail(sandbox, "by queue")
    sandbox.put("mail-outbox", base64.b64encode(text.encode()).decode() if encoded else text)
    eventually(lambda: sandbox.subjects() == ["by queue"])
    eventually(lambda: sandbox.count("mail-outbox") == 0)


def test_a_key_in_the_queue_names_the_mail(sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.put("mail-outbox", mail(sandbox, "once", key="order-1"))
    sandbox.put("mail-outbox", mail(sandbox, "last"))
    eventually(lambda: "last" in sandbox.subjects())
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sandbox.subjects().count("once") == 1


def test_not_before_waits_in_mail_work(sandbox: Sandbox) -> None:
    sandbox.put("mail-outbox", mail(sandbox, "later", notBefore="2126-01-01T00:00:00Z"))
    before = sandbox.count("mail-work")
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sandbox.count("mail-work") == before + 1 or eventually(lambda: sandbox.count("mail-work") == before + 1)
    assert sandbox.subjects() == []


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "lost"])
def test_what_graph_cannot_take_now_is_accepted_and_waits(sandbox: Sandbox, kind: str) -> None:
    """202, not an error: a client that repeats after a 5xx would send twice."""
    before = sandbox.count("mail-work")
    sandbox.fault(kind=kind, count=1)
    answer = sandbox.send(EXAMPLE)
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    assert sandbox.count("mail-work") == before + 1


def test_a_throttled_mail_is_sent_when_graph_said_to_come_again(sandbox: Sandbox) -> None:
    sandbox.fault(kind="throttle", count=1, retry_after="0.5")
    assert sandbox.send(EXAMPLE).headers["mailroom-state"] == "accepted"
    eventually(lambda: sandbox.subjects() == ["Meet for lunch?"])


def test_respond_async_goes_straight_to_the_outbox(sandbox: Sandbox) -> None:
    answer = sandbox.send(EXAMPLE, Prefer="respond-async")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    assert answer.headers["preference-applied"] == "respond-async"
    eventually(lambda: sandbox.subjects() == ["Meet for lunch?"])


def test_a_large_mail_waits_in_a_blob(sandbox: Sandbox) -> None:
    file = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "a",
        "contentBytes": base64.b64encode(bytes(900_000)).decode(),
    }
    body = {"message": {**EXAMPLE["message"], "attachments": [file]}}
    assert sandbox.send(body, Prefer="respond-async").status_code == 202
    [mail] = eventually(sandbox.accepted)
    assert mail["message"]["attachments"][0]["contentBytes"] == file["contentBytes"]


def test_graphs_refusal_is_the_callers_word_for_word(sandbox: Sandbox) -> None:
    """Mailroom lets this mailbox pass, and Graph knows none of that name."""
    answer = sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ErrorInvalidUser")
    assert answer.headers["mailroom-state"] == "failed"


def test_graphs_refusal_of_a_queued_mail_is_set_aside_with_its_code(sandbox: Sandbox) -> None:
    known = set(sandbox.dead())
    sandbox.put("mail-outbox", mail(sandbox, "to be kept").replace(sandbox.sender, NOBODY))
    aside = eventually(lambda: {mail: kept for mail, kept in sandbox.dead().items() if mail not in known})
    [(metadata, content)] = aside.values()
    assert metadata == {"kind": "mail", "reason": "ErrorInvalidUser"}
    assert b"to be kept" in content


def test_a_repeated_key_sends_once(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert sandbox.send(EXAMPLE, Idempotency_Key="order-2").status_code == 202
    assert len(sandbox.accepted()) == 1


def test_a_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    sandbox.send(EXAMPLE, Idempotency_Key="order-3")
    answer = sandbox.send({"message": {**EXAMPLE["message"], "subject": "another"}}, Idempotency_Key='"order-3"')
    assert answer.status_code == 422
    assert sandbox.subjects() == ["Meet for lunch?"]


def test_client_request_id_names_the_mail_where_no_key_is_given(sandbox: Sandbox) -> None:
    for _ in range(2):
        sandbox.send(EXAMPLE, client_request_id="7b2cd1a3-0000-4000-8000-000000000002")
    assert len(sandbox.accepted()) == 1
