"""Conversations: the mails of one thread carry the same marks, whichever way they came in."""

import json
from typing import Any

import pytest

from tests.e2e.running import Sandbox, eventually, titled

MARKS = ("String 0x1042", "String 0x1039", "String 0x0070", "Binary 0x0071", "Boolean 0x3016")


def queued(sandbox: Sandbox, subject: str, thread: str) -> None:
    sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled(subject), "thread": thread}))


def marks(mail: dict[str, Any]) -> dict[str, str]:
    properties = mail["message"].get("singleValueExtendedProperties", [])
    return {one["id"]: one["value"] for one in properties if one["id"] in MARKS}


def conversation(marks: dict[str, str]) -> dict[str, str]:
    """What must be the same in all mails of a thread: of the index its header, in base64 that is 29 characters."""
    return {name: value[:29] if name == "Binary 0x0071" else value for name, value in marks.items()}


def accepted(sandbox: Sandbox, count: int) -> list[dict[str, Any]]:
    return eventually(lambda: found if len(found := sandbox.accepted()) == count else None) or []


def test_mails_of_a_thread_are_marked_as_one_conversation_in_each_scope(sandbox: Sandbox) -> None:
    """Two over HTTP and two over the queue: two conversations, since scopes never mix."""
    thread = {"Mailroom_Thread": "incident 7"}
    assert sandbox.send(titled("[Firing] Disk full"), **thread).status_code == 202
    assert sandbox.send(titled("[Resolved] Disk full"), Mailroom_Thread='"incident 7"').status_code == 202
    queued(sandbox, "[Firing] Disk full", "incident 7")
    accepted(sandbox, 3)
    queued(sandbox, "[Resolved] Disk full", "incident 7")
    assert sandbox.send(titled("Disk full"), Mailroom_Thread="incident 8").status_code == 202
    mails = accepted(sandbox, 5)
    assert all(mail["via"] == "sendMail" for mail in mails)
    found = [marks(mail) for mail in mails]
    assert all(one.keys() == set(MARKS) for one in found)
    assert {one["String 0x0070"] for one in found} == {"Disk full"}
    assert len({one["Binary 0x0071"] for one in found}) == 5
    by_root: dict[str, list[dict[str, str]]] = {}
    for one in found:
        assert one["String 0x1039"] == one["String 0x1042"]
        by_root.setdefault(one["String 0x1042"], []).append(conversation(one))
    assert sorted(len(group) for group in by_root.values()) == [1, 2, 2]
    assert all(one == group[0] for group in by_root.values() for one in group)


def test_a_mail_without_a_thread_has_no_marks_and_the_senders_own_win(sandbox: Sandbox) -> None:
    own = [{"id": "String 0x1042", "value": "<their@parent.example>"}]
    sandbox.send(titled("plain"))
    sandbox.send(titled("own", singleValueExtendedProperties=own), Mailroom_Thread="incident 9")
    plain, kept = accepted(sandbox, 2)
    assert marks(plain) == {}
    assert marks(kept)["String 0x1042"] == "<their@parent.example>"
    assert "String 0x1039" not in marks(kept)


@pytest.mark.parametrize("thread", ["", '""', "x" * 257, "tab\there"])
def test_a_thread_that_is_none_is_refused_before_anything_is_sent(sandbox: Sandbox, thread: str) -> None:
    answer = sandbox.send(titled("never"), Mailroom_Thread=thread)
    assert answer.status_code == 400
    assert "Mailroom-Thread" in answer.json()["error"]["message"]
    assert sandbox.accepted() == []


def test_the_same_key_in_another_thread_is_another_mail(sandbox: Sandbox) -> None:
    """The second would otherwise lie in the first's conversation without a word."""
    for _ in range(2):
        assert sandbox.send(titled("x"), Idempotency_Key="threads-1", Mailroom_Thread="a").status_code == 202
    assert sandbox.send(titled("x"), Idempotency_Key="threads-1", Mailroom_Thread="b").status_code == 422
    assert len(sandbox.accepted()) == 1
