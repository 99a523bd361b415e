"""Slots, as one or two instances have them. Blocks: test_blocks.py."""

import asyncio

import pytest

from shared.delivery.pacing.board import Board
from shared.delivery.pacing.pacer import PacingUnavailable
from shared.delivery.pacing.shares import SlotRow
from tests.delivery.pacing.fleet import DESK, SHOP, SlowStore, hold, now, owners, pacer, slot
from tests.delivery.pacing.virtual import at, clock, run


def test_a_lone_mail_gets_its_slot_at_once_and_the_slot_is_given_back_a_second_later() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store)
        assert await hold(one, 0.3) is not None
        assert now() < 0.35
        assert store.operations[("slots", "rows")] == 1
        await asyncio.sleep(1.5)
        assert await owners(store) == [""]
        assert store.operations.total() == 3, "one look, one write to take it and one to give it back"
        await asyncio.sleep(600)
        assert store.operations.total() == 3, "and an idle instance does nothing"

    run(scenario())


def test_mails_one_after_the_other_use_one_slot_without_storage() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store)
        for _ in range(8):
            await hold(one, 0.3)
            await asyncio.sleep(0.1)
        assert store.operations.total() == 2

    run(scenario())


def test_no_more_requests_are_in_flight_than_there_are_slots() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=3)
        spans = [span for span in await asyncio.gather(*(hold(one, 1) for _ in range(30))) if span]
        assert len(spans) == 30
        assert all(sum(began <= span[0] < ended for began, ended in spans) <= 3 for span in spans)
        assert now() < 11

    run(scenario())


def test_one_who_cannot_have_a_slot_in_time_gets_none_and_says_so_after_his_patience() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store, concurrency=1), pacer(store, concurrency=1, seed=1)
        task = asyncio.create_task(hold(one, 100))
        await asyncio.sleep(1)
        assert await hold(other, 1, patience=20) is None
        assert now() == pytest.approx(21)
        await task

    run(scenario())


def test_a_slot_is_kept_through_a_request_that_takes_longer_than_its_lease() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store, concurrency=1), pacer(store, concurrency=1, ahead=1.9, seed=1)
        first = asyncio.create_task(hold(one, 100))
        await asyncio.sleep(1)
        second = await hold(other, 1, patience=150)
        found = await first
        assert found is not None
        assert second is not None
        assert found[1] <= second[0] < found[1] + 4

    run(scenario())


def test_the_slots_of_a_dead_instance_come_back_when_their_leases_are_over_on_every_clock_and_not_before() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store), pacer(store, ahead=1.9, seed=1)
        tasks = [asyncio.create_task(hold(one, 1000)) for _ in range(4)]
        await asyncio.sleep(3)
        ends = [slot.end for slot in one._slots._held.values()]
        keeper = one._slots._keeper
        assert keeper
        keeper.cancel()  # the process is gone
        spans = await asyncio.gather(*(hold(other, 1, patience=40) for _ in range(4)))
        began = [span[0] for span in spans if span]
        assert len(began) == 4
        assert min(began) >= min(ends), "by a clock that is 1.9 seconds ahead"
        assert max(began) < max(ends) + 2 + 5
        for task in tasks:
            task.cancel()

    run(scenario())


def test_a_holder_whose_lease_is_over_knows_that_the_slot_is_lost() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=1)
        async with slot(one) as mine:
            assert mine is not None
            store.down = True
            lost = []
            for seconds in (14, 2):
                await asyncio.sleep(seconds)
                lost.append(mine.lost)
            assert lost == [False, True]
            store.down = False
            assert await hold(one, 1, patience=1) is None, "one request of this instance is on the way in it still"
        await asyncio.sleep(20)
        assert await hold(one, 1) is not None

    run(scenario())


