"""Quotas: units that are used up, counted for each key in one row for all instances, and refused when there are none.

Reservations give everyone a time; a quota says no. An instance takes units in blocks, by one conditional write, and
hands them out without storage. What the row last said is remembered: others only ever use more up, so what is refused
by it is refused without storage too, however often it is asked for. How a row counts is a law of its own:

    PerMinute    mails of a caller: so many at once after a quiet minute, then evenly
    PerDay       recipients of a mailbox: so many in any 24 hours
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol

from azure.core.exceptions import AzureError

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.store import Changed, PacingStore, PacingUnavailable, Stored, Values

__all__ = ["Answer", "Notice", "PerDay", "PerMinute", "Quotas"]

Notice = Literal["near", "reached"]
TRIES: Final = 12  # writes of one row, each met by another's
PAUSE: Final = 0.01  # seconds at most between two of them; doubled each time, up to
LONGEST_PAUSE: Final = 0.5
KEPT: Final = 1000  # rows remembered
MOST_AHEAD: Final = 32  # units of a caller that an instance takes at once without being asked for them
NEAR: Final = 0.8  # of a day's recipients
BLOCK: Final = 20  # recipients that an instance takes at once: what it does not use is missing elsewhere for the day
MOST: Final = 100  # where demand is high
HOURS: Final = 24
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a row says to who wants units. values: to be written, None: nothing; until: refused so long."""

    values: Values | None
    units: int = 0
    until: datetime | None = None
    notice: Notice | None = None


class Law(Protocol):
    """How a row counts. Pure."""

    @property
    def lasts(self) -> float:
        """Seconds for which an instance may use what it has taken; after that it lapses."""

    def take(self, values: Values | None, now: datetime, need: int, likely: int) -> Answer:
        """Take what is needed, and if there is enough what is likely to be needed soon."""
        ...


