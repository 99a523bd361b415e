"""Every ledger keeps the same promises: one suite for the table and for its stand-in in memory."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from copy import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.attention import REQUESTS, AttentionIndex
from shared.delivery.ledger import Conflict, Ledger, partition
from shared.settings.config import Settings
from shared.storage.tables import Tables, continued
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import NOON, Office, first_claim, work
from tests.wire import Wire

ROW = first_claim(work(), NOON, Settings(), "token-1", queued=True)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture(params=["memory", "table"])
async def ledger(request: pytest.FixtureRequest, wire: Wire) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    storage = request.getfixturevalue("storage")
    async with wire:
        yield _in_a_table(storage, wire)


def _in_a_table(storage: str, wire: Wire) -> Ledger:
    """One that is not there yet."""
    return Ledger(Tables.of_connection_string(storage, wire, backoff=0).table(f"t{uuid4().hex}"))


def _index(storage: str, wire: Wire) -> AttentionIndex:
    return AttentionIndex(Tables.of_connection_string(storage, wire, backoff=0).table(f"t{uuid4().hex}"))


async def test_a_row_comes_back_as_it_was_written(ledger: Ledger) -> None:
    full = replace(
        ROW,
        not_before=NOON + timedelta(days=40),
        due_at=NOON + timedelta(microseconds=123456),
        settled_at=NOON,
        attempts=3,
        status=429,
        code="ApplicationThrottled",
        request_id="r",
        client_request_id="c",
    )
    written = await ledger.write(full)
    assert written == replace(full, etag=written.etag)
    assert await ledger.read(ROW.id) == written


async def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert await ledger.read("f" * 32) is None


async def test_a_second_insert_conflicts(ledger: Ledger) -> None:
    await ledger.write(ROW)
    with pytest.raises(Conflict):
        await ledger.write(replace(ROW, token="token-2"))


async def test_a_row_is_replaced_once_for_each_etag(ledger: Ledger) -> None:
    first = await ledger.write(ROW)
    second = await ledger.write(replace(first, state="accepted", token="token-2", due_at=NOON))
    assert second.etag != first.etag
    with pytest.raises(Conflict):
        await ledger.write(replace(first, state="failed", token="token-3"))
    assert await ledger.read(ROW.id) == second


async def test_what_is_none_is_taken_out_of_the_row(ledger: Ledger) -> None:
    row = await ledger.write(replace(ROW, due_at=NOON))
    await ledger.write(replace(row, due_at=None, token="token-2"))
    found = await ledger.read(ROW.id)
    assert found is not None
    assert found.due_at is None


async def test_a_row_that_is_gone_conflicts(ledger: Ledger) -> None:
    await ledger.write(replace(ROW, id="e" * 32))
    with pytest.raises(Conflict):
        await ledger.write(replace(ROW, id="d" * 32, etag="W/\"datetime'2026-07-01T12%3A00%3A00.0000000Z'\""))


async def test_of_many_claims_at_once_one_succeeds(ledger: Ledger) -> None:
    row = await ledger.write(replace(ROW, state="accepted", token="token-0"))

    async def claim(number: int) -> bool:
        try:
            await ledger.write(replace(row, state="sending", token=f"token-{number}"))
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(claim(number) for number in range(1, 9)))) == 1


@pytest.mark.parametrize("ledger", ["table"], indirect=True)
async def test_an_insert_whose_answer_is_lost_knows_its_own_row(ledger: Ledger, wire: Wire) -> None:
    """The client tries again, meets itself as a conflict, and must not take it for another's."""
    await ledger.write(replace(ROW, id="a" * 32))
    wire.lose = 1
    written = await ledger.write(ROW)
    assert await ledger.read(ROW.id) == written


@pytest.mark.parametrize("ledger", ["table"], indirect=True)
async def test_a_replace_whose_answer_is_lost_knows_its_own_row(ledger: Ledger, wire: Wire) -> None:
    row = await ledger.write(ROW)
    wire.lose = 1
    written = await ledger.write(replace(row, state="sent", settled_at=NOON))
    assert await ledger.read(ROW.id) == written
    assert (await ledger.write(replace(written, state="failed"))).state == "failed"


