"""Units that are used up over all instances, and refused when there are none."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery.pacing.quotas import Notice, PerDay, PerMinute, Quotas
from shared.delivery.pacing.store import Changed, PacingUnavailable, Values
from tests.delivery.pacing.fleet import SlowStore
from tests.delivery.pacing.virtual import at, clock, run

KEY = "ab" * 32
HOUR = 3600.0


def instances(store: SlowStore, count: int, said: list[Notice] | None = None) -> list[Quotas]:
    def say(_: str, notice: Notice) -> None:
        if said is not None:
            said.append(notice)

    return [Quotas(store, clock(seed=seed), say) for seed in range(count)]


async def taken(one: Quotas, law: PerMinute | PerDay, tries: int, count: int = 1) -> int:
    return sum([await one.take(KEY, law, count) is None for _ in range(tries)])


def test_a_minutes_mails_may_come_at_once_and_the_next_is_told_when_it_may() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(0), 1)
        law = PerMinute(6)
        assert await taken(one, law, 6) == 6
        assert await one.take(KEY, law) == at(10)
        await asyncio.sleep(10)
        assert await one.take(KEY, law) is None
        assert await one.take(KEY, law) == at(20)

    run(scenario())


def test_whoever_is_refused_costs_no_storage_and_is_not_starved_by_asking_all_the_time() -> None:
    async def scenario() -> None:
        store = SlowStore(0)
        (one,) = instances(store, 1)
        law = PerMinute(6)
        await taken(one, law, 6)
        before = store.operations.total()
        came = 0
        for _ in range(600):
            came += await one.take(KEY, law) is None
            await asyncio.sleep(0.1)
        assert came in (5, 6), "a minute's"
        assert store.operations.total() - before == came

    run(scenario())


def test_a_batch_larger_than_a_minutes_mails_passes_and_is_paid_for_afterwards() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(0), 1)
        law = PerMinute(6)
        assert await one.take(KEY, law, 20) is None
        assert await one.take(KEY, law) == at(15 * 10)

    run(scenario())


def test_what_is_put_back_is_the_next_ones_and_costs_nothing() -> None:
    async def scenario() -> None:
        store = SlowStore(0)
        (one,) = instances(store, 1)
        law = PerMinute(6)
        await taken(one, law, 6)
        one.put_back(KEY)
        before = store.operations.total()
        assert await one.take(KEY, law) is None
        assert store.operations.total() == before
        assert await one.take(KEY, law) is not None

    run(scenario())


def test_in_a_burst_an_instance_takes_many_by_one_write() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        results = await asyncio.gather(*(one.take(KEY, PerMinute(6000)) for _ in range(200)))
        assert results == [None] * 200
        assert store.operations.total() < 0.1 * 200

    run(scenario())


@settings(max_examples=40, deadline=None)
@given(
    per_minute=st.sampled_from([1, 6, 60, 600]),
    count=st.integers(1, 4),
    seed=st.integers(0, 1_000_000),
    latency=st.sampled_from([0.0, 0.01, 0.5]),
    pauses=st.lists(st.sampled_from([0.0, 0.1, 1.0, 10.0]), min_size=3, max_size=12),
)
def test_all_instances_together_let_no_more_come_than_two_minutes_mails_in_a_minute(
    per_minute: int, count: int, seed: int, latency: float, pauses: list[float]
) -> None:
    """What was saved up, and what comes anew; and what an instance has taken it may use a little later."""
    came: list[float] = []
    law = PerMinute(per_minute)

    async def scenario() -> None:
        store = SlowStore(latency)
        random = Random(seed)

        async def caller(one: Quotas) -> None:
            for pause in pauses:
                await asyncio.sleep(pause * random.random())
                if await one.take(KEY, law) is None:
                    came.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(caller(one) for one in instances(store, count) for _ in range(6)))

    run(scenario())
    came.sort()
    for start in came:
        within = sum(start <= time < start + 60 for time in came)
        assert within <= 2 * per_minute + per_minute * law.lasts / 60 + 1


def test_a_days_recipients_are_counted_and_refused_in_time_by_all_instances() -> None:
    async def scenario() -> None:
        store = SlowStore()
        said: list[Notice] = []
        fleet = instances(store, 3, said)
        law = PerDay(1000)
        mails = 0
        for _ in range(300):
            for one in fleet:
                mails += await one.take(KEY, law, 7) is None
        assert 7 * mails <= 1000
        assert 7 * mails > 900, "what an instance holds is little"
        assert sorted(said) == ["near", "reached"], "each once, whichever instance it was"

    run(scenario())


def test_a_mailboxes_day_costs_little_storage() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        assert await taken(one, PerDay(10_000), 1000) == 1000
        assert store.operations.total() < 0.1 * 1000

    run(scenario())


def test_what_is_left_goes_to_those_who_need_less() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(0), 1)
        law = PerDay(1000)
        assert await taken(one, law, 1, 990) == 1
        assert await one.take(KEY, law, 11) is not None
        assert await taken(one, law, 20) == 10

    run(scenario())


def test_recipients_come_back_hour_by_hour_a_day_later() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(0), 1)
        law = PerDay(1000)
        await taken(one, law, 1, 600)  # at twelve
        await asyncio.sleep(3 * HOUR)
        await taken(one, law, 1, 400)  # at three
        assert await one.take(KEY, law, 500) == at(25 * HOUR), "an hour counts until it has wholly passed"
        assert await one.take(KEY, law, 700) == at(28 * HOUR)
        assert one.refused_until(KEY, law) == at(25 * HOUR)
        await asyncio.sleep(22 * HOUR)
        assert one.refused_until(KEY, law) is None
        assert await one.take(KEY, law, 500) is None
        assert await one.take(KEY, law, 200) is not None

    run(scenario())


def test_who_is_refused_for_the_day_costs_no_storage_but_the_first_time() -> None:
    async def scenario() -> None:
        store = SlowStore(0)
        (one,) = instances(store, 1)
        law = PerDay(1000)
        await taken(one, law, 1, 1000)
        await taken(one, law, 1)
        before = store.operations.total()
        assert await taken(one, law, 100) == 0
        assert store.operations.total() == before

    run(scenario())


def test_in_any_day_a_mailbox_has_no_more_recipients_than_a_day_has() -> None:
    async def scenario() -> None:
        (one,) = instances(SlowStore(0), 1)
        law, random = PerDay(500), Random(7)
        went: list[tuple[float, int]] = []
        for _ in range(2000):
            count = random.choice([1, 1, 3, 50])
            if await one.take(KEY, law, count) is None:
                went.append((asyncio.get_running_loop().time(), count))
            await asyncio.sleep(random.random() * 600)
        for start, _ in went:
            assert sum(count for time, count in went if start <= time < start + 24 * HOUR) <= 500

    run(scenario())


def test_the_notices_come_again_on_another_day() -> None:
    async def scenario() -> None:
        said: list[Notice] = []
        (one,) = instances(SlowStore(0), 1, said)
        law = PerDay(1000)
        for _ in range(2):
            await taken(one, law, 110, 10)
            await asyncio.sleep(26 * HOUR)
        assert said == ["near", "reached"] * 2

    run(scenario())


def test_when_storage_is_down_nobody_is_let_through() -> None:
    async def scenario() -> None:
        store = SlowStore()
        (one,) = instances(store, 1)
        store.down = True
        with pytest.raises(PacingUnavailable):
            await one.take(KEY, PerMinute(60))
        store.down = False
        assert await one.take(KEY, PerMinute(60)) is None

    run(scenario())


def test_a_row_that_others_write_all_the_time_is_given_up() -> None:
    class Busy(SlowStore):
        async def write(self, partition: str, key: str, values: Values, etag: str | None) -> str:
            raise Changed(key, None)

    async def scenario() -> None:
        (one,) = instances(Busy(), 1)
        with pytest.raises(PacingUnavailable):
            await one.take(KEY, PerMinute(60))

    run(scenario())


def test_what_an_instance_has_taken_and_not_used_lapses() -> None:
    async def scenario() -> None:
        one, other = instances(SlowStore(0), 2)
        law = PerMinute(60)
        await asyncio.gather(*(one.take(KEY, law) for _ in range(10)))
        one.put_back(KEY, 5)
        await asyncio.sleep(law.lasts + 1)
        assert await taken(other, law, 70) == 60 - 10 + 6
        assert await one.take(KEY, law) is not None
        assert timedelta(0) < (await one.take(KEY, law) or at(0)) - clock().now() <= timedelta(seconds=1)

    run(scenario())
