"""The lines before the slots, and who is on deck."""

import asyncio

import pytest

from shared.delivery.pacing.waiting import Turn, Waiting


def anyone(_: str) -> bool:
    return True


def served(waiting: Waiting[str]) -> list[str]:
    """The mailboxes that slots are given to, one after the other, until nobody is there any more."""
    turns = []
    while len(waiting):
        before = joined(waiting)
        assert waiting.serve("slot", anyone)
        turns += [turn.mailbox for turn in before if turn.slot]
    return turns


def joined(waiting: Waiting[str]) -> list[Turn[str]]:
    return [*waiting._deck, *(turn for line in waiting._lines.values() for turn in line)]


async def test_mailboxes_take_turns_and_within_one_the_first_goes_first() -> None:
    waiting = Waiting[str]()
    turns = [waiting.join(mailbox, 1) for mailbox in ("a", "a", "a", "b", "c", "b")]
    for number, turn in enumerate(turns[place] for place in (0, 3, 4, 1, 5, 2)):
        assert waiting.serve(str(number), anyone)
        assert turn.slot == str(number)
    assert not waiting.serve("7", anyone)
    assert len(waiting) == 0


async def test_being_called_first_changes_nothing_of_that_order() -> None:
    waiting = Waiting[str]()
    for mailbox in ("a", "a", "a", "b", "c", "b"):
        waiting.join(mailbox, 1)
    waiting.call(2, anyone)
    assert [turn.mailbox for turn in waiting._deck] == ["a", "b"]
    assert served(waiting) == ["a", "b", "c", "a", "b", "a"]


async def test_so_many_are_called_and_no_more() -> None:
    waiting = Waiting[str]()
    turns = [waiting.join("a", 1) for _ in range(4)]
    waiting.call(2, anyone)
    waiting.call(2, anyone)
    waiting.call(1, anyone)
    assert [turn.is_called for turn in turns] == [True, True, False, False]
    assert (waiting.on_deck, len(waiting), waiting.able(anyone)) == (2, 4, 4)
    waiting.leave(turns[0])
    waiting.call(2, anyone)
    assert turns[2].is_called


async def test_of_those_on_deck_who_waits_for_nothing_else_goes_first() -> None:
    waiting = Waiting[str]()
    slow, quick, last = (waiting.join("a", 1) for _ in range(3))
    waiting.call(2, anyone)
    waits = asyncio.create_task(quick.ready())
    await asyncio.sleep(0)
    assert waiting.serve("1", anyone)
    assert await waits
    assert (quick.slot, slow.slot) == ("1", None)
    waiting.call(2, anyone)
    assert waiting.serve("2", anyone)
    assert (slow.slot, last.slot) == ("2", None), "nobody is ready: then the one who was called first"
    assert await slow.ready()


async def test_a_mailbox_that_may_not_go_keeps_nobody_else_waiting() -> None:
    waiting = Waiting[str]()
    held = waiting.join("a", 1)
    other = waiting.join("b", 1)
    assert waiting.able(lambda mailbox: mailbox != "a") == 1
    waiting.call(2, lambda mailbox: mailbox != "a")
    assert (held.is_called, other.is_called) == (False, True)
    assert waiting.serve("slot", lambda mailbox: mailbox != "a")
    assert other.slot
    assert not waiting.serve("slot", lambda mailbox: mailbox != "a")
    assert waiting.mailboxes() == ["a"]


async def test_one_who_has_left_is_not_called() -> None:
    waiting = Waiting[str]()
    first, second = waiting.join("a", 1), waiting.join("a", 1)
    waiting.leave(first)
    waiting.leave(first)
    assert waiting.able(anyone) == 1
    assert waiting.serve("slot", anyone)
    assert second.slot


async def test_patience_ends_the_waiting_and_the_place() -> None:
    waiting = Waiting[str]()
    never, late = waiting.join("a", 0.01), waiting.join("b", 0.02)
    assert not await never.called()
    waiting.call(1, anyone)
    assert await late.called()
    assert not await late.ready()
    assert len(waiting) == 0


async def test_who_has_begun_may_wait_longer_than_its_patience() -> None:
    waiting = Waiting[str]()
    turn = waiting.join("a", 0.01)
    waiting.call(1, anyone)
    asyncio.get_running_loop().call_later(0.05, waiting.serve, "slot", anyone)
    assert await turn.ready(1)
    assert turn.slot == "slot"


async def test_those_who_would_wait_in_vain_are_sent_away_and_all_who_are_on_deck() -> None:
    waiting = Waiting[str]()
    first, hasty, patient = (waiting.join("a", seconds) for seconds in (30, 10, 30))
    waiting.call(1, anyone)
    other = waiting.join("b", 10)
    assert await first.called()
    waiting.dismiss("a", 20)
    assert not await first.ready()
    assert not await hasty.called()
    assert waiting.mailboxes() == ["a", "b"]
    assert not patient.is_called
    assert not other.is_called


async def test_a_failure_is_told_to_everyone_who_has_not_begun() -> None:
    waiting = Waiting[str]()
    begun, *others = waiting.join("a", 1), waiting.join("a", 1), waiting.join("b", 1)
    waiting.call(1, anyone)
    assert await begun.called()
    waiting.fail(OSError("down"))
    for turn in others:
        with pytest.raises(OSError, match="down"):
            await turn.called()
    assert not await begun.ready()
    assert len(waiting) == 0
