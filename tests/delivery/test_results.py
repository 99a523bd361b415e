"""Each end of a mail, and each bounce, is told in mail-results at least once; and nobody is named there."""

import json
import re
from copy import replace
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.ledger import partition
from shared.delivery.results import Bounce
from shared.delivery.row import ENDED, Row, State, facts_of
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.mail.outgoing import key_hash
from shared.settings.config import Settings
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import BAD_RECIPIENT, NOON, Office, ScriptedGraph, first_claim, outgoing_mail, work

CLAIM = replace(first_claim(work(), NOON, Settings(), "token-1", queued=True), wants_results=True)
END = NOON + timedelta(minutes=1)


@dataclass
class Queue:
    """The queue, and how many messages more it takes."""

    takes: int = 1000
    told: list[dict[str, Any]] = field(default_factory=list)

    async def put(self, queue: str, content: bytes) -> None:
        assert queue == "mail-results"
        if len(self.told) >= self.takes:
            raise ServiceRequestError("away")
        self.told.append(json.loads(content))

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.told]


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def office(queue: Queue) -> Office:
    return Office(ledger=MemoryLedger(put=queue.put))


def ended(state: State, **changes: Any) -> Row:
    return replace(CLAIM, state=state, settled_at=END, **changes)


@pytest.mark.parametrize("state", sorted(ENDED))
async def test_each_end_is_told_once(office: Office, queue: Queue, state: State) -> None:
    row = await office.ledger.write(ended(state))
    await office.ledger.write(replace(row, token="token-2"))
    assert queue.kinds() == [f"mail.{state}"]


async def test_a_result_is_a_cloudevent_with_the_hash_of_the_key_and_without_addresses(
    office: Office, queue: Queue
) -> None:
    """As docs/results.md shows it."""
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    (shown,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    example = json.loads(shown)
    facts = facts_of(replace(outgoing_mail(), key=key_hash("order-1"), wants_results=True))
    row = replace(ended("failed", code="ErrorInvalidRecipients", status=400), id=example["subject"], **facts)
    await office.ledger.write(row)
    assert queue.told == [example]


async def test_what_has_not_ended_or_nobody_wants_to_know_is_not_told(office: Office, queue: Queue) -> None:
    states: list[State] = ["scheduled", "accepted", "sending", "unknown"]
    rows = [*(replace(CLAIM, state=state) for state in states), ended("sent", wants_results=False)]
    for number, row in enumerate(rows):
        await office.ledger.write(replace(row, id=f"{number:032}"))
    assert queue.told == []


async def test_each_bounce_is_told_once(office: Office, queue: Queue) -> None:
    row = await office.ledger.write(ended("sent"))
    bounces = [Bounce(recipient="a" * 64, code="5.1.1", kind="permanent", at=END)]
    for _ in range(2):
        text = msgspec.json.encode(bounces).decode()
        row = await office.ledger.write(replace(row, bounces=text, bounced_at=END))
        bounces.append(replace(bounces[0], recipient="b" * 64))
    assert queue.kinds() == ["mail.sent", "mail.bounced", "mail.bounced"]
    assert [event["data"]["bounce"]["recipient"] for event in queue.told[1:]] == ["a" * 64, "b" * 64]
    assert len({event["id"] for event in queue.told}) == 3


async def test_the_end_of_a_replay_is_told_again(office: Office, queue: Queue) -> None:
    row = await office.ledger.write(ended("failed"))
    row = await office.ledger.write(replace(row, state="sending", settled_at=None, replays=1))
    await office.ledger.write(replace(row, state="sent", settled_at=END + timedelta(hours=1)))
    assert queue.kinds() == ["mail.failed", "mail.sent"]


async def test_a_queue_that_is_away_stops_no_mail_and_maintenance_tells_it_later(office: Office, queue: Queue) -> None:
    queue.takes = 0
    await office.ledger.write(ended("sent"))
    assert (await office.row()).state == "sent"
    queue.takes = 1000
    for _ in range(2):
        await office.maintain(minutes=30)
    assert queue.kinds() == ["mail.sent"]


async def test_while_results_cannot_be_told_maintenance_does_all_the_rest_and_says_so_once_it_is_done(
    office: Office, queue: Queue
) -> None:
    queue.takes = 0
    first, last = sorted(("0" * 32, "1" * 32), key=partition)
    await office.ledger.write(ended("sent", id=first))
    await office.ledger.write(replace(CLAIM, id=last, state="accepted", token="token-2"))
    with pytest.raises(ServiceRequestError):
        await office.maintain(days=11)
    assert (await office.row(last)).code == "TooOld"


async def test_a_process_that_dies_before_the_row_says_so_has_it_told_again_under_the_same_id(queue: Queue) -> None:
    class Dies(MemoryLedger):
        dead = False

        async def _store(self, row: Row) -> Row:
            if self.dead and row.told_end is not None:
                raise ServiceRequestError("died")
            return await super()._store(row)

    office = Office(ledger=(ledger := Dies(put=queue.put)))
    ledger.dead = True
    await ledger.write(ended("sent"))
    ledger.dead = False
    await office.maintain()
    assert queue.kinds() == ["mail.sent", "mail.sent"]
    assert len({event["id"] for event in queue.told}) == 1


@pytest.mark.parametrize(
    ("way", "kind"),
    [("http", "mail.sent"), ("http, rejected", "mail.failed"), ("queue", "mail.sent"), ("no mail", "mail.failed")],
)
async def test_every_way_in_is_told(office: Office, queue: Queue, way: str, kind: str) -> None:
    mail = replace(outgoing_mail(), wants_results=True)
    if way == "no mail":
        office.settings = Settings(results=True)
        await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "No.", "$.key"))
    elif way == "queue":
        await office.deliver(mail)
    else:
        office.graph = ScriptedGraph([BAD_RECIPIENT] if way == "http, rejected" else [])
        await office.send_now(mail)
    assert queue.kinds() == [kind]
