"""Cancelling and replaying: what a person does with a mail, against what goes on meanwhile."""

from collections.abc import Callable
from datetime import timedelta

from shared.config import Settings
from shared.delivery.control import Cannot, Control
from shared.delivery.ledger import Row
from shared.delivery.outbox import Kept
from shared.delivery.request import Requests
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome
from shared.letters.letter import Letter
from tests.delivery.samples import BAD_RECIPIENT, NOON, TIMED_OUT, Office, ScriptedGraph, letter, work


async def delivered(office: Office) -> None:
    """Let every message be delivered when it is due, until there are none."""
    while office.outbox.messages:
        due, message = office.outbox.messages.pop(0)
        office.clock.at = max(office.clock.at, due)
        await Worker(office.engine).deliver(message)


async def test_a_cancelled_mail_is_never_sent_and_its_message_goes_when_it_is_due() -> None:
    office = Office()
    await Requests(office.engine).accept(letter())
    cancelled = await Control(office.engine).cancel(await office.row())
    assert isinstance(cancelled, Row)
    assert cancelled.state == "cancelled"
    await delivered(office)
    assert office.graph.rows == []


async def test_a_cancel_that_races_the_send_loses_or_wins_but_not_both() -> None:
    office = Office()

    class CancelledMeanwhile(ScriptedGraph):
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            current = await office.row()
            assert isinstance(await Control(office.engine).cancel(current), Cannot)
            return await super().__call__(letter, row, still_ours)

    office.graph = CancelledMeanwhile()
    await Requests(office.engine).accept(letter())
    before = await office.row()
    await delivered(office)
    assert (await office.row()).state == "sent"
    late = await Control(office.engine).cancel(before)
    assert isinstance(late, Cannot)
    assert late.row.state == "sent"


async def test_a_failed_mail_is_put_back_and_sent_under_its_id() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), letter())
    assert isinstance(await Control(office.engine).replay(await office.row()), Row)
    await delivered(office)
    row = await office.row()
    assert (row.state, row.replays) == ("sent", 1)
    assert office.outbox.dead == {}


async def test_a_held_mail_is_put_back_and_sent() -> None:
    office = Office(settings=Settings(on_unknown="hold"), graph=ScriptedGraph([TIMED_OUT]))
    await Worker(office.engine).deliver(work(), letter())
    await delivered(office)
    assert (await office.row()).state == "held"
    await Control(office.engine).replay(await office.row())
    await delivered(office)
    assert (await office.row()).state == "sent"


async def test_two_replays_at_once_send_once() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), letter())
    row = await office.row()
    await Control(office.engine).replay(row)
    await Control(office.engine).replay(row)
    await delivered(office)
    assert office.graph.sent == [letter().id]


async def test_a_mail_that_was_old_when_it_failed_is_not_too_old_for_its_replay() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), letter())
    office.clock.move(days=10)
    await Control(office.engine).replay(await office.row())
    await delivered(office)
    assert (await office.row()).state == "sent"


async def test_a_sent_mail_is_not_put_back() -> None:
    office = Office()
    await Worker(office.engine).deliver(work(), letter())
    assert isinstance(await Control(office.engine).replay(await office.row()), Cannot)


async def test_a_direct_mail_whose_caller_has_the_refusal_cannot_be_put_back() -> None:
    """Nothing of it was acknowledged, so nothing of it is kept."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Requests(office.engine).send_now(letter())
    cannot = await Control(office.engine).replay(await office.row())
    assert isinstance(cannot, Cannot)
    assert cannot.reason == "nothing-kept"


async def test_what_was_no_mail_goes_back_into_its_queue_as_it_came() -> None:
    office = Office()
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "no"))
    await Control(office.engine).replay(await office.row("a" * 32))
    assert office.outbox.returned == [("mail-outbox", b"{}", timedelta(0))]


async def test_a_mail_for_later_is_put_again_every_six_days_until_its_time() -> None:
    office = Office()
    later = work(not_before=NOON + timedelta(days=40))
    await Worker(office.engine).deliver(later, letter())
    arms = 0
    while (await office.row()).state == "scheduled":
        due, message = office.outbox.messages.pop(0)
        assert due - office.clock.at <= timedelta(days=6)
        office.clock.at = max(office.clock.at, due)
        await Worker(office.engine).deliver(message)
        arms += 1
    assert office.graph.sent == [letter().id]
    assert office.clock.at >= NOON + timedelta(days=40)
    assert arms == 7


async def test_what_a_person_kept_is_forgotten_with_the_success_only() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT, BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), letter())
    await Control(office.engine).replay(await office.row())
    await delivered(office)
    assert (await office.row()).state == "failed"
    assert isinstance(office.outbox.dead[letter().id], Kept)
