"""The rate of a mailbox, over all instances."""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery.pacing.gcra import Rate
from shared.delivery.pacing.reservations import Reservations, _Schedule
from shared.delivery.pacing.store import Changed, PacingUnavailable, Values
from tests.delivery.pacing.fleet import SlowStore
from tests.delivery.pacing.virtual import at, clock, run

KEY = "ab" * 32
AFTER_TWELVE = at(0.01 + (12 - 4) * 2)  # the first is read for; five of the twelve go at once


def instances(store: SlowStore, count: int, per_minute: float = 30) -> list[Reservations]:
    rate = Rate.per_minute(per_minute)
    return [Reservations(store, lambda: rate, clock(seed=seed)) for seed in range(count)]


class Busy(SlowStore):
    """Others write every row all the time."""

    async def write(self, partition: str, key: str, values: Values, etag: str | None) -> str:
        del partition, values, etag
        raise Changed(key, None)


def test_a_quiet_mailbox_waits_for_nothing_and_costs_one_write() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        for mail in range(5):
            asked = clock().now()
            assert await one.reserve(KEY) - asked < timedelta(seconds=0.02)
            assert store.operations.total() == mail + 2, "one read when the mailbox is first seen"
            await asyncio.sleep(60)
            assert store.operations.total() == mail + 2, "and nothing is left to be given back"

    run(scenario())


def test_mails_that_come_together_take_their_times_by_one_write() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        times = await asyncio.gather(*(one.reserve(KEY) for _ in range(24)))
        assert store.operations.total() <= 3
        assert sorted(times) == times, "in order of arrival"
        assert times[-1] - times[0] == 19 * timedelta(seconds=2)

    run(scenario())


def test_a_backlog_is_reserved_by_three_instances_without_gaps_for_a_fraction_of_an_operation_each() -> None:
    async def scenario() -> None:
        store = SlowStore()
        fleet = instances(store, 3)
        times: list[datetime] = []

        async def couriers(instance: Reservations, mails: int) -> None:
            for _ in range(mails):
                times.append(await instance.reserve(KEY))
                await asyncio.sleep(0.02)  # the message is put back into the queue

        await asyncio.gather(*(couriers(instance, 7) for instance in fleet for _ in range(24)))
        assert len(times) == 504
        assert store.operations.total() < 0.2 * len(times)
        ideal = timedelta(seconds=2) * (len(times) - 5)
        assert ideal <= max(times) - min(times) < ideal + timedelta(seconds=30)

    run(scenario())


def test_what_was_taken_in_advance_is_given_back_when_demand_ends() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = instances(store, 2)
        for _ in range(4):
            await asyncio.gather(*(one.reserve(KEY) for _ in range(3)))
        assert one._schedules[KEY].times, "some are left"
        await asyncio.sleep(5)
        assert await other.reserve(KEY) == AFTER_TWELVE
        assert not one._schedules[KEY].times
        assert one._sweeper is None

    run(scenario())


def test_what_was_taken_in_advance_lapses_when_others_have_gone_on() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = instances(store, 2)
        for _ in range(4):
            await asyncio.gather(*(one.reserve(KEY) for _ in range(3)))
        left = len(one._schedules[KEY].times)
        first = await other.reserve(KEY)
        assert first == AFTER_TWELVE + 2 * timedelta(seconds=left)
        await asyncio.sleep(5)
        assert await other.reserve(KEY) == first + timedelta(seconds=2)

    run(scenario())


def test_closing_gives_back_at_once() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = instances(store, 2)
        for _ in range(4):
            await asyncio.gather(*(one.reserve(KEY) for _ in range(3)))
        await one.close()
        assert await other.reserve(KEY) == AFTER_TWELVE

    run(scenario())


def test_at_a_high_rate_one_write_serves_the_mails_of_some_seconds() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1, per_minute=6000)
        for _ in range(100):
            assert await one.reserve(KEY) <= clock().now()
            await asyncio.sleep(0.2)
        assert store.operations.total() <= 10

    run(scenario())


