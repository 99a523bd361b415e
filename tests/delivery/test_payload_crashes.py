"""A large mail over real storage, whose process dies between two writes: nothing is lost, doubled or left behind.

The mail is in a blob, its wake-up in a queue, its row in a table; so there are several writes, and a process may die
after any of them. It is then as if another one came: the client repeats its request, the queue its message.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self
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
from shared.delivery.queue import Outbox, Receipt
from shared.delivery.queue_messages import Work, parse_work, work_of
from shared.delivery.request import Answer, Done, Requests
from shared.delivery.row import Row
from shared.delivery.transitions import Busy, Mismatch
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, Outcome
from shared.mail.model import FileAttachment
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import Settings
from shared.settings.queue_names import WORK
from shared.storage.files import Files, filled
from shared.storage.table_identity import OWN
from shared.storage.tables import Tables
from tests.delivery.memory import Unpaced
from tests.delivery.samples import ACCEPTED, BAD_RECIPIENT, THROTTLED, Clock, ScriptedPolicy, mailer, outgoing_mail

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
        super().__init__()
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

    async def messages(self) -> list[tuple[QueueMessage, Work]]:
        """Received, so that nobody else sees them for as long as a test takes."""
        received = [message async for message in self.queue.receive_messages(visibility_timeout=600)]
        return [(message, _work(message)) for message in received]

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
        made = replace(outgoing_mail(uuid4().hex, size=LARGE), accepted_at=self.clock.now())
        message = msgspec.structs.replace(made.request.message, attachments=files or None)
        return replace(made, request=msgspec.structs.replace(made.request, message=message))

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
                await Worker(self.alive.engine).deliver(found)
                await self.alive.queue.delete_message(message)
            if not received:
                return
            self.clock.move(minutes=2)
        raise AssertionError("messages go round and round")

    async def dies(self, begin: Begin, made: OutgoingMail, steps: int) -> bool:
        """Whether the process has not come to its end within so many steps."""
        async with Process(self, Life(steps)) as process:
            try:
                await begin(process, made)
            except Died:
                return True
        return False

    async def dies_over_its_message(self, steps: int) -> bool:
        """The same for a courier and the one message in the queue, which is there again when its receiver is dead."""
        [(message, found)] = await self.alive.messages()

        async def deliver(process: Process, _: OutgoingMail) -> None:
            await Worker(process.engine).deliver(found)

        if died := await self.dies(deliver, self.outgoing_mail(), steps):
            await self.alive.queue.update_message(message, visibility_timeout=0)
        else:
            await self.alive.queue.delete_message(message)
        return died

    async def sends_once(self, made: OutgoingMail, step: int) -> None:
        await self.deliver_all()
        assert self.graph.sent == [made.id], f"died after step {step}"
        assert await self.left_behind(made.id) == [], f"died after step {step}"

    async def payloads(self, mail: str) -> list[str]:
        container = self.alive.blobs.get_container_client(OWN)
        return [blob.name async for blob in container.list_blobs(name_starts_with=f"{partition(mail)}/{mail}/")]

    async def left_behind(self, mail: str) -> list[str]:
        """The mail's blobs after maintenance, weeks later."""
        self.clock.move(days=30)
        number = int(partition(mail), 16)
        await Maintenance(self.alive.engine).run(range(number, number + 1))
        return await self.payloads(mail)


def _work(message: QueueMessage) -> Work:
    found = parse_work(message.content.encode())
    assert isinstance(found, Work)
    return found


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


