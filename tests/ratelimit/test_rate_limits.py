"""When a mail may go, as one process and its neighbours see it."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from shared.ratelimit.mailbox_pace import NoRoom, RateLimitUnavailable, Values
from shared.ratelimit.rate_limits import KEPT, RateLimits, Reservation
from shared.ratelimit.shared_row import Stored, key_of
from tests.ratelimit.far import LIMITS, FarStore, MemoryStore
from tests.ratelimit.virtual import at, clock, elapsed, run

SHOP, DESK = "shop@example.com", "desk@example.com"
HOUR = 3600.0


def instance(store: MemoryStore, **settings: Any) -> RateLimits:
    return RateLimits(store, now=clock(), **LIMITS | settings)


async def reserved(limits: RateLimits, mailbox: str = SHOP, recipients: int = 1) -> Reservation:
    found = await limits.reserve(mailbox, recipients)
    assert isinstance(found, Reservation)
    return found


async def times(limits: RateLimits, count: int, mailbox: str = SHOP) -> list[datetime]:
    return [(await reserved(limits, mailbox)).at for _ in range(count)]


async def left(limits: RateLimits, mailbox: str = SHOP) -> int:
    """How many recipients the mailbox still has in its day, one by one."""
    count = 0
    while isinstance(await limits.reserve(mailbox, 1), Reservation):
        count += 1
    return count


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "mailroom"]


# The rate


def test_a_mailbox_has_four_at_once_and_then_its_rate_and_each_mailbox_its_own() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        assert await times(limits, 6) == [at(0)] * 4 + [at(2), at(4)]
        assert await times(limits, 5, DESK) == [at(0)] * 4 + [at(2)]

    run(scenario())


def test_a_mail_of_a_quiet_mailbox_costs_one_write_and_only_the_first_a_read() -> None:
    async def scenario() -> None:
        store = FarStore()
        limits = instance(store)
        for _ in range(10):
            limits.used(await reserved(limits), 1)
            await asyncio.sleep(60)
        assert store.operations == {"write": 10, "read": 1}

    run(scenario())


def test_all_who_wait_are_served_by_one_write() -> None:
    async def scenario() -> None:
        store = FarStore()
        limits = instance(store, per_minute=200)
        found = await asyncio.gather(*(reserved(limits) for _ in range(200)))
        assert sum(one.at < at(0.1) for one in found) == 4
        assert max(one.at for one in found) > at(196 * 0.3)
        assert store.operations.total() <= 3

    run(scenario())


def test_nothing_is_taken_that_nobody_asked_for_so_another_instance_never_waits_for_it() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        one, other = instance(store), instance(store)
        await times(one, 4)
        assert await times(other, 1) == [at(2)]
        assert await times(one, 1) == [at(4)]

    run(scenario())


def test_where_a_rate_gives_many_mails_in_a_moment_most_of_a_burst_costs_nothing() -> None:
    """A quarter of a second's worth is taken ahead; what of it is not used is lost to nobody for longer than that."""

    async def scenario() -> None:
        store = FarStore()
        one, other = (instance(store, per_minute=6000, recipients_per_day=1000) for _ in range(2))
        for _ in range(200):
            found = await reserved(one)
            assert found.at <= at(elapsed())
            one.used(found, 1)
            await asyncio.sleep(0.05)
        assert store.operations.total() < 0.2 * 200
        assert ((await reserved(other)).at - at(elapsed())).total_seconds() < 0.25
        assert await left(other) > 1000 - 202 - 2 * 25, "of the recipients little is held"

    run(scenario())


def test_a_reservation_that_is_given_back_is_the_next_mails_here_and_costs_nothing() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store)
        found = [await reserved(limits) for _ in range(6)]
        before = store.operations.total()
        limits.give_back(found[4])
        assert (await reserved(limits)).at == at(2)
        assert store.operations.total() == before
        assert (await reserved(limits)).at == at(6)

    run(scenario())


