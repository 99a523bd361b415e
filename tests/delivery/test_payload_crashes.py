"""A large mail, or a batch, over real storage, whose process dies between two writes: nothing is lost, doubled or left.

The mail is in a blob, its wake-up in a queue, its row in a table; so there are several writes, and a process may die
after any of them. It is then as if another one came: the client repeats its request, the queue its message.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import uuid4

import msgspec
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueServiceClient

from shared.delivery.cancel_replay_retry import Control
from shared.delivery.engine import Engine
from shared.delivery.ledger import TABLE, Ledger, partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.payloads import batch_name
from shared.delivery.queue import Outbox, Receipt
from shared.delivery.queue_messages import Batch, Work, parse_work, work_of
from shared.delivery.request import Answer, Done, Requests
from shared.delivery.row import Row
from shared.delivery.transitions import Busy, Mismatch
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, Outcome
from shared.mail.model import FileAttachment
from shared.mail.outgoing import OutgoingMail, identity
from shared.settings.config import Settings
from shared.settings.queue_names import WORK
from shared.storage.files import Files, filled
from shared.storage.table_identity import OWN
from shared.storage.tables import Tables
from shared.webhooks.routing.batches import Expander, packed
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import SourceEvent
from tests.delivery.memory import Unpaced
from tests.delivery.samples import ACCEPTED, BAD_RECIPIENT, THROTTLED, Clock, ScriptedPolicy, mailer, outgoing_mail

ROUTES: Final = load().routes
LARGE = 60_000  # does not fit into a message; what is really large takes no other way
FILES = tuple(FileAttachment(name=name, content_bytes=name.encode() * 100_000) for name in ("one", "two"))
Begin = Callable[["Process", OutgoingMail], Awaitable[object]]


class Died(BaseException):
    """The end of a process: no handler of the program runs on."""


@dataclass
class Life:
    """Of one process: so many steps, the writes that storage has carried out and the requests that Graph has."""

    left: int = -1  # for ever

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Died


class Wire(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """The network to storage."""

    def __init__(self, life: Life) -> None:
        super().__init__(use_env_settings=False)  # as the app has it
        self._life = life

    async def send(self, request: Any, **options: Any) -> Any:
        answer = await super().send(request, **options)
        if request.method not in ("GET", "HEAD") and answer.status_code < 300:
            self._life.step()
        return answer


class Punctual(Outbox):
    """Messages do not hide: the clock is moved by hand, and storage has its own."""

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        return await super().put(work, now, None, mail)


@dataclass
class Graph:
    """Answers as told, then accepts. It outlives the processes."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def take(self, mail: str) -> Outcome:
        outcome = self.outcomes.pop(0) if self.outcomes else ACCEPTED
        if isinstance(outcome, Accepted):
            self.sent.append(mail)
        return outcome


class Process:
    """One process of Mailroom, with its own connections to storage."""

    def __init__(self, site: "Site", life: Life) -> None:
        self._site = site
        self._life = life
        self._stack = AsyncExitStack()
        self._queues = QueueServiceClient.from_connection_string(site.storage, transport=Wire(life))
        self._wire = Wire(life)
        self.blobs = BlobServiceClient.from_connection_string(site.storage, transport=Wire(life))
        self.queue = self._queues.get_queue_client(WORK)
        self.outbox = Punctual(lambda: self._queues, lambda: self.blobs)
        ledger = Ledger(Tables.of_connection_string(site.storage, self._wire).table(TABLE))
        policy: Any = ScriptedPolicy()
        self.engine = Engine(
            Settings(),
            ledger,
            self.outbox,
            Unpaced(),
            policy,
            mailer(Settings(), self._send, self._look),
            now=site.clock.now,
            monotonic=site.clock.monotonic,
        )

    async def __aenter__(self) -> Self:
        for client in (self._queues, self._wire, self.blobs):
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def messages(self) -> list[tuple[QueueMessage, Work | Batch]]:
        """Received, so that nobody else sees them for as long as a test takes."""
        received = [message async for message in self.queue.receive_messages(visibility_timeout=600)]
        found = [(message, parse_work(message.content.encode())) for message in received]
        return [(message, one) for message, one in found if isinstance(one, Work | Batch)]

    async def carry(self, found: Work | Batch) -> None:
        if isinstance(found, Work):
            await Worker(self.engine).deliver(found)
        else:
            await Expander(self.outbox, ROUTES.__getitem__, self._take, self._never).expand(found)

    async def _take(self, route: Route, event: SourceEvent, now: datetime, paced: bool) -> None:  # noqa: FBT001 - as intake has it
        made = replace(outgoing_mail(identity("test", event.key), size=LARGE), accepted_at=now)
        await self.outbox.put(work_of(made), now, None, made)

    async def _never(self, *_: object) -> None:
        raise AssertionError

    async def _send(self, mail: OutgoingMail, row: Row, still_ours: object) -> Outcome:
        assert mail.request.message.body
        assert len(mail.request.message.body.content or "") == LARGE
        whole = await filled(mail.request.message, Files(lambda: self.blobs))
        assert (whole.attachments or FILES) == FILES
        outcome = self._site.graph.take(mail.id)
        self._life.step()
        return outcome

    async def _look(self, row: Row) -> Finding:
        return "sent" if row.id in self._site.graph.sent else "absent"