@pytest.mark.parametrize("first", ["client", "queue"])
@pytest.mark.parametrize(
    ("begin", "outcomes", "steps"),
    [
        pytest.param(respond_async, [], 3, id="respond-async"),  # blob, message, row
        pytest.param(send_now, [THROTTLED], 5, id="throttled"),  # row, Graph, blob, message, row
    ],
)
async def test_a_request_whose_process_dies_after_any_step_is_sent_once_when_it_is_repeated(
    site: Site, begin: Begin, outcomes: list[Outcome], steps: int, first: Literal["client", "queue"]
) -> None:
    """Whichever comes first, its client or what it left in the queue."""
    for step in range(1, steps + 2):
        site.graph = Graph(list(outcomes))
        made = site.outgoing_mail()
        died = await site.dies(begin, made, step)
        if died and first == "queue":
            await site.deliver_all()
        if died:
            await site.ask(begin, made)
        await site.sends_once(made, step)
        assert died is (step <= steps)


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        pytest.param([], 4, id="sent"),  # claim, Graph, row, blob
        pytest.param([THROTTLED], 4, id="throttled"),  # claim, Graph, row, message
    ],
)
async def test_an_accepted_mail_whose_courier_dies_after_any_step_is_sent_once(
    site: Site, outcomes: list[Outcome], steps: int
) -> None:
    """Nobody asks for it again: it was acknowledged."""
    for step in range(1, steps + 2):
        site.graph = Graph(list(outcomes))
        made = site.outgoing_mail()
        await site.ask(respond_async, made)
        died = await site.dies_over_its_message(step)
        await site.sends_once(made, step)
        assert died is (step <= steps)


async def test_a_mail_with_files_of_their_own_whose_process_dies_after_any_step_is_sent_once(site: Site) -> None:
    """Before the message that names them, and after it: what nobody names goes with maintenance."""
    steps = 5  # file, file, mail, message, row
    for step in range(1, steps + 2):
        site.graph = Graph([THROTTLED])
        made = site.outgoing_mail(*FILES)
        died = await site.dies(respond_async, made, step)
        if died:
            await site.ask(respond_async, made)
        await site.sends_once(made, step)
        assert died is (step <= steps)


async def test_the_files_of_a_refused_mail_are_there_for_its_replay(site: Site) -> None:
    site.graph = Graph([BAD_RECIPIENT])
    made = site.outgoing_mail(*FILES)
    await site.ask(respond_async, made)
    await site.deliver_all()
    number = int(partition(made.id), 16)
    site.clock.move(days=12)  # its mail's blob is an orphan by then
    await Maintenance(site.alive.engine).run(range(number, number + 1))
    row = await site.alive.engine.ledger.read(made.id)
    assert row
    await Control(site.alive.engine).replay(row)
    await site.deliver_all()
    assert site.graph.sent == [made.id]
    assert await site.left_behind(made.id) == []


async def test_a_producers_mail_whose_courier_dies_after_any_step_is_sent_once(site: Site) -> None:
    """The producer's message has its mail; only a put-back takes it into a blob."""
    steps = 5  # row, Graph, row, blob, message
    for step in range(1, steps + 2):
        site.graph = Graph([THROTTLED])
        made = site.outgoing_mail()
        died = await site.dies(deliver_a_producers, made, step)
        if died:
            await deliver_a_producers(site.alive, made)
        await site.sends_once(made, step)
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
    await Worker(site.alive.engine).deliver(work_of(other), other)  # and as one that came by queue
    assert await site.payloads(made.id) == before
    await site.deliver_all()
    assert site.graph.sent == [made.id]


async def test_a_late_duplicate_of_a_refused_mail_does_not_take_the_mail_of_its_replay(site: Site) -> None:
    """A message may come twice, the second time long after its mail has ended."""
    site.graph = Graph([BAD_RECIPIENT])
    made = site.outgoing_mail()
    await site.ask(respond_async, made)
    [(message, duplicate)] = await site.alive.messages()
    await Worker(site.alive.engine).deliver(duplicate)
    await site.alive.queue.delete_message(message)
    row = await site.alive.engine.ledger.read(made.id)
    assert row
    await Control(site.alive.engine).replay(row)

    await Worker(site.alive.engine).deliver(duplicate)

    await site.deliver_all()
    assert site.graph.sent == [made.id]
    assert await site.left_behind(made.id) == []
