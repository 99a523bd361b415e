"""A rate as a schedule: the generic cell rate algorithm (ITU-T I.371), whose whole state is one point in time.

That point is the theoretical arrival time of the next mail, `tat`: where the schedule would be if every mail kept its
distance. A mail may go when `tat` is no further ahead than the burst allows, and moves `tat` on by one interval.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Self

__all__ = ["Rate", "book"]

BURST: Final = 4  # mails of one mailbox in the same moment: as many requests as Graph takes at a time for it
BURST_SECONDS: Final = 10  # but no more than the rate allows in so many seconds
MOMENT: Final = timedelta(seconds=0.25)  # an instance may take what a rate allows in it beyond what is asked for
AHEAD: Final = 32  # but no more than this


@dataclass(frozen=True, slots=True)
class Rate:
    """One mail each `interval`, and `burst` at the same time after a rest.

    Any stretch of time has at most `burst` mails more than intervals, and `ahead` more for each instance.
    """

    interval: timedelta
    burst: int = 1

    @property
    def ahead(self) -> int:
        """What an instance may take beyond what is asked for, and use a little later: none below 240 a minute."""
        return min(AHEAD, MOMENT // self.interval)

    @classmethod
    def even(cls, per_minute: float) -> Self:
        """For mails that are given a time: a small burst, then evenly."""
        return cls(_interval(per_minute), min(BURST, max(1, int(per_minute * BURST_SECONDS / 60))))

    @classmethod
    def minute(cls, per_minute: int) -> Self:
        """For callers that are refused: a whole minute's mails may come at once, then evenly."""
        return cls(_interval(per_minute), per_minute)


def book(tat: datetime, start: datetime, count: int, rate: Rate) -> tuple[list[datetime], datetime]:
    """The next times of a schedule, ascending and none before `start`, and where it is after them."""
    first = max(tat, start)
    ahead = first - (rate.burst - 1) * rate.interval
    times = [max(start, ahead + number * rate.interval) for number in range(count)]
    return times, first + count * rate.interval


def _interval(per_minute: float) -> timedelta:
    return timedelta(microseconds=ceil(60e6 / per_minute))  # rounded up: never faster than the rate