@dataclass(frozen=True, slots=True)
class PerMinute:
    """So many in a minute, as a schedule (gcra.py) that may be a minute ahead.

    Who asks for several at once gets them when one is there, and the others come the later for it: a batch that is
    larger than a minute's units is not refused for ever.
    """

    units: int
    lasts: float = 5.0

    def take(self, values: Values | None, now: datetime, need: int, likely: int) -> Answer:
        each = MINUTE / self.units
        tat = values.get("tat") if values else None
        ahead = max(tat, now) if isinstance(tat, datetime) else now
        there = (now + MINUTE - ahead) // each
        if there < 1:
            return Answer(None, until=ahead + each - MINUTE)
        units = max(need, min(likely, there, MOST_AHEAD, max(1, self.units // 4)))
        return Answer({"tat": ahead + units * each}, units)


@dataclass(frozen=True, slots=True)
class PerDay:
    """So many in any 24 hours, counted by the hours of UTC: what an hour has used counts until it has wholly passed."""

    units: int
    lasts: float = 3600.0

    def take(self, values: Values | None, now: datetime, need: int, likely: int) -> Answer:
        this = int(now.timestamp() // 3600)
        hours = {hour: used for hour, used in _hours(values).items() if hour >= this - HOURS}
        used = sum(hours.values())
        if used + need > self.units:
            until = self._room_at(hours, need)
            if _lately(values, "reached", now):
                return Answer(None, until=until)
            return Answer({**(values or {}), "hours": _text(hours), "reached": now}, until=until, notice="reached")
        units = max(need, min(max(likely, BLOCK), MOST, (self.units - used) // BLOCK))
        hours[this] = hours.get(this, 0) + units
        kept = {name: value for name, value in (values or {}).items() if name in ("near", "reached")}
        near = used + units >= NEAR * self.units and not _lately(values, "near", now)
        row: Values = {**kept, "hours": _text(hours), **({"near": now} if near else {})}
        return Answer(row, units, notice="near" if near else None)

    def _room_at(self, hours: dict[int, int], need: int) -> datetime:
        """When so much has passed that there is room."""
        used = sum(hours.values())
        last = max(hours, default=0)
        for hour in sorted(hours):
            used -= hours[hour]
            if used + need <= self.units:
                last = hour
                break
        return datetime.fromtimestamp((last + HOURS + 1) * 3600, UTC)


@dataclass(slots=True)
class _Held:
    """What this instance knows of one row, and has of its units."""

    stored: Stored | None = None
    units: int = 0
    taken_at: float = float("-inf")
    used: int = 0  # since then
    waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quotas:
    """The rows of one process. notice: told the key when a row comes near its end, once for all instances."""

    def __init__(self, store: PacingStore, clock: Clock, notice: Callable[[str, Notice], None] | None = None) -> None:
        self._store = store
        self._clock = clock
        self._notice = notice
        self._rows: dict[str, _Held] = {}

    async def take(self, key: str, law: Law, count: int = 1) -> datetime | None:
        """Take so many units. None: they are there; else when they may be. Raises PacingUnavailable."""
        held = self._held(key)
        held.waiting += count
        try:
            async with held.lock:
                if held.units > 0 and self._clock.monotonic() - held.taken_at > law.lasts:
                    held.units = 0
                if held.units < count:
                    until = await self._fill(key, held, law, count - held.units)
                    if until is not None:
                        return until
                held.units -= count
                held.used += count
                return None
        finally:
            held.waiting -= count

    def put_back(self, key: str, count: int = 1) -> None:
        """So many were not needed: the next one here has them. Negative: more were used than taken. No storage."""
        if key in self._rows:
            self._rows[key].units += count

    def refused_until(self, key: str, law: Law) -> datetime | None:
        """Until when even one unit is refused, as far as this process knows. No storage."""
        held = self._rows.get(key)
        if held is None or held.units > 0 or held.stored is None:
            return None
        return law.take(held.stored.values, self._clock.now(), 1, 1).until

    async def _fill(self, key: str, held: _Held, law: Law, need: int) -> datetime | None:
        elapsed = max(1.0, self._clock.monotonic() - held.taken_at)
        likely = max(held.waiting, int(held.used * 2 / elapsed))
        try:
            for attempt in range(TRIES):
                if attempt > 1:
                    await asyncio.sleep(self._clock.random.uniform(0, min(PAUSE * 2**attempt, LONGEST_PAUSE)))
                stored = held.stored
                answer = law.take(stored.values if stored else None, self._clock.now(), need, likely)
                if answer.values is None:
                    return answer.until
                try:
                    etag = await self._store.write(key[:2], key, answer.values, stored.etag if stored else None)
                except Changed as changed:
                    held.stored = changed.found
                    continue
                held.stored = Stored(answer.values, etag)
                if answer.notice and self._notice:
                    self._notice(key, answer.notice)
                if answer.until is None:
                    held.units += answer.units
                    held.taken_at, held.used = self._clock.monotonic(), 0
                return answer.until
        except AzureError as error:
            raise PacingUnavailable(f"The quota {key} cannot be written.") from error
        raise PacingUnavailable(f"The quota {key} was written by others {TRIES} times.")

    def _held(self, key: str) -> _Held:
        if key not in self._rows and len(self._rows) >= KEPT:
            unused = [its for its, held in self._rows.items() if held.units == 0 and not held.waiting]
            for its in unused[: KEPT // 2]:
                del self._rows[its]
        return self._rows.setdefault(key, _Held())


def _hours(values: Values | None) -> dict[int, int]:
    text = values.get("hours") if values else None
    return {int(hour): used for hour, used in json.loads(text).items()} if isinstance(text, str) else {}


def _text(hours: dict[int, int]) -> str:
    return json.dumps({str(hour): used for hour, used in sorted(hours.items())}, separators=(",", ":"))


def _lately(values: Values | None, name: str, now: datetime) -> bool:
    at = values.get(name) if values else None
    return isinstance(at, datetime) and now - at < timedelta(hours=HOURS)
