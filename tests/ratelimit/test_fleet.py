"""Several instances over one store that loses requests and answers: what they let go, all together."""

import asyncio
from datetime import datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ratelimit.mailbox_pace import NoRoom, Rate, RateLimitUnavailable
from shared.ratelimit.rate_limits import RateLimits, Reservation
from tests.ratelimit.far import LIMITS, FarStore
from tests.ratelimit.virtual import at, clock, elapsed, run

SHOP, DESK = "shop@example.com", "desk@example.com"
DAY = 24 * 3600


def instances(store: FarStore, count: int, **limits: float) -> list[RateLimits]:
    """Their clocks differ by up to two seconds."""
    return [RateLimits(store, now=clock(ahead=number % 3 * 0.9), **LIMITS | limits) for number in range(count)]


@settings(max_examples=40, deadline=None)
@given(
    per_minute=st.sampled_from([1.0, 6.0, 30.0, 600.0]),
    count=st.integers(1, 4),
    seed=st.integers(0, 1_000_000),
    network=st.tuples(st.sampled_from([0.0, 0.01, 0.5]), st.sampled_from([0.0, 0.1, 0.4])),
    pause=st.sampled_from([0.0, 0.1, 5.0]),
)
def test_the_rate_is_kept_over_all_instances_whatever_is_lost_or_given_back(
    per_minute: float, count: int, seed: int, network: tuple[float, float], pause: float
) -> None:
    """In any stretch of time no more than its intervals and the burst."""
    latency, lost = network
    went: list[datetime] = []

    async def scenario() -> None:
        random = Random(seed)

        async def sender(limits: RateLimits) -> None:
            for _ in range(6):
                await asyncio.sleep(pause * random.random())
                try:
                    found = await limits.reserve(SHOP, 1)
                except RateLimitUnavailable:
                    continue
                assert isinstance(found, Reservation)
                match random.choice(["goes", "goes", "does not", "is throttled"]):
                    case "goes":
                        went.append(found.at)
                        limits.used(found, 1)
                    case "does not":
                        limits.give_back(found)
                    case "is throttled":
                        went.append(found.at)
                        await limits.throttled(SHOP, random.choice([None, 3.0]))

        fleet = instances(FarStore(latency, lost=lost, seed=seed), count, per_minute=per_minute)
        await asyncio.gather(*(sender(one) for one in fleet for _ in range(5)))

    run(scenario())
    rate = Rate.even(per_minute)
    burst = rate.burst + count * rate.ahead  # which is none below 240 a minute
    went.sort()
    for number in range(burst, len(went)):
        assert went[number] - went[number - burst] >= rate.interval


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 3),
    seed=st.integers(0, 1_000_000),
    lost=st.sampled_from([0.0, 0.1, 0.4]),
    pause=st.sampled_from([0.0, 60.0, 3600.0]),
)
def test_no_day_of_a_mailbox_has_more_recipients_than_it_may(count: int, seed: int, lost: float, pause: float) -> None:
    went: list[tuple[datetime, int]] = []
    refused = 0

    async def scenario() -> None:
        random = Random(seed)

        async def sender(limits: RateLimits) -> None:
            nonlocal refused
            for _ in range(30):
                await asyncio.sleep(pause * random.random())
                wanted = random.choice([1, 1, 3, 50])
                try:
                    found = await limits.reserve(SHOP, wanted)
                except RateLimitUnavailable:
                    continue
                if isinstance(found, NoRoom):
                    refused += 1
                elif random.random() < 0.3:
                    limits.give_back(found)
                else:
                    actual = random.randint(1, wanted)
                    limits.used(found, actual)
                    went.append((found.at, actual))

        fleet = instances(FarStore(lost=lost, seed=seed), count, per_minute=6000, recipients_per_day=500)
        await asyncio.gather(*(sender(one) for one in fleet for _ in range(3)))

    run(scenario())
    for start, _ in went:
        assert sum(number for time, number in went if start <= time <= start + timedelta(seconds=DAY)) <= 500
    if not refused:
        assert went


def test_what_is_given_back_is_not_missing_in_the_day() -> None:
    async def scenario() -> None:
        store = FarStore()
        fleet = instances(store, 3, per_minute=100_000, recipients_per_day=1000)
        mails = 0
        for _ in range(300):
            for limits in fleet:
                found = await limits.reserve(SHOP, 7)
                if isinstance(found, Reservation):
                    limits.give_back(found)
                found = await limits.reserve(SHOP, 7)
                if isinstance(found, Reservation):
                    limits.used(found, 7)
                    mails += 1
        assert 7 * mails > 1000 - 3 * 7

    run(scenario())


def test_three_instances_with_a_backlog_keep_one_mailboxs_rate_and_cost_little() -> None:
    """Each has sixteen messages in hand. All have their times at once; then they wait for them in the queue."""

    async def scenario() -> None:
        store = FarStore()
        fleet = instances(store, 3, per_minute=30)
        times: list[datetime] = []

        async def work(limits: RateLimits) -> None:
            for _ in range(10):
                found = await limits.reserve(SHOP, 1)
                assert isinstance(found, Reservation)
                times.append(found.at)

        await asyncio.gather(*(work(one) for one in fleet for _ in range(16)))
        times.sort()
        assert len(times) == 480
        assert (times[-1] - times[0]).total_seconds() <= (480 - 4) * 2 + 2
        assert store.operations.total() < 0.4 * 480

    run(scenario())


def test_what_one_is_told_by_graph_holds_all_and_the_other_mailboxes_go_on() -> None:
    async def scenario() -> None:
        fleet = instances(FarStore(), 3, per_minute=600)
        went: dict[str, list[float]] = {SHOP: [], DESK: []}

        async def sender(limits: RateLimits, mailbox: str) -> None:
            while elapsed() < 90:
                found = await limits.reserve(mailbox, 1)
                assert isinstance(found, Reservation)
                await asyncio.sleep(max(0.0, (found.at - at(elapsed())).total_seconds()))
                if limits.blocked_until(mailbox):
                    limits.give_back(found)
                else:
                    went[mailbox].append(elapsed())

        async def graph() -> None:
            await asyncio.sleep(20)
            await fleet[0].throttled(SHOP, 40)

        await asyncio.gather(graph(), *(sender(one, mailbox) for one in fleet for mailbox in went for _ in range(16)))
        assert not [time for time in went[SHOP] if 25.1 < time < 58], "one clock is 1.8 seconds ahead"
        assert len([time for time in went[SHOP] if time >= 60]) > 0.9 * 30 * 10
        assert len([time for time in went[DESK] if 25 < time < 58]) > 0.9 * 33 * 10

    run(scenario())


def test_with_a_backlog_in_one_mailbox_another_one_is_free() -> None:
    async def scenario() -> None:
        fleet = instances(FarStore(), 3, per_minute=30)
        backlog = [asyncio.create_task(one.reserve(SHOP, 1)) for one in fleet for _ in range(1000)]
        await asyncio.sleep(0.001)
        for limits in fleet:
            found = await limits.reserve(DESK, 1)
            assert isinstance(found, Reservation)
            assert elapsed() < 0.2
            assert found.at < at(3)
        await asyncio.gather(*backlog)

    run(scenario())
