"""Times at which mails may go: one schedule for each key (a mailbox), shared by all instances in one row.

An instance takes times in blocks, by one conditional write. A block is as large as there are waiters; where demand
lasts it is larger, and what is left serves the next mails without storage. When demand ends, what is left is given
back, if nobody has moved the schedule on since; else it lapses. Where a rate gives many times in a moment, a block of
some keeps nobody waiting, so there the first one is that large already.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from azure.core.exceptions import AzureError

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.gcra import Rate, book
from shared.delivery.pacing.store import Changed, PacingStore, PacingUnavailable, Stored

__all__ = ["Reservations"]

MOMENT: Final = timedelta(seconds=0.25)  # the least that is taken is what the rate gives in it, one time at least
LARGEST: Final = 32  # and the most what was asked for in the last seconds, up to this, or what is waited for,
AHEAD: Final = timedelta(seconds=10)  # and what lies no further ahead of that: nobody is kept waiting longer in vain
IDLE: Final = 2.0  # seconds without demand after which times are given back
TRIES: Final = 12  # writes of one row, each met by another's
PAUSE: Final = 0.01  # seconds at most between two of them; doubled each time, up to
LONGEST_PAUSE: Final = 0.5
KEPT: Final = 1000  # schedules remembered without times left in them


@dataclass(slots=True)
class _Schedule:
    """What this instance knows of one row, and holds of its times: `times` is the unused end of its last block."""

    stored: Stored | None = None
    known: bool = False  # `stored` has been read or written: None means that there is no row
    shared: bool = False  # others write it too, so it is read before it is written
    times: deque[datetime] = field(default_factory=deque)
    returned: list[datetime] = field(default_factory=list)  # a heap: handed out and not needed
    rate: Rate | None = None  # of the block
    taken_at: float = float("-inf")  # when that was, monotonic
    used: int = 0  # times handed out since then
    used_at: float = float("-inf")
    waiting: int = 0
    failures: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def next(self, now: datetime, not_before: datetime, late: timedelta) -> datetime | None:
        """The next time that may still be used. not_before: earlier times are void, they fell into a block."""
        while self.returned:
            time = heappop(self.returned)
            if time >= max(now, not_before):
                return time
        while self.times:
            time = self.times.popleft()
            if time + late >= now and time >= not_before:
                return max(time, now)
        return None


class Reservations:
    """The schedules of one process. rate is asked at each block, so it may change."""

    def __init__(self, store: PacingStore, rate: Callable[[], Rate], clock: Clock) -> None:
        self._store = store
        self._rate = rate
        self._clock = clock
        self._schedules: dict[str, _Schedule] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def reserve(self, key: str, not_before: datetime | None = None) -> datetime:
        """The next time of this schedule. Raises PacingUnavailable."""
        schedule = self._schedule(key)
        failures = schedule.failures
        now = self._clock.now()
        rate = self._rate()
        schedule.waiting += 1
        try:
            async with schedule.lock:
                while (time := schedule.next(now, not_before or now - rate.late, rate.late)) is None:
                    if schedule.failures != failures:
                        raise PacingUnavailable(f"The schedule {key} cannot be written.")
                    await self._take(key, schedule, max(now, not_before or now), rate)
        finally:
            schedule.waiting -= 1
        schedule.used += 1
        schedule.used_at = self._clock.monotonic()
        if schedule.times and (self._sweeper is None or self._sweeper.done()):
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        return time

    def put_back(self, key: str, time: datetime) -> None:
        """A time that is not needed after all: the next mail here has it, if it has not passed by then. No storage."""
        if key in self._schedules:
            heappush(self._schedules[key].returned, time)

    def expected(self, key: str) -> datetime | None:
        """When the next time of this schedule is, as far as this process knows; None: it knows nothing of it."""
        schedule = self._schedules.get(key)
        if schedule is None:
            return None
        if schedule.returned or schedule.times:
            return min([*schedule.returned[:1], *list(schedule.times)[:1]])
        tat = schedule.stored.values.get("tat") if schedule.stored else None
        return tat if isinstance(tat, datetime) else None

    async def close(self) -> None:
        """Give back all times that are not used. Raises AzureError."""
        if self._sweeper:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        for key, schedule in self._schedules.items():
            await self._give_back(key, schedule)

    def _schedule(self, key: str) -> _Schedule:
        if key not in self._schedules and len(self._schedules) >= KEPT:
            unused = [its for its, schedule in self._schedules.items() if not schedule.times and not schedule.waiting]
            for its in unused[: KEPT // 2]:
                del self._schedules[its]
        return self._schedules.setdefault(key, _Schedule())

    async def _take(self, key: str, schedule: _Schedule, not_before: datetime, rate: Rate) -> None:
        try:
            for attempt in range(TRIES):
                if attempt > 1:
                    await asyncio.sleep(self._clock.random.uniform(0, min(PAUSE * 2**attempt, LONGEST_PAUSE)))
                if not schedule.known or (schedule.shared and attempt != 1):  # what is known is old; at 1 it is fresh
                    found = await self._store.read(_partition(key), key)
                    schedule.shared = schedule.known and found != schedule.stored
                    schedule.stored, schedule.known = found, True
                if await self._try_take(key, schedule, not_before, rate):
                    return
        except AzureError as error:
            schedule.failures += 1
            schedule.known = False
            raise PacingUnavailable(f"The schedule {key} cannot be written.") from error
        schedule.failures += 1
        raise PacingUnavailable(f"The schedule {key} was written by others {TRIES} times.")

    async def _try_take(self, key: str, schedule: _Schedule, not_before: datetime, rate: Rate) -> bool:
        """Take a block by one write. False: another one has written the row; it is known now."""
        tat = schedule.stored and schedule.stored.values.get("tat")
        tat = tat if isinstance(tat, datetime) else None
        start = max(self._clock.now(), not_before)
        booking = book(tat, start, schedule.waiting, rate)
        if rate.late or booking.times[-1] > start:
            # There is a backlog, or time to use them: more than are waited for. Else those would lapse at once.
            booking = book(tat, start, self._size(schedule, rate), rate)
        values = {"tat": booking.tat}
        before = schedule.stored.etag if schedule.stored else None
        try:
            etag = await self._store.write(_partition(key), key, values, before)
        except Changed as changed:
            schedule.stored = changed.found
            schedule.shared = True
            return False
        schedule.stored = Stored(values, etag)
        schedule.times.extend(booking.times)
        schedule.rate = rate
        schedule.used = 0
        schedule.taken_at = self._clock.monotonic()
        return True

    def _size(self, schedule: _Schedule, rate: Rate) -> int:
        """Times that the next seconds will probably need, going by the last ones."""
        asked_for = int(schedule.used * IDLE / max(1.0, self._clock.monotonic() - schedule.taken_at))
        likely = min(asked_for, LARGEST, schedule.waiting + AHEAD // rate.interval)
        return max(schedule.waiting, MOMENT // rate.interval, likely)

    async def _sweep(self) -> None:
        """Give back what is left where demand has ended."""
        while any(schedule.times for schedule in self._schedules.values()):
            await asyncio.sleep(IDLE / 2)
            for key, schedule in list(self._schedules.items()):
                if schedule.times and self._clock.monotonic() - schedule.used_at >= IDLE:
                    try:
                        await self._give_back(key, schedule)
                    except AzureError:
                        schedule.known = False
        self._sweeper = None

    async def _give_back(self, key: str, schedule: _Schedule) -> None:
        async with schedule.lock:
            now = self._clock.now()
            stored, rate = schedule.stored, schedule.rate
            tat = stored.values["tat"] if stored else None
            if not schedule.times or stored is None or rate is None or not isinstance(tat, datetime):
                return
            if tat <= now:  # the schedule is behind the clock, so they keep nobody waiting: they may as well be used
                if schedule.times[-1] + rate.late < now:
                    schedule.times.clear()
                return
            values = {"tat": tat - len(schedule.times) * rate.interval}
            schedule.times.clear()
            try:
                etag = await self._store.write(_partition(key), key, values, stored.etag)
            except Changed as changed:
                schedule.stored = changed.found
                schedule.shared = True
            else:
                schedule.stored = Stored(values, etag)


def _partition(key: str) -> str:
    return key[:2]