class Site:
    """What stays when a process dies: storage, Graph, the time; and a process that lives."""

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.graph = Graph()
        self.clock = Clock(datetime.now(UTC))  # maintenance compares with the time at which storage says a blob was put
        self.alive = Process(self, Life())

    def outgoing_mail(self, *files: FileAttachment) -> OutgoingMail:
        made = outgoing_mail(uuid4().hex, size=LARGE, attachments=files or None)
        return replace(made, accepted_at=self.clock.now())

    async def ask(self, begin: Begin, made: OutgoingMail) -> None:
        """As a client does that must have an answer: with the same key until it gets one."""
        while isinstance(answer := await begin(self.alive, made), Busy):
            self.clock.move(seconds=answer.retry_after)
        assert isinstance(answer, Done), answer

    async def deliver_all(self) -> None:
        """Bring every message to a courier until there is none."""
        for _ in range(20):
            received = await self.alive.messages()
            for message, found in received:
                await self.alive.carry(found)
                await self.alive.queue.delete_message(message)
            if not received:
                return
            self.clock.move(minutes=2)
        raise AssertionError("messages go round and round")

    async def dies(self, steps: int, begin: Callable[..., Awaitable[object]], *given: object) -> bool:
        """Whether the process has not come to its end within so many steps."""
        async with Process(self, Life(steps)) as process:
            try:
                await begin(process, *given)
            except Died:
                return True
        return False

    async def dies_over_its_message(self, steps: int, *, comes_again: bool = False) -> bool:
        """The same for a courier and the one message in the queue, which is there again when its receiver is dead."""
        [(message, found)] = await self.alive.messages()
        if (died := await self.dies(steps, Process.carry, found)) or comes_again:
            await self.alive.queue.update_message(message, visibility_timeout=0)
        else:
            await self.alive.queue.delete_message(message)
        return died

    async def payloads(self, mail: str) -> list[str]:
        container = self.alive.blobs.get_container_client(OWN)
        return [blob.name async for blob in container.list_blobs(name_starts_with=f"{partition(mail)}/{mail}/")]

    async def left_behind(self, mail: str) -> list[str]:
        """The mail's blobs after maintenance, weeks later."""
        await self.maintain(mail, days=30)
        return await self.payloads(mail)

    async def maintain(self, mail: str, days: float) -> None:
        self.clock.move(days=days)
        number = int(partition(mail), 16)
        await Maintenance(self.alive.engine).run(range(number, number + 1))

    async def replay(self, mail: str) -> None:
        row = await self.alive.engine.ledger.read(mail)
        assert row
        await Control(self.alive.engine).replay(row)


@pytest.fixture
async def site(storage: str) -> AsyncIterator[Site]:
    site = Site(storage)
    async with site.alive:
        await respond_async(site.alive, site.outgoing_mail())  # makes what is made on first use, which is a step, too
        await site.alive.queue.clear_messages()
        yield site


async def respond_async(process: Process, made: OutgoingMail) -> Answer:
    return await Requests(process.engine).accept(made)


async def send_now(process: Process, made: OutgoingMail) -> Answer:
    return await Requests(process.engine).send_now(made)


async def deliver_a_producers(process: Process, made: OutgoingMail) -> None:
    await Worker(process.engine).deliver(work_of(made), made)


# Who dies over a mail, what Graph says, of how many steps each, and who comes then: the client with the same key, or
# first what it left in the queue. courier: nobody asks for the mail again, since it was acknowledged.
DEATHS: Final[dict[str, tuple[Begin | None, list[Outcome], int, str]]] = {
    "respond-async": (respond_async, [], 3, "client"),  # blob, message, row
    "respond-async, its message first": (respond_async, [], 3, "queue"),
    "throttled": (send_now, [THROTTLED], 5, "client"),  # row, Graph, blob, message, row
    "throttled, its message first": (send_now, [THROTTLED], 5, "queue"),
    "courier": (None, [], 4, ""),  # claim, Graph, row, blob
    "courier, throttled": (None, [THROTTLED], 4, ""),  # claim, Graph, row, message
    # Before the message that names them, and after it: what nobody names goes with maintenance.
    "with files of their own": (respond_async, [THROTTLED], 5, "client"),  # file, file, mail, message, row
    # The producer's message has its mail; only a put-back takes it into a blob.
    "producer": (deliver_a_producers, [THROTTLED], 5, "producer"),  # row, Graph, row, blob, message
}


