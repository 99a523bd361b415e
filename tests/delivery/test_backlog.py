"""One mailbox's backlog never takes the executions that another one needs: a host works off `mail-work`, in no time."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from shared.delivery.engine import Engine
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome, Throttled
from shared.mail.outgoing import OutgoingMail, encode
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.settings.config import Settings
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.samples import ACCEPTED, SENDER, ScriptedPolicy, mailer, outgoing_mail, work
from tests.ratelimit.far import LIMITS, FarStore
from tests.ratelimit.virtual import at, clock, elapsed, run

OTHER = "alerts@sandbox.example"
QUEUES = json.loads((Path(__file__).parents[2] / "host.json").read_text())["extensions"]["queues"]
STORAGE = 0.01  # seconds an operation


@dataclass
class Host:
    """Takes messages in batches as host.json says, and runs an execution for each."""

    graph: Callable[[str], Outcome | None] = lambda _: None
    policy: Any = field(default_factory=ScriptedPolicy)
    sent: dict[str, float] = field(default_factory=dict)
    sent_from: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = Settings()
        self.outbox = MemoryOutbox()
        self.limits = RateLimits(FarStore(STORAGE), now=clock(), **LIMITS)
        engine = Engine(
            settings,
            MemoryLedger(),
            self.outbox,
            self.limits,
            self.policy,
            mailer(settings, self._send),
            now=clock(),
            monotonic=elapsed,
        )
        self.worker = Worker(engine)
        self._waiting: list[tuple[float, int, Work]] = []
        self._count = 0

    def put(self, message: Work, due: float = 0.0) -> None:
        self._count += 1
        heappush(self._waiting, (due, self._count, message))

    async def work(self, seconds: float) -> None:
        running: set[asyncio.Task[None]] = set()
        end = elapsed() + seconds
        while elapsed() < end:
            if len(running) <= QUEUES["newBatchThreshold"]:
                for _ in range(QUEUES["batchSize"]):
                    if self._waiting and self._waiting[0][0] <= elapsed():
                        running.add(asyncio.create_task(self._execute(heappop(self._waiting)[2])))
            if running:
                _, running = await asyncio.wait(running, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.1)
            for task in [task for task in running if task.done()]:
                running.discard(task)

    async def _execute(self, message: Work) -> None:
        await asyncio.sleep(STORAGE)  # the message is received
        await self.worker.deliver(message)
        await asyncio.sleep(STORAGE)  # and completed
        for due, again in self.outbox.messages:
            self.put(again, (due - at(0)).total_seconds())
        self.outbox.messages.clear()

    async def _send(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        await asyncio.sleep(0.3)
        if (refused := self.graph(row.mailbox)) is not None:
            return refused
        self.sent[mail.id] = elapsed()
        self.sent_from.setdefault(row.mailbox, []).append(elapsed())
        return ACCEPTED


def mail(number: int, mailbox: str, reserved: Reservation | None = None) -> Work:
    one = replace(outgoing_mail(f"{number:032x}"), sender=mailbox, accepted_at=at(0))
    carried = {"via": mailbox, "reserved": reserved.at} if reserved else {}
    return work(one, mail=msgspec.Raw(encode(one)), **carried)


async def alerts(host: Host, times: list[float]) -> None:
    for number, time in enumerate(times):
        await asyncio.sleep(max(0.0, time - elapsed()))
        host.put(mail(10**6 + number, OTHER), elapsed())


def late(host: Host, times: list[float]) -> list[float]:
    """Seconds after which each of the other mailbox's mails had left."""
    return [host.sent[f"{10**6 + number:032x}"] - time for number, time in enumerate(times)]


def test_with_ten_thousand_mails_of_one_mailbox_in_front_a_mail_of_another_one_leaves_within_five_seconds() -> None:
    async def scenario() -> None:
        host = Host()
        found = await asyncio.gather(*(host.limits.reserve(SENDER, 1) for _ in range(10_000)))
        for number, one in enumerate(found):
            assert isinstance(one, Reservation)
            host.put(mail(number, SENDER, one), (one.at - at(0)).total_seconds())
        times = [0.5, 3.0, 10.0, 10.1, 10.2, 25.0]
        await asyncio.gather(host.work(40), alerts(host, times))
        assert max(late(host, times)) < 1
        assert len(host.sent_from[SENDER]) in range(4 + 18, 4 + 22), "and its own rate is kept"

    run(scenario())


def test_a_backlog_that_has_no_times_yet_is_through_the_queue_in_seconds() -> None:
    """All its messages are visible, before the other one's; each execution reserves, and puts its message back."""

    async def scenario() -> None:
        host = Host()
        for number in range(1000):
            host.put(mail(number, SENDER))
        times = [0.1]
        await asyncio.gather(host.work(8), alerts(host, times))
        assert late(host, times)[0] < 5

    run(scenario())


def test_while_one_mailbox_is_throttled_for_ten_minutes_the_others_leave_at_their_own_pace() -> None:
    async def scenario() -> None:
        host = Host(lambda mailbox: Throttled(600.0, code="ApplicationThrottled") if mailbox == SENDER else None)
        for number in range(300):
            host.put(mail(number, SENDER))
        times = [float(second) for second in range(2, 60, 2)]
        await asyncio.gather(host.work(70), alerts(host, times))
        assert max(late(host, times)) < 3
        assert SENDER not in host.sent_from

    run(scenario())
