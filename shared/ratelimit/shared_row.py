"""A row that all instances share, as this process knows it; a block is taken from it by one conditional write.

One write serves all mails that wait for the row. A time that turns out not to be needed goes to the next mail in this
process, and its recipients go back into the row with the next write. So no instance keeps anything that others have to
wait for.

If the answer to a write is lost, the storage client repeats the write, which then fails because of the first one. So
each write carries a marker of its own. After 409 or 412 the row is read once: if it has that marker, the first write
succeeded.
"""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Final, NamedTuple

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.ratelimit.mailbox_pace import (
    NEVER,
    SPARE,
    Notice,
    Plan,
    RateLimitUnavailable,
    RowLimits,
    TimeOrNoRoom,
    Unused,
    Values,
    Want,
    plan,
    time_in,
)
from shared.storage.tables import Entity, Table, between
from shared.telemetry import LogEvent, emit

TABLE: Final = "mailpacing"
KEYS: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "marker"})  # columns that are not values
FRESH: Final = 5.0  # seconds for which a mailbox's row, as last seen, is believed
TRIES, PAUSE, LONGEST_PAUSE = 12, 0.01, 0.5  # writes that meet another's; seconds between two, doubled up to
UNCOUNTED: Final = 1_000_000  # bytes that may wait for the row's next write
STEP, LONGEST_STEP = 2, 300  # seconds of a block for which Graph gives no time; doubled up to
REPEATS: Final = 10  # seconds after a block in which the next one repeats it; or as many as it had itself
NOTICES: Final[dict[Notice, LogEvent]] = {"near": LogEvent.RECIPIENTS_NEAR, "reached": LogEvent.RECIPIENTS_REACHED}
UNSEEN: Final = float("-inf")


class Stored(NamedTuple):
    """A row as it was read. Times are in UTC."""

    values: Values
    etag: str


class Blocked(NamedTuple):
    """A mailbox that Graph has blocked. key: see key_of. code: of its last 429."""

    key: str
    until: datetime
    code: str = ""