@pytest.mark.parametrize("death", DEATHS)
async def test_a_mail_whose_process_dies_after_any_step_is_sent_once(site: Site, death: str) -> None:
    begin, outcomes, steps, comes = DEATHS[death]
    files = FILES if death == "with files of their own" else ()
    for step in range(1, steps + 2):
        site.graph = Graph(list(outcomes))
        made = site.outgoing_mail(*files)
        if begin is None:
            await site.ask(respond_async, made)
            died = await site.dies_over_its_message(step)
        else:
            died = await site.dies(step, begin, made)
        if died and comes == "queue":
            await site.deliver_all()
        if died and comes in ("queue", "client"):
            assert begin
            await site.ask(begin, made)
        if died and comes == "producer":
            await deliver_a_producers(site.alive, made)
        await site.deliver_all()
        assert site.graph.sent == [made.id], f"died after step {step}"
        assert await site.left_behind(made.id) == [], f"died after step {step}"
        assert died is (step <= steps)


async def test_a_refused_mail_whose_courier_dies_after_any_step_is_kept_for_a_person(site: Site) -> None:
    for step in range(1, 4 + 2):
        site.graph = Graph([BAD_RECIPIENT, BAD_RECIPIENT])
        made = site.outgoing_mail()
        await site.ask(respond_async, made)
        died = await site.dies_over_its_message(step)
        await site.deliver_all()
        assert site.graph.sent == []
        kept = await site.alive.outbox.kept(made.id)
        assert kept, f"died after step {step}"
        assert (kept.reason, len(kept.content) > LARGE) == ("ErrorInvalidRecipients", True)
        assert await site.payloads(made.id)  # a late copy of the message must find it; maintenance takes it in time
        assert died is (step <= 4)  # claim, Graph, kept, row


async def test_the_same_key_with_another_large_body_changes_nothing_of_the_first(site: Site) -> None:
    made = site.outgoing_mail()
    await site.ask(respond_async, made)
    before = await site.payloads(made.id)
    other = replace(made, fingerprint="another")
    assert await respond_async(site.alive, other) == await send_now(site.alive, other) == Mismatch()
    await deliver_a_producers(site.alive, other)
    assert await site.payloads(made.id) == before
    await site.deliver_all()
    assert site.graph.sent == [made.id]


async def test_a_late_duplicate_of_a_refused_mail_does_not_take_the_mail_of_its_replay(site: Site) -> None:
    """A message may come twice, the second time long after its mail has ended."""
    site.graph = Graph([BAD_RECIPIENT])
    made = site.outgoing_mail()
    await site.ask(respond_async, made)
    [(message, duplicate)] = await site.alive.messages()
    await site.alive.carry(duplicate)
    await site.alive.queue.delete_message(message)
    await site.replay(made.id)
    await site.alive.carry(duplicate)
    await site.deliver_all()
    assert site.graph.sent == [made.id]
    assert await site.left_behind(made.id) == []


# A batch of events: every mail has a blob of its own, so to expand it is many writes.

EVENTS: Final = 3
STEPS: Final = 2 * EVENTS + 1  # a blob and a message for each mail, the batch's own blob


async def take(process: Process, now: datetime) -> list[str]:
    """The ids of the mails that a new batch asks for."""
    name = uuid4().hex
    events = [SourceEvent(id=str(n), source="s", type="t", key=f"{name} {n}", data={"n": n}) for n in range(EVENTS)]
    batch = Batch(v=1, id=name, route="generic", accepted_at=now, payload=batch_name(name), count=EVENTS)
    await process.outbox.put_batch(batch, packed(events))
    return sorted(identity("test", event.key) for event in events)


@pytest.mark.parametrize("comes_again", [False, True], ids=["once", "delivered-once-more"])
async def test_a_batch_whose_process_dies_after_any_step_sends_each_mail_once(site: Site, *, comes_again: bool) -> None:
    for step in range(1, STEPS + 2):
        site.graph = Graph()
        mails = await take(site.alive, site.clock.now())
        died = await site.dies_over_its_message(step, comes_again=comes_again)
        await site.deliver_all()
        assert sorted(site.graph.sent) == mails, f"died after step {step}"
        assert died is (step <= STEPS)


async def test_a_batch_is_there_whole_or_not_at_all_when_its_process_dies_over_accepting_it(site: Site) -> None:
    """Its sender, which had no answer, sends it again: the mails are the same ones."""
    for step in (1, 2):
        site.graph = Graph()
        assert await site.dies(step, take, site.clock.now())
        messages = await site.alive.messages()
        assert len(messages) == step - 1
        for message, found in messages:
            assert isinstance(found, Batch)
            assert msgspec.json.decode(await site.alive.outbox.content_of(found) or b"")["events"]
            await site.alive.carry(found)
            await site.alive.queue.delete_message(message)
        await site.deliver_all()
        assert len(site.graph.sent) == EVENTS * (step - 1)
