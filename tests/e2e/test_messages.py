"""What became of a mail: asked, cancelled, listed and put back, by those it concerns and by nobody else."""

import pytest

from sandbox.cloud.directory import OTHER_CALLER_CLIENT_ID
from tests.e2e.running import NOBODY, Sandbox, eventually, titled


def test_a_sent_mail_is_described_without_addresses_and_cannot_be_cancelled(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("described"))
    said = sandbox.message(answer)
    assert (said.status_code, said.json()["state"], said.json()["status"]) == (200, "sent", 202)
    assert "@" not in said.text.replace(sandbox.sender, ""), "only the mailbox that sends, which is Mailroom's own"
    assert sandbox.message(answer, "DELETE").status_code == 409


def test_a_mail_of_another_scope_is_not_there(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("mine"))
    other = {"Authorization": f"Bearer {sandbox.token(client_id=OTHER_CALLER_CLIENT_ID)}"}
    strange = sandbox.http.get(sandbox.facts["host"] + answer.headers["location"], headers=other)
    unknown = sandbox.http.get(f"{sandbox.facts['host']}/api/messages/{'0' * 32}", headers=other)
    assert strange.status_code == unknown.status_code == 404
    assert strange.json() == unknown.json()
    assert strange.headers["content-type"] == "application/problem+json"


def test_a_failed_mail_is_listed_and_put_back_by_the_operator(sandbox: Sandbox) -> None:
    """Under the same id, as often as it takes."""
    answer = sandbox.send(titled("put back"), path=f"users/{NOBODY}/sendMail", Prefer="respond-async")
    mail = sandbox.ends(answer, "failed")["id"]
    listed = sandbox.operator("GET", "?state=failed&top=1000").json()["messages"]
    assert mail in [message["id"] for message in listed]
    assert sandbox.message(answer, "POST").status_code == 404  # no such path
    replayed = sandbox.operator("POST", f"/{mail}/replay")
    assert (replayed.status_code, replayed.json()["id"]) == (202, mail)
    assert sandbox.operator("POST", f"/{mail}/replay?force=yes").status_code == 400
    eventually(lambda: sandbox.message(answer).json()["replays"] == 1 and sandbox.state(answer) == "failed")


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
            sandbox.queue(titled("retried"))

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


def test_a_list_is_paged(sandbox: Sandbox) -> None:
    sent = {sandbox.send(titled(f"page {number}")).headers["location"].rsplit("/", 1)[1] for number in range(5)}
    found: list[str] = []
    after = ""
    while not sent <= set(found):
        page = sandbox.operator("GET", f"?state=sent&top=2&after={after}").json()
        assert len(page["messages"]) <= 2
        found += [message["id"] for message in page["messages"]]
        after = page.get("next", "")
        assert after or sent <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("query", ["state=lost", "top=0", "after=nowhere"])
def test_a_list_that_cannot_be_made_says_why(sandbox: Sandbox, query: str) -> None:
    answer = sandbox.operator("GET", f"?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_message_that_is_still_not_allowed_is_told_so_at_once_and_stays_as_it_is(sandbox: Sandbox) -> None:
    with sandbox.dead() as found:
        sandbox.put("mail-outbox", '{"sender": "ceo@sandbox.example", "message": {}}')
    [(mail, kept)] = found.items()
    row = sandbox.operator("GET", f"/{mail}").json()
    assert row["reason"] == kept.metadata["explanation"]
    answer = sandbox.operator("POST", f"/{mail}/replay")
    assert (answer.status_code, row["reason"] in answer.json()["detail"]) == (422, True)
    dry = sandbox.operator("POST", "/replay?state=failed&intake=queue&dryRun=true&top=100").json()
    assert {one["result"] for one in dry["messages"] if one["id"] == mail} == {"not-replayed"}
    assert sandbox.operator("GET", f"/{mail}").json() == row


def test_a_mail_is_found_by_its_key_and_by_what_is_known_of_it(sandbox: Sandbox) -> None:
    """By its producer, by an operator with a key and by one with a token; by another caller it is not."""
    mail = sandbox.ends(sandbox.send(titled("found"), path=f"users/{NOBODY}/sendMail", Idempotency_Key="found 1",
                                     Prefer="respond-async"), "failed")  # fmt: skip

    def found(path: str, **headers: str) -> list[str]:
        answer = sandbox.http.get(f"{sandbox.facts['host']}/api/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["messages"]]

    own = {"Authorization": f"Bearer {sandbox.token()}"}
    other = {"Authorization": f"Bearer {sandbox.token(client_id=OTHER_CALLER_CLIENT_ID)}"}
    operator = {"Authorization": f"Bearer {sandbox.mint(claims={'roles': ['Mailroom.Operate']})}"}
    key = {"x-functions-key": sandbox.facts["keys"]["default"]}
    assert (found("messages?key=found+1", **own), found("messages?key=found+1", **other)) == ([mail["id"]], [])
    known = f"keyHash={mail['keyHash']}&state=failed&sender={NOBODY}&since={mail['acceptedAt']}&intake=http"
    for query in ("key=found+1", known, f"{known}&caller={sandbox.facts['caller_client_id']}"):
        assert found(f"messages?{query}", **operator) == found(f"operator/messages?{query}", **key) == [mail["id"]]
    for path, headers in (("attention", operator), ("operator/attention", key)):
        assert found(f"{path}?top=1000", **headers)[0] == mail["id"]


def test_the_summary_says_when_its_figures_are_from(sandbox: Sandbox) -> None:
    key = {"x-functions-key": sandbox.facts["keys"]["default"]}
    said = sandbox.http.get(f"{sandbox.facts['host']}/api/operator/summary", headers=key).json()
    assert {"parts", "counts", "waiting", "bounces", "queues", "blocked", "mailboxes", "leftOut"} <= said.keys()