class TableStore:
    """Rows by key in one table, spread over 256 partitions. Every method may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self, key: str) -> Stored | None:
        return _stored(await self._table.get(key[:2], key))

    async def mailboxes(self, since: datetime) -> list[str]:
        """The mailboxes that rows name, with mails since then."""
        found = [one async for one in self._table.all() if "mailbox" in one and time_in(one, "tat", NEVER) >= since]
        return [one["mailbox"] for one in found]

    async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
        """Put the row in place of the one with this ETag; None: there must be none yet.

        Whether that was so, and the row as it is now (None: it is gone). A write that fails costs two operations.
        """
        marker = secrets.token_hex(8)
        entity = {**values, "PartitionKey": key[:2], "RowKey": key, "marker": marker}
        try:
            new = await (self._table.insert(entity) if etag is None else self._table.replace(entity, etag))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            found = await self._table.get(key[:2], key)
            return found is not None and found["marker"] == marker, _stored(found)
        return True, Stored(values, new)

    async def blocked(self, now: datetime) -> list[Blocked]:
        """The mailboxes that are blocked."""
        every = self._table.all(between("blocked_until", now, None), select=("RowKey", "blocked_until", "blocked_by"))
        return [Blocked(one["RowKey"], one["blocked_until"], one.get("blocked_by") or "") async for one in every]


def key_of(name: str) -> str:
    """The key of a mailbox or a caller: addresses are personal data, and not all of their characters fit a key."""
    return hashlib.sha256(name.lower().encode()).hexdigest()


def _stored(entity: Entity | None) -> Stored | None:
    if entity is None:
        return None
    values = {name: value for name, value in entity.items() if name not in KEYS and not name.startswith("odata.")}
    return Stored(values, entity["odata.etag"])


class SharedRow:
    """limits: may be changed at any time. requests: to Graph, in flight. mailbox: its name, for the row."""

    def __init__(
        self, store: TableStore, key: str, now: Callable[[], datetime], limits: RowLimits, mailbox: str | None = None
    ) -> None:
        self.limits = limits
        self.requests: Final = asyncio.Semaphore(limits.concurrency)
        self.users = 0  # how many hold a request in flight, or wait for one
        self.blocked_until = self._written = NEVER  # here; and as far as the row, as last seen, says so
        self.limited_at = NEVER  # when the operator was last told
        self._store, self._key, self._now = store, key, now
        self._named: Values = {} if mailbox is None else {"mailbox": mailbox}
        self._unused = Unused()
        self._stored: Stored | None = None
        self._seen = UNSEEN  # when the row was last read or written, on the loop's clock
        self._blocked_by = ""  # the code of the last 429
        self._shared, self._step = False, 0  # shared: others write it too, so it is read before it is written
        self._waiting: list[Want] = []
        self._lock = asyncio.Lock()

    @property
    def idle(self) -> bool:  # it may be forgotten, and made again from the row
        return not (self.users or self._waiting or self._lock.locked() or self.blocked_until > self._now())

    async def take(self, want: Want) -> TimeOrNoRoom:
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
            self._waiting = [other for other in self._waiting if other is not want]
        if want.answer is None or isinstance(want.answer, RateLimitUnavailable):
            raise want.answer or RateLimitUnavailable(self._key)
        return want.answer

    async def upload(self, size: int) -> TimeOrNoRoom | None:
        """Count so many bytes; None: with the next write, since they are few. Raises RateLimitUnavailable."""
        if self._unused.size + size >= UNCOUNTED:
            return await self.take(Want(times=0, size=size))
        self._unused.size += size
        return None

    def put_back(self, time: datetime, recipients: int, times: int = 1) -> None:
        """A mail does not need its time (times: 0: it does), nor so many recipients (negative: more). No storage."""
        day, now = self.limits.day, self._now()
        unneeded = Counter({day.piece(time): recipients}) if day else Counter[int]()
        self._unused.add(Unused([(time, time) if day else (now, now + SPARE)] * times, unneeded))

    async def block(self, after: float | None, code: str = "") -> datetime:
        """Block for so many seconds; None: for a while, twice as long each time. A longer block stays. Never raises.

        code: Graph's, for whoever asks why.
        """
        now, self._blocked_by = self._now(), code
        if after is None and self.blocked_until <= now:  # of answers at the same time the first one counts
            since = (now - self.blocked_until).total_seconds()
            self._step = min(2 * self._step, LONGEST_STEP) if since < max(REPEATS, self._step) else STEP
            after = self._step
        self.blocked_until = max(self.blocked_until, now + timedelta(seconds=after or 0))
        async with self._lock:
            with suppress(RateLimitUnavailable):  # it holds here, and the row's next write has it
                await self._write(lambda row: Plan(row if self._written < self.blocked_until else None))
        return self.blocked_until

    def expected(self) -> datetime:
        """When the next mail may go, as far as this process knows. No storage."""
        found = plan(self._row(), self._unused, [Want(recipients=1)], self.limits, self._now()).answers[0]
        return found if isinstance(found, datetime) else found.until

    async def _serve(self, wants: list[Want]) -> None:
        left, self._unused = self._unused, Unused()
        try:
            made = await self._write(lambda row: plan(row, left, wants, self.limits, self._now()))
        except BaseException as error:
            # The row may have been written all the same: it must not get back twice what is not needed.
            lacking = Counter({hour: count for hour, count in left.recipients.items() if count < 0})
            self._unused.add(Unused(left.times, lacking, left.size))
            if not isinstance(error, RateLimitUnavailable):
                raise
            for want in wants:
                want.answer = error
        else:
            self._unused.add(made.left or Unused())
            for want, answer in zip(wants, made.answers, strict=True):
                want.answer = answer
                if want not in self._waiting:
                    self._not_needed(want)
            for notice in made.notices:
                per_day = self.limits.day.limit if self.limits.day else None
                emit(NOTICES[notice], mailbox=self._key[:16], per_day=per_day)
        self._waiting = [want for want in self._waiting if want not in wants]

    def _not_needed(self, want: Want) -> None:
        if isinstance(want.answer, datetime):
            self.put_back(want.answer, want.recipients, want.times)

    async def _write(self, decide: Callable[[Values], Plan]) -> Plan:
        """Write what is decided by the row, again until nobody has written it meanwhile. Or RateLimitUnavailable."""
        try:
            for attempt in range(TRIES):
                if attempt > 1:
                    await asyncio.sleep(SystemRandom().uniform(0, min(PAUSE * 2**attempt, LONGEST_PAUSE)))
                if attempt > 1 or self._seen == UNSEEN:
                    await self._read()
                made = decide(self._row())
                # A caller's row is never stale: what it refused it will refuse until the time that it said.
                stale = self.limits.day is not None and asyncio.get_running_loop().time() - self._seen > FRESH
                if (self._shared and not attempt) if made.values else stale:
                    await self._read()
                    made = decide(self._row())
                if made.values is None:
                    return made
                etag = self._stored.etag if self._stored else None
                written, stored = await self._store.write(self._key, made.values, etag)
                self._see(stored, shared=self._shared or not written)
                if written:
                    return made
        except AzureError as error:
            self._seen = UNSEEN
            raise RateLimitUnavailable(f"The row {self._key} cannot be read or written.") from error
        raise RateLimitUnavailable(f"The row {self._key} was written by others {TRIES} times.")

    async def _read(self) -> None:
        found = await self._store.read(self._key)
        self._see(found, shared=self._stored is not None and found != self._stored)

    def _see(self, stored: Stored | None, *, shared: bool) -> None:
        self._stored, self._shared, self._seen = stored, shared, asyncio.get_running_loop().time()
        self._written = time_in(stored.values if stored else {}, "blocked_until", NEVER)
        if stored and self._written > self.blocked_until:
            self.blocked_until, self._step = self._written, int(str(stored.values.get("step", 0)))
            self._blocked_by = str(stored.values.get("blocked_by", ""))

    def _row(self) -> Values:
        """The row as last seen, with the block that it does not have yet."""
        row = {**(self._stored.values if self._stored else {}), **self._named}
        if self.blocked_until == NEVER:
            return row
        return {**row, "blocked_until": self.blocked_until, "step": self._step, "blocked_by": self._blocked_by}
