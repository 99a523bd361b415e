"""Both stores keep the same promises: one suite for the table and for its stand-in in memory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.ratelimit.mailbox_pace import Values
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.ratelimit.shared_row import TableStore
from shared.storage.tables import Tables
from tests.ratelimit.far import LIMITS, MemoryStore
from tests.ratelimit.virtual import START
from tests.wire import Wire

KEY, OTHER_KEY = "ab" * 32, "cd" * 32
VALUES: Values = {"tat": START + timedelta(microseconds=123_457), "recipients": "{}", "step": 4}
OTHER: Values = {"recipients": "another"}


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def table(storage: str, wire: Wire) -> AsyncIterator[TableStore]:
    """In a table that is not there yet."""
    async with wire:
        yield TableStore(Tables.of_connection_string(storage, wire, backoff=0).table(f"t{uuid4().hex}"))


@pytest.fixture(params=["memory", "table"])
def store(request: pytest.FixtureRequest) -> TableStore:
    if request.param == "memory":
        return MemoryStore()
    found: TableStore = request.getfixturevalue("table")
    return found


async def written(store: TableStore, key: str, values: Values, etag: str | None = None) -> str:
    """Its ETag."""
    done, stored = await store.write(key, values, etag)
    assert done
    assert stored is not None
    assert stored == await store.read(key)
    assert stored.values == values
    return stored.etag


async def test_what_is_written_is_read_with_the_etag_of_the_write(store: TableStore) -> None:
    assert await store.read(KEY) is None
    await written(store, KEY, VALUES)
    found = await store.read(KEY)
    assert found is not None
    assert type(found.values["tat"]) is datetime


async def test_a_row_is_replaced_whole_by_one_who_has_seen_it_and_by_nobody_else(store: TableStore) -> None:
    """Who has not is told what it is."""
    seen = await written(store, KEY, VALUES)
    await written(store, KEY, OTHER, seen)
    for etag in (seen, None):
        assert await store.write(KEY, VALUES, etag) == (False, await store.read(KEY))


async def test_a_row_that_is_gone_cannot_be_replaced(store: TableStore) -> None:
    etag = await written(store, KEY, VALUES)
    assert await store.write(OTHER_KEY, VALUES, etag) == (False, None)


async def test_a_write_whose_answer_is_lost_knows_itself_again(table: TableStore, wire: Wire) -> None:
    for values in (VALUES, OTHER):
        found = await table.read(KEY)
        wire.lose = 1
        await written(table, KEY, values, found.etag if found else None)
        assert wire.lose == 0


async def test_instances_share_rate_day_block_and_callers_in_either_store(store: TableStore) -> None:
    def instance() -> RateLimits:
        return RateLimits(store, **LIMITS | {"recipients_per_day": 8})

    one, other = instance(), instance()
    times = []
    for limits in (one, other) * 3:
        reservation = await limits.reserve("Shop@Example.com", 1)
        assert isinstance(reservation, Reservation)
        times.append(reservation.at)
    assert times[-1] - times[0] > timedelta(seconds=3)
    assert not isinstance(await one.reserve("shop@example.com", 3), Reservation)
    until = await one.throttled("desk@example.com", 60)
    third = await instance().reserve("desk@example.com", 1)
    assert isinstance(third, Reservation)
    assert third.at >= until > datetime.now(UTC)
    assert [await limits.ask("the shop", 2) is None for limits in (one, other, one)] == [True, True, False]


async def test_a_row_says_nothing_of_whom_it_is_for(storage: str) -> None:
    async with Wire() as wire:
        table = Tables.of_connection_string(storage, wire, backoff=0).table(f"t{uuid4().hex}")
        limits = RateLimits(TableStore(table), **LIMITS)
        await limits.reserve("shop@example.com", 1)
        await limits.throttled("shop@example.com", None)
        await limits.upload("shop@example.com", 4_000_000)
        await limits.ask("the shop", 1)
        rows = [entity async for entity in table.all()]
    assert len(rows) == 2
    assert "shop" not in str(rows).lower()


async def test_rows_name_the_mailboxes_that_have_sent_if_they_are_to(table: TableStore) -> None:
    """Those who read them know who has sent, and sending costs nothing more; rows of callers name nobody."""
    now = datetime.now(UTC)
    for named in (False, True):
        limits = RateLimits(table, named=named, **LIMITS)
        await limits.reserve(f"Named-{named}@contoso.com", 1)
        await limits.come_at("mail-outbox", 60)
    assert await limits.mailboxes(now - timedelta(minutes=1)) == ["named-true@contoso.com"]
    assert await limits.mailboxes(now + timedelta(hours=1)) == []
