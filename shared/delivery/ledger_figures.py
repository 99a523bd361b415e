"""The summary: figures that maintenance counts while it goes through the ledger, so that reading them is one request.

Each run of maintenance writes one entity for its partitions, which the same run of the next hour overwrites, and one
for what every run measures: queues, and mailboxes that Graph has blocked. An entity stays far below the size that
storage allows: it keeps the busiest routes, and the mailboxes without a success and those that sent last. It says how
many it leaves out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from shared.delivery.results import bounces_of
from shared.delivery.row import ENDED, Row, State
from shared.ratelimit.shared_row import Blocked, key_of
from shared.storage.tables import Table

TABLE: Final = "mailsummary"
PARTITION: Final = "summary"
MEASURED: Final = "measured"  # the key of the entity that every run writes; the others have the run's first partition
SPANS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
MOST_ROUTES: Final = 50
MOST_MAILBOXES: Final = 80
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Counted(msgspec.Struct, omit_defaults=True):
    """Mails of a route (None: of none) in a state, by when they were accepted."""

    state: State
    route: str | None = None
    hour: int = 0
    day: int = 0
    week: int = 0


class Waiting(msgspec.Struct, rename="camel"):
    """The mail that has waited longest. since: when it was accepted, or the later time that its sender asked for."""

    id: str
    state: State
    since: datetime


class Mailbox(msgspec.Struct, rename="camel", omit_defaults=True):
    """A mailbox that mails were sent from, or wait for. last_success: of those that the ledger has."""

    mailbox: str
    last_success: datetime | None = None


class Measured(msgspec.Struct, omit_defaults=True):
    """A queue. oldest: when the first message was put that could be taken."""

    queue: str
    messages: int
    oldest: datetime | None = None


@dataclass(slots=True)
class Figures:
    """Of some rows. now: when they were counted."""

    now: datetime
    counts: dict[tuple[str | None, State], Counted] = field(default_factory=dict)
    mailboxes: dict[str, datetime] = field(default_factory=dict)
    waiting: int = 0
    oldest: Waiting | None = None
    bounces: dict[str, int] = field(default_factory=lambda: {"day": 0, "week": 0})

    def count(self, row: Row) -> None:
        within = [name for name, span in SPANS.items() if self.now - row.accepted_at < span]
        if within:
            found = self.counts.setdefault((row.route, row.state), Counted(route=row.route, state=row.state))
            for name in within:
                setattr(found, name, getattr(found, name) + 1)
        if row.state not in ENDED and row.state != "scheduled":
            self.waiting += 1
            if self.oldest is None or row.begins < self.oldest.since:
                self.oldest = Waiting(row.id, row.state, row.begins)
        if row.mailbox and (row.state == "sent" or row.state not in ENDED):
            success = row.settled_at if row.state == "sent" and row.settled_at else NEVER
            self.mailboxes[row.mailbox] = max(self.mailboxes.get(row.mailbox, NEVER), success)
        for bounce in bounces_of(row):
            for name in self.bounces:
                self.bounces[name] += self.now - bounce.at < SPANS[name]


class SummaryTable:
    """Every method may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(self, partitions: range, figures: Figures) -> None:
        """Write what was counted in these partitions."""
        routes: dict[str, dict[State, tuple[int, ...]]] = {}
        for one in figures.counts.values():
            routes.setdefault(one.route or "", {})[one.state] = (one.hour, one.day, one.week)
        weeks = {route: sum(spans[-1] for spans in states.values()) for route, states in routes.items()}
        busiest = sorted(routes, key=lambda route: -weeks[route])[:MOST_ROUTES]
        latest = sorted(figures.mailboxes.items(), key=lambda one: (one[1] != NEVER, NEVER - one[1]))
        columns = {
            "counts": {route: routes[route] for route in busiest},
            "mailboxes": [Mailbox(name, at if at != NEVER else None) for name, at in latest[:MOST_MAILBOXES]],
            "oldest": figures.oldest,
            "bounces": figures.bounces,
            "left_out": {"routes": len(routes) - len(busiest), "mailboxes": max(0, len(latest) - MOST_MAILBOXES)},
        }
        await self._put(f"{partitions.start:02x}", figures.now, waiting=figures.waiting, columns=columns)

    async def put_measured(self, now: datetime, queues: Iterable[Measured], blocked: Iterable[Blocked]) -> None:
        """Write what was measured in a run."""
        some = sorted(blocked, key=lambda one: one.until, reverse=True)[:MOST_MAILBOXES]
        await self._put(MEASURED, now, columns={"queues": list(queues), "blocked": some})

    async def _put(self, key: str, now: datetime, columns: Mapping[str, object], **more: int) -> None:
        texts = {name: msgspec.json.encode(value).decode() for name, value in columns.items()}
        await self._table.put({"PartitionKey": PARTITION, "RowKey": key, "made_at": now, **more, **texts})

    async def read(self, now: datetime) -> dict[str, Any]:
        """The summary, as it is answered."""
        found = {entity["RowKey"]: entity async for entity in self._table.all({"PartitionKey": PARTITION})}
        measured = found.pop(MEASURED, {"queues": "[]", "blocked": "[]"})
        parts = list(found.values())
        counts: dict[tuple[str, State], Counted] = {}
        mailboxes: dict[str, Mailbox] = {}
        for part in parts:
            for route, states in _read(part, "counts", dict[str, dict[State, tuple[int, int, int]]]).items():
                for state, (hour, day, week) in states.items():
                    total = counts.setdefault((route, state), Counted(route=route or None, state=state))
                    total.hour, total.day, total.week = total.hour + hour, total.day + day, total.week + week
            for box in _read(part, "mailboxes", list[Mailbox]):
                known = mailboxes.setdefault(box.mailbox, box)
                known.last_success = max(known.last_success or NEVER, box.last_success or NEVER)
        oldest = [one for part in parts if (one := _read(part, "oldest", Waiting | None)) is not None]
        names = {key_of(name): name for name in mailboxes}
        blocked = [one for one in _read(measured, "blocked", list[Blocked]) if one.until > now]
        made = sorted(part["made_at"] for part in parts)
        body = {
            "parts": len(parts),
            "oldestPart": made[0] if made else None,
            "newestPart": made[-1] if made else None,
            "counts": sorted(counts.values(), key=lambda one: (one.route or "", one.state)),
            "waiting": sum(part["waiting"] for part in parts),
            "oldestWaiting": min(oldest, key=lambda one: one.since, default=None),
            "bounces": _sums(parts, "bounces", "day", "week"),
            "measuredAt": measured.get("made_at"),
            "queues": _read(measured, "queues", list[Measured]),
            "blocked": [
                {"hash": one.key, "until": one.until, "code": one.code}
                | ({"mailbox": names[one.key]} if one.key in names else {})
                for one in blocked
            ],
            "mailboxes": [
                Mailbox(one.mailbox, one.last_success if one.last_success != NEVER else None)
                for _, one in sorted(mailboxes.items())
            ],
            "leftOut": _sums(parts, "left_out", "routes", "mailboxes"),
        }
        return {name: value for name, value in body.items() if value is not None}


def _sums(parts: Iterable[Mapping[str, Any]], column: str, *names: str) -> dict[str, int]:
    every = [_read(part, column, dict[str, int]) for part in parts]
    return {name: sum(one[name] for one in every) for name in names}


def _read[T](entity: Mapping[str, Any], column: str, kind: type[T] | Any) -> Any:
    return msgspec.json.decode(entity[column], type=kind)
