"""What a row of the table allows, and who of those waiting for it gets what. Pure.

A rate is a schedule, the generic cell rate algorithm (ITU-T I.371), whose whole state is one point in time: the
theoretical arrival time of the next mail, `tat`, where the schedule would be if every mail kept its distance. A mail
may go when `tat` is no further ahead than the burst allows, and moves `tat` on by one interval.

A limit for a stretch of time (recipients in a day, bytes in five minutes) cuts time into short pieces. What is counted
in a piece counts until the whole stretch has passed since the piece ended, so no stretch exceeds the limit, wherever it
begins.

The columns of a row:

tat             where the schedule is
blocked_until   Graph takes nothing from the mailbox before
recipients      of the mailbox's day by hour, each counted at the time that its mail was given
near, reached   when the operator was last told that the day is nearly full, or full
bytes           uploaded for the mailbox in five minutes
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, Literal, Self

from shared.ratelimit.store import RateLimitUnavailable, Values

BURST: Final = 4  # mails of one mailbox at the same moment: as many requests as Graph takes at a time for it
BURST_SECONDS: Final = 10  # but no more than the rate allows in so many seconds
MOMENT: Final = timedelta(seconds=0.25)  # an instance may take what a rate allows in it beyond what is asked for
AHEAD: Final = 32  # but no more than this
type Counts = dict[int, int]
"""By the number of the piece, counted from 1970."""
Notice = Literal["near", "reached"]
NEAR: Final = 0.8  # of a day's recipients
DAY: Final = timedelta(hours=24)
MOST: Final = 1000  # times kept that were given back
SPARE: Final = timedelta(seconds=5)  # in which an instance may use what it took ahead, or what a caller did not need
PART: Final = 20  # one in so many of the recipients that are left may be taken ahead


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


# Graph takes 150 MB for one mailbox in five minutes (https://learn.microsoft.com/graph/throttling-limits). The rest is
# for what the instances have not counted yet, each less than a megabyte.
BYTES: Final = Window(140_000_000, seconds=10, pieces=30)


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Nothing was taken. until: when to ask again. day: the mailbox has too few recipients left in its day."""

    until: datetime
    day: bool = False


Answer = datetime | NoRoom


@dataclass(eq=False, slots=True)
class Want:
    """So many times, of which the first is the answer, for so many recipients; and so many bytes now.

    waits: a time to come will do. failed: there is no answer.
    """

    times: int = 1
    recipients: int = 0
    size: int = 0
    waits: bool = True
    answer: Answer | None = None
    failed: RateLimitUnavailable | None = None


@dataclass(frozen=True, slots=True)
class RowLimits:
    """What a row allows. day: a mailbox's recipients; None: a caller, whose row counts mails only.

    concurrency: requests of one process in flight.
    """

    rate: Rate
    day: Window | None = None
    concurrency: int = 1


@dataclass(slots=True)
class Unused:
    """What a process has of a row and does not need.

    times: given back. spare: times that may be used now, by when each has to be. recipients: by hour; a negative number
    is missing in the row. size: bytes that the row does not count yet.
    """

    times: list[datetime] = field(default_factory=list)
    spare: list[datetime] = field(default_factory=list)
    recipients: Counts = field(default_factory=dict)
    size: int = 0

    def add(self, more: "Unused") -> None:
        self.times = sorted([*self.times, *more.times])[:MOST]
        self.spare = [*self.spare, *more.spare][:MOST]
        for hour, count in more.recipients.items():
            self.recipients[hour] = self.recipients.get(hour, 0) + count
        self.size += more.size


@dataclass(frozen=True, slots=True)
class Plan:
    """values: the row to be written; None: it stays as it is. left: what this process has over afterwards."""

    values: Values | None
    answers: list[Answer]
    left: Unused
    notices: list[Notice]


