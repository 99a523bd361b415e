"""What a row of the table counts: a rate, and limits for a stretch of time. Pure.

A rate is a schedule, the generic cell rate algorithm (ITU-T I.371), whose whole state is one point in time: the
theoretical arrival time of the next mail, `tat`, where the schedule would be if every mail kept its distance. A mail
may go when `tat` is no further ahead than the burst allows, and moves `tat` on by one interval.

A limit for a stretch of time (recipients in a day, bytes in five minutes) cuts time into short pieces. What is counted
in a piece counts until the whole stretch has passed since the piece ended, so no stretch exceeds the limit, wherever it
begins.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, Self

BURST: Final = 4  # mails of one mailbox at the same moment: as many requests as Graph takes at a time for it
BURST_SECONDS: Final = 10  # but no more than the rate allows in so many seconds
MOMENT: Final = timedelta(seconds=0.25)  # an instance may take what a rate allows in it beyond what is asked for
AHEAD: Final = 32  # but no more than this
type Counts = dict[int, int]
"""By the number of the piece, counted from 1970."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One mail each `interval`, and `burst` at the same time after a rest.

    Any stretch of time has at most `burst` mails more than intervals, and `ahead` more for each instance.
    """

    interval: timedelta
    burst: int = 1

    @property
    def ahead(self) -> int:
        """What an instance may take beyond what is asked for and use a little later: none below 240 a minute."""
        return min(AHEAD, MOMENT // self.interval)

    @classmethod
    def even(cls, per_minute: float) -> Self:
        """For mails that are given a time: a small burst, then evenly."""
        return cls(_interval(per_minute), min(BURST, max(1, int(per_minute * BURST_SECONDS / 60))))

    @classmethod
    def minute(cls, per_minute: int) -> Self:
        """For callers that are refused: a whole minute's mails may come at once, then evenly."""
        return cls(_interval(per_minute), per_minute)

    def book(self, tat: datetime, start: datetime, count: int) -> tuple[list[datetime], datetime]:
        """The next times of the schedule, ascending and none before `start`, and its `tat` after them."""
        first = max(tat, start)
        ahead = first - (self.burst - 1) * self.interval
        return [max(start, ahead + number * self.interval) for number in range(count)], first + count * self.interval


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` in a stretch of so many pieces, each of so many seconds."""

    limit: int
    seconds: int
    pieces: int

    def piece(self, at: datetime) -> int:
        return int(at.timestamp() // self.seconds)

    def read(self, text: object, now: datetime) -> Counts:
        """The counts in a row, without those that have expired."""
        counts = json.loads(text) if isinstance(text, str) else {}
        return self.counting({int(piece): count for piece, count in counts.items()}, now)

    def counting(self, counts: Counts, at: datetime) -> Counts:
        """Those that count at that time; also what is counted for later, since some stretch has both."""
        return {piece: count for piece, count in counts.items() if piece >= self.piece(at) - self.pieces}

    def full_until(self, counts: Counts, at: datetime, need: int) -> datetime | None:
        """None: there is room for so much at that time. Else when there may be."""
        counting = self.counting(counts, at)
        used, last = sum(counting.values()), self.piece(at)
        if used + need <= self.limit:
            return None
        for last in sorted(counting):
            used -= counting[last]
            if used + need <= self.limit:
                break
        return datetime.fromtimestamp((last + self.pieces + 1) * self.seconds, UTC)


def text_of(counts: Counts) -> str:
    """Counts as a row has them."""
    return json.dumps({str(piece): count for piece, count in sorted(counts.items()) if count}, separators=(",", ":"))


def _interval(per_minute: float) -> timedelta:
    return timedelta(microseconds=ceil(60e6 / per_minute))  # rounded up: never faster than the rate


# Graph takes 150 MB for one mailbox in five minutes (https://learn.microsoft.com/graph/throttling-limits). The rest is
# for what the instances have not counted yet, each less than a megabyte.
BYTES: Final = Window(140_000_000, seconds=10, pieces=30)
