"""Mail that comes by queue, and mail that has to wait. What each decision is, tests/delivery says."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.running import EXAMPLE, NOBODY, Sandbox, eventually, titled


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_a_mail_put_into_the_queue_is_sent_plain_or_in_base64_and_once_under_its_key(sandbox: Sandbox) -> None:
    """Every producer's library works with its default encoding."""
    for _ in range(3):
        sandbox.queue(titled("plain"), key="order-1")
    text = json.dumps({"sender": sandbox.sender, **titled("base64")})
    sandbox.put("mail-outbox", base64.b64encode(text.encode()).decode())
    sandbox.arrives("base64")
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sorted(sandbox.subjects()) == ["base64", "plain"]


def test_an_array_in_the_queue_is_a_mail_for_each_of_its_elements(sandbox: Sandbox) -> None:
    """What is refused among them is kept alone, as it was written; the others go."""
    texts = [json.dumps({"sender": sandbox.sender, **titled(f"{name} of three")}) for name in ("first", "last")]
    wrong = json.dumps({"sender": sandbox.sender, **titled("not to be sent"), "colour": "red"})
    with sandbox.dead() as found:
        sandbox.put("mail-outbox", f"[{texts[0]}, {wrong}, {json.dumps(texts[1])}]")
    [kept] = found.values()
    assert (kept.metadata["queue"], kept.content) == ("mail-outbox", wrong.encode())
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    assert sorted(sandbox.subjects()) == ["first of three", "last of three"]


def test_a_mail_waits_in_mail_work_for_its_time_further_than_any_message_can_hide(sandbox: Sandbox) -> None:
    before = sandbox.count("mail-work")
    sandbox.queue(titled("in ten months"), notBefore=in_days(300))
    eventually(lambda: (sandbox.count("mail-work"), sandbox.count("mail-outbox")) == (before + 1, 0))
    answer = sandbox.send(titled("in forty days"), Mailroom_Not_Before=in_days(40))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "scheduled")
    assert sandbox.state(answer) == "scheduled"
    cancelled = sandbox.message(answer, "DELETE")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert sandbox.message(answer, "DELETE").status_code == 409
    assert sandbox.subjects() == []


def test_a_mail_whose_time_comes_is_sent_then_and_one_whose_time_has_passed_at_once(sandbox: Sandbox) -> None:
    soon = sandbox.send(titled("soon"), Mailroom_Not_Before=in_days(2 / 86400))
    assert (soon.headers["mailroom-state"], sandbox.subjects()) == ("scheduled", [])
    sandbox.queue(titled("long due"), notBefore="1601-01-01T00:00:00Z")
    sandbox.arrives("long due")
    sandbox.ends(soon)


@pytest.mark.parametrize("kind", ["throttle", "lost"])
def test_what_graph_cannot_take_now_is_accepted_and_sent_once(sandbox: Sandbox, kind: str) -> None:
    """202, not an error: a client that repeats after a 5xx would send twice. Every other fault: tests/chaos.

    And what Graph took although its answer was another one, or was lost, is found in the mailbox and not sent again.
    """
    sandbox.fault(kind=kind, count=1)
    answer = sandbox.send(titled(kind))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    sandbox.ends(answer)
    assert sandbox.subjects().count(kind) == 1


def test_graphs_refusal_is_told_word_for_word_and_of_a_queued_mail_it_is_kept(sandbox: Sandbox) -> None:
    """Mailroom lets this mailbox pass, and Graph knows none of that name."""
    answer = sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ErrorInvalidUser")
    assert answer.headers["mailroom-state"] == "failed"
    with sandbox.dead() as found:
        sandbox.queue(titled("to be kept"), sender=NOBODY)
    [kept] = found.values()
    assert (kept.kind, kept.reason, b"to be kept" in kept.content) == ("mail", "ErrorInvalidUser", True)


def test_a_key_names_one_mail_over_http_and_a_correlation_id_names_none(sandbox: Sandbox) -> None:
    """client-request-id: callers use one for several requests of an operation."""
    for _ in range(3):
        assert sandbox.send(titled("key"), Idempotency_Key="order-2").status_code == 202
    for changed in ({"body": titled("another")}, {"body": titled("key"), "Mailroom_Thread": "b"}):
        assert sandbox.send(Idempotency_Key='"order-2"', **changed).status_code == 422
    for _ in range(2):
        sandbox.send(titled("by request id"), client_request_id="7b2cd1a3-0000-4000-8000-000000000002")
    assert sorted(sandbox.subjects()) == ["by request id", "by request id", "key"]


def test_another_mail_under_a_used_key_of_the_queue_is_kept_for_a_person(sandbox: Sandbox) -> None:
    """Nobody waits to be told, so it must not vanish without a word."""
    sandbox.queue(titled("the first"), key="order-4")
    sandbox.arrives("the first")
    with sandbox.dead() as found:
        sandbox.queue(titled("the second"), key="order-4")
    [kept] = found.values()
    assert (kept.reason, json.loads(kept.content)["message"]["subject"]) == ("KeyReused", "the second")
    assert "the second" not in sandbox.subjects()
