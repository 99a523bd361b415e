"""A batch of events over real storage, whose process dies between two writes: each event's mail is sent once.

The machinery is that of a large mail (test_payload_crashes.py): every mail here has a blob of its own, so to expand a
batch is many writes, and a process may die after any of them, or before its message is completed.
"""

from collections.abc import AsyncIterator
from copy import replace
from datetime import datetime
from itertools import count
from uuid import uuid4

import msgspec
import pytest
from azure.storage.queue import QueueMessage

from shared.delivery.payloads import batch_name
from shared.delivery.queue_messages import Batch, Work, parse_work, work_of
from shared.delivery.worker import Worker
from shared.mail.outgoing import identity
from shared.webhooks.routing.batches import Expander, packed
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import SourceEvent
from tests.delivery.samples import outgoing_mail
from tests.delivery.test_payload_crashes import LARGE, Died, Graph, Life, Process, Site, respond_async

EVENTS = 3
STEPS = 2 * EVENTS + 1  # a blob and a message for each mail, the batch's own blob
ROUTES = load().routes


@pytest.fixture
async def site(storage: str) -> AsyncIterator[Site]:
    site = Site(storage)
    async with site.alive:
        await respond_async(site.alive, site.outgoing_mail())
        await site.alive.queue.clear_messages()
        yield site


def expander(process: Process) -> Expander:
    async def take(_route: Route, event: SourceEvent, now: datetime, _paced: bool) -> None:  # noqa: FBT001 - as intake has it
        made = replace(outgoing_mail(identity("test", event.key), size=LARGE), accepted_at=now)
        await process.outbox.put(work_of(made), now, None, made)

    async def never(*_: object) -> None:
        raise AssertionError

    return Expander(process.outbox, ROUTES.__getitem__, take, never)


async def accept(process: Process, now: datetime) -> list[str]:
    """The ids of the mails that a new batch asks for."""
    name = uuid4().hex
    events = [SourceEvent(id=str(n), source="s", type="t", key=f"{name} {n}", data={"n": n}) for n in range(EVENTS)]
    batch = Batch(v=1, id=name, route="generic", accepted_at=now, payload=batch_name(name), count=EVENTS)
    await process.outbox.put_batch(batch, packed(events))
    return sorted(identity("test", event.key) for event in events)


async def carry(process: Process, found: Batch | Work) -> None:
    if isinstance(found, Batch):
        await expander(process).expand(found)
    else:
        await Worker(process.engine).deliver(found)


async def received(process: Process) -> list[tuple[QueueMessage, Batch | Work]]:
    messages = [message async for message in process.queue.receive_messages(visibility_timeout=600)]
    found = [(message, parse_work(message.content.encode())) for message in messages]
    return [(message, one) for message, one in found if isinstance(one, Batch | Work)]


async def deliver_all(site: Site) -> None:
    for _ in range(20):
        messages = await received(site.alive)
        for message, found in messages:
            await carry(site.alive, found)
            await site.alive.queue.delete_message(message)
        if not messages:
            return
        site.clock.move(minutes=2)
    raise AssertionError("messages go round and round")


@pytest.mark.parametrize("again", [False, True], ids=["once", "delivered-once-more"])
async def test_a_batch_whose_process_dies_after_any_step_sends_each_mail_once(site: Site, again: bool) -> None:  # noqa: FBT001
    for step in count(1):
        site.graph = Graph()
        mails = await accept(site.alive, site.clock.now())
        [(message, batch)] = await received(site.alive)
        async with Process(site, Life(step)) as process:
            try:
                await carry(process, batch)
                died = False
            except Died:
                died = True
        if died or again:  # the message is there again when nobody has completed it
            await site.alive.queue.update_message(message, visibility_timeout=0)
        else:
            await site.alive.queue.delete_message(message)
        await deliver_all(site)
        assert sorted(site.graph.sent) == mails, f"died after step {step}"
        if not died:
            break
    assert step == STEPS + 1


async def test_a_batch_is_there_whole_or_not_at_all_when_its_process_dies_over_accepting_it(site: Site) -> None:
    """Its sender, which had no answer, sends it again: the mails are the same ones."""
    for step in (1, 2):
        site.graph = Graph()
        async with Process(site, Life(step)) as process:
            with pytest.raises(Died):
                await accept(process, site.clock.now())
        messages = await received(site.alive)
        assert len(messages) == step - 1
        for message, found in messages:
            assert isinstance(found, Batch)
            assert msgspec.json.decode(await site.alive.outbox.content_of(found) or b"")["events"]
            await carry(site.alive, found)
            await site.alive.queue.delete_message(message)
        await deliver_all(site)
        assert len(site.graph.sent) == EVENTS * (step - 1)
