"""On deck: who is next does what must come before its request while the slot is still in use."""

import asyncio
from collections import Counter
from random import Random

import pytest

from shared.delivery.pacing.pacer import Pacer, PacingUnavailable
from shared.delivery.pacing.shares import SlotRow
from tests.delivery.pacing.fleet import CLAIM, DESK, SHOP, Fleet, Graph, Mail, SlowStore, hold, now, pacer
from tests.delivery.pacing.virtual import at, run


async def carry(
    one: Pacer, graph: Graph, mailbox: str = SHOP, *, claim: float = CLAIM, held: float = 30
) -> bool | None:
    """A courier: whether its mail went; None: it was never next."""
    async with one.turn(mailbox, 20) as turn:
        if turn is None:
            return None
        await asyncio.sleep(claim)
        if ready := await turn.ready(held):
            await graph.send(mailbox, "")
        return ready


def test_what_comes_before_a_request_takes_no_time_of_the_slot() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=1), Graph()
        assert all(await asyncio.gather(*(carry(one, graph, claim=0.2) for _ in range(20))))
        assert graph.most == 1
        assert now() < 0.1 + 0.2 + 20 * 0.3

    run(scenario())


def test_one_is_next_for_each_slot_and_no_more() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=3), Graph()
        called = 0

        async def count() -> None:
            nonlocal called
            async with one.turn(SHOP, 20) as turn:
                assert turn is not None
                called += 1
                assert await turn.ready(30)
                called -= 1
                await graph.send(SHOP, "")

        tasks = [asyncio.create_task(count()) for _ in range(30)]
        most = 0
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.01)
            most = max(most, called)
        assert most == 3
        assert graph.most == 3

    run(scenario())


def test_mailboxes_take_turns_although_some_take_longer_to_get_ready() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=2), Graph()
        chance = Random(7)
        boxes = [SHOP] * 60 + [DESK] * 20
        tasks = [asyncio.create_task(carry(one, graph, box, claim=chance.uniform(0, 0.2))) for box in boxes]
        await asyncio.gather(*tasks)
        first = Counter(mailbox for _, mailbox, _ in graph.sent[:40])
        assert abs(first[SHOP] - first[DESK]) <= 2, "the one with the longer line gets no more than the other"

    run(scenario())


def test_who_was_next_for_a_slot_that_another_instance_has_taken_waits_for_the_next_one() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, graph = pacer(store, concurrency=1), Graph(seconds=6)
        first = asyncio.create_task(carry(one, graph))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(carry(one, graph))
        await asyncio.sleep(0.5)
        row = (await store.rows_in.rows("slots"))["0"]
        await store.rows_in.write("slots", "0", SlotRow(owner="thief", until=at(12)).values(), row.etag)
        assert await first
        assert await second
        sent = [time for time, _, _ in graph.sent]
        assert sent[1] - 6 >= 12, "not while the thief has it"
        assert graph.most == 1

    run(scenario())


def test_one_who_may_not_wait_that_long_any_more_is_told_and_has_no_slot() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=1), Graph(seconds=5)
        first = asyncio.create_task(carry(one, graph))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(carry(one, graph, held=1))
        assert await second is False
        assert now() == pytest.approx(1.12, abs=0.05)
        assert await first
        assert not any(slot.busy for slot in one._slots._held.values())
        assert await carry(one, graph)

    run(scenario())


def test_a_slot_that_is_to_be_handed_over_still_serves_who_was_called_for_it() -> None:
    async def scenario() -> None:
        fleet = Fleet(6)
        for number in range(900):
            fleet.put(Mail(f"{number % 3}@example.com"))
        await fleet.drain(700)
        by_instance = Counter(instance for _, _, instance in fleet.graph.sent)
        assert len(by_instance) == 6, "slots have gone round"
        assert fleet.given_back == 0
        assert fleet.graph.most == 4
        await fleet.stop()

    run(scenario())


def test_one_on_deck_is_sent_away_by_a_block_and_another_mailbox_is_next_at_once() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=1), Graph(seconds=2)
        first = asyncio.create_task(carry(one, graph))
        await asyncio.sleep(0.1)
        blocked = asyncio.create_task(carry(one, graph))
        other = asyncio.create_task(carry(one, graph, DESK))
        await asyncio.sleep(1)
        await one.block(SHOP, at(60))
        assert await first
        assert await blocked is False
        assert await other is True
        assert [mailbox for _, mailbox, _ in graph.sent] == [SHOP, DESK]

    run(scenario())


def test_whoever_is_cancelled_at_whatever_moment_leaves_its_place_and_its_slot_to_the_next() -> None:
    async def scenario() -> None:
        store = SlowStore()
        one, graph = pacer(store, concurrency=2), Graph()
        for delay in range(70):
            tasks = [asyncio.create_task(carry(one, graph, claim=0.1)) for _ in range(6)]
            await asyncio.sleep(delay / 100)
            for task in tasks[:5]:
                task.cancel()
            assert await tasks[5] is True
        assert graph.most == 2
        assert not any(slot.busy for slot in one._slots._held.values())
        assert not one._slots._waiting

    run(scenario())


def test_no_more_requests_are_in_flight_than_allowed_whatever_happens_to_those_on_deck() -> None:
    async def scenario() -> None:
        store = SlowStore()
        graph = Graph()
        fleet = [pacer(store, concurrency=3, seed=seed, ahead=seed * 0.9) for seed in range(3)]
        chance = Random(3)
        tasks = []
        for number in range(400):
            one = chance.choice(fleet)
            mailbox = chance.choice([SHOP, DESK])
            claim, held = chance.choice([0, 0.02, 0.5]), chance.choice([0.1, 1, 30])
            tasks.append(asyncio.create_task(carry(one, graph, mailbox, claim=claim, held=held)))
            if chance.random() < 0.1:
                asyncio.get_running_loop().call_later(chance.uniform(0, 5), tasks[-1].cancel)
            if number % 100 == 50:
                await one.block(mailbox, at(now() + 2))
            await asyncio.sleep(chance.uniform(0, 0.2))
        gone = await asyncio.gather(*tasks, return_exceptions=True)
        assert graph.most == 3
        assert len(graph.sent) == gone.count(True) > 250
        assert gone.count(False) > 3, "and some have given up"
        assert await hold(fleet[0], 0.1) is not None

    run(scenario())


def test_when_pacing_closes_who_has_begun_is_told_so_without_an_error() -> None:
    async def scenario() -> None:
        one, graph = pacer(SlowStore(), concurrency=1), Graph(seconds=2)
        tasks = [asyncio.create_task(carry(one, graph)) for _ in range(3)]
        await asyncio.sleep(0.5)
        await one.close()
        went, begun, waited = await asyncio.gather(*tasks, return_exceptions=True)
        assert (went, begun) == (True, False)
        assert isinstance(waited, PacingUnavailable)

    run(scenario())
