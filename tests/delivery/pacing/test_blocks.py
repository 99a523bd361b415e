"""What Graph has blocked, over all instances; and when a mail comes back that found no slot."""

import asyncio
from datetime import timedelta

import pytest

from tests.delivery.pacing.fleet import DESK, SHOP, SlowStore, hold, now, pacer
from tests.delivery.pacing.virtual import at, clock, run


def test_a_block_holds_here_at_once_and_elsewhere_within_five_seconds() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store, rate=1000), pacer(store, rate=1000, seed=1)
        began: list[float] = []

        async def work() -> None:
            while now() < 90:
                span = await hold(other, 0.3, patience=200)
                began.extend(span[:1] if span else [])  # who was next when it came is sent away

        workers = [asyncio.create_task(work()) for _ in range(6)]
        await asyncio.sleep(10)
        await one.block(DESK, at(60), app_wide=True)
        assert await one.reserve(SHOP) == at(60)
        assert await hold(one, 1) is None, "nobody waits in vain"
        await asyncio.sleep(5)
        assert await other.reserve(SHOP) >= at(60)
        await asyncio.gather(*workers)
        assert not [time for time in began if 15.1 < time < 60]
        assert [time for time in began if 60 <= time < 60.5], "and when it is over all goes on"

    run(scenario())


def test_a_block_is_seen_although_no_mail_ever_waits() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store), pacer(store, seed=1)
        began: list[float] = []

        async def trickle() -> None:
            while now() < 20:
                span = await hold(other, 0.3)
                began.extend(span[:1] if span else [])
                await asyncio.sleep(0.1)

        task = asyncio.create_task(trickle())
        await asyncio.sleep(7)
        await one.block(DESK, at(100), app_wide=True)
        await task
        assert 6 < max(began) < 12.1

    run(scenario())


def test_a_block_of_one_mailbox_holds_no_other_and_a_shorter_one_changes_nothing() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, other = pacer(store), pacer(store, seed=1)
        await one.block(SHOP.upper(), at(60))
        await one.block(SHOP, at(30))
        await other.block(SHOP, at(40))
        assert one.blocked_until(SHOP) == other.blocked_until(SHOP) == at(60)
        assert other.blocked_until(DESK) is None
        assert await hold(other, 1, DESK) is not None
        assert await hold(other, 1, SHOP) is None
        span = await hold(other, 1, SHOP, patience=100)
        assert span
        assert 60 <= span[0] < 60.1
        assert other.blocked_until(SHOP) is None

    run(scenario())


def test_blocks_set_at_the_same_time_all_hold() -> None:
    async def scenario() -> None:
        store = SlowStore()
        fleet = [pacer(store, seed=seed) for seed in range(4)]
        await asyncio.gather(*(one.block(f"{seed}@example.com", at(60 + seed)) for seed, one in enumerate(fleet)))
        late = pacer(store)
        await late.reserve(SHOP)
        assert [late.blocked_until(f"{seed}@example.com") for seed in range(4)] == [at(60 + n) for n in range(4)]

    run(scenario())


def test_mails_that_found_no_slot_come_back_one_after_the_other_as_fast_as_mails_go() -> None:
    async def scenario() -> None:
        store = SlowStore()
        fleet = [pacer(store, seed=seed) for seed in range(3)]
        for one in fleet:
            for _ in range(40):
                await hold(one, 1)
        asked = clock().now()
        times = [time for one in fleet for time in await asyncio.gather(*(one.return_at() for _ in range(40)))]
        assert min(times) - asked >= timedelta(seconds=5)
        assert max(times) - min(times) == pytest.approx(timedelta(seconds=120 / 4), abs=timedelta(seconds=2))

    run(scenario())
