"""Several instances that work off one queue: what they do to Graph, and what pacing costs them."""

import asyncio
from collections import Counter

from shared.delivery.pacing.gcra import Rate
from tests.delivery.pacing.fleet import Fleet, Mail, slot
from tests.delivery.pacing.virtual import at, run

MAILBOXES = [f"{name}@example.com" for name in ("shop", "desk", "alarm", "build")]


def fill(fleet: Fleet, mails: int, mailboxes: list[str]) -> None:
    for number in range(mails):
        fleet.put(Mail(mailboxes[number % len(mailboxes)]))


def test_three_instances_use_four_slots_to_the_full_for_under_a_fifth_of_an_operation_a_mail() -> None:
    async def scenario() -> None:
        for mailboxes in (MAILBOXES[:1], MAILBOXES):
            fleet = Fleet(3)
            fill(fleet, 600, mailboxes)
            seconds = await fleet.drain(600)
            assert fleet.graph.most == 4
            assert seconds < 600 * 0.3 / 4 / 0.95
            assert fleet.operations < 0.2 * 600
            assert not fleet.put_backs
            by_instance = Counter(instance for _, _, instance in fleet.graph.sent)
            assert min(by_instance.values()) > 100, "each of them gets through"
            await fleet.stop()

    run(scenario())


def test_a_lone_instance_has_all_slots() -> None:
    async def scenario() -> None:
        fleet = Fleet(1)
        fill(fleet, 400, MAILBOXES)
        assert await fleet.drain(400) < 400 * 0.3 / 4 / 0.98
        assert fleet.graph.most == 4
        await fleet.stop()

    run(scenario())


def test_where_there_are_more_instances_than_slots_these_go_round() -> None:
    async def scenario() -> None:
        fleet = Fleet(8)
        fill(fleet, 1500, MAILBOXES[:1])
        seconds = await fleet.drain(1200)
        assert fleet.graph.most == 4
        assert seconds < 1200 * 0.3 / 4 / 0.85
        by_instance = Counter(instance for _, _, instance in fleet.graph.sent)
        assert len(by_instance) == 8
        assert min(by_instance.values()) > 30
        assert max(mail.put_back for mail in fleet.put_backs) <= 3
        await fleet.stop()

    run(scenario())


def test_an_instance_that_comes_later_gets_its_share() -> None:
    async def scenario() -> None:
        fleet = Fleet(2)
        fill(fleet, 600, MAILBOXES)
        first, second = fleet.instances
        first.start()
        await asyncio.sleep(10)
        assert len(first.pacer._slots._held) == 4
        second.start()
        await asyncio.sleep(15)
        assert len(first.pacer._slots._held) == len(second.pacer._slots._held) == 2
        assert fleet.graph.most == 4
        await fleet.stop()

    run(scenario())


def test_when_one_of_three_dies_the_others_take_over_its_slots() -> None:
    async def scenario() -> None:
        fleet = Fleet(3)
        fill(fleet, 900, MAILBOXES)
        for instance in fleet.instances:
            instance.start()
        await asyncio.sleep(15)
        dead, *living = fleet.instances
        had = len(dead.pacer._slots._held)
        assert had
        dead.kill()
        await asyncio.sleep(25)
        assert sum(len(instance.pacer._slots._held) for instance in living) == 4
        assert fleet.graph.most == 4
        await fleet.stop()

    run(scenario())


def test_what_one_is_told_by_graph_holds_all() -> None:
    async def scenario() -> None:
        fleet = Fleet(3)
        fill(fleet, 900, MAILBOXES)
        for instance in fleet.instances:
            instance.start()
        await asyncio.sleep(10)
        await fleet.instances[0].pacer.block(MAILBOXES[0], at(60))
        await asyncio.sleep(70)
        times = [time for time, mailbox, _ in fleet.graph.sent if mailbox == MAILBOXES[0]]
        assert not [time for time in times if 15.5 < time < 58], "one clock is 1.8 seconds ahead"
        assert len([time for time in times if time < 15]) > 20
        assert len([time for time in times if time >= 58]) > 20
        others = [time for time, mailbox, _ in fleet.graph.sent if mailbox != MAILBOXES[0] and 16 < time < 58]
        assert len(others) > 0.9 * (58 - 16) * 4 / 0.3, "the other mailboxes have the slots meanwhile"
        await fleet.stop()

    run(scenario())


def test_all_instances_together_keep_the_rate_of_one_mailbox() -> None:
    async def scenario() -> None:
        fleet = Fleet(3, rate=30)
        fill(fleet, 120, MAILBOXES[:1])
        seconds = await fleet.drain(120)
        rate = Rate.per_minute(30)
        ideal = (120 - rate.burst) * rate.interval.total_seconds()
        assert ideal * 0.95 < seconds < ideal + 30
        times = sorted(time for time, _, _ in fleet.graph.sent)
        for number in range(30 + rate.burst + 2, len(times)):
            assert times[number] - times[number - 30 - rate.burst - 2] > 60, "two more for what their clocks differ by"
        assert max(mail.put_back for mail in fleet.put_backs) == 1, "a mail is put back once for the rate"
        await fleet.stop()

    run(scenario())


def test_a_quiet_mailbox_does_not_wait_behind_the_backlog_of_another() -> None:
    async def scenario() -> None:
        fleet = Fleet(3)
        fill(fleet, 600, MAILBOXES[:1])
        for instance in fleet.instances:
            instance.start(12)
        for instance in fleet.instances:
            await asyncio.sleep(7)
            asked = asyncio.get_running_loop().time()
            await instance.pacer.reserve("quiet@example.com")
            async with slot(instance.pacer, "quiet@example.com") as mine:
                assert mine is not None
                assert asyncio.get_running_loop().time() - asked < 1
        await fleet.stop()

    run(scenario())
