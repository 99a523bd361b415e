"""Both stores keep the same promises: one suite for the table and for its stand-in in memory."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from shared.delivery.ledger import Conflict
from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.pacer import Pacer
from shared.delivery.pacing.store import Changed, MemoryStore, PacingStore, Values
from shared.delivery.pacing.table import TableStore
from shared.tables import Tables
from tests.delivery.pacing.fleet import slot
from tests.delivery.pacing.virtual import START
from tests.wire import Wire

VALUES: Values = {"owner": "me", "until": START + timedelta(microseconds=123_457), "wanted_by": ""}
OTHER: Values = {"owner": "another"}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def table(storage: str, wire: Wire) -> AsyncIterator[TableStore]:
    """In a table that is not there yet."""
    async with wire:
        yield TableStore(Tables.of_connection_string(storage, wire, backoff=0).table(f"t{uuid4().hex}"))


@pytest.fixture(params=["memory", "table"])
def store(request: pytest.FixtureRequest) -> PacingStore:
    if request.param == "memory":
        return MemoryStore()
    found: TableStore = request.getfixturevalue("table")
    return found


async def test_what_is_written_is_read_with_the_etag_of_the_write(store: PacingStore) -> None:
    assert await store.read("p", "k") is None
    etag = await store.write("p", "k", VALUES, None)
    found = await store.read("p", "k")
    assert found is not None
    assert (found.values, found.etag) == (VALUES, etag)
    assert type(found.values["until"]) is datetime


async def test_a_row_is_replaced_whole_by_one_who_has_seen_it(store: PacingStore) -> None:
    etag = await store.write("p", "k", VALUES, None)
    newer = await store.write("p", "k", OTHER, etag)
    found = await store.read("p", "k")
    assert found is not None
    assert (found.values, found.etag) == (OTHER, newer)


async def test_nobody_replaces_a_row_he_has_not_seen_and_he_is_told_what_it_is(store: PacingStore) -> None:
    seen = await store.write("p", "k", VALUES, None)
    newer = await store.write("p", "k", OTHER, seen)
    for etag in (seen, None):
        with pytest.raises(Changed) as caught:
            await store.write("p", "k", VALUES, etag)
        assert isinstance(caught.value, Conflict)
        assert caught.value.found is not None
        assert (caught.value.found.values, caught.value.found.etag) == (OTHER, newer)


async def test_a_row_that_is_gone_cannot_be_replaced(store: PacingStore) -> None:
    etag = await store.write("p", "k", VALUES, None)
    with pytest.raises(Changed) as caught:
        await store.write("p", "missing", VALUES, etag)
    assert caught.value.found is None


async def test_a_partition_is_read_as_a_whole_and_alone(store: PacingStore) -> None:
    assert await store.rows("p") == {}
    first = await store.write("p", "0", VALUES, None)
    second = await store.write("p", "1", OTHER, None)
    await store.write("q", "2", OTHER, None)
    found = await store.rows("p")
    assert {key: (stored.values, stored.etag) for key, stored in found.items()} == {
        "0": (VALUES, first),
        "1": (OTHER, second),
    }


async def test_a_write_whose_answer_is_lost_knows_itself_again(table: TableStore, wire: Wire) -> None:
    first = await table.write("p", "other", OTHER, None)
    for values in (VALUES, OTHER):
        wire.lose = 1
        found = await table.read("p", "k")
        etag = await table.write("p", "k", values, found.etag if found else None)
        found = await table.read("p", "k")
        assert found is not None
        assert (found.values, found.etag) == (values, etag)
        assert wire.lose == 0
    assert await table.write("p", "other", VALUES, first)


async def test_a_partition_of_slots_is_read_in_one_request(table: TableStore, wire: Wire) -> None:
    for number in range(8):
        await table.write("slots", str(number), VALUES, None)
    wire.requests = 0
    assert len(await table.rows("slots")) == 8
    assert wire.requests == 1


async def test_two_instances_share_slots_rate_and_blocks_in_either_store(store: PacingStore) -> None:
    one, other = (Pacer(store, rate_per_minute=30, concurrency=2, clock=Clock()) for _ in range(2))
    times = sorted([await pacer.reserve("Shop@Example.com") for pacer in (one, other) * 3])
    assert times[5] - times[0] > timedelta(seconds=1.5)
    async with slot(one) as first, slot(other) as second:
        assert first is not None
        assert second is not None
        async with slot(other, patience=0.2) as third:
            assert third is None
    until = datetime.now(START.tzinfo) + timedelta(minutes=1)
    await one.block("shop@example.com", until)
    await one.block("other@example.com", until, app_wide=True)
    fresh = Pacer(store, rate_per_minute=30, concurrency=2, clock=Clock())
    assert await fresh.reserve("third@example.com") >= until
    for pacer in (one, other, fresh):
        await pacer.close()
    rows = await store.rows("slots")
    assert [rows[key].values["owner"] for key in ("0", "1")] == ["", ""]
    text = json.dumps([dict(stored.values) for stored in rows.values()], default=str)
    assert "example" not in text
