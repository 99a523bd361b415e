"""How often an event is written that anybody can cause: at most once in so many seconds, with a count of all that came.

Traces are not sampled (host.json), since one that is missing would be an alert that never comes. So a stranger who asks
a thousand times a second could fill the log, and with it the daily quota beyond which no alert sees anything. Of each
event and set of its fields one line is written at once; what comes within the next seconds is counted, and the count
is in the next line. That line is written with the next event of any kind, or when the same one comes again: only while
a function runs does Azure take what is logged. What has been counted and not written is lost with the process.

The fields of such events have few values (routes, codes, statuses). Should there be many all the same, those beyond
MOST are counted together, by the event alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

__all__ = ["MOST", "Bounded", "Fields", "Line"]

MOST: Final = 100  # lines that are counted apart
type Fields = Mapping[str, str | float | bool | None]
type _Key = tuple[str, tuple[tuple[str, str | float | bool | None], ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be written now. count: how many events it stands for."""

    event: str
    fields: Fields
    count: int


@dataclass(slots=True)
class _Counted:
    until: float
    missed: int = 0


class Bounded:
    """One for a process, used by all of its threads. seconds: between two lines, by event. clock: in seconds."""

    def __init__(self, seconds: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._counted: dict[_Key, _Counted] = {}
        self._missed: set[_Key] = set()  # those of which something has been counted and not written

    def take(self, event: str, fields: Fields) -> Line | None:
        """The line to write; None where the event is counted into a later one."""
        now = self._clock()
        with self._lock:
            key = self._key(event, fields, now)
            counted = self._counted.get(key)
            if counted is not None and now < counted.until:
                counted.missed += 1
                self._missed.add(key)
                return None
            return self._written(key, now, 1)

    def late(self) -> list[Line]:
        """Lines of what was counted and whose time has come."""
        if not self._missed:
            return []
        now = self._clock()
        with self._lock:
            due = [key for key in self._missed if self._counted[key].until <= now]
            return [self._written(key, now, 0) for key in due]

    def _written(self, key: _Key, now: float, more: int) -> Line:
        event, fields = key
        before = self._counted.get(key)
        self._counted[key] = _Counted(now + self._seconds[event])
        self._missed.discard(key)
        return Line(event, dict(fields), more + (before.missed if before else 0))

    def _key(self, event: str, fields: Fields, now: float) -> _Key:
        key = (event, tuple(sorted(fields.items())))
        if key in self._counted:
            return key
        if len(self._counted) >= MOST:
            over = [old for old, one in self._counted.items() if one.until <= now and not one.missed]
            for old in over:
                del self._counted[old]
        return key if len(self._counted) < MOST else (event, ())
