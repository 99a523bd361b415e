"""Mail that comes by queue, and mail that has to wait. What each decision is, tests/delivery says."""

import base64
import json
from datetime import UTC, datetime, timedelta

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


def test_a_mail_waits_in_mail_work_for_its_time_and_goes_then_unless_it_is_cancelled(sandbox: Sandbox) -> None:
    """Further than any message can hide; and one whose time has passed goes at once."""
    before = sandbox.count("mail-work")
    sandbox.queue(titled("in ten months"), notBefore=in_days(300))
    eventually(lambda: (sandbox.count("mail-work"), sandbox.count("mail-outbox")) == (before + 1, 0))
    cancelled = sandbox.send(titled("in forty days"), Mailroom_Not_Before=in_days(40))
    soon = sandbox.send(titled("soon"), Mailroom_Not_Before=in_days(2 / 86400))
    for answer in (cancelled, soon):
        assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "scheduled")
    assert sandbox.message(cancelled, "DELETE").json()["state"] == "cancelled"
    assert sandbox.subjects() == []
    sandbox.queue(titled("long due"), notBefore="1601-01-01T00:00:00Z")
    sandbox.arrives("long due")
    sandbox.ends(soon)
    assert sorted(sandbox.subjects()) == ["long due", "soon"]


def test_graphs_refusal_is_told_word_for_word_and_of_a_queued_mail_it_is_kept(sandbox: Sandbox) -> None:
    """Mailroom lets this mailbox pass, and Graph knows none of that name."""
    answer = sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ErrorInvalidUser")
    assert answer.headers["mailroom-state"] == "failed"
    with sandbox.dead() as found:
        sandbox.queue(titled("to be kept"), sender=NOBODY)
    [kept] = found.values()
    assert (kept.kind, kept.reason, b"to be kept" in kept.content) == ("mail", "ErrorInvalidUser", True)


def test_another_mail_under_a_used_key_of_the_queue_is_kept_for_a_person(sandbox: Sandbox) -> None:
    """Nobody waits to be told, so it must not vanish without a word."""
    sandbox.queue(titled("the first"), key="order-4")
    sandbox.arrives("the first")
    with sandbox.dead() as found:
        sandbox.queue(titled("the second"), key="order-4")
    [kept] = found.values()
    assert (kept.reason, json.loads(kept.content)["message"]["subject"]) == ("KeyReused", "the second")
    assert "the second" not in sandbox.subjects()
