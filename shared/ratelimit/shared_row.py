"""One row as this process knows it, and the one way to take a block from it: by one conditional write.

One write serves all who wait for the row, so a block is as large as there are waiters. What is not needed after all
goes to the next one in this process, and its recipients go back into the row with the next write. So no instance keeps
anything that others have to wait for.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Final

from azure.core.exceptions import AzureError

from shared.ratelimit.schedule import SPARE, Answer, Notice, Plan, RowLimits, Unused, Want, plan
from shared.ratelimit.store import Changed, RateLimitUnavailable, Stored, TableStore, Values
from shared.telemetry import LogEvent, emit

FRESH: Final = 5.0  # seconds for which a mailbox's row, as last seen, is believed
TRIES: Final = 12  # writes of one row, each met by another's
PAUSE: Final = 0.01  # seconds at most between two of them; doubled each time, up to
LONGEST_PAUSE: Final = 0.5
UNCOUNTED: Final = 1_000_000  # bytes that may wait for the row's next write
STEP: Final = 2  # seconds of a block for which Graph gives no time,
LONGEST_STEP: Final = 300  # doubled up to this
REPEATS: Final = 10  # seconds after a block in which the next one repeats it; or as many as it had itself
DIGITS: Final = 16  # of a mailbox's hash, in events
NOTICES: Final[dict[Notice, LogEvent]] = {"near": LogEvent.RECIPIENTS_NEAR, "reached": LogEvent.RECIPIENTS_REACHED}
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class SharedRow:
    """limits: may be changed at any time. slots: for the requests in flight of a mailbox."""

    def __init__(self, store: TableStore, key: str, now: Callable[[], datetime], limits: RowLimits) -> None:
        self.limits = limits
        self.slots: Final = asyncio.Semaphore(limits.concurrency)
        self.users = 0  # of the slots, waiting ones included
        self.blocked_until = NEVER  # in the row already, or not yet
        self.limited_at = NEVER  # when the operator was last told
        self._store, self._key, self._now = store, key, now
        self._unused = Unused()
        self._stored: Stored | None = None
        self._seen = float("-inf")  # when the row was last read or written, on the loop's clock
        self._shared = False  # others write it too, so it is read before it is written
        self._step = 0
        self._waiting: list[Want] = []
        self._lock = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether it may be forgotten: it can be made again from the row."""
        return not (self.users or self._waiting or self._lock.locked() or self.blocked_until > self._now())

    async def take(self, want: Want) -> Answer:
        """Serve it, and all who wait beside it. Raises RateLimitUnavailable."""
        self._waiting.append(want)
        try:
            async with self._lock:
                if want in self._waiting:
                    await self._serve([*self._waiting])
        except asyncio.CancelledError:
            self._not_needed(want)
            raise
        finally:
            if want in self._waiting:
                self._waiting.remove(want)
        if want.answer is None:
            raise want.failed or RateLimitUnavailable(self._key)
        return want.answer

    async def upload(self, size: int) -> Answer:
        """Count so many bytes, small numbers of them with the next write. Raises RateLimitUnavailable."""
        if self._unused.size + size >= UNCOUNTED:
            return await self.take(Want(times=0, size=size))
        self._unused.size += size
        return self._now()

    def put_back(self, time: datetime, recipients: int, times: int = 1) -> None:
        """A mail does not need its time and its recipients. No storage."""
        if self.limits.day is None:
            self._unused.add(Unused(spare=[self._now() + SPARE] * times))
        elif time >= self._now():
            self._unused.add(Unused([time] * times))
        self.spare(time, recipients)

    def spare(self, time: datetime, recipients: int) -> None:
        """A mail that had this time needs so many recipients fewer than it took; negative: more. No storage."""
        if self.limits.day and recipients:
            self._unused.add(Unused(recipients={self.limits.day.piece(time): recipients}))

    async def block(self, after: float | None) -> datetime:
        """Block for so many seconds; None: for a while, twice as long each time. A longer block stays. Never raises."""
        now = self._now()
        if after is None and self.blocked_until <= now:  # of answers at the same time the first one counts
            since = (now - self.blocked_until).total_seconds()
            self._step = min(2 * self._step, LONGEST_STEP) if since < max(REPEATS, self._step) else STEP
            after = self._step
        self.blocked_until = max(self.blocked_until, now + timedelta(seconds=after or 0))
        async with self._lock:
            with suppress(RateLimitUnavailable):  # it holds here, and the row's next write has it
                await self._write(lambda row: row if row["blocked_until"] != self._value("blocked_until") else None)
        return self.blocked_until

    def expected(self) -> datetime:
        """When the next mail may go, as far as this process knows. No storage."""
        found = plan(self._row(), self._unused, [Want(recipients=1)], self.limits, self._now()).answers[0]
        return found if isinstance(found, datetime) else found.until

    async def _serve(self, wants: list[Want]) -> None:
        left, self._unused = self._unused, Unused()
        made = Plan(None, [], Unused(), [])

        def decide(row: Values) -> Values | None:
            nonlocal made
            made = plan(row, left, wants, self.limits, self._now())
            return made.values

        try:
            await self._write(decide)
        except BaseException as error:
            # The row may have been written all the same: it must not get back twice what is not needed.
            lacking = {hour: count for hour, count in left.recipients.items() if count < 0}
            self._unused.add(Unused(left.times, left.spare, lacking, left.size))
            if not isinstance(error, RateLimitUnavailable):
                raise
            for want in wants:
                want.failed = RateLimitUnavailable(*error.args)
        else:
            self._unused.add(made.left)
            for want, answer in zip(wants, made.answers, strict=True):
                want.answer = answer
                if want not in self._waiting:
                    self._not_needed(want)
            for notice in made.notices:
                per_day = self.limits.day.limit if self.limits.day else None
                emit(NOTICES[notice], mailbox=self._key[:DIGITS], per_day=per_day)
        self._waiting = [want for want in self._waiting if want not in wants]

    def _not_needed(self, want: Want) -> None:
        """Who wanted it has been cancelled."""
        if isinstance(want.answer, datetime):
            self.put_back(want.answer, want.recipients, want.times)

    async def _write(self, decide: Callable[[Values], Values | None]) -> None:
        """Write what `decide` makes of the row, again until nobody has written it meanwhile. None: leave it.

        Raises RateLimitUnavailable.
        """
        try:
            for attempt in range(TRIES):
                if attempt > 1:
                    await asyncio.sleep(SystemRandom().uniform(0, min(PAUSE * 2**attempt, LONGEST_PAUSE)))
                if attempt > 1 or self._seen == float("-inf"):
                    await self._read()
                values = decide(self._row())
                if (self._shared and not attempt) if values else self._stale():
                    await self._read()
                    values = decide(self._row())
                if values is None:
                    return
                try:
                    etag = await self._store.write(self._key, values, self._stored.etag if self._stored else None)
                except Changed as changed:
                    self._see(changed.found, shared=True)
                else:
                    self._see(Stored(values, etag), shared=self._shared)
                    return
        except AzureError as error:
            self._seen = float("-inf")
            raise RateLimitUnavailable(f"The row {self._key} cannot be read or written.") from error
        raise RateLimitUnavailable(f"The row {self._key} was written by others {TRIES} times.")

    def _stale(self) -> bool:
        """A caller's row is never: what it refused it will refuse until the time that it said."""
        return self.limits.day is not None and asyncio.get_running_loop().time() - self._seen > FRESH

    async def _read(self) -> None:
        found = await self._store.read(self._key)
        self._see(found, shared=self._stored is not None and found != self._stored)

    def _see(self, stored: Stored | None, *, shared: bool) -> None:
        self._stored, self._shared, self._seen = stored, shared, asyncio.get_running_loop().time()
        blocked, step = self._value("blocked_until"), self._value("step")
        if isinstance(blocked, datetime) and blocked > self.blocked_until:
            self.blocked_until, self._step = blocked, step if isinstance(step, int) else 0

    def _value(self, name: str) -> str | int | datetime | None:
        return self._stored.values.get(name) if self._stored else None

    def _row(self) -> Values:
        """The row as last seen, with the block that it does not have yet."""
        row = self._stored.values if self._stored else {}
        blocked = self.blocked_until > NEVER
        return {**row, "blocked_until": self.blocked_until, "step": self._step} if blocked else row
