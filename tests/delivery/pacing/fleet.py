"""Instances that work off one queue through one store, and a Graph that only counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from azure.core.exceptions import ServiceRequestError

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.pacer import Pacer, PacingUnavailable, Slot
from shared.delivery.pacing.shares import SlotRow
from shared.delivery.pacing.store import Changed, MemoryStore, Stored, Values
from tests.delivery.pacing.virtual import clock

PATIENCE = 20.0
CLAIM = 0.02
SHOP, DESK = "shop@example.com", "desk@example.com"


class SlowStore:
    """A store as far away as the real one, that counts its operations and can be switched off."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.rows_in = MemoryStore()
        self.seconds = seconds
        self.operations: Counter[tuple[str, str]] = Counter()
        self.down = False

    async def read(self, partition: str, key: str) -> Stored | None:
        return await self._do("read", partition, lambda: self.rows_in.read(partition, key))

    async def rows(self, partition: str) -> dict[str, Stored]:
        return await self._do("rows", partition, lambda: self.rows_in.rows(partition))

    async def write(self, partition: str, key: str, values: Values, etag: str | None) -> str:
        try:
            return await self._do("write", partition, lambda: self.rows_in.write(partition, key, values, etag))
        except Changed:
            self.operations["slots" if partition == "slots" else "mailboxes", "own"] += 1
            raise

    async def _do[T](self, what: str, partition: str, operation: Callable[[], Awaitable[T]]) -> T:
        self.operations["slots" if partition == "slots" else "mailboxes", what] += 1
        seconds = self.seconds
        await asyncio.sleep(seconds / 2)
        if self.down:
            raise ServiceRequestError("Storage is down.")
        result = await operation()
        await asyncio.sleep(seconds / 2)
        return result


@dataclass
class Graph:
    """Takes every mail. sent: when, which mailbox, by which instance."""

    seconds: float = 0.3
    in_flight: int = 0
    most: int = 0
    sent: list[tuple[float, str, str]] = field(default_factory=list)
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, mailbox: str, instance: str) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        self.sent.append((asyncio.get_running_loop().time(), mailbox, instance))
        if self.goal and len(self.sent) >= self.goal:
            self.reached.set()


@dataclass
class Mail:
    mailbox: str
    reserved: bool = False
    put_back: int = 0


class Instance:
    """A process with so many messages in hand at a time, which it treats as the courier does."""

    def __init__(self, name: str, fleet: "Fleet", its_clock: Clock) -> None:
        self.name = name
        self.clock = its_clock
        self.fleet = fleet
        self.pacer = Pacer(fleet.store, rate_per_minute=fleet.rate, concurrency=fleet.concurrency, clock=its_clock)
        self.workers: list[asyncio.Task[None]] = []

    def start(self, workers: int = 24) -> None:
        self.workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def stop(self) -> None:
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)
        await self.pacer.close()

    def kill(self) -> None:
        """End at once, giving nothing back: what waits in the store stays as it is."""
        for task in self.workers:
            task.cancel()
        slots = self.pacer._slots
        slots._held.clear()
        if slots._keeper:
            slots._keeper.cancel()

    async def _work(self) -> None:
        while True:
            mail = await self.fleet.queue.get()
            try:
                await self._carry(mail)
            except PacingUnavailable:
                self.fleet.put(mail, PATIENCE)
            except asyncio.CancelledError:
                self.fleet.put(mail)
                raise

    async def _carry(self, mail: Mail) -> None:
        if not mail.reserved:
            due = await self.pacer.reserve(mail.mailbox)
            mail.reserved = True
            wait = (due - self.clock.now()).total_seconds()
            if wait > PATIENCE:
                return self.fleet.put(mail, wait)
            await asyncio.sleep(max(0.0, wait))
        async with self.pacer.turn(mail.mailbox, PATIENCE) as turn:
            if turn is not None:
                await self.fleet.claim()
                if await turn.ready(PATIENCE):
                    await self.fleet.graph.send(mail.mailbox, self.name)
                    return None
                self.fleet.given_back += 1
        until = self.pacer.blocked_until(mail.mailbox)
        if until is not None:
            mail.reserved = False
        due = until or await self.pacer.return_at()
        return self.fleet.put(mail, (due - self.clock.now()).total_seconds())


class Fleet:
    """Some instances over one store, one queue and one Graph."""

    def __init__(self, instances: int, *, rate: float = 100_000, concurrency: int = 4, seconds: float = 0.3) -> None:
        self.store = SlowStore()
        self.graph = Graph(seconds)
        self.rate = rate
        self.concurrency = concurrency
        self.queue: asyncio.Queue[Mail] = asyncio.Queue()
        self.put_backs: list[Mail] = []
        self.claims = 0
        self.given_back = 0  # of them
        self.instances = [
            Instance(f"instance {number}", self, clock(ahead=number % 3 * 0.9, seed=number))
            for number in range(instances)
        ]

    def put(self, mail: Mail, delay: float = 0.0) -> None:
        if delay > 0:
            mail.put_back += 1
            self.put_backs.append(mail)
            asyncio.get_running_loop().call_later(delay, self.queue.put_nowait, mail)
        else:
            self.queue.put_nowait(mail)

    async def claim(self) -> None:
        """What a courier writes before its request."""
        self.claims += 1
        await asyncio.sleep(CLAIM)

    async def drain(self, mails: int, *, workers: int = 24) -> float:
        """Start all instances and wait until Graph has so many more mails; returns the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.graph.goal = len(self.graph.sent) + mails
        self.graph.reached.clear()
        for instance in self.instances:
            instance.start(workers)
            await asyncio.sleep(0.1)  # no two processes start in the same moment
        await self.graph.reached.wait()
        return loop.time() - began

    async def stop(self) -> None:
        await asyncio.gather(*(instance.stop() for instance in self.instances))

    @property
    def operations(self) -> int:
        return self.store.operations.total()


def pacer(store: SlowStore, *, concurrency: int = 4, rate: float = 30, ahead: float = 0, seed: int = 0) -> Pacer:
    its_clock = clock(ahead=ahead, seed=seed)
    return Pacer(store, rate_per_minute=rate, concurrency=concurrency, clock=its_clock)


def now() -> float:
    return asyncio.get_running_loop().time()


async def owners(store: SlowStore) -> list[str]:
    rows = await store.rows_in.rows("slots")
    return [SlotRow.of(rows[key].values).owner for key in sorted(rows) if key != "app"]


@asynccontextmanager
async def slot(one: Pacer, mailbox: str = SHOP, patience: float = 20) -> AsyncGenerator[Slot | None]:
    """A turn of someone who has nothing to do before its request, as a direct request has not."""
    async with one.turn(mailbox, patience) as turn:
        yield turn.slot if turn and await turn.ready() else None


async def hold(one: Pacer, seconds: float, mailbox: str = SHOP, patience: float = 20) -> tuple[float, float] | None:
    """A request that takes so long; returns when it was on the way, or None when it had no slot."""
    async with slot(one, mailbox, patience) as mine:
        if mine is None:
            return None
        began = now()
        await asyncio.sleep(seconds)
        return began, now()
