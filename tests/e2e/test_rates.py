"""No caller sends more a minute than it was given, and no mailbox to more people than it has in a day."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.cloud.directory import CALLER_CLIENT_ID, SENDER, SENDER_OID
from tests.azurite import azurite
from tests.e2e.running import Sandbox, eventually, running, titled

BUSY = "alerts@sandbox.example"
RATE = 3  # mails a minute
ROUTE = f"""\
source = "key"
recipients = ["ops@contoso.example"]
rate_per_minute = {RATE}
"""


@pytest.fixture(scope="module")
def limited(started: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Another host, on storage of its own, where everything is limited."""
    folder = tmp_path_factory.mktemp("routes")
    (folder / "slow").mkdir()
    (folder / "slow" / "route.toml").write_text(ROUTE)
    senders = [SENDER, SENDER_OID, BUSY]
    callers = {
        CALLER_CLIENT_ID: {"senders": senders, "ratePerMinute": RATE},
        "mail-outbox": {"senders": [SENDER], "ratePerMinute": RATE * 10},
    }
    with azurite() as (storage, _):
        settings = started.facts["environment"] | {
            "AzureWebJobsStorage": storage,
            "MAIL_CALLERS": json.dumps(callers),
            "MAIL_ROUTES_DIR": str(folder),
            "MAIL_SECRET_SLOW": "secret",
            "MAIL_RATE_PER_MINUTE": "100000",
            "MAIL_RECIPIENTS_PER_DAY": "500",
        }
        with running("--only", "host", **settings) as host:
            own = {name: host.facts[name] for name in ("host", "storage", "keys")}
            yield Sandbox(started.facts | own, host.http)


def people(count: int) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": f"someone{number}@fabrikam.example"}} for number in range(count)]


def test_a_caller_over_its_rate_is_told_when_to_come_again_and_a_repeated_key_costs_nothing(limited: Sandbox) -> None:
    limited.reset()
    key = str(uuid.uuid4())
    for _ in range(RATE * 2):
        assert limited.send(titled("one"), Idempotency_Key=key).headers["mailroom-state"] == "sent"
    for number in range(RATE - 1):
        assert limited.send(titled(f"more {number}")).status_code == 202
    for options in ({}, {"Prefer": "respond-async"}):
        refused = limited.send(titled("too many"), **options)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TooManyRequests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60 / RATE + 1
        assert "location" not in refused.headers
    assert len(limited.accepted()) == RATE
    # A user of the same application is counted with it.
    mine = limited.send(titled("mine"), token=limited.delegated(), path=f"users/{limited.facts['sender_oid']}/sendMail")
    assert mine.status_code == 429


def test_producers_of_the_queue_wait_for_their_time(limited: Sandbox) -> None:
    """Thirty a minute: five at once, then one every two seconds."""
    limited.reset()
    subjects = {f"queued {number}" for number in range(8)}
    began = datetime.now(UTC)
    for subject in subjects:
        limited.put("mail-outbox", json.dumps({"sender": SENDER, **titled(subject)}))
    eventually(lambda: subjects <= set(limited.subjects()), 60)
    assert (datetime.now(UTC) - began).total_seconds() > 4
    assert len(limited.accepted()) == len(subjects)


def test_producers_of_the_queue_have_what_mail_callers_gives_the_queue(limited: Sandbox) -> None:
    known = set(limited.dead())
    limited.put("mail-outbox", json.dumps({"sender": BUSY, **titled("not theirs")}))
    [mail] = eventually(lambda: set(limited.dead()) - known)
    assert limited.dead()[mail][0]["reason"] == "ErrorSendAsDenied"


def test_a_route_over_its_rate_answers_as_its_source_does_when_it_is_too_much(limited: Sandbox) -> None:
    limited.reset()

    def event(number: int) -> Any:
        headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
        body = json.dumps({"title": f"event {number} {uuid.uuid4()}"})
        return limited.http.post(f"{limited.facts['host']}/api/events/slow", content=body, headers=headers)

    answers = [event(number) for number in range(RATE + 2)]
    assert [answer.status_code for answer in answers] == [202] * RATE + [503] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60 / RATE + 1
    eventually(lambda: len(limited.accepted()) == RATE)


def test_a_mailbox_refuses_in_time_what_would_pass_its_day(limited: Sandbox) -> None:
    """By the queue, so that the caller's rate does not come before: 400 of 500, then what does not fit."""
    limited.reset()
    limited.put("mail-outbox", json.dumps({"sender": SENDER, "key": "k", **titled("large", bccRecipients=people(398))}))
    limited.arrives("large")
    limited.put("mail-outbox", json.dumps({"sender": SENDER, **titled("waits", bccRecipients=people(400))}))
    limited.put("mail-outbox", json.dumps({"sender": SENDER, **titled("small")}))
    limited.arrives("small")
    eventually(lambda: limited.count("mail-work") == 1)
    assert "waits" not in limited.subjects()
    eventually(
        lambda: (
            limited.send(titled("refused", bccRecipients=people(400))).json()["error"]["code"]
            == "ErrorExceededMessageLimit"
        ),
        90,
    )
