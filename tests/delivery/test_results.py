"""Each end of a mail, and each bounce, is told in mail-results at least once; and nobody is named there."""

import json
import re
from collections.abc import Awaitable, Callable
from copy import replace
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.ledger import PARTITIONS, partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.request import Requests
from shared.delivery.results import Bounce
from shared.delivery.row import ENDED, Row, State, facts_of
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


@pytest.mark.parametrize("state", ["scheduled", "accepted", "sending", "unknown"])
async def test_what_has_not_ended_is_not_told(office: Office, queue: Queue, state: State) -> None:
    await office.ledger.write(replace(CLAIM, state=state))
    assert queue.told == []


async def test_what_nobody_wants_to_know_is_not_told(office: Office, queue: Queue) -> None:
    await office.ledger.write(replace(ended("sent"), wants_results=False))
    assert queue.told == []


async def test_each_bounce_is_told_once(office: Office, queue: Queue) -> None:
    row = await office.ledger.write(ended("sent"))
    bounces = [Bounce(recipient="a" * 64, code="5.1.1", kind="permanent", at=END)]
    for _ in range(2):
        text = msgspec.json.encode(bounces).decode()
        row = await office.ledger.write(replace(row, bounces=text, bounced_at=END))
        bounces.append(replace_recipient(bounces[0], "b" * 64))
    assert queue.kinds() == ["mail.sent", "mail.bounced", "mail.bounced"]
    assert [event["data"]["bounce"]["recipient"] for event in queue.told[1:]] == ["a" * 64, "b" * 64]
    assert len({event["id"] for event in queue.told}) == 3


def replace_recipient(bounce: Bounce, recipient: str) -> Bounce:
    return replace(bounce, recipient=recipient)


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
    office.clock.move(minutes=30)
    for _ in range(2):
        await Maintenance(office.engine).run(range(PARTITIONS))
    assert queue.kinds() == ["mail.sent"]


async def test_while_results_cannot_be_told_maintenance_does_all_the_rest_and_says_so_once_it_is_done(
    office: Office, queue: Queue
) -> None:
    queue.takes = 0
    first, last = sorted(("0" * 32, "1" * 32), key=partition)
    await office.ledger.write(ended("sent", id=first))
    await office.ledger.write(replace(CLAIM, id=last, state="accepted", token="token-2"))
    office.clock.move(days=11)
    with pytest.raises(ServiceRequestError):
        await Maintenance(office.engine).run(range(PARTITIONS))
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
    await Maintenance(office.engine).run(range(PARTITIONS))
    assert queue.kinds() == ["mail.sent", "mail.sent"]
    assert len({event["id"] for event in queue.told}) == 1


async def direct(office: Office) -> None:
    await Requests(office.engine).send_now(replace(outgoing_mail(), wants_results=True))


async def rejected(office: Office) -> None:
    office.graph = ScriptedGraph([BAD_RECIPIENT])
    await direct(office)


async def by_queue(office: Office) -> None:
    from shared.delivery.queue_messages import work_of
    from shared.delivery.worker import Worker

    mail = replace(outgoing_mail(), wants_results=True)
    await Worker(office.engine).deliver(work_of(mail), mail)


async def refused(office: Office) -> None:
    from shared.delivery.worker import Worker

    office.settings = replace(office.settings, results=True)
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "No.", "$.key"))


@pytest.mark.parametrize(
    ("way", "kind"),
    [(direct, "mail.sent"), (rejected, "mail.failed"), (by_queue, "mail.sent"), (refused, "mail.failed")],
)
async def test_every_way_in_is_told(
    office: Office, queue: Queue, way: Callable[[Office], Awaitable[None]], kind: str
) -> None:
    await way(office)
    assert queue.kinds() == [kind]