def test_a_reservation_is_given_back_once_and_not_after_it_was_used() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=100)
        found = [await reserved(limits, recipients=10) for _ in range(6)]
        limits.used(found[5], 10)
        for _ in range(2):
            limits.give_back(found[4])
            limits.give_back(found[5])
        assert await times(limits, 2) == [at(2), at(6)]
        assert await left(limits) == 100 - 50 - 2

    run(scenario())


def test_a_time_that_has_passed_lapses_and_its_recipients_do_not() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=10)
        found = [await reserved(limits) for _ in range(5)]
        await asyncio.sleep(3)
        limits.give_back(found[4])
        assert (await reserved(limits)).at == at(4)
        assert await left(limits) == 10 - 5

    run(scenario())


# What a message carries


def test_a_message_keeps_its_time_without_storage_while_the_row_is_fresh() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store)
        found = [await reserved(limits) for _ in range(8)][-1]
        before = store.operations.total()
        again = await limits.restore(SHOP, found.at, 1)
        assert again is not None
        assert (again.at, again.recipients) == (found.at, 1)
        assert store.operations.total() == before
        await asyncio.sleep(6)
        assert await asyncio.gather(*(limits.restore(SHOP, found.at, 1) for _ in range(20)))
        assert store.operations.total() == before + 1, "one read, for all of them"

    run(scenario())


def test_a_copy_of_a_message_cannot_give_its_reservation_back() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=10)
        found = [await reserved(limits) for _ in range(5)][-1]
        for _ in range(2):
            copy = await limits.restore(SHOP, found.at, 1)
            assert copy is not None
            limits.give_back(copy)
        assert (await reserved(limits)).at == at(4)
        assert await left(limits) == 10 - 6

    run(scenario())


def test_a_carried_reservation_is_void_after_a_block_past_its_time_in_any_instance() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        one, other = instance(store), instance(store)
        assert await other.restore(SHOP, at(1), 1)
        await one.throttled(SHOP, 30)
        assert await one.restore(SHOP, at(29), 1) is None
        assert await one.restore(SHOP, at(30), 1)
        await asyncio.sleep(5.1)
        assert await other.restore(SHOP, at(29), 1) is None
        assert await other.restore(DESK, at(29), 1)
        await asyncio.sleep(30)
        assert await one.restore(SHOP, at(29), 1) is None, "the mails of the block do not all go at its end"

    run(scenario())


def test_a_carried_reservation_is_void_a_minute_after_its_time() -> None:
    """The mails of an outage have new times instead of going all at its end."""

    async def scenario() -> None:
        limits = instance(MemoryStore())
        await asyncio.sleep(100)
        assert await limits.restore(SHOP, at(40), 1)
        assert await limits.restore(SHOP, at(39), 1) is None

    run(scenario())


# The day's recipients


def test_a_day_has_its_recipients_and_says_when_there_may_be_more() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=500)
        await reserved(limits, recipients=300)
        assert await limits.reserve(SHOP, 300) == NoRoom(at(25 * HOUR), day=True)
        assert await left(limits) == 200
        assert isinstance(await limits.reserve(DESK, 500), Reservation)
        await asyncio.sleep(25 * HOUR)
        assert isinstance(await limits.reserve(SHOP, 500), Reservation)

    run(scenario())


def test_who_is_refused_for_the_day_takes_no_time_and_no_storage() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store, recipients_per_day=10)
        await reserved(limits, recipients=5)
        await limits.reserve(SHOP, 6)  # said once a day, and written
        before = store.operations.total()
        for _ in range(20):
            assert isinstance(await limits.reserve(SHOP, 6), NoRoom)
        assert store.operations.total() == before
        assert await times(limits, 4) == [at(0)] * 3 + [at(2)]

    run(scenario())


def test_a_mail_that_goes_to_fewer_gives_the_others_back_and_one_that_goes_to_more_takes_them() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=500)
        limits.used(await reserved(limits, recipients=300), 1)
        limits.used(await reserved(limits, recipients=1), 100)
        assert await left(limits) == 399

    run(scenario())


