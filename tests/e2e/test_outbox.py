"""Mail that comes by queue, and mail that has to wait."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.running import EXAMPLE, NOBODY, Sandbox, eventually, titled


def mail(sandbox: Sandbox, subject: str, **properties: Any) -> str:
    return json.dumps({"sender": sandbox.sender, **titled(subject), **properties})


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_a_mail_put_into_the_queue_is_sent(sandbox: Sandbox, *, encoded: bool) -> None:
    """Every producer's library works with its default encoding."""
    text = mail(sandbox, "by queue")
    sandbox.put("mail-outbox", base64.b64encode(text.encode()).decode() if encoded else text)
    sandbox.arrives("by queue")
    eventually(lambda: sandbox.count("mail-outbox") == 0)


def test_an_array_in_the_queue_is_a_mail_for_each_of_its_elements(sandbox: Sandbox) -> None:
    """What is refused among them is kept alone, as it was written; the others go."""
    known = set(sandbox.dead())
    wrong = mail(sandbox, "not to be sent", colour="red")
    sandbox.put(
        "mail-outbox",
        "[" + ", ".join([mail(sandbox, "first of three"), wrong, json.dumps(mail(sandbox, "last of three"))]) + "]",
    )
    sandbox.arrives("first of three")
    sandbox.arrives("last of three")
    [kept] = eventually(lambda: set(sandbox.dead()) - known)
    metadata, content = sandbox.dead()[kept]
    assert (metadata["queue"], content) == ("mail-outbox", wrong.encode())
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sandbox.subjects().count("first of three") == 1


def test_a_key_in_the_queue_names_the_mail(sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.put("mail-outbox", mail(sandbox, "once", key="order-1"))
    sandbox.put("mail-outbox", mail(sandbox, "last"))
    sandbox.arrives("last")
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sandbox.subjects().count("once") == 1


def test_not_before_waits_in_mail_work(sandbox: Sandbox) -> None:
    before = sandbox.count("mail-work")
    sandbox.put(
        "mail-outbox", mail(sandbox, "in ten months", notBefore=(datetime.now(UTC) + timedelta(days=300)).isoformat())
    )
    eventually(lambda: sandbox.count("mail-work") == before + 1)
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert "in ten months" not in sandbox.subjects()


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "lost", "gateway_timeout", "redirect", "ok200", "html502"])
def test_what_graph_cannot_take_now_is_accepted_and_sent_once(sandbox: Sandbox, kind: str) -> None:
    """202, not an error: a client that repeats after a 5xx would send twice.

    And what Graph took although its answer was another one, or was lost, is found in the mailbox and not sent again.
    """
    sandbox.fault(kind=kind, count=1)
    answer = sandbox.send(titled(kind))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    eventually(lambda: sandbox.message(answer).json()["state"] == "sent", 60)
    assert sandbox.subjects().count(kind) == 1


def test_a_mail_without_a_copy_that_may_have_gone_says_so_when_it_is_sent_again(sandbox: Sandbox) -> None:
    """With saveToSentItems false the mailbox cannot be asked, and the default policy sends once more."""
    sandbox.fault(kind="lost", count=1)
    answer = sandbox.send({**titled("without a copy"), "saveToSentItems": False})
    found = eventually(lambda: (said := sandbox.message(answer).json())["state"] == "sent" and said, 60)
    assert found["mayHaveGoneTwice"]
    assert sandbox.subjects().count("without a copy") == 2


def test_respond_async_goes_straight_to_the_outbox(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("respond-async"), Prefer="respond-async")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    assert answer.headers["preference-applied"] == "respond-async"
    sandbox.arrives("respond-async")


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
    assert (metadata["kind"], metadata["reason"]) == ("mail", "ErrorInvalidUser")
    assert b"to be kept" in content


def test_a_repeated_key_sends_once(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert sandbox.send(titled("key"), Idempotency_Key="order-2").status_code == 202
    assert sandbox.subjects().count("key") == 1


def test_a_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    sandbox.send(titled("first"), Idempotency_Key="order-3")
    answer = sandbox.send(titled("another"), Idempotency_Key='"order-3"')
    assert answer.status_code == 422
    assert "another" not in sandbox.subjects()


def test_client_request_id_names_no_mail(sandbox: Sandbox) -> None:
    """It is a correlation id: callers use one for several requests of an operation."""
    for _ in range(2):
        sandbox.send(titled("by request id"), client_request_id="7b2cd1a3-0000-4000-8000-000000000002")
    assert sandbox.subjects().count("by request id") == 2


def test_another_mail_under_a_used_key_is_kept_for_a_person(sandbox: Sandbox) -> None:
    """It fitted into the queue, so it must not vanish without a word."""
    sandbox.put("mail-outbox", mail(sandbox, "the first", key="order-4"))
    sandbox.arrives("the first")
    known = set(sandbox.dead())
    text = mail(sandbox, "the second", key="order-4")
    sandbox.put("mail-outbox", text)
    [kept] = eventually(lambda: set(sandbox.dead()) - known)
    metadata, content = sandbox.dead()[kept]
    assert (metadata["reason"], content) == ("KeyReused", text.encode())
    assert "the second" not in sandbox.subjects()


def test_a_time_that_has_passed_is_no_reason_to_give_up(sandbox: Sandbox) -> None:
    sandbox.fault(kind="throttle", count=1, retry_after="0.5")
    answer = sandbox.send(titled("long due"), Mailroom_Not_Before="2000-01-01T00:00:00Z")
    assert answer.headers["mailroom-state"] == "accepted"
    sandbox.arrives("long due")
    sandbox.put("mail-outbox", mail(sandbox, "long due, too", notBefore="1601-01-01T00:00:00Z"))
    sandbox.arrives("long due, too")


def test_a_time_too_far_ahead_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("never"), Mailroom_Not_Before="9999-12-31T23:00:00Z")
    assert answer.status_code == 400
    assert "Mailroom-Not-Before" in answer.json()["error"]["message"]
