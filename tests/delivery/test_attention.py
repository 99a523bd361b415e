"""The index of what needs attention follows the rows, and maintenance puts right what a process that died has left."""

from collections.abc import AsyncIterator
from copy import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.delivery.attention import AttentionIndex, place
from shared.delivery.ledger import PARTITIONS, Ledger
from shared.delivery.row import Row, State
from shared.settings.config import Settings
from shared.storage.tables import Table, Tables
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import NOON, first_claim, work
from tests.wire import Wire

CLAIM = first_claim(work(), NOON, Settings(), "token-1", queued=True)
ENDED = NOON + timedelta(hours=1)
ALL = range(PARTITIONS)
LISTED: dict[State, dict[str, object]] = {
    "accepted": {"attempted_at": NOON},
    "unknown": {"attempted_at": NOON, "may_have_gone": True},
    "failed": {"settled_at": ENDED, "code": "TooOld"},
    "review": {"settled_at": ENDED},
    "suppressed": {"settled_at": ENDED},
    "sent": {"settled_at": ENDED, "bounces": "[]", "bounced_at": ENDED},
}
PLAIN: dict[State, dict[str, object]] = {
    "scheduled": {},
    "accepted": {},
    "sending": {},
    "sent": {"settled_at": ENDED},
    "cancelled": {"settled_at": ENDED},
    "captured": {"settled_at": ENDED},
}


class Away(Table):
    """The table of the index, which cannot be written for as long as a test says so."""

    away = False

    async def put(self, entity: object) -> None:
        if self.away:
            raise ServiceRequestError("away")
        await super().put(entity)  # type: ignore[arg-type]

    async def delete(self, partition: str, row: str, etag: str = "*") -> None:
        if self.away:
            raise ServiceRequestError("away")
        await super().delete(partition, row, etag)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def table(storage: str, wire: Wire) -> AsyncIterator[Away]:
    async with wire:
        yield Away(Tables.of_connection_string(storage, wire, backoff=0), f"t{uuid4().hex}")


@pytest.fixture
def ledger(table: Away) -> Ledger:
    return MemoryLedger(AttentionIndex(table))


def row(number: int = 0, state: State = "failed", at: datetime = ENDED, **changes: object) -> Row:
    given = {**LISTED.get(state, {}), "settled_at": at, **changes}
    return replace(CLAIM, id=f"{number:032x}", state=state, **given)  # type: ignore[arg-type] # by name


async def listed(ledger: Ledger) -> list[Row]:
    return (await ledger.listed(1000, None))[0]


@pytest.mark.parametrize("state", LISTED)
async def test_what_needs_attention_is_listed_with_what_is_shown_of_it(ledger: Ledger, state: State) -> None:
    written = await ledger.write(replace(CLAIM, state=state, route="r", **LISTED[state]))  # type: ignore[arg-type]
    (found,) = await listed(ledger)
    assert (found.id, found.state, found.route, found.mailbox) == (CLAIM.id, state, "r", CLAIM.mailbox)
    assert found.listed_at == written.listed_at == place(written)
    assert (found.token, found.recipients, found.fingerprint) == ("", None, "")


@pytest.mark.parametrize("state", PLAIN)
async def test_every_other_mail_costs_the_index_no_request(ledger: Ledger, wire: Wire, state: State) -> None:
    await ledger.write(replace(CLAIM, state=state, **PLAIN[state]))  # type: ignore[arg-type]
    assert wire.requests == 0


@pytest.mark.parametrize("end", ["sent", "cancelled", "captured"])
async def test_what_ends_well_leaves_the_index(ledger: Ledger, end: State) -> None:
    waits = await ledger.write(replace(CLAIM, state="accepted", attempted_at=NOON))
    again = await ledger.write(replace(waits, state="sending", token="token-2"))
    assert [found.state for found in await listed(ledger)] == ["accepted"], "it stays while it is being sent"
    await ledger.write(replace(again, state=end, settled_at=ENDED))
    assert await listed(ledger) == []