def test_recipients_count_at_the_time_for_which_they_are_reserved() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), per_minute=1, recipients_per_day=100)
        for _ in range(100):
            await reserved(limits)  # the last of them goes in more than an hour and a half
        await asyncio.sleep(24.9 * HOUR)
        assert isinstance(await limits.reserve(SHOP, 1), NoRoom)
        await asyncio.sleep(0.2 * HOUR)
        await reserved(limits, recipients=60)
        assert isinstance(await limits.reserve(SHOP, 1), NoRoom)

    run(scenario())


def test_what_one_instance_gives_back_the_others_have_after_its_next_write() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        one, other = instance(store, recipients_per_day=100), instance(store, recipients_per_day=100)
        one.give_back(await reserved(one, recipients=90))
        assert isinstance(await other.reserve(SHOP, 90), NoRoom)
        await reserved(one, recipients=1)
        await asyncio.sleep(6)
        await reserved(one, recipients=1)
        assert isinstance(await other.reserve(SHOP, 90), Reservation)

    run(scenario())


def test_the_end_of_a_day_is_said_once_over_all_instances_and_again_on_another_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        store = FarStore(0)
        fleet = [instance(store, per_minute=6000, recipients_per_day=500) for _ in range(2)]
        for _ in range(2):
            for one in fleet:
                await left(one)
            await asyncio.sleep(26 * HOUR)

    with caplog.at_level(logging.INFO, "mailroom"):
        run(scenario())
    day = [("recipients.near", 500, key_of(SHOP)[:16]), ("recipients.reached", 500, key_of(SHOP)[:16])]
    assert [(line["event"], line["per_day"], line["mailbox"]) for line in said(caplog)] == day * 2


# What Graph says


def test_a_block_holds_here_at_once_and_elsewhere_after_five_seconds_at_most_and_for_its_mailbox_only() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        one, other = instance(store), instance(store)
        await times(other, 2)
        assert await one.throttled(SHOP.upper(), 60) == at(60)
        assert one.blocked_until(SHOP) == at(60)
        assert one.blocked_until(DESK) is None
        assert (await reserved(one, DESK)).at == at(0)
        assert (await reserved(other)).at == at(60), "a write meets the row as it is"
        assert other.blocked_until(SHOP) == at(60)
        await asyncio.sleep(61)
        assert other.blocked_until(SHOP) is None

    run(scenario())


def test_a_longer_block_stays_whoever_has_set_it() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        one, other = instance(store), instance(store)
        await one.throttled(SHOP, 60)
        assert await other.throttled(SHOP, 10) == at(60)
        assert await one.throttled(SHOP, 30) == at(60)

    run(scenario())


def test_without_a_time_from_graph_a_block_is_two_seconds_and_doubled_while_it_repeats() -> None:
    async def scenario() -> None:
        limits = instance(FarStore(0))
        lengths = []
        for _ in range(10):
            now = elapsed()
            found = [await limits.throttled(SHOP, None) for _ in range(4)]  # four were in flight
            assert len(set(found)) == 1
            lengths.append((found[0] - at(now)).total_seconds())
            await asyncio.sleep(lengths[-1] + 1)
        assert lengths == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        await asyncio.sleep(400)
        now = elapsed()
        assert await limits.throttled(SHOP, None) == at(now + 2)

    run(scenario())


def test_another_instance_goes_on_doubling() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        await instance(store).throttled(SHOP, None)
        await asyncio.sleep(3)
        other = instance(store)
        await reserved(other)
        assert await other.throttled(SHOP, None) == at(3 + 4)

    run(scenario())


def test_a_block_that_cannot_be_written_holds_here_and_is_in_the_next_write() -> None:
    async def scenario() -> None:
        store = FarStore()
        one, other = instance(store), instance(store)
        store.down = True
        assert await one.throttled(SHOP, 60) == at(60)
        assert one.blocked_until(SHOP) == at(60)
        store.down = False
        assert (await reserved(one)).at == at(60)
        assert (await reserved(other)).at == at(60)

    run(scenario())


