"""What waits is said: the numbers that alerts go by."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.queue.aio import QueueServiceClient

from shared.config import Settings
from shared.delivery.backlog import measure
from shared.delivery.partitions import PARTITIONS
from shared.delivery.protocol import first_claim
from shared.delivery.upkeep import Upkeep
from tests.delivery.samples import NOON, Office, letter, work

pytestmark = pytest.mark.usefixtures("everything_said")


@pytest.fixture
def everything_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mailroom")


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mailroom"]
    return [{**line, "event": None} for line in lines if line["event"] == event]


@pytest.fixture
async def queues(storage: str) -> AsyncIterator[QueueServiceClient]:
    async with QueueServiceClient.from_connection_string(storage) as service:
        yield service


async def test_a_queue_says_how_much_it_holds_and_since_when_its_oldest_could_be_taken(
    queues: QueueServiceClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that hides is counted, and is not the oldest."""
    name = f"q{uuid4().hex}"
    queue = await queues.create_queue(name)
    await queue.send_message("hidden", visibility_timeout=600)
    await queue.send_message("first")
    await queue.send_message("second")
    await measure(queues, [name], datetime.now(UTC) + timedelta(minutes=10))
    (line,) = said(caplog, "queue.measured")
    assert (line["queue"], line["messages"]) == (name, 3)
    assert 590 < line["oldest"] < 660
    assert len(await queue.peek_messages(5)) == 2  # nothing was taken


@pytest.mark.parametrize("made", [True, False])
async def test_a_queue_that_is_empty_or_not_there_has_no_oldest_message(
    queues: QueueServiceClient,
    caplog: pytest.LogCaptureFixture,
    made: bool,  # noqa: FBT001 - by name of the case
) -> None:
    name = f"q{uuid4().hex}"
    if made:
        await queues.create_queue(name)
    await measure(queues, [name], datetime.now(UTC))
    assert said(caplog, "queue.measured") == [{"event": None, "queue": name, "messages": 0}]


async def test_upkeep_says_how_many_mails_wait_and_how_long_the_first_of_them_has_been_due(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Mails for later do not wait yet, and what has ended does not any more."""
    office = Office()

    async def put(number: int, **changes: Any) -> None:
        row = first_claim(work(letter(f"{number:032x}")), NOON, Settings(), "token", queued=True)
        await office.ledger.insert(replace(row, **changes))

    await put(1, state="accepted", accepted_at=NOON - timedelta(minutes=9))
    await put(2, state="unknown", accepted_at=NOON - timedelta(hours=9), not_before=NOON - timedelta(minutes=12))
    await put(3, state="scheduled", accepted_at=NOON - timedelta(hours=3), not_before=NOON + timedelta(hours=3))
    await put(4, state="sent", accepted_at=NOON - timedelta(hours=1), settled_at=NOON)
    await Upkeep(office.engine).run(range(PARTITIONS))
    assert said(caplog, "backlog.measured") == [{"event": None, "waiting": 2, "oldest": 720.0}]


async def test_an_empty_part_of_the_ledger_says_so_too(caplog: pytest.LogCaptureFixture) -> None:
    """It is the heartbeat: silence means that nothing runs."""
    await Upkeep(Office().engine).run(range(3))
    assert said(caplog, "backlog.measured") == [{"event": None, "waiting": 0}]