def test_a_time_that_has_passed_is_used_only_as_late_as_the_rate_allows() -> None:
    async def scenario() -> None:
        schedule = _Schedule(times=deque(at(second) for second in range(6)))
        late = timedelta(seconds=2)
        times = [schedule.next(at(4), at(-100), late) for _ in range(5)]
        assert times == [at(4), at(4), at(4), at(5), None], "those of seconds 2, 3, 4 and 5"

    run(scenario())


def test_no_time_lies_before_a_block_and_times_taken_for_it_are_void() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(), 1)
        for _ in range(4):
            await asyncio.gather(*(one.reserve(KEY) for _ in range(3)))
        times = [await one.reserve(KEY, at(60)) for _ in range(8)]
        assert min(times) == at(60)
        assert max(times) - min(times) >= 3 * timedelta(seconds=2)

    run(scenario())


def test_when_storage_is_down_all_who_wait_are_told_and_the_next_may_have_luck() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        await one.reserve(KEY)
        store.down = True
        answers = await asyncio.gather(*(one.reserve(KEY) for _ in range(20)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [PacingUnavailable] * 20
        assert store.operations.total() == 3, "they do not try one after the other"
        store.down = False
        assert await one.reserve(KEY) > at(0)

    run(scenario())


def test_a_row_that_others_write_all_the_time_is_given_up() -> None:
    async def scenario() -> None:
        (one,) = instances(Busy(), 1)
        with pytest.raises(PacingUnavailable):
            await one.reserve(KEY)

    run(scenario())


def test_a_mail_that_is_given_up_keeps_no_other_waiting() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(1.0), 1)
        tasks = [asyncio.create_task(one.reserve(KEY)) for _ in range(3)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        tasks[1].cancel()
        assert await tasks[2] > at(0)

    run(scenario())


@settings(max_examples=40, deadline=None)
@given(
    per_minute=st.sampled_from([6, 30, 60, 100, 600, 100_000]),
    count=st.integers(1, 4),
    seed=st.integers(0, 1_000_000),
    latency=st.sampled_from([0.0, 0.01, 0.5]),
    pauses=st.lists(st.sampled_from([0.0, 0.001, 0.1, 1.0, 3.0, 20.0]), min_size=3, max_size=12),
)
def test_all_instances_together_never_exceed_the_rate(
    per_minute: float, count: int, seed: int, latency: float, pauses: list[float]
) -> None:
    """In any stretch of time go at most `burst` more than the stretch has intervals, whenever whoever asks."""
    rate = Rate.per_minute(per_minute)
    times: list[datetime] = []

    async def scenario() -> None:
        store = SlowStore(latency)
        random = Random(seed)

        async def courier(instance: Reservations) -> None:
            for pause in pauses:
                await asyncio.sleep(pause * random.random())
                with suppress(PacingUnavailable):  # the row may be too hot; then the mail tries again later
                    times.append(await instance.reserve(KEY))

        fleet = instances(store, count, per_minute)
        await asyncio.gather(*(courier(instance) for instance in fleet for _ in range(6)))
        for instance in fleet:
            await instance.close()

    run(scenario())
    times.sort()
    for extra in (1, 2, 5, 20):
        together = rate.burst + extra
        for number in range(together - 1, len(times)):
            assert times[number] - times[number - together + 1] >= extra * rate.interval


def test_a_time_that_is_put_back_is_the_next_mails_and_costs_nothing() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        times = await asyncio.gather(*(one.reserve(KEY) for _ in range(12)))
        before = store.operations.total()
        for time in (times[9], times[7]):
            one.put_back(KEY, time)
        assert one.expected(KEY) == times[7]
        assert [await one.reserve(KEY), await one.reserve(KEY)] == [times[7], times[9]]
        assert store.operations.total() == before
        assert await one.reserve(KEY) > times[11]

    run(scenario())


def test_a_time_that_is_put_back_and_not_used_passes() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(), 1)
        times = await asyncio.gather(*(one.reserve(KEY) for _ in range(12)))
        one.put_back(KEY, times[8])
        one.put_back(KEY, times[9])
        assert await one.reserve(KEY, times[9]) == times[9], "the other one fell into a block"
        one.put_back(KEY, times[7])
        await asyncio.sleep(60)
        assert await one.reserve(KEY) >= clock().now() - timedelta(seconds=0.02)

    run(scenario())