def test_a_time_that_was_given_back_is_void_after_a_block_past_it() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        found = [await reserved(limits) for _ in range(5)][-1]
        await limits.throttled(SHOP, 10)
        limits.give_back(found)
        assert (await reserved(limits)).at == at(10)

    run(scenario())


# In flight


def test_four_are_in_flight_for_a_mailbox_whoever_else_sends() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), concurrency=4)
        flying = most = 0

        async def request(mailbox: str) -> float:
            nonlocal flying, most
            async with limits.in_flight(mailbox) as ready:
                assert ready
                if mailbox == SHOP:
                    flying += 1
                    most = max(most, flying)
                await asyncio.sleep(1)
                if mailbox == SHOP:
                    flying -= 1
            return elapsed()

        ended = await asyncio.gather(*(request(SHOP) for _ in range(10)), request(DESK))
        assert most == 4
        assert ended == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 1], "in order of arrival"

    run(scenario())


def test_who_has_no_patience_is_sent_away_and_takes_nothing() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), concurrency=1)
        async with limits.in_flight(SHOP, patience=0) as first:
            assert first
            async with limits.in_flight(SHOP, patience=2) as second:
                assert not second
            assert elapsed() == 2
        with pytest.raises(KeyError):
            async with limits.in_flight(SHOP, patience=2):
                raise KeyError
        async with limits.in_flight(SHOP, patience=0) as third:
            assert third

    run(scenario())


def test_a_pool_sends_from_the_mailbox_that_is_free_soonest() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), recipients_per_day=100)
        pool = [SHOP, DESK]
        for _ in range(4):
            await reserved(limits)
        assert limits.soonest(pool) == DESK
        async with AsyncExitStack() as stack:
            await asyncio.sleep(10)
            await stack.enter_async_context(limits.in_flight(DESK))
            assert limits.soonest(pool) == SHOP, "of two that are free the one that has less to do"
        await limits.throttled(SHOP, 60)
        assert limits.soonest(pool) == DESK
        await reserved(limits, DESK, 100)
        await limits.reserve(DESK, 1)
        assert limits.soonest(pool) == SHOP, "a day is longer than a block"
        assert {limits.soonest(["a@example.com", "b@example.com"]) for _ in range(40)} == {
            "a@example.com",
            "b@example.com",
        }

    run(scenario())


def test_of_two_that_are_free_none_is_preferred_because_it_was_asked_first() -> None:
    """The clock moves on between two questions."""
    ticks = count()
    limits = RateLimits(MemoryStore(), now=lambda: at(0) + timedelta(microseconds=next(ticks)), **LIMITS)
    assert {limits.soonest([SHOP, DESK]) for _ in range(40)} == {SHOP, DESK}


# Uploads


def test_no_more_than_a_hundred_and_fifty_megabytes_go_in_five_minutes_from_all_instances() -> None:
    async def scenario() -> None:
        store = FarStore()
        went: list[tuple[float, int]] = []

        async def upload(limits: RateLimits, sizes: list[int]) -> None:
            for size in sizes:
                while until := await limits.upload(SHOP, size):
                    assert until > at(elapsed())
                    await asyncio.sleep((until - at(elapsed())).total_seconds())
                went.append((elapsed(), size))
                await asyncio.sleep(0.2)

        part = 4_000_000
        fleet = [instance(store) for _ in range(3)]
        await asyncio.gather(*(upload(one, [part] * 25 + [300_000] * 5) for one in fleet))
        for start, _ in went:
            assert sum(size for time, size in went if start <= time <= start + 300) < 150_000_000
        assert elapsed() < 700, "300 MB go in the third stretch"

    run(scenario())


