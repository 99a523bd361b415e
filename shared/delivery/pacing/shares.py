"""Who should have which slot: the rows of the slots, and what they say to an instance, as pure functions.

    takeable    what it may take without asking
    to_wish     which slot of another one it may ask for
    to_yield    whether one of its own is to be handed over to the one who asks for it
    heir_of     who gets one that it needs no more

An instance asks one that has at least two more than itself, or, while it has none, any one. The holder hands over at
once where it has two more; its only slot when it has had that for a while. So where there are fewer instances than
slots each comes to have some, and nothing moves after that; where there are more the slots go round.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import msgspec

from shared.delivery.pacing.store import Values

__all__ = ["SKEW", "SLICE", "SlotRow", "heir_of", "takeable", "to_wish", "to_yield"]

SKEW: Final = timedelta(seconds=2)  # what two hosts' clocks may differ by
SLICE: Final = timedelta(seconds=20)  # an only slot is kept so long although another instance wants it
WANT: Final = timedelta(seconds=15)  # a wish holds so long
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """One slot. It is free when nobody owns it or its time is over."""

    owner: str = ""
    until: datetime = NEVER
    since: datetime = NEVER  # the owner has had it since then
    wanted_by: str = ""
    wanted_at: datetime = NEVER

    @classmethod
    def of(cls, values: Values) -> Self:
        return msgspec.convert(dict(values), cls)

    def values(self) -> Values:
        return asdict(self)

    def free(self, now: datetime) -> bool:
        return not self.owner or self.until + SKEW < now

    def wanted(self, now: datetime) -> bool:
        return bool(self.wanted_by) and self.wanted_at + WANT > now


Rows = Mapping[str, SlotRow]


def takeable(rows: Rows, me: str, held: Collection[str], now: datetime) -> tuple[list[str], list[str]]:
    """Slots that were handed over to this instance; and those that nobody has."""
    others = {key: row for key, row in rows.items() if key not in held}
    mine = [key for key, row in others.items() if row.owner == me]
    return mine, [key for key, row in others.items() if row.owner != me and row.free(now)]


def to_wish(rows: Rows, me: str, held: int, now: datetime) -> tuple[str, timedelta] | None:
    """The slot to ask for, the one that its holder has had longest; and how long it will hardly be handed over."""
    if any(row.free(now) for row in rows.values()):
        return None
    owners = _owners(rows, now)
    del owners[me]
    most = max(owners.values(), default=0)
    if not most or (held and most < held + 2):
        return None
    fit = [(row.since, key) for key, row in rows.items() if owners[row.owner] == most and not row.wanted(now)]
    if not fit:
        return None
    since, key = min(fit)
    return key, timedelta(0) if most > 1 else max(timedelta(0), since + SLICE - now)


def to_yield(rows: Rows, key: str, held: int, now: datetime) -> bool:
    """Whether an instance that holds so many slots hands this one over."""
    row = rows[key]
    if not row.wanted(now):
        return False
    theirs = _owners(rows, now)[row.wanted_by]
    return held >= theirs + 2 or (not theirs and row.since + SLICE <= now)


def heir_of(rows: Rows, key: str, held: int, now: datetime) -> str:
    """Who is given a slot that its holder, who has so many, lets go; "": nobody, anyone may take it."""
    row = rows[key]
    return row.wanted_by if row.wanted(now) and _owners(rows, now)[row.wanted_by] < held else ""


def _owners(rows: Rows, now: datetime) -> Counter[str]:
    return Counter(row.owner for row in rows.values() if not row.free(now))
