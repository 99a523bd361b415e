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

BURST: Final = 4  # mails of one mailbox at the same moment: as many requests as Graph accepts at a time for it
BURST_SECONDS: Final = 10  # but no more mails than the rate allows in this many seconds
MOMENT, AHEAD = timedelta(seconds=0.25), 32  # what an instance may take ahead: a moment's worth, at most so many
NEAR, DAY = 0.8, timedelta(hours=24)  # of a day's recipients
MOST: Final = 1000  # free times kept
SPARE: Final = timedelta(seconds=5)  # within which an instance may use what it took ahead or was given back
PART: Final = 20  # at most one twentieth of the remaining recipients may be taken ahead
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
type Values = Mapping[str, str | int | datetime]  # the columns of a row
type Counts = Counter[int]  # by the number of the piece, counted from 1970
type Free = tuple[datetime, datetime]  # a time that nobody needs: from when until when it may be used
Notice = Literal["near", "reached"]


class RateLimitUnavailable(Exception):  # noqa: N818 - a state of the world, not a fault in the program
    """Storage cannot be reached, or too many instances write the same row. Try again later."""


class Rate(NamedTuple):
    """In any period there are at most `burst` more mails than intervals, and `ahead` more for each instance."""

    per_minute: float
    burst: int = 1

    @classmethod
    def even(cls, per_minute: float) -> Self:
        """A rate with a small burst, for mails that get a time."""
        return cls(per_minute, min(BURST, max(1, int(per_minute * BURST_SECONDS / 60))))

    @property
    def interval(self) -> timedelta:
        return timedelta(microseconds=ceil(60e6 / self.per_minute))

    @property
    def ahead(self) -> int:  # how many times an instance may take in advance: none up to 240 a minute
        return min(AHEAD, MOMENT // self.interval)

    def book(self, tat: datetime, start: datetime, count: int = 1) -> tuple[datetime, datetime]:
        """Take `count` times of the schedule. Returns the first, which is not before `start`, and the new `tat`."""
        first = max(tat, start)
        return max(start, first - (self.burst - 1) * self.interval), first + count * self.interval


class Window(NamedTuple):
    """At most `limit` in a period of `pieces` pieces, each of `seconds` seconds."""

    limit: int
    seconds: int
    pieces: int

    def piece(self, at: datetime) -> int:
        return int(at.timestamp() // self.seconds)

    def read(self, text: object, now: datetime) -> Counts:
        """Parse the counts in a row, without those that have expired."""
        counts = json.loads(text).items() if isinstance(text, str) else ()
        return self.counting(Counter({int(piece): count for piece, count in counts}), now)

    def counting(self, counts: Counts, at: datetime) -> Counts:
        """The counts that matter at that time, and those for later, because some period contains both."""
        return Counter({piece: count for piece, count in counts.items() if piece >= self.piece(at) - self.pieces})

    def full_until(self, counts: Counts, at: datetime, need: int) -> datetime | None:
        """None if there is room for `need` at that time; otherwise the time at which there may be."""
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


# Graph accepts 150 MB for one mailbox in five minutes (https://learn.microsoft.com/graph/throttling-limits). The
# difference is for bytes that instances have not counted yet; each has less than a megabyte of them.
BYTES: Final = Window(140_000_000, seconds=10, pieces=30)


class NoRoom(NamedTuple):
    """Nothing was taken. until: when to ask again. day: because of the mailbox's daily recipient limit."""

    until: datetime
    day: bool = False


TimeOrNoRoom = datetime | NoRoom


@dataclass(eq=False, slots=True)
class Want:
    """A request for times (the first is the answer) and recipients, or for bytes now. waits: a later time will do."""

    times: int = 1
    recipients: int = 0
    size: int = 0
    waits: bool = True
    answer: TimeOrNoRoom | RateLimitUnavailable | None = None


class RowLimits(NamedTuple):
    """What a row allows. day: a mailbox's recipients; None: a caller's. concurrency: a process's requests in flight."""

    rate: Rate
    day: Window | None = None
    concurrency: int = 1


@dataclass(slots=True)
class Unused:
    """What a process took from a row and does not need. Negative numbers, and `size` (bytes), are still to be taken."""

    times: list[Free] = field(default_factory=list)
    recipients: Counts = field(default_factory=Counter)
    size: int = 0

    def add(self, more: "Unused") -> None:
        self.times = sorted([*self.times, *more.times])[:MOST]
        self.recipients.update(more.recipients)
        self.size += more.size


class Plan(NamedTuple):
    """values: the row to be written; None if it stays. left: what this process has left over afterwards."""

    values: Values | None
    answers: Sequence[TimeOrNoRoom] = ()
    left: Unused | None = None
    notices: Sequence[Notice] = ()


def plan(row: Values, left: Unused, wants: Sequence[Want], limits: RowLimits, now: datetime) -> Plan:
    """Serve the requests in order, first from what is left over. A smaller request may succeed after a refused one."""
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
    """What the operator is to be told; each once a day, by the instance that writes it into the row."""
    found: dict[Notice, bool] = {
        "near": day is not None and counts.total() >= NEAR * day.limit,
        "reached": any(isinstance(answer, NoRoom) and answer.day for answer in answers),
    }
    return [notice for notice, true in found.items() if true and now - time_in(row, notice, NEVER) >= DAY]


def time_in(row: Values, name: str, default: datetime) -> datetime:
    found = row.get(name)
    return found if isinstance(found, datetime) else default
