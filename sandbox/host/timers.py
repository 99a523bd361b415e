"""Timers: when a timer function is due, and running it then.

A schedule is NCRONTAB (six fields, seconds first; five without seconds) in UTC, or a .NET time span between runs. A
timer never overlaps itself: the next time is worked out when a run has ended, as the timer extension does it. What is
not kept here is the record of past runs in storage, so no run is ever past due, and every host runs its own timers.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from croniter import croniter  # type: ignore[import-untyped] # it ships no types

from .settings import parse_timespan

_NEVER = "0001-01-01T00:00:00+00:00"
# The range of each field, in NCRONTAB's order; names are allowed for months and days of the week.
_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_WITH_SECONDS = 6


class Schedule(Protocol):
    """When a timer is due; `text` is the expression as written."""

    @property
    def text(self) -> str: ...

    @property
    def under_a_minute(self) -> bool:
        """Whether it runs more often than once a minute."""

    def next(self, after: datetime) -> datetime:
        """The first time after `after`; both in UTC."""


@dataclass(frozen=True, slots=True)
class Cron:
    """NCRONTAB. Unlike Unix cron, day of month and day of week must both fit."""

    text: str
    expression: str

    def next(self, after: datetime) -> datetime:
        ticks = croniter(self.expression, after, second_at_beginning=True, day_or=False)
        due: datetime = ticks.get_next(datetime)
        return due

    @property
    def under_a_minute(self) -> bool:
        first = self.next(datetime(2000, 1, 1, tzinfo=UTC))
        return self.next(first) - first < timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """So long after the last run."""

    text: str
    length: timedelta

    def next(self, after: datetime) -> datetime:
        return after + self.length

    @property
    def under_a_minute(self) -> bool:
        return self.length < timedelta(minutes=1)


def parse_schedule(text: str) -> Schedule:
    """Read a timer's schedule. Raises ValueError naming the field that is wrong."""
    if ":" in text:
        length = parse_timespan(text)
        if not length:
            raise ValueError(f"schedule {text!r}: the time span is zero")
        return Interval(text, length)
    fields = text.split()
    if len(fields) == _WITH_SECONDS - 1:
        fields.insert(0, "0")
    if len(fields) != _WITH_SECONDS:
        raise ValueError(f"schedule {text!r}: expected six fields, seconds first, or hh:mm:ss")
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if not _fits(part, name, low, high):
                raise ValueError(f"schedule {text!r}: {part!r} is not a {name} NCRONTAB knows")
    cron = Cron(text, " ".join(fields))
    try:
        cron.next(datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError as error:  # croniter's errors are ValueErrors; so is "never", as on 30 February
        raise ValueError(f"schedule {text!r}: {error}") from error
    return cron


def timer_json(schedule: Schedule, last: datetime | None, due: datetime, *, monitor: bool) -> str:
    """The timer's state as the function is given it (TimerInfo)."""
    status = {
        "Last": last.isoformat() if last else _NEVER,
        "LastUpdated": last.isoformat() if last else _NEVER,
        "Next": due.isoformat(),
    }
    adjusts = isinstance(schedule, Cron)  # a span of time has no daylight saving to heed
    return json.dumps(
        {"Schedule": {"AdjustForDST": adjusts}, "ScheduleStatus": status if monitor else None, "IsPastDue": False}
    )


class Timer:
    """Runs one function when its schedule says so. `invoke` takes the timer's JSON and does not raise."""

    def __init__(
        self, schedule: Schedule, *, monitor: bool, run_on_startup: bool, invoke: Callable[[str], Awaitable[object]]
    ) -> None:
        self._schedule = schedule
        self._monitor = monitor
        self._run_on_startup = run_on_startup
        self._invoke = invoke
        self._last: datetime | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set; a run under way is let finish."""
        if self._run_on_startup:
            await self.fire()
        while not stopping.is_set():
            due = self._schedule.next(datetime.now(UTC))
            if await _asleep(due, stopping):
                await self.fire(due)

    async def fire(self, due: datetime | None = None) -> None:
        """Run the function now; `due` is the time it was due, if it was."""
        now = datetime.now(UTC)
        state = timer_json(self._schedule, self._last, due or self._schedule.next(now), monitor=self._monitor)
        self._last = due or now
        await self._invoke(state)


async def _asleep(due: datetime, stopping: asyncio.Event) -> bool:
    """Wait until the wall clock shows `due`; False when stopped before."""
    while (wait := (due - datetime.now(UTC)).total_seconds()) > 0:
        try:
            # In short stretches: the loop's clock stands still while a laptop sleeps, the wall clock does not.
            async with asyncio.timeout(min(wait, 30)):
                await stopping.wait()
        except TimeoutError:
            continue
        return False
    return True


def _fits(part: str, name: str, low: int, high: int) -> bool:
    found = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", part)
    if not found or (found[3] is not None and int(found[3]) == 0):
        return False
    return all(end is None or _number(end, name, low, high) for end in (found[1], found[2]))


def _number(text: str, name: str, low: int, high: int) -> bool:
    if text.lower() in _NAMES.get(name, ()):
        return True
    return text.isascii() and text.isdigit() and low <= int(text) <= high
