"""Decides what the row of a mailbox or of a caller allows, and which waiting mail gets which time. Pure functions.

A rate follows the generic cell rate algorithm (ITU-T I.371). Its whole state is one point in time, `tat`: the
theoretical arrival time of the next mail, if all mails were evenly spaced. A mail may be sent when `tat` is no further
ahead than the burst allows, and moves `tat` on by one interval. A limit for a period (recipients in a day, bytes in
five minutes) divides time into short pieces. A piece counts until the whole period has passed since its end, so no
period exceeds the limit, wherever it begins. Columns of a row, besides `tat` and `blocked_until`:

recipients      the mailbox's recipients by hour, each counted at the time that was reserved for its mail
near, reached   when the operator was last told that the daily limit is nearly reached, or reached
bytes           the bytes uploaded for the mailbox in the last five minutes
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, Literal, NamedTuple, Self

BURST: Final = 4  # mails of one mailbox at the same moment: as many requests as Graph takes at a time for it
BURST_SECONDS: Final = 10  # but no more than the rate allows in so many seconds
MOMENT, AHEAD = timedelta(seconds=0.25), 32  # an instance may take what a rate allows in it, but no more than this
NEAR, DAY = 0.8, timedelta(hours=24)  # of a day's recipients
MOST: Final = 1000  # free times kept
SPARE: Final = timedelta(seconds=5)  # in which an instance may use what it took ahead, or what a caller did not need
PART: Final = 20  # one in so many of the recipients that are left may be taken ahead
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
type Values = Mapping[str, str | int | datetime]  # the columns of a row
type Counts = Counter[int]  # by the number of the piece, counted from 1970
type Free = tuple[datetime, datetime]  # from when, and until when, a time that nobody needs may be used
Notice = Literal["near", "reached"]


class RateLimitUnavailable(Exception):  # noqa: N818 - a state of the world, not a fault in the program
    """Storage cannot be reached, or too many write the same row: nobody can say when the mail may go. Try later."""


class Rate(NamedTuple):
    """Any stretch of time has at most `burst` mails more than intervals, and `ahead` more for each instance."""

    per_minute: float
    burst: int = 1

    @classmethod
    def even(cls, per_minute: float) -> Self:
        """With a small burst, for mails that are given a time."""
        return cls(per_minute, min(BURST, max(1, int(per_minute * BURST_SECONDS / 60))))

    @property
    def interval(self) -> timedelta:
        return timedelta(microseconds=ceil(60e6 / self.per_minute))

    @property
    def ahead(self) -> int:  # what an instance may take beyond what is asked for: none below 240 a minute
        return min(AHEAD, MOMENT // self.interval)

    def book(self, tat: datetime, start: datetime, count: int = 1) -> tuple[datetime, datetime]:
        """The first of so many times of the schedule, not before `start`; and its `tat` after them."""
        first = max(tat, start)
        return max(start, first - (self.burst - 1) * self.interval), first + count * self.interval


class Window(NamedTuple):
    """At most `limit` in a stretch of so many pieces, each of so many seconds."""

    limit: int
    seconds: int
    pieces: int

    def piece(self, at: datetime) -> int:
        return int(at.timestamp() // self.seconds)

    def read(self, text: object, now: datetime) -> Counts:
        """The counts in a row, without those that have expired."""
        counts = json.loads(text).items() if isinstance(text, str) else ()
        return self.counting(Counter({int(piece): count for piece, count in counts}), now)

    def counting(self, counts: Counts, at: datetime) -> Counts:
        """Those that count at that time; also what is counted for later, since some stretch has both."""
        return Counter({piece: count for piece, count in counts.items() if piece >= self.piece(at) - self.pieces})

    def full_until(self, counts: Counts, at: datetime, need: int) -> datetime | None:
        """None: there is room for so much at that time. Else when there may be."""
        counting, last = self.counting(counts, at), self.piece(at)
        room = self.limit - need - counting.total()
        if room >= 0:
            return None
        for last in sorted(counting):
            room += counting[last]
            if room >= 0:
                break
        return datetime.fromtimestamp((last + self.pieces + 1) * self.seconds, UTC)


def text_of(counts: Counts) -> str:
    return json.dumps({str(piece): count for piece, count in sorted(counts.items()) if count}, separators=(",", ":"))


# Graph takes 150 MB for one mailbox in five minutes (https://learn.microsoft.com/graph/throttling-limits). The rest is
# for what the instances have not counted yet, each less than a megabyte.
BYTES: Final = Window(140_000_000, seconds=10, pieces=30)


class NoRoom(NamedTuple):
    """Nothing was taken. until: when to ask again. day: the mailbox has too few recipients left in its day."""

    until: datetime
    day: bool = False


TimeOrNoRoom = datetime | NoRoom


@dataclass(eq=False, slots=True)
class Want:
    """So many times, the first being the answer, for recipients; or bytes now. waits: a time to come will do."""

    times: int = 1
    recipients: int = 0
    size: int = 0
    waits: bool = True
    answer: TimeOrNoRoom | RateLimitUnavailable | None = None


class RowLimits(NamedTuple):
    """What a row allows. day: a mailbox's recipients; None: a caller's. concurrency: of one process, in flight."""

    rate: Rate
    day: Window | None = None
    concurrency: int = 1


@dataclass(slots=True)
class Unused:
    """What a process has of a row and does not need; a negative number, and `size` in bytes, are missing in the row."""

    times: list[Free] = field(default_factory=list)
    recipients: Counts = field(default_factory=Counter)
    size: int = 0

    def add(self, more: "Unused") -> None:
        self.times = sorted([*self.times, *more.times])[:MOST]
        self.recipients.update(more.recipients)
        self.size += more.size


class Plan(NamedTuple):
    """values: the row to be written; None: it stays as it is. left: what this process has over afterwards."""

    values: Values | None
    answers: Sequence[TimeOrNoRoom] = ()
    left: Unused | None = None
    notices: Sequence[Notice] = ()


def plan(row: Values, left: Unused, wants: Sequence[Want], limits: RowLimits, now: datetime) -> Plan:
    """Serve in order, first from what is left over. What one is refused, the next may still get."""
    rate, day = limits.rate, limits.day
    tat, blocked = time_in(row, "tat", now), time_in(row, "blocked_until", now)
    free = [(start, until) for start, until in left.times if blocked <= max(start, now) <= until]
    before: Counts = day.read(row.get("recipients"), now) if day else Counter()
    counts = before - left.recipients
    uploads, size = BYTES.read(row.get("bytes"), now), 0
    answers, changed = list[TimeOrNoRoom](), False
    for want in wants:
        mine = free[: want.times]
        booked, tat_after = rate.book(tat, max(now, blocked), want.times - len(mine))
        time = max(now, mine[0][0] if mine else booked if want.times else now)
        if time > now and not want.waits:
            answers.append(NoRoom(time))
        elif want.size and (until := BYTES.full_until(uploads, now, min(BYTES.limit, left.size + size + want.size))):
            answers.append(NoRoom(until))
        elif day and want.recipients and (until := day.full_until(counts, time, want.recipients)):
            answers.append(NoRoom(until, day=True))
        else:
            answers.append(time)
            del free[: len(mine)]
            if want.times > len(mine):
                changed, tat = True, tat_after
            if day and want.recipients:
                counts[day.piece(time)] += want.recipients
            size += want.size
    notices = _notices(row, counts, answers, day, now)
    if not (changed or size or notices or counts - before):
        return Plan(None, answers, Unused(free, before - counts, left.size))
    ahead = rate.ahead if changed and tat - rate.burst * rate.interval <= now else 0  # else others wait for it
    free += [(now, now + SPARE)] * ahead
    values: dict[str, str | int | datetime] = {**row, "tat": tat + ahead * rate.interval, **dict.fromkeys(notices, now)}
    unused: Counts = Counter()
    if day:  # recipients for as many mails, going by these; a small part of what is left of the day at most
        likely = ahead * sum(want.recipients for want in wants) // len(wants)
        unused[day.piece(now)] = max(0, min(likely, (day.limit - counts.total()) // PART))
        values["recipients"] = text_of(counts + unused)
    if size + left.size:
        uploads[BYTES.piece(now)] += size + left.size
        values["bytes"] = text_of(uploads)
    return Plan(values, answers, Unused(free, unused), notices)


def _notices(
    row: Values, counts: Counts, answers: Sequence[TimeOrNoRoom], day: Window | None, now: datetime
) -> list[Notice]:
    """What the operator is to be told: each once a day, by whichever instance writes it into the row."""
    found: dict[Notice, bool] = {
        "near": day is not None and counts.total() >= NEAR * day.limit,
        "reached": any(isinstance(answer, NoRoom) and answer.day for answer in answers),
    }
    return [notice for notice, true in found.items() if true and now - time_in(row, notice, NEVER) >= DAY]


def time_in(row: Values, name: str, default: datetime) -> datetime:
    found = row.get(name)
    return found if isinstance(found, datetime) else default