def test_what_is_larger_than_five_minutes_take_waits_until_nothing_else_counts_and_then_goes() -> None:
    async def scenario() -> None:
        limits = instance(FarStore(0))
        assert await limits.upload(SHOP, 4_000_000) is None
        assert await limits.upload(SHOP, 150_000_000) == at(310)
        await asyncio.sleep(310)
        assert await limits.upload(SHOP, 150_000_000) is None
        assert await limits.upload(SHOP, 4_000_000) == at(620)

    run(scenario())


def test_small_mails_are_counted_without_a_write_of_their_own() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store)
        for _ in range(19):
            assert await limits.upload(SHOP, 50_000) is None
        assert not any("bytes" in stored.values for stored in store.rows.values()), "not yet a megabyte"
        await reserved(limits)
        assert await limits.upload(SHOP, 4_000_000) is None
        (stored,) = store.rows.values()
        assert sum(json.loads(str(stored.values["bytes"])).values()) == 19 * 50_000 + 4_000_000

    run(scenario())


# Callers


def test_a_minutes_mails_of_a_caller_may_come_at_once_and_the_next_is_told_when_it_may() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        assert [await limits.ask("the shop", 6) for _ in range(7)] == [None] * 6 + [at(10)]
        await asyncio.sleep(10)
        assert [await limits.ask("the shop", 6) for _ in range(2)] == [None, at(20)]
        assert await limits.ask("the desk", 6) is None

    run(scenario())


def test_a_batch_larger_than_a_minutes_mails_passes_and_is_paid_for_afterwards() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        assert await limits.ask("the shop", 6, 20) is None
        assert await limits.ask("the shop", 6) == at(150)

    run(scenario())


def test_a_caller_that_asked_in_vain_may_ask_again() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store)
        assert await limits.ask("the shop", 6, 6) is None
        limits.asked_in_vain("the shop", 2)
        before = store.operations.total()
        assert [await limits.ask("the shop", 6) for _ in range(3)] == [None, None, at(10)]
        assert store.operations.total() == before
        limits.asked_in_vain("the shop")
        await asyncio.sleep(6)
        assert await limits.ask("the shop", 6) == at(10), "for a few seconds"
        limits.asked_in_vain("nobody knows", 2)

    run(scenario())


def test_a_caller_that_is_refused_costs_no_storage_and_is_not_starved_by_asking_all_the_time() -> None:
    async def scenario() -> None:
        store = FarStore(0)
        limits = instance(store)
        assert await limits.ask("the shop", 6, 6) is None
        before = store.operations.total()
        came = 0
        for _ in range(600):
            came += await limits.ask("the shop", 6) is None
            await asyncio.sleep(0.1)
        assert came in (5, 6), "a minute's"
        assert store.operations.total() - before == came

    run(scenario())


def test_all_instances_together_let_no_more_of_a_caller_come_than_its_rate() -> None:
    async def scenario() -> None:
        store = FarStore()
        fleet = [instance(store) for _ in range(3)]
        answers = await asyncio.gather(*(one.ask("the shop", 10) for one in fleet for _ in range(20)))
        assert answers.count(None) == 10

    run(scenario())


def test_a_producer_is_given_a_time_for_each_mail_apart_from_who_is_refused() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        assert await limits.ask("mail-outbox", 6, 6) is None
        assert [await limits.come_at("mail-outbox", 6) for _ in range(4)] == [at(0), at(10), at(20), at(30)]

    run(scenario())


def test_a_caller_over_its_rate_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        for _ in range(5):
            await limits.ask("the shop", 2)
        for _ in range(3):
            await limits.come_at("mail-outbox", 6)

    with caplog.at_level(logging.INFO, "mailroom"):
        run(scenario())
    assert said(caplog) == [
        {"event": "caller.limited", "caller": "the shop", "seconds": 30.0},
        {"event": "caller.limited", "caller": "mail-outbox", "seconds": 10.0},
    ]


# When storage fails


