"""The lines before the slots."""

from shared.delivery.pacing.waiting import Waiting


def anyone(_: str) -> bool:
    return True


async def test_mailboxes_take_turns_and_within_one_the_first_goes_first() -> None:
    waiting = Waiting[str]()
    joined = [waiting.join(mailbox, 0) for mailbox in ("a", "a", "a", "b", "c", "b")]
    order = [waiting.next(anyone) for _ in joined]
    assert order == [joined[number] for number in (0, 3, 4, 1, 5, 2)]
    assert waiting.next(anyone) is None
    assert len(waiting) == 0


async def test_a_mailbox_that_may_not_go_keeps_nobody_else_waiting() -> None:
    waiting = Waiting[str]()
    waiting.join("a", 0)
    other = waiting.join("b", 0)
    assert waiting.next(lambda mailbox: mailbox != "a") is other
    assert waiting.next(lambda mailbox: mailbox != "a") is None
    assert waiting.mailboxes() == ["a"]


async def test_one_who_has_left_is_not_called() -> None:
    waiting = Waiting[str]()
    first, second = waiting.join("a", 0), waiting.join("a", 0)
    waiting.leave(first)
    waiting.leave(first)
    assert waiting.count("a") == 1
    assert waiting.next(anyone) is second


async def test_those_who_would_wait_in_vain_are_sent_away() -> None:
    waiting = Waiting[str]()
    hasty, patient = waiting.join("a", 10), waiting.join("a", 30)
    waiting.dismiss("a", until=20)
    assert hasty.got.result() is None
    assert not patient.got.done()


async def test_a_failure_is_told_to_everyone() -> None:
    waiting = Waiting[str]()
    waiters = [waiting.join("a", 0), waiting.join("b", 0)]
    error = OSError("down")
    waiting.fail(error)
    assert [waiter.got.exception() for waiter in waiters] == [error, error]
    assert len(waiting) == 0
