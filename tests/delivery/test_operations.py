"""Cancelling and replaying: what a person does with a mail, against what goes on meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.delivery.engine import Verifier
from shared.delivery.operations import Cannot, Control
from shared.delivery.queue import Kept
from shared.delivery.record import Row
from shared.delivery.request import Requests
from shared.delivery.transitions import Finding
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome, Unanswered
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import OnUnknown, Settings
from tests.delivery.samples import (
    BAD_RECIPIENT,
    NO_PERMISSION,
    NOON,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    outgoing_mail,
    work,
)


async def delivered(office: Office) -> None:
    """Let every message be delivered when it is due, until there are none."""
    while office.outbox.messages:
        due, message = office.outbox.messages.pop(0)
        office.clock.at = max(office.clock.at, due)
        await Worker(office.engine).deliver(message)


async def test_a_cancelled_mail_is_never_sent_and_its_message_goes_when_it_is_due() -> None:
    office = Office()
    await Requests(office.engine).accept(outgoing_mail())
    cancelled = await Control(office.engine).cancel(await office.row())
    assert isinstance(cancelled, Row)
    assert cancelled.state == "cancelled"
    await delivered(office)
    assert office.graph.rows == []


async def test_a_cancel_that_races_the_send_loses_or_wins_but_not_both() -> None:
    office = Office()

    class CancelledMeanwhile(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            current = await office.row()
            assert isinstance(await Control(office.engine).cancel(current), Cannot)
            return await super().__call__(mail, row, still_ours)

    office.graph = CancelledMeanwhile()
    await Requests(office.engine).accept(outgoing_mail())
    before = await office.row()
    await delivered(office)
    assert (await office.row()).state == "sent"
    late = await Control(office.engine).cancel(before)
    assert isinstance(late, Cannot)
    assert late.row.state == "sent"


async def test_a_mail_that_waits_and_may_have_gone_before_cannot_be_cancelled() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT, THROTTLED]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    due, message = office.outbox.messages.pop()
    office.clock.at = due
    await Worker(office.engine).deliver(message)
    row = await office.row()
    assert (row.state, row.may_have_gone) == ("accepted", True)
    assert await Control(office.engine).cancel(row) == Cannot("state", row)


async def test_a_failed_mail_is_put_back_and_sent_under_its_id() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    assert isinstance(await Control(office.engine).replay(await office.row()), Row)
    await delivered(office)
    row = await office.row()
    assert (row.state, row.replays) == ("sent", 1)
    assert office.outbox.dead == {}


def answering(*findings: Finding) -> Verifier:
    """A mailbox that says this, in turn; and the last of it from then on."""
    left = list(findings)

    async def verifier(row: Row) -> Finding:
        return left.pop(0) if len(left) > 1 else left[0]

    return verifier


async def held(office: Office) -> Row:
    office.settings = Settings(on_unknown="review")
    office.graph = ScriptedGraph([TIMED_OUT])
    await Worker(office.engine).deliver(work(), outgoing_mail())
    await delivered(office)
    row = await office.row()
    assert (row.state, row.may_have_gone) == ("review", True)
    return row


async def test_a_review_mail_that_is_found_is_sent_and_not_sent_again() -> None:
    office = Office()
    row = await held(office)
    office.verifier = answering("sent")
    found = await Control(office.engine).replay(row)
    assert isinstance(found, Row)
    assert found == await office.row()
    assert (found.state, found.may_have_gone, found.may_have_gone_twice) == ("sent", False, False)
    assert (office.outbox.messages, office.graph.sent, office.outbox.dead) == ([], [], {})


async def test_a_review_mail_that_is_not_there_is_sent_once_it_was_looked_for_often_enough() -> None:
    office = Office()
    row = await held(office)
    office.verifier = answering("absent")
    assert isinstance(await Control(office.engine).replay(row), Row)
    assert office.graph.sent == []
    await delivered(office)
    row = await office.row()
    assert (row.state, row.replays, row.may_have_gone_twice, office.graph.sent) == (
        "sent",
        1,
        False,
        [outgoing_mail().id],
    )
    assert office.clock.now() - NOON >= timedelta(seconds=240), "lease, the first delay, and the looks"


async def test_a_review_mail_whose_copy_appears_late_is_not_sent_again() -> None:
    office = Office()
    row = await held(office)
    office.verifier = answering("absent", Unanswered(TIMED_OUT), "absent", "sent")
    await Control(office.engine).replay(row)
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent) == ("sent", [])


@pytest.mark.parametrize("policy", ["resend", "review"])
async def test_a_review_mail_whose_mailbox_cannot_be_asked_wants_force_and_says_so_for_good(policy: OnUnknown) -> None:
    office = Office()
    row = await held(office)
    office.settings = Settings(on_unknown=policy)
    cannot = await Control(office.engine).replay(row)
    assert isinstance(cannot, Cannot)
    assert (cannot.reason, office.outbox.messages) == ("cannot-be-asked", [])
    assert isinstance(await Control(office.engine).replay(row, force=True), Row)
    await delivered(office)
    row = await office.row()
    assert (row.state, row.may_have_gone, row.may_have_gone_twice) == ("sent", False, True)


async def test_two_refusals_with_a_new_token_between_them_are_a_mailbox_that_cannot_be_asked() -> None:
    office = Office()
    row = await held(office)
    new = replace(NO_PERMISSION, token_at=office.clock.now() + timedelta(seconds=1))
    office.verifier = answering(Unanswered(NO_PERMISSION), Unanswered(new))
    cannot = await Control(office.engine).replay(row)
    assert isinstance(cannot, Cannot)
    assert cannot.reason == "cannot-be-asked"
    office.verifier = answering(Unanswered(NO_PERMISSION), Unanswered(new))
    assert isinstance(await Control(office.engine).replay(row, force=True), Row)
    await delivered(office)
    assert (await office.row()).may_have_gone_twice


@pytest.mark.parametrize("silence", [NO_PERMISSION, TIMED_OUT, THROTTLED])
async def test_force_sends_nothing_while_the_mailbox_only_does_not_answer(silence: Outcome) -> None:
    """It can be asked; so it is, until the mail is too old."""
    office = Office()
    row = await held(office)
    office.verifier = answering(Unanswered(silence))
    assert isinstance(await Control(office.engine).replay(row, force=True), Row)
    await delivered(office)
    row = await office.row()
    assert (row.state, row.code, office.graph.sent) == ("review", "Unverified", [])
    office.verifier = answering("absent")
    assert isinstance(await Control(office.engine).replay(row), Row), "and it can be put back again"
    await delivered(office)
    assert (await office.row()).state == "sent"


async def test_the_policy_never_sends_what_an_operator_has_put_back_unforced() -> None:
    """Its mailbox could be asked when it was put back, and could not any more when it was delivered."""
    office = Office()
    row = await held(office)
    office.settings = Settings(on_unknown="resend")
    office.verifier = answering("absent")
    await Control(office.engine).replay(row)
    office.verifier = None
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent) == ("review", [])


async def test_an_event_accepted_once_more_after_its_mail_failed_begins_anew() -> None:
    """As GitHub's "Redeliver" sends it; not the same message delivered twice, nor an older one."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    first = work(accepted_at=NOON)
    await Worker(office.engine).deliver(first, outgoing_mail())
    assert (await office.row()).state == "failed"
    for same in (first, work(accepted_at=NOON - timedelta(hours=1))):
        await Worker(office.engine).deliver(same, outgoing_mail())
        assert (await office.row()).state == "failed"
    office.clock.move(hours=1)
    await Worker(office.engine).deliver(work(accepted_at=office.clock.now()), outgoing_mail())
    row = await office.row()
    assert (row.state, office.graph.sent) == ("sent", [outgoing_mail().id])


