"""A rate as a schedule: the generic cell rate algorithm (ITU-T I.371), whose whole state is one point in time.

That point is the theoretical arrival time of the next mail, `tat`: where the schedule would be if every mail kept its
distance. A mail may go when `tat` is no further ahead than the burst allows, and moves `tat` on by one interval.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Self

__all__ = ["Booking", "Rate", "book"]

BURST_SECONDS: Final = 10  # so many seconds' worth of mail may come close together
AT_ONCE: Final = 5  # and of that so many in the same moment


@dataclass(frozen=True, slots=True)
class Rate:
    """One mail each `interval`, `at_once` without distance after a rest; a time may be used up to `late` afterwards.

    In any stretch of time go at most `burst` mails more than the stretch has intervals.
    """

    interval: timedelta
    at_once: int = 1
    late: timedelta = timedelta(0)

    @classmethod
    def per_minute(cls, mails: float) -> Self:
        """The burst is ten seconds' worth. Up to 30 a minute all of it may go at once, and no time may be used late;
        above, at most five at once, and the rest of it is what using times late may add.
        """
        burst = max(1, int(mails * BURST_SECONDS / 60))
        at_once = min(AT_ONCE, burst)
        interval = timedelta(microseconds=ceil(60e6 / mails))  # rounded up: never faster than the rate
        return cls(interval, at_once, (burst - at_once) * interval)

    @property
    def burst(self) -> int:
        return self.at_once + self.late // self.interval


@dataclass(frozen=True, slots=True)
class Booking:
    """Times, ascending, none before the start asked for; and where the schedule is after them."""

    times: tuple[datetime, ...]
    tat: datetime


def book(tat: datetime | None, start: datetime, count: int, rate: Rate) -> Booking:
    """The next `count` times of a schedule from `start` on. tat: where the schedule is, None for a new one."""
    first = max(tat, start) if tat else start
    ahead = first - (rate.at_once - 1) * rate.interval
    times = tuple(max(start, ahead + number * rate.interval) for number in range(count))
    return Booking(times, first + count * rate.interval)