async def test_a_mail_that_waits_keeps_its_place_and_one_that_fails_is_new(ledger: Ledger) -> None:
    other = await ledger.write(row(1, at=NOON + timedelta(minutes=30)))
    waits = await ledger.write(replace(CLAIM, id="f" * 32, state="accepted", attempted_at=NOON))
    later = replace(waits, attempted_at=NOON + timedelta(minutes=40), code="ApplicationThrottled")
    waits = await ledger.write(later)
    assert [found.id for found in await listed(ledger)] == [other.id, waits.id]
    await ledger.write(replace(waits, state="failed", settled_at=ENDED))
    assert [(found.id, found.state) for found in await listed(ledger)] == [(waits.id, "failed"), (other.id, "failed")]


async def test_the_newest_comes_first_over_days_and_a_page_costs_three_requests_at_most(
    ledger: Ledger, wire: Wire
) -> None:
    rows = [row(number, at=NOON + timedelta(hours=7 * number)) for number in range(30)]
    for one in rows:
        await ledger.write(one)
    found: list[str] = []
    after: str | None = None
    while True:
        wire.requests = 0
        page, after = await ledger.listed(8, after)
        assert wire.requests <= 3
        found += [one.id for one in page]
        if after is None:
            break
    assert found == [one.id for one in reversed(rows)]


async def test_an_index_that_cannot_be_written_stops_no_mail_and_is_put_right(ledger: Ledger, table: Away) -> None:
    gone = await ledger.write(row(1))
    stale = await ledger.write(row(2, "accepted", attempted_at=NOON, settled_at=None))
    table.away = True
    await ledger.write(replace(stale, state="sent", settled_at=ENDED))
    missing = await ledger.write(row(3))
    again = await ledger.write(replace(gone, state="accepted", settled_at=None, token="t", attempted_at=ENDED))
    table.away = False
    rows = {one.id: one for one in (missing, again)}
    assert await ledger.repair(rows, ALL) == 3
    assert {(one.id, one.state) for one in await listed(ledger)} == {(missing.id, "failed"), (again.id, "accepted")}
    assert await ledger.repair(rows, ALL) == 0


async def test_what_has_changed_since_its_row_was_read_is_not_put_wrong(ledger: Ledger) -> None:
    """The rows of a partition are read before the index is."""
    before = {one.id: one for one in [await ledger.write(row(1))]}
    await ledger.write(row(2))
    await ledger.write(replace(before[row(1).id], state="sent", settled_at=ENDED, token="t"))
    await ledger.repair(before, ALL)
    assert [one.id for one in await listed(ledger)] == [row(2).id]


async def test_a_row_that_is_removed_takes_its_entry_with_it(ledger: Ledger) -> None:
    await ledger.remove(await ledger.write(row(1)))
    assert await listed(ledger) == []


STATES = st.sampled_from([*LISTED.items(), *PLAIN.items()])


@given(st.lists(st.tuples(st.integers(0, 2), STATES, st.booleans()), max_size=12))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_after_a_repair_the_index_is_what_the_rows_say(
    storage: str, steps: list[tuple[int, tuple[State, dict[str, object]], bool]]
) -> None:
    async with Wire() as wire:
        table = Away(Tables.of_connection_string(storage, wire, backoff=0), f"t{uuid4().hex}")
        ledger = MemoryLedger(AttentionIndex(table))
        rows: dict[str, Row] = {}
        for number, (state, changes), away in steps:
            table.away = away
            name = f"{number:032x}"
            before = rows.get(name, replace(CLAIM, id=name))
            reset = {"settled_at": None, "bounces": None, "bounced_at": None, "attempted_at": None}
            rows[name] = await ledger.write(replace(before, state=state, **{**reset, **changes}))  # type: ignore[arg-type]
        table.away = False
        await ledger.repair({name: one for name, one in rows.items() if one.listed_at is not None}, ALL)
        expected = {(one.id, one.listed_at) for one in rows.values() if one.listed_at is not None}
        assert {(one.id, one.listed_at) for one in await listed(ledger)} == expected