async def test_two_replays_at_once_send_once() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    row = await office.row()
    await Control(office.engine).replay(row)
    await Control(office.engine).replay(row)
    await delivered(office)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_mail_that_was_old_when_it_failed_is_not_too_old_for_its_replay() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    office.clock.move(days=10)
    await Control(office.engine).replay(await office.row())
    await delivered(office)
    assert (await office.row()).state == "sent"


async def test_a_sent_mail_is_not_put_back() -> None:
    office = Office()
    await Worker(office.engine).deliver(work(), outgoing_mail())
    assert await Control(office.engine).replay(await office.row()) == Cannot("state", await office.row())


async def test_a_direct_mail_whose_caller_has_the_refusal_cannot_be_put_back() -> None:
    """Nothing of it was acknowledged, so nothing of it is kept."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Requests(office.engine).send_now(outgoing_mail())
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
    await Worker(office.engine).deliver(later, outgoing_mail())
    arms = 0
    while (await office.row()).state == "scheduled":
        due, message = office.outbox.messages.pop(0)
        assert due - office.clock.at <= timedelta(days=6)
        office.clock.at = max(office.clock.at, due)
        await Worker(office.engine).deliver(message)
        arms += 1
    assert office.graph.sent == [outgoing_mail().id]
    assert office.clock.at >= NOON + timedelta(days=40)
    assert arms == 7


async def test_what_a_person_kept_is_forgotten_with_the_success_only() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT, BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    await Control(office.engine).replay(await office.row())
    await delivered(office)
    assert (await office.row()).state == "failed"
    assert isinstance(office.outbox.dead[outgoing_mail().id], Kept)