def test_a_holder_whose_slot_has_been_taken_finds_that_out_when_it_renews() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=1)
        async with slot(one) as mine:
            assert mine is not None
            row = (await store.rows_in.rows("slots"))["0"]
            thief = SlotRow(owner="thief", until=at(100)).values()
            await store.rows_in.write("slots", "0", thief, row.etag)
            await asyncio.sleep(9)
            assert mine.lost
        assert await owners(store) == ["thief"]

    run(scenario())


def test_a_holder_with_waiting_mails_finds_out_within_five_seconds() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=1)
        async with slot(one) as mine:
            assert mine is not None
            waiting = asyncio.create_task(hold(one, 1, patience=20))
            row = (await store.rows_in.rows("slots"))["0"]
            thief = SlotRow(owner="thief", until=at(100)).values()
            await store.rows_in.write("slots", "0", thief, row.etag)
            await asyncio.sleep(5)
            assert mine.lost
        assert await waiting is None

    run(scenario())


def test_what_is_written_during_a_look_is_newer_than_what_the_look_finds() -> None:
    async def scenario() -> None:
        store = SlowStore(1.0)
        board = Board(store, 2, clock())
        look = asyncio.create_task(board.look())
        await asyncio.sleep(0.6)
        store.seconds = 0.1
        row = SlotRow(owner="me", until=at(15))
        assert await board.write("0", row)
        assert not look.done()
        await look
        assert board.slot("0") == row

    run(scenario())


def test_a_lease_survives_storage_that_is_down_for_a_few_seconds() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=1)
        async with slot(one) as mine:
            assert mine is not None
            await asyncio.sleep(7)
            store.down = True
            await asyncio.sleep(6)
            store.down = False
            await asyncio.sleep(20)
            assert not mine.lost

    run(scenario())


def test_when_storage_is_down_pacing_says_so_in_its_own_words_and_recovers() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store)
        store.down = True
        with pytest.raises(PacingUnavailable):
            await one.reserve(SHOP)
        with pytest.raises(PacingUnavailable):
            await hold(one, 1)
        with pytest.raises(PacingUnavailable):
            await one.block(SHOP, at(60))
        with pytest.raises(PacingUnavailable):
            await one.block(SHOP, at(30))
        with pytest.raises(PacingUnavailable):
            await one.return_at()
        assert one.blocked_until(SHOP) == at(60), "here it holds all the same"
        store.down = False
        assert await hold(one, 1, DESK) is not None
        assert await one.reserve(SHOP) == at(60)

    run(scenario())


def test_slots_above_a_lowered_concurrency_are_left_alone() -> None:
    async def scenario() -> None:
        store = SlowStore()
        many, few = pacer(store, concurrency=4), pacer(store, concurrency=2, seed=1)
        await asyncio.gather(*(hold(many, 0.3) for _ in range(4)))
        await asyncio.sleep(3)
        began = now()
        await asyncio.gather(*(hold(few, 1) for _ in range(4)))
        assert now() - began > 2
        assert set(few._slots._held) <= {"0", "1"}

    run(scenario())


def test_waiting_mails_that_are_cancelled_lose_no_slot() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=2)
        for delay in range(60):
            tasks = [asyncio.create_task(hold(one, 0.3)) for _ in range(5)]
            await asyncio.sleep(delay / 100)
            for task in tasks[:4]:
                task.cancel()
            assert await tasks[4] is not None
        assert not any(slot.busy for slot in one._slots._held.values())
        assert not one._slots._waiting

    run(scenario())


def test_closing_gives_back_idle_slots_at_once_and_used_ones_after_their_request() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one = pacer(store, concurrency=2)
        long = asyncio.create_task(hold(one, 10))
        await hold(one, 1)
        await one.close()
        assert sorted(owner == "" for owner in await owners(store)) == [False, True]
        with pytest.raises(PacingUnavailable):
            await hold(one, 1)
        await long
        await asyncio.sleep(0.1)
        assert await owners(store) == ["", ""]

    run(scenario())
