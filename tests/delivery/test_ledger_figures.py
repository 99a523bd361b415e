"""The summary is what a look at every row would count, when maintenance last came by; asking takes one request."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.delivery import ledger_figures as module
from shared.delivery.ledger import PARTITIONS
from shared.delivery.ledger_figures import Figures, Measured, SummaryTable
from shared.delivery.maintenance import RUNS_AN_HOUR, Maintenance, partitions_of_run
from shared.delivery.row import Row
from shared.ratelimit.rate_limits import RateLimits
from shared.ratelimit.shared_row import Blocked, TableStore, key_of
from shared.storage.tables import Tables
from tests.delivery.samples import NOON, Office
from tests.ratelimit.far import LIMITS
from tests.wire import Wire

AGES = st.sampled_from([0, 1, 59, 60, 61, 24 * 60 - 1, 24 * 60, 7 * 24 * 60 - 1, 7 * 24 * 60, 12_000])  # minutes
BOUNCE = {"recipient": "b" * 64, "code": "5.1.1", "class": "failed"}


def _row(number: int, state: Any, age: int, route: str | None, mailbox: str, bounced: int | None = None) -> Row:  # noqa: PLR0913, PLR0917
    at = NOON - timedelta(minutes=age)
    bounces = None if bounced is None else [{**BOUNCE, "at": (NOON - timedelta(minutes=bounced)).isoformat()}] * 2
    return Row(
        id=f"{number:032x}", state=state, scope="s", fingerprint="f", mailbox=mailbox, accepted_at=at, route=route,
        settled_at=at if state == "sent" else None, bounces=json.dumps(bounces) if bounces else None, queued=True,
    )  # fmt: skip


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["scheduled", "accepted", "unknown", "sent", "failed"]), AGES,
        st.sampled_from([None, "github"]), st.sampled_from(["a@contoso.com", "b@contoso.com"]), st.none() | AGES,
    ),
    max_size=30,
).map(lambda some: [_row(number, *one) for number, one in enumerate(some)])  # fmt: skip


def table(storage: str, wire: Wire) -> SummaryTable:
    return SummaryTable(Tables.of_connection_string(storage, wire).table(f"t{uuid4().hex}"))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
async def test_it_is_what_a_look_at_every_row_counts(storage: str, rows: list[Row]) -> None:
    async with Wire() as wire:
        summary = table(storage, wire)
        for half in range(2):
            figures = Figures(NOON)
            for row in rows[half::2]:
                figures.count(row)
            await summary.put(range(half, 256), figures)
        wire.requests = 0
        said = msgspec.to_builtins(await summary.read(NOON))
        assert wire.requests == 1
    for span, length in (("hour", 1), ("day", 24), ("week", 168)):
        limit = timedelta(hours=length)
        expected = Counter((row.route, row.state) for row in rows if NOON - row.accepted_at < limit)
        assert {(one.get("route"), one["state"]): one[span] for one in said["counts"] if one.get(span)} == expected
    waiting = [row for row in rows if row.state in ("accepted", "unknown")]
    assert said["waiting"] == len(waiting)
    if waiting:
        assert said["oldestWaiting"]["since"] == min(row.accepted_at for row in waiting).isoformat().replace(
            "+00:00", "Z"
        )
    for name, limit in (("day", timedelta(1)), ("week", timedelta(7))):
        every = [one for row in rows for one in json.loads(row.bounces or "[]")]
        assert said["bounces"][name] == sum(NOON - datetime.fromisoformat(one["at"]) < limit for one in every)
    for one in said["mailboxes"]:
        times = [row.accepted_at for row in rows if (row.mailbox, row.state) == (one["mailbox"], "sent")]
        assert one.get("lastSuccess") == (max(times).isoformat().replace("+00:00", "Z") if times else None)


async def test_each_run_of_maintenance_writes_its_part_and_the_age_of_all_is_said(storage: str) -> None:
    async with Wire() as wire:
        office, summary = Office(), table(storage, wire)
        for number in range(40):
            await office.ledger.write(_row(number, "sent", 0, None, "a@contoso.com"))
        for _ in range(RUNS_AN_HOUR):
            await Maintenance(office.engine, summary).run(partitions_of_run(office.clock.now()))
            office.clock.move(minutes=60 / RUNS_AN_HOUR)
        said = await summary.read(office.clock.now())
        assert (said["parts"], said["newestPart"] - said["oldestPart"]) == (12, timedelta(minutes=55))
        assert sum(one.hour for one in said["counts"]) == 40
        await Maintenance(office.engine, summary).run(partitions_of_run(office.clock.now()))
        assert (await summary.read(office.clock.now()))["parts"] == 12, "the part of an hour ago is written over"


async def test_of_more_than_an_entity_holds_it_says_how_many_are_left_out(storage: str) -> None:
    """With the longest names, it stays below 64 KiB a column, of which each character takes two."""
    async with Wire() as wire:
        summary, figures = table(storage, wire), Figures(NOON)
        for number in range(module.MOST_ROUTES + 7):
            for state in ("sent", "failed", "review", "accepted", "unknown", "scheduled", "suppressed", "captured"):
                row = _row(number, state, 0, f"{number:064d}", f"{number:0242d}@contoso.com")
                for _ in range(1 + (number == 3)):
                    figures.count(row)
        for number in range(1000, 1000 + module.MOST_MAILBOXES):
            figures.count(_row(number, "sent", number, None, f"{number:0242d}@contoso.com"))
        await summary.put(range(PARTITIONS), figures)
        said = await summary.read(NOON)
    assert said["leftOut"] == {"routes": 8, "mailboxes": module.MOST_ROUTES + 7}
    assert f"{3:064d}" in {one.route for one in said["counts"]}, "the busiest are kept"
    assert len(said["mailboxes"]) == module.MOST_MAILBOXES


async def test_queues_and_blocked_mailboxes_with_their_last_error_come_from_the_last_run(storage: str) -> None:
    async with Wire() as wire:
        tables = Tables.of_connection_string(storage, wire)
        store = TableStore(tables.table(f"t{uuid4().hex}"))
        pace = RateLimits(store, now=lambda: NOON, **LIMITS)
        await pace.reserve("free@contoso.com", 1)
        await pace.throttled("Desk@contoso.com", 60, "ApplicationThrottled")
        blocked = await store.blocked(NOON)
        assert blocked == [Blocked(key_of("desk@contoso.com"), NOON + timedelta(seconds=60), "ApplicationThrottled")]
        assert await store.blocked(NOON + timedelta(seconds=61)) == []
        summary, figures = table(storage, wire), Figures(NOON)
        figures.count(_row(1, "accepted", 0, None, "desk@contoso.com"))
        await summary.put(range(1), figures)
        stranger = Blocked("f" * 64, NOON + timedelta(seconds=60), "")
        queues = [Measured("mail-work", 3, NOON - timedelta(minutes=1)), Measured("mail-work-poison", 0)]
        await summary.put_measured(NOON, queues, [*blocked, stranger, stranger._replace(until=NOON)])
        said = await summary.read(NOON)
    assert (said["queues"], said["measuredAt"]) == (queues, NOON)
    assert [(one.get("mailbox"), one["hash"], one["code"]) for one in said["blocked"]] == [
        ("desk@contoso.com", blocked[0].key, "ApplicationThrottled"), (None, "f" * 64, ""),
    ]  # fmt: skip
    assert [(one.mailbox, one.last_success) for one in said["mailboxes"]] == [("desk@contoso.com", None)]


async def test_there_is_a_summary_before_maintenance_has_run(storage: str) -> None:
    async with Wire() as wire:
        said = await table(storage, wire).read(NOON)
    assert (said["parts"], said["counts"], said["waiting"], "oldestPart" in said) == (0, [], 0, False)