@pytest.mark.parametrize("ledger", ["table"], indirect=True)
async def test_a_lost_answer_does_not_hide_that_another_one_came_between(ledger: Ledger, wire: Wire) -> None:
    row = await ledger.write(ROW)
    await ledger.write(replace(row, token="token-2"))
    with pytest.raises(Conflict):
        await ledger.write(replace(row, state="sent"))


def test_partitions_are_spread_evenly_whatever_the_ids_are_made_of() -> None:
    """Ids without a key begin with the time; the first digits of those are the same for weeks."""
    found = {partition(f"019{number:029x}") for number in range(5000)}
    assert len(found) == 256


async def test_a_claim_can_be_renewed_by_its_holder_and_by_nobody_who_has_lost_it(ledger: Ledger) -> None:
    office = Office(ledger=ledger)
    row = await ledger.write(replace(ROW, progress="part 1 of 3"))
    office.clock.move(seconds=50)
    lease = await office.engine.claim(row)
    renewed = lease.row
    assert renewed.lease_until == NOON + timedelta(seconds=110)
    assert renewed.progress == "part 1 of 3"
    office.clock.move(seconds=59)
    assert not lease.may_start()
    await ledger.write(replace(renewed, token="token-2"))
    with pytest.raises(Conflict):
        await office.engine.claim(renewed)


def _after(token: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode()


NO_TOKENS = {
    "nothing of the kind": "nowhere",
    "no base64": "=",
    "not JSON": base64.urlsafe_b64encode(b"nowhere").decode(),
    "no object": _after(["00"]),
    "another name": _after({"PartitionKey": "00", "filter": "x"}),
    "no text": _after({"PartitionKey": 1}),
    "too long": _after({"PartitionKey": "0" * 5000}),
    "nested without end": base64.urlsafe_b64encode(b"[" * 3000).decode(),
    "half of a surrogate pair": _after({"PartitionKey": "\ud800", "RowKey": None}),
}


@pytest.mark.parametrize("after", NO_TOKENS.values(), ids=NO_TOKENS)
async def test_what_no_page_gave_as_next_is_a_value_error_and_nothing_else(storage: str, after: str) -> None:
    async with Wire() as wire:
        with pytest.raises(ValueError):  # noqa: PT011 - several libraries', each with its own words
            await _index(storage, wire).page(5, after)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda text: base64.urlsafe_b64encode(text).decode()))
def test_any_text_is_a_token_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert set(continued(text) or {}) <= {"PartitionKey", "RowKey"}


async def test_a_token_that_the_service_does_not_know_is_a_value_error(storage: str) -> None:
    """It answers 400. That storage cannot be reached would be another thing to say."""

    class Strange(Wire):
        async def send(self, request: Any, **options: Any) -> Any:
            answer = await super().send(request, **options)
            answer.status_code = 400 if request.method == "GET" else answer.status_code
            return answer

    async with Strange() as wire:
        index = _index(storage, wire)
        await index.put(replace(ROW, listed_at=NOON), {"state": "failed"})
        with pytest.raises(ValueError, match="no continuation token"):
            await index.page(5, _after({"PartitionKey": "1!4!MDA-", "RowKey": None}))
        with pytest.raises(HttpResponseError):
            await index.page(5, None)


async def test_empty_pages_of_storage_are_gone_through_for_a_while(storage: str) -> None:
    """The service gives them while it looks on. Three requests at most, and where the next page begins."""

    class Scarce(Wire):
        async def send(self, request: Any, **options: Any) -> Any:
            answer = await super().send(request, **options)
            if request.method == "GET":
                answer.headers["x-ms-continuation-NextPartitionKey"] = "MDA="  # where partition 00 begins
            return answer

    async with Scarce() as wire:
        index = _index(storage, wire)
        await index.put(replace(ROW, listed_at=NOON), {"state": "failed"})
        wire.requests = 0
        found, after = await index.page(5, None)
        assert (len(found), wire.requests) == (3, REQUESTS), "the same page again and again"
        assert after is not None
