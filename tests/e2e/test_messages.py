"""What became of a mail: asked, scheduled, cancelled, put back; by whom it concerns and by nobody else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.cloud.directory import OTHER_CALLER_CLIENT_ID
from tests.e2e.running import NOBODY, Sandbox, eventually, titled


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def state(sandbox: Sandbox, answer: httpx.Response) -> Any:
    return sandbox.message(answer).json()["state"]


def test_a_sent_mail_is_described_without_addresses(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("described"))
    said = sandbox.message(answer)
    assert said.status_code == 200
    assert said.json()["state"] == "sent"
    assert said.json()["status"] == 202
    assert "@" not in said.text


def test_a_mail_of_another_scope_is_not_there(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("mine"))
    other = {"Authorization": f"Bearer {sandbox.token(client_id=OTHER_CALLER_CLIENT_ID)}"}
    strange = sandbox.http.get(sandbox.facts["host"] + answer.headers["location"], headers=other)
    unknown = sandbox.http.get(f"{sandbox.facts['host']}/api/messages/{'0' * 32}", headers=other)
    assert strange.status_code == unknown.status_code == 404
    assert strange.json() == unknown.json()
    assert strange.headers["content-type"] == "application/problem+json"


def test_without_a_token_nothing_is_said(sandbox: Sandbox) -> None:
    for path in ("messages", f"messages/{'0' * 32}", "operator/messages", f"operator/messages/{'0' * 32}"):
        assert sandbox.http.get(f"{sandbox.facts['host']}/api/{path}").status_code == 401


def test_a_mail_scheduled_forty_days_ahead_waits_and_can_be_cancelled(sandbox: Sandbox) -> None:
    """Further than any queue message can hide."""
    answer = sandbox.send(titled("scheduled"), Mailroom_Not_Before=in_days(40))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "scheduled")
    assert state(sandbox, answer) == "scheduled"
    cancelled = sandbox.message(answer, "DELETE")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = sandbox.message(answer, "DELETE")
    assert again.status_code == 409
    assert "scheduled" not in sandbox.subjects()


def test_a_mail_scheduled_for_soon_is_sent_then(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("soon"), Mailroom_Not_Before=in_days(2 / 86400))
    assert answer.headers["mailroom-state"] == "scheduled"
    assert "soon" not in sandbox.subjects()
    sandbox.arrives("soon")
    eventually(lambda: state(sandbox, answer) == "sent")


def test_a_sent_mail_cannot_be_cancelled(sandbox: Sandbox) -> None:
    assert sandbox.message(sandbox.send(titled("gone")), "DELETE").status_code == 409


@pytest.mark.parametrize("time", ["tomorrow", "2026-07-01T08:00:00", ""])
def test_a_time_that_is_none_is_refused(sandbox: Sandbox, time: str) -> None:
    answer = sandbox.send(titled("never"), Mailroom_Not_Before=time)
    assert answer.status_code == 400
    assert "Mailroom-Not-Before" in answer.json()["error"]["message"]


def test_a_failed_mail_is_listed_and_put_back_by_the_operator(sandbox: Sandbox) -> None:
    """Graph refused the mailbox for a while; after that the same mail goes, under the same id."""
    sandbox.http.post(f"{sandbox.facts['control']}/permissions", json={"deny": []})
    answer = sandbox.send(titled("put back"), path=f"users/{NOBODY}/sendMail", Prefer="respond-async")
    mail = answer.headers["location"].rsplit("/", 1)[1]
    eventually(lambda: state(sandbox, answer) == "failed")
    listed = sandbox.operator("GET", "?state=failed&top=1000").json()["messages"]
    assert mail in [message["id"] for message in listed]
    assert sandbox.message(answer, "POST").status_code == 404  # no such path
    replayed = sandbox.operator("POST", f"/{mail}/replay")
    assert (replayed.status_code, replayed.json()["id"]) == (202, mail)
    assert sandbox.operator("POST", f"/{mail}/replay?force=yes").status_code == 400
    eventually(lambda: sandbox.message(answer).json()["replays"] == 1 and state(sandbox, answer) == "failed")


@pytest.mark.parametrize("way", ["request", "webhook", "queue"])
def test_a_mail_that_waits_for_an_hour_goes_at_once_when_the_operator_wants_it(sandbox: Sandbox, way: str) -> None:
    """Its mailbox was full, and has room again."""
    sandbox.fault(kind="quota", count=1)
    match way:
        case "request":
            assert sandbox.send(titled("retried")).headers["mailroom-state"] == "accepted"
        case "webhook":
            secret = {"Authorization": "Bearer sandbox-secret", "Content-Type": "application/json"}
            events = f"{sandbox.facts['host']}/api/events/generic"
            assert sandbox.http.post(events, content=b'{"to be": "retried"}', headers=secret).status_code == 202
        case "queue":
            sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled("retried")}))

    def waiting() -> list[str]:
        listed = sandbox.operator("GET", "?state=accepted&top=1000").json()["messages"]
        return [mail["id"] for mail in listed if mail.get("code") == "ErrorQuotaExceeded"]

    [mail] = eventually(waiting)
    assert sandbox.accepted() == []
    # Its row says by which message it waits a moment after it says that it does.
    eventually(lambda: sandbox.operator("POST", f"/{mail}/retry").status_code == 202)
    eventually(lambda: sandbox.operator("GET", f"/{mail}").json()["state"] == "sent")
    assert len(sandbox.accepted()) == 1
    again = sandbox.operator("POST", f"/{mail}/retry")
    assert (again.status_code, again.json()["detail"].split()[4]) == (409, "sent")


def test_a_producer_can_neither_list_nor_put_back(sandbox: Sandbox) -> None:
    token = {"Authorization": f"Bearer {sandbox.token()}"}
    api = f"{sandbox.facts['host']}/api/messages"
    assert sandbox.http.get(api, headers=token).status_code == 403
    for action in ("replay", "retry"):
        assert sandbox.http.post(f"{api}/{'0' * 32}/{action}", headers=token).status_code == 403


def test_the_role_mailroom_operate_sees_everything(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("seen"))
    token = {"Authorization": f"Bearer {sandbox.mint(claims={'roles': ['Mailroom.Operate']})}"}
    api = f"{sandbox.facts['host']}/api/messages"
    assert sandbox.http.get(sandbox.facts["host"] + answer.headers["location"], headers=token).status_code == 200
    assert sandbox.http.get(api, params={"state": "sent"}, headers=token).status_code == 200
    assert sandbox.send(titled("not seen"), token=token["Authorization"][7:]).status_code == 403


def test_a_list_is_paged(sandbox: Sandbox) -> None:
    sent = {sandbox.send(titled(f"page {number}")).headers["location"].rsplit("/", 1)[1] for number in range(5)}
    found: list[str] = []
    after = ""
    while True:
        page = sandbox.operator("GET", f"?state=sent&top=2&after={after}").json()
        assert len(page["messages"]) <= 2
        found += [message["id"] for message in page["messages"]]
        after = page.get("next", "")
        if not after:
            break
    assert sent <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("query", ["state=lost", "top=0", f"top={'9' * 5000}", "top=many", "top=1001", "after=nowhere"])
def test_a_list_that_cannot_be_made_says_why(sandbox: Sandbox, query: str) -> None:
    answer = sandbox.operator("GET", f"?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_message_that_was_not_allowed_goes_back_into_its_queue(sandbox: Sandbox) -> None:
    """An operator who has opened the door does not have to find the producer."""
    known = set(sandbox.dead())
    sandbox.put("mail-outbox", '{"sender": "ceo@sandbox.example", "message": {}}')
    [mail] = eventually(lambda: set(sandbox.dead()) - known)
    assert sandbox.operator("POST", f"/{mail}/replay").status_code == 202
    [again] = eventually(lambda: set(sandbox.dead()) - known - {mail})
    assert sandbox.dead()[again][1] == b'{"sender": "ceo@sandbox.example", "message": {}}'