def plan(row: Values, left: Unused, wants: Sequence[Want], limits: RowLimits, now: datetime) -> Plan:
    """Serve in order, first from what is left over. What one is refused, the next may still get."""
    rate, day = limits.rate, limits.day
    tat, blocked = _time(row, "tat") or now, _time(row, "blocked_until") or now
    times = [time for time in left.times if time >= max(now, blocked)]
    spare = [until for until in left.spare if until >= now and blocked <= now]
    before = day.read(row.get("recipients"), now) if day else {}
    counts = {hour: max(0, before.get(hour, 0) - left.recipients.get(hour, 0)) for hour in {*before, *left.recipients}}
    uploads, size = BYTES.read(row.get("bytes"), now), 0
    answers: list[Answer] = []
    changed = False
    for want in wants:
        at_once = min(want.times, len(spare))
        mine = times[: want.times - at_once]
        booked, tat_after = rate.book(tat, max(now, blocked), want.times - at_once - len(mine))
        time = now if at_once else max([now, *[*mine, *booked][:1]])
        if time > now and not want.waits:
            answers.append(NoRoom(time))
        elif want.size and (until := BYTES.full_until(uploads, now, min(BYTES.limit, left.size + size + want.size))):
            answers.append(NoRoom(until))
        elif day and want.recipients and (until := day.full_until(counts, time, want.recipients)):
            answers.append(NoRoom(until, day=True))
        else:
            answers.append(time)
            del times[: len(mine)], spare[:at_once]
            if booked:
                changed, tat = True, tat_after
            if day and want.recipients:
                counts[day.piece(time)] = counts.get(day.piece(time), 0) + want.recipients
            size += want.size
    notices = _notices(row, counts, answers, day, now) if day else []
    if not (changed or size or notices or any(count > before.get(hour, 0) for hour, count in counts.items())):
        unused = {hour: before[hour] - count for hour, count in counts.items() if before.get(hour, 0) > count}
        return Plan(None, answers, Unused(times, spare, unused, left.size), [])
    ahead = rate.ahead if changed and tat - rate.burst * rate.interval <= now else 0  # else others wait for it
    tat += ahead * rate.interval
    spare += [now + SPARE] * ahead
    unused = _likely(wants, ahead, counts, day, now) if day else {}
    values: dict[str, str | int | datetime] = {**row, "tat": tat, **dict.fromkeys(notices, now)}
    if day:
        values["recipients"] = text_of(counts)
    if size + left.size:
        uploads[BYTES.piece(now)] = uploads.get(BYTES.piece(now), 0) + size + left.size
        values["bytes"] = text_of(uploads)
    return Plan(values, answers, Unused(times, spare, unused), notices)


def _likely(wants: Sequence[Want], mails: int, counts: Counts, day: Window, now: datetime) -> Counts:
    """Count recipients of so many mails more, going by these; a small part of what is left of the day at most."""
    left = day.limit - sum(day.counting(counts, now).values())
    likely = min(mails * sum(want.recipients for want in wants) // len(wants), left // PART)
    if likely <= 0:
        return {}
    counts[day.piece(now)] = counts.get(day.piece(now), 0) + likely
    return {day.piece(now): likely}


def _notices(row: Values, counts: Counts, answers: Sequence[Answer], day: Window, now: datetime) -> list[Notice]:
    """What the operator is to be told: each once a day, by whichever instance writes it into the row."""
    near = sum(day.counting(counts, now).values()) >= NEAR * day.limit
    reached = any(isinstance(answer, NoRoom) and answer.day for answer in answers)
    found: list[Notice] = [*(("near",) if near else ()), *(("reached",) if reached else ())]
    return [notice for notice in found if not (said := _time(row, notice)) or now - said >= DAY]


def _time(row: Values, name: str) -> datetime | None:
    found = row.get(name)
    return found if isinstance(found, datetime) else None


def _interval(per_minute: float) -> timedelta:
    return timedelta(microseconds=ceil(60e6 / per_minute))  # rounded up: never faster than the rate
