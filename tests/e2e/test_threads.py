"""Conversations: the mails of one thread carry the same marks, whichever way they came in and go out."""

import json
from collections.abc import Iterator
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from sandbox.cloud.directory import CALLER_CLIENT_ID, SENDER, SENDER_OID
from tests.e2e.running import Sandbox, eventually, running, titled

MARKS = ("String 0x1042", "String 0x1039", "String 0x0070", "Binary 0x0071", "Boolean 0x3016")
HEADERS = ("In-Reply-To", "References", "Thread-Topic", "Thread-Index")


@pytest.fixture(scope="module")
def by_mime() -> Iterator[Sandbox]:
    """A sandbox whose threads go as MIME."""
    settings = {
        "MAIL_THREADS": "mime",
        "MAIL_ALLOWED_SENDERS": f"{SENDER} {SENDER_OID}",
        "MAIL_CALLERS": json.dumps({CALLER_CLIENT_ID: {"senders": [SENDER, SENDER_OID]}}),
        "MAIL_SEND_TIMEOUT": "2",
        "MAIL_LEASE_MARGIN": "1",
        "MAIL_VERIFY_DELAYS": "0.5 1 2",
        "MAIL_RATE_PER_MINUTE": "100000",
    }
    with running("--without", "mail", **settings) as sandbox:
        yield sandbox


def queued(sandbox: Sandbox, subject: str, thread: str) -> None:
    sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled(subject), "thread": thread}))


def marks(mail: dict[str, Any]) -> dict[str, str]:
    properties = mail["message"].get("singleValueExtendedProperties", [])
    return {one["id"]: one["value"] for one in properties if one["id"] in MARKS}


def mime(mail: dict[str, Any]) -> EmailMessage:
    assert mail["via"] == "mime"
    read = message_from_string(mail["mime"], policy=default)
    assert isinstance(read, EmailMessage)
    return read


def conversation(marks: dict[str, str]) -> dict[str, str]:
    """What must be the same in all mails of a thread: of the index its header, in base64 that is 29 characters."""
    return {name: value[:29] if name in {"Binary 0x0071", "Thread-Index"} else value for name, value in marks.items()}


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


def test_with_mail_threads_mime_the_marks_are_real_headers(by_mime: Sandbox) -> None:
    by_mime.reset()
    hidden = {"bccRecipients": [{"emailAddress": {"address": "hidden@sandbox.example"}}]}
    for subject in ("[Firing] Größe", "[Resolved] Größe"):
        assert by_mime.send(titled(subject, **hidden), Mailroom_Thread="incident 7").status_code == 202
    queued(by_mime, "[Firing] Größe", "incident 7")
    accepted(by_mime, 3)
    queued(by_mime, "[Resolved] Größe", "incident 7")
    mails = [mime(mail) for mail in accepted(by_mime, 4)]
    found = [{name: str(mail[name]) for name in HEADERS} for mail in mails]
    assert {one["Thread-Topic"] for one in found} == {"Größe"}
    first, second, third, fourth = (conversation(one) for one in found)
    assert first == second
    assert third == fourth
    assert first["In-Reply-To"] == first["References"] != third["In-Reply-To"]
    assert mails[0]["Bcc"] == "hidden@sandbox.example", "Graph takes the recipients from the headers"
    assert mails[0].get_content().startswith("The new cafeteria is open.")


def test_a_mail_without_a_thread_and_one_that_mime_cannot_carry_go_as_json(by_mime: Sandbox) -> None:
    """The latter with its thread as properties; nothing of it is left out."""
    by_mime.reset()
    by_mime.send(titled("plain"))
    by_mime.send(titled("flagged", flag={"flagStatus": "flagged"}), Mailroom_Thread="incident 7")
    by_mime.send({**titled("no copy"), "saveToSentItems": False}, Mailroom_Thread="incident 7")
    plain, flagged, unsaved = accepted(by_mime, 3)
    assert marks(plain) == {}
    assert flagged["message"]["flag"] == {"flagStatus": "flagged"}
    assert unsaved["saveToSentItems"] is False
    assert marks(flagged).keys() == marks(unsaved).keys() == set(MARKS)


@pytest.mark.parametrize("kind", ["lost", "gateway_timeout", "throttle", "dropped", "unavailable"])
def test_a_mime_mail_goes_once_whatever_becomes_of_its_answer(by_mime: Sandbox, kind: str) -> None:
    """What Graph took without saying so is found by its Message-ID; what it did not take goes again."""
    by_mime.reset()
    by_mime.fault(kind=kind, count=1)
    answer = by_mime.send(titled(kind), Mailroom_Thread="incident 7")
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    eventually(lambda: by_mime.message(answer).json()["state"] == "sent", 60)
    [mail] = by_mime.accepted()
    letter = answer.headers["location"].rpartition("/")[2]
    assert mime(mail)["Message-ID"] == f"<{letter}@sandbox.example>"
    assert mime(mail)["x-mailroom-id"] == letter


def test_where_threads_go_as_mime_a_mail_that_went_as_json_is_looked_for_by_its_stamp(by_mime: Sandbox) -> None:
    """It has the stamp and no Message-ID of ours; the row says which of both to ask for."""
    by_mime.reset()
    by_mime.fault(kind="lost", count=1)
    answer = by_mime.send(titled("flagged", flag={"flagStatus": "flagged"}), Mailroom_Thread="incident 7")
    eventually(lambda: by_mime.message(answer).json()["state"] == "sent", 60)
    assert by_mime.subjects() == ["flagged"]