def test_when_storage_is_down_nobody_is_let_through_and_nobody_waits_in_a_queue_for_the_error() -> None:
    async def scenario() -> None:
        store = FarStore(1.0)
        limits = instance(store)
        store.down = True
        found = await asyncio.gather(*(limits.reserve(SHOP, 1) for _ in range(20)), return_exceptions=True)
        assert {type(one) for one in found} == {RateLimitUnavailable}
        assert elapsed() <= 1, "two find it out for all"
        for waiting in (limits.ask("the shop", 1), limits.come_at("x", 1), limits.restore(SHOP, at(1), 1)):
            with pytest.raises(RateLimitUnavailable):
                await waiting
        with pytest.raises(RateLimitUnavailable):
            await limits.upload(SHOP, 4_000_000)
        store.down = False
        assert (await reserved(limits)).at <= at(elapsed())

    run(scenario())


def test_a_row_that_others_write_all_the_time_is_given_up() -> None:
    class Busy(MemoryStore):
        async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
            return False, Stored(values, "another's")

    async def scenario() -> None:
        with pytest.raises(RateLimitUnavailable):
            await instance(Busy()).reserve(SHOP, 1)

    run(scenario())


def test_who_is_cancelled_while_it_waits_takes_nothing() -> None:
    async def scenario() -> None:
        limits = instance(FarStore(1.0), recipients_per_day=100)
        waiting = [asyncio.create_task(limits.reserve(SHOP, 10)) for _ in range(6)]
        await asyncio.sleep(1.2)  # the first is served; the write for the others is on its way
        waiting[2].cancel()
        waiting[3].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await left(limits) == 100 - 40

    run(scenario())


def test_who_is_cancelled_before_it_hears_that_it_was_served_takes_nothing() -> None:
    class Store(FarStore):
        async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
            new = await super().write(key, values, etag)
            if waiting[0].done():  # this one is for the others
                asyncio.get_running_loop().call_soon(waiting[3].cancel)
            return new

    waiting: list[asyncio.Task[Reservation | NoRoom]] = []

    async def scenario() -> None:
        limits = instance(Store(1.0), recipients_per_day=100)
        waiting.extend(asyncio.create_task(limits.reserve(SHOP, 10)) for _ in range(4))
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [one.cancelled() for one in waiting] == [False, False, False, True]
        assert await left(limits) == 100 - 30

    run(scenario())


def test_when_the_one_who_writes_for_all_is_cancelled_the_others_are_served() -> None:
    async def scenario() -> None:
        limits = instance(FarStore(1.0))
        waiting = [asyncio.create_task(limits.reserve(SHOP, 1)) for _ in range(6)]
        await asyncio.sleep(0.5)
        waiting[0].cancel()
        found = await asyncio.gather(*waiting[1:])
        assert all(isinstance(one, Reservation) for one in found)

    run(scenario())


# Bounds


def test_a_process_remembers_a_thousand_mailboxes_and_callers_and_none_that_is_in_use_is_forgotten() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), concurrency=1)
        await limits.throttled(DESK, 10_000)
        async with limits.in_flight(SHOP):
            for number in range(2 * KEPT):
                await reserved(limits, f"{number}@example.com")
                await limits.ask(f"{number}", 1)
            assert len(limits._lanes) <= KEPT
            assert limits.blocked_until(DESK) == at(10_000)
            async with limits.in_flight(SHOP, patience=1) as second:
                assert not second

    run(scenario())


def test_a_mailbox_that_was_forgotten_keeps_its_rate() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore())
        await times(limits, 4)
        for number in range(KEPT):
            await reserved(limits, f"{number}@example.com")
        assert await times(limits, 1) == [at(2)]

    run(scenario())


def test_of_times_that_are_given_back_a_thousand_are_kept_and_the_first_of_them() -> None:
    async def scenario() -> None:
        limits = instance(MemoryStore(), per_minute=100_000)
        found = await asyncio.gather(*(reserved(limits) for _ in range(3000)))
        for one in reversed(found):
            limits.give_back(one)
        assert len(limits._lanes[SHOP]._unused.times) == 1000
        assert (await reserved(limits)).at == at(0)

    run(scenario())
