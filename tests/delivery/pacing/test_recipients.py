"""A mailbox's recipients of the day: held, spent, released; never twice."""

import json
import logging
from typing import Any

import pytest

from shared.delivery.pacing.callers import Callers
from shared.delivery.pacing.pacer import Pacer
from shared.delivery.pacing.recipients import Recipients
from shared.delivery.pacing.store import mailbox_key
from tests.delivery.pacing.fleet import DESK, SHOP, SlowStore
from tests.delivery.pacing.virtual import at, clock, run


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "mailroom"]


async def left(one: Recipients) -> int:
    """How many more go, one by one."""
    count = 0
    while await one.hold(SHOP, f"probe {count}", 1) is None:
        count += 1
    return count


def test_what_is_released_is_there_again_and_what_is_spent_is_not() -> None:
    async def scenario() -> None:
        one = Recipients(SlowStore(0), clock(), 500)
        assert await one.hold(SHOP, "a", 300) is None
        assert await one.hold(SHOP, "b", 300) is not None
        one.release("a")
        one.release("a")
        assert await one.hold(SHOP, "b", 300) is None
        one.spend(SHOP, "b", 300)
        one.release("b")
        assert await left(one) == 200

    run(scenario())


def test_a_mail_that_goes_to_fewer_than_were_held_gives_the_others_back() -> None:
    async def scenario() -> None:
        one = Recipients(SlowStore(0), clock(), 500)
        await one.hold(SHOP, "a", 300)
        one.spend(SHOP, "a", 1)
        assert await left(one) == 499

    run(scenario())


def test_two_attempts_at_one_mail_hold_once() -> None:
    async def scenario() -> None:
        one = Recipients(SlowStore(0), clock(), 500)
        assert await one.hold(SHOP, "a", 400) is None
        assert await one.hold(SHOP, "a", 400) is None
        one.release("a")
        assert await left(one) == 500

    run(scenario())


def test_what_was_spent_without_a_hold_is_counted_all_the_same() -> None:
    """A mail that is sent again after a look."""

    async def scenario() -> None:
        one = Recipients(SlowStore(0), clock(), 500)
        await one.hold(SHOP, "a", 100)
        one.spend(SHOP, "a", 100)
        one.spend(SHOP, "a", 100)
        assert await left(one) == 300

    run(scenario())


def test_each_mailbox_has_a_day_of_its_own_and_a_pool_prefers_who_has_some_left() -> None:
    async def scenario() -> None:
        one = Pacer(SlowStore(0), recipients_per_day=500, clock=clock())
        assert await one.hold(SHOP, "a", 500) is None
        one.spend(SHOP, "a", 500)
        assert await one.hold(SHOP, "b", 1) is not None
        assert await one.hold(DESK, "b", 1) is None
        assert {one.soonest([SHOP, DESK]) for _ in range(20)} == {DESK}

    run(scenario())


def test_the_end_of_a_day_is_said_once_without_an_address(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        one = Recipients(SlowStore(0), clock(), 500)
        await left(one)
        await left(one)

    with caplog.at_level(logging.INFO, "mailroom"):
        run(scenario())
    assert [(line["event"], line["per_day"]) for line in said(caplog)] == [
        ("recipients.near", 500),
        ("recipients.reached", 500),
    ]
    assert {line["mailbox"] for line in said(caplog)} == {mailbox_key(SHOP)[:16]}


def test_a_caller_over_its_rate_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        one = Callers(SlowStore(0), clock())
        assert [await one.ask("the shop", 2) for _ in range(5)] == [None, None, at(30), at(30), at(30)]

    with caplog.at_level(logging.INFO, "mailroom"):
        run(scenario())
    assert said(caplog) == [{"event": "caller.limited", "caller": "the shop", "seconds": 30.0}]


def test_who_does_not_wait_for_an_answer_is_given_a_time_for_each_mail() -> None:
    async def scenario() -> None:
        one = Callers(SlowStore(0), clock())
        times = [await one.reserve("mail-outbox", 6) for _ in range(4)]
        assert times == [at(0), at(10), at(20), at(30)]

    run(scenario())
