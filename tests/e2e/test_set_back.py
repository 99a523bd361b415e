"""What the platform or a wrong setting has thrown back is carried on, or kept for a person; nothing stays behind."""

import base64
import json

import httpx

from tests.azurite import azurite
from tests.e2e.running import Sandbox, eventually, titled
from tests.e2e.test_start_up import host

INSERTED = "2026-07-01T12:00:00Z"


def test_a_poisoned_mail_with_a_key_is_carried_on(started: Sandbox) -> None:
    """Five minutes later; until then it is safe in mail-work."""
    before = started.count("mail-work")
    started.put("mail-outbox-poison", json.dumps({"sender": started.sender, "key": "poison-1", **titled("poisoned")}))
    eventually(lambda: started.count("mail-work") == before + 1)
    eventually(lambda: started.count("mail-outbox-poison") == 0)


def test_a_poisoned_mail_whose_key_was_sent_is_dropped(sandbox: Sandbox) -> None:
    text = json.dumps({"sender": sandbox.sender, "key": "poison-2", **titled("sent before")})
    sandbox.put("mail-outbox", text)
    sandbox.arrives("sent before")
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    before = sandbox.count("mail-work")
    sandbox.put("mail-outbox-poison", text)
    eventually(lambda: sandbox.count("mail-outbox-poison") == 0)
    assert sandbox.count("mail-work") == before
    assert sandbox.subjects().count("sent before") == 1


def test_a_poisoned_mail_without_a_key_is_kept_for_a_person(sandbox: Sandbox) -> None:
    """Its copy has an id of its own, so nobody can say whether it was sent."""
    known = set(sandbox.dead())
    text = json.dumps({"sender": sandbox.sender, **titled("crashed")})
    sandbox.put("mail-outbox-poison", text)
    [mail] = eventually(lambda: set(sandbox.dead()) - known)
    metadata, content = sandbox.dead()[mail]
    assert (metadata["reason"], content) == ("Crashed", text.encode())
    assert sandbox.operator("GET", f"/{mail}").json()["code"] == "Crashed"
    assert sandbox.operator("POST", f"/{mail}/replay").status_code == 202
    sandbox.arrives("crashed")


def test_a_poisoned_event_is_kept_for_a_person_and_goes_back_into_its_queue(sandbox: Sandbox) -> None:
    known = set(sandbox.dead())
    sandbox.put("mail-events-poison", '{"route": "github"}')
    [mail] = eventually(lambda: set(sandbox.dead()) - known)
    assert (sandbox.dead()[mail][0]["reason"], sandbox.dead()[mail][1]) == ("Crashed", b'{"route": "github"}')
    assert sandbox.operator("POST", f"/{mail}/replay").status_code == 202
    eventually(lambda: sandbox.waiting("mail-events") == ['{"route": "github"}'])


def test_what_is_not_mailrooms_own_in_mail_work_is_set_aside(sandbox: Sandbox) -> None:
    for queue in ("mail-work", "mail-work-poison"):
        known = set(sandbox.dead())
        sandbox.put(queue, json.dumps({"sender": sandbox.sender, **titled("smuggled")}))
        [mail] = eventually(lambda: set(sandbox.dead()) - known)  # noqa: B023 - asked within the turn
        assert sandbox.dead()[mail][0]["reason"] == "NotMailroomsOwn"
    assert "smuggled" not in sandbox.subjects()


def test_a_producers_message_that_was_put_off_is_read_under_its_first_id(sandbox: Sandbox) -> None:
    body = base64.b64encode(json.dumps({"sender": sandbox.sender, **titled("put off")}).encode()).decode()
    mail = "c" * 32
    message = {"kind": "message", "v": 1, "id": mail, "queue": "mail-outbox", "insertedAt": INSERTED, "body": body}
    for _ in range(2):
        sandbox.put("mail-work", json.dumps(message))
    eventually(lambda: sandbox.operator("GET", f"/{mail}").status_code == 200)
    # Its time of insertion is long past: it is not sent as if it were new.
    eventually(lambda: sandbox.operator("GET", f"/{mail}").json()["code"] == "TooOld")
    assert "put off" not in sandbox.subjects()


def test_with_a_wrong_setting_mail_is_put_off_and_never_becomes_poison(started: Sandbox) -> None:
    """A person mends the setting an hour later, and everything that came meanwhile is sent."""
    with azurite() as (own, _):
        settings = {"AzureWebJobsStorage": own, "MAIL_ON_UNKNOWN": "retry"}
        broken = Sandbox({**started.facts, "storage": own}, started.http)
        with host(settings) as facts:
            assert httpx.get(f"{facts['url']}/api/health", trust_env=False).status_code == 200
            broken.put("mail-outbox", json.dumps({"sender": started.sender, **titled("waits")}))
            eventually(lambda: broken.count("mail-work") == 1)
            eventually(lambda: broken.count("mail-outbox") == 0)
            assert broken.waiting("mail-outbox-poison") == []
