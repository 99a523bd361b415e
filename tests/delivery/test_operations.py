"""Cancelling, retrying and replaying: what a person does with a mail, against what goes on meanwhile."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from copy import replace
from datetime import datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.cancel_replay_retry import Cannot, Control
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import ProducerMessage, parse_work
from shared.delivery.request import Requests
from shared.delivery.row import Row, State
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome, Unanswered
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import OnUnknown, Settings
from tests.delivery.memory import MemoryOutbox, Unpaced
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    NO_PERMISSION,
    NOON,
    SENDER,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    Verifier,
    outgoing_mail,
    work,
)
from tests.delivery.test_request import at_once
from tests.delivery.test_worker import Spent


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


# Retry.


async def refused(office: Office, way: str = "queue") -> Row:
    """A mail that Graph has refused for want of a permission, and that waits to be tried again."""
    office.graph.outcomes = [NO_PERMISSION]
    match way:
        case "queue":
            await Worker(office.engine).deliver(work(), outgoing_mail())
        case "request":
            await Requests(office.engine).send_now(outgoing_mail())
        case "webhook":
            office.verifier = answering("absent")
            await at_once(office, outgoing_mail())
    row = await office.row()
    assert (row.state, row.attempts) == ("accepted", 1)
    assert row.due_at is not None
    assert row.due_at > office.clock.now() + timedelta(seconds=30)
    return row


@pytest.mark.parametrize("way", ["queue", "request", "webhook"])
async def test_what_waits_is_tried_at_once(way: str) -> None:
    office = Office()
    retried = await Control(office.engine).retry(await refused(office, way))
    assert isinstance(retried, Row)
    assert (retried.state, retried.due_at) == ("accepted", NOON)
    [(due, _)] = office.outbox.messages
    assert due == NOON
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent, office.clock.now()) == ("sent", [outgoing_mail().id], NOON)


@pytest.mark.parametrize("row", [None, "failed"])
async def test_what_waits_since_its_mailbox_has_no_recipients_left_is_tried_at_once(row: str | None) -> None:
    office = Office(pace=(pace := Spent(SENDER)))
    if row is not None:
        office.pace, office.graph.outcomes = None, [BAD_RECIPIENT]
        await Worker(office.engine).deliver(work(), outgoing_mail())
        office.pace = pace
        await Control(office.engine).replay(await office.row())
        _, message = office.outbox.messages.pop()
        await Worker(office.engine).deliver(message)
    else:
        await Worker(office.engine).deliver(work(), outgoing_mail())
    waiting = await office.row()
    assert (waiting.state, waiting.replays) == ("accepted", int(row is not None))
    pace.spent.clear()
    assert isinstance(await Control(office.engine).retry(waiting), Row)
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent, office.clock.now()) == ("sent", [outgoing_mail().id], NOON)


async def test_two_retries_at_once_make_one_attempt() -> None:
    office = Office()
    row = await refused(office)
    for _ in range(2):
        assert isinstance(await Control(office.engine).retry(row), Row)
    await delivered(office)
    assert len(office.graph.rows) == 2, "the one that was refused, and this one"


async def test_a_retry_that_dies_half_way_loses_nothing_and_can_be_made_again() -> None:
    class Away(MemoryOutbox):
        down = True

        async def show(self, message: str, now: datetime, due: datetime) -> str | None:
            if self.down:
                raise ServiceRequestError("away")
            return await super().show(message, now, due)

    for again in (False, True):
        office = Office(outbox=(outbox := Away()))
        with pytest.raises(ServiceRequestError):
            await Control(office.engine).retry(await refused(office))
        outbox.down = False
        if again:
            assert isinstance(await Control(office.engine).retry(await office.row()), Row)
        await delivered(office)
        assert ((await office.row()).state, len(office.graph.rows)) == ("sent", 2)
        assert (office.clock.now() == NOON) is again


async def test_a_row_is_due_before_its_message_is_visible() -> None:
    """A message that came before that would hide until the old time once more."""
    shown = list[Row]()

    class Watching(MemoryOutbox):
        async def show(self, message: str, now: datetime, due: datetime) -> str | None:
            shown.append(await office.row())
            return await super().show(message, now, due)

    office = Office(outbox=Watching())
    await Control(office.engine).retry(await refused(office))
    assert [row.due_at for row in shown] == [NOON]


async def test_a_message_that_somebody_has_received_meanwhile_needs_no_other() -> None:
    office = Office()
    row = await refused(office)
    _, message = office.outbox.messages.pop()
    assert isinstance(await Control(office.engine).retry(row), Row)
    assert office.outbox.messages == []
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_mail_whose_message_is_not_known_is_tried_in_its_time_and_the_operator_told() -> None:
    """A process has died between the message and the row that would have named it."""
    office = Office()
    row = await office.ledger.write(replace(await refused(office), message=None))
    assert await Control(office.engine).retry(row) == Cannot("state", row)
    assert await office.row() == row


async def test_a_block_of_graphs_still_holds_for_what_is_tried_at_once() -> None:
    class Blocked(Unpaced):
        until: datetime | None = None

        def blocked_until(self, mailbox: str) -> datetime | None:
            return self.until

    office = Office(pace=(pace := Blocked()))
    row = await refused(office)
    pace.until = NOON + timedelta(seconds=20)
    await Control(office.engine).retry(row)
    await delivered(office)
    assert office.clock.now() == pace.until
    assert office.graph.sent == [outgoing_mail().id]


async def test_what_its_sender_wants_later_is_not_tried_sooner() -> None:
    office = Office()
    await Requests(office.engine).accept(replace(outgoing_mail(), not_before=NOON + timedelta(hours=1)))
    row = await office.row()
    assert await Control(office.engine).retry(row) == Cannot("state", row)
    await delivered(office)
    assert office.clock.now() == NOON + timedelta(hours=1)


@pytest.mark.parametrize(("outcome", "state"), [(ACCEPTED, "sent"), (BAD_RECIPIENT, "failed")])
async def test_what_is_being_sent_or_has_ended_is_not_tried(outcome: Outcome, state: State) -> None:
    """Nor by an operator who has read the row before."""

    async def states() -> list[State]:
        cannot = [await Control(office.engine).retry(row) for row in (await office.row(), waiting)]
        return [one.row.state for one in cannot if isinstance(one, Cannot)]

    class Asked(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            assert await states() == ["sending"] * 2
            return await super().__call__(mail, row, still_ours)

    office = Office()
    waiting = await refused(office)
    await Control(office.engine).retry(waiting)
    office.graph = Asked([outcome])
    await delivered(office)
    assert await states() == [state] * 2


async def unanswered(office: Office, *findings: Finding) -> Row:
    """A mail that may have gone, and whose mailbox did not answer when it was asked; and what it says then."""
    office.graph.outcomes = [TIMED_OUT]
    office.verifier = answering(Unanswered(TIMED_OUT), *findings)
    await Worker(office.engine).deliver(work(), outgoing_mail())
    due, message = office.outbox.messages.pop()
    office.clock.at = due
    await Worker(office.engine).deliver(message)
    row = await office.row()
    assert (row.state, row.unanswered) == ("unknown", 1)
    return row


async def test_what_may_have_gone_is_asked_about_at_once_where_its_mailbox_was_silent() -> None:
    office = Office()
    row = await unanswered(office, "sent")
    found = await Control(office.engine).retry(row)
    assert isinstance(found, Row)
    assert found == await office.row()
    assert (found.state, found.may_have_gone) == ("sent", False)
    await delivered(office)
    assert office.graph.sent == []


async def test_what_is_not_there_so_early_counts_for_nothing_and_is_sent_no_sooner() -> None:
    ends = list[datetime]()
    for retries in (0, 5):
        office = Office(settings=Settings(verify_delays=(15.0, 60.0, 180.0)))
        row = await unanswered(office, "absent")
        for _ in range(retries):
            assert await Control(office.engine).retry(row) == row
        assert await office.row() == row
        due, message = office.outbox.messages.pop()
        office.clock.at = due
        await Worker(office.engine).deliver(message)
        assert (await office.row()).verifications == 1
        await delivered(office)
        assert office.graph.sent == [outgoing_mail().id]
        ends.append(office.clock.now())
    assert abs(ends[0] - ends[1]) < timedelta(seconds=10), "but for chance"


async def test_what_may_have_gone_is_not_asked_about_before_its_copy_may_be_there() -> None:
    asked = list[Row]()

    async def verifier(row: Row) -> Finding:
        asked.append(row)
        return "sent"

    office = Office(graph=ScriptedGraph([TIMED_OUT]), verifier=verifier)
    await Worker(office.engine).deliver(work(), outgoing_mail())
    row = await office.row()
    assert await Control(office.engine).retry(row) == Cannot("state", row)
    assert asked == []


@pytest.mark.parametrize("silence", [TIMED_OUT, THROTTLED, NO_PERMISSION])
async def test_a_mailbox_that_gives_no_answer_again_changes_nothing(silence: Outcome) -> None:
    office = Office()
    row = await unanswered(office, Unanswered(silence))
    assert await Control(office.engine).retry(row) == Cannot("no-answer", row)
    assert await office.row() == row


async def test_a_mailbox_that_takes_no_requests_is_not_asked() -> None:
    class Blocked(Unpaced):
        def blocked_until(self, mailbox: str) -> datetime | None:
            return self.now() + timedelta(seconds=20)

    office = Office()
    row = await unanswered(office, "sent")
    office.pace = Blocked(office.clock.now)
    assert await Control(office.engine).retry(row) == Cannot("no-answer", row)


async def test_a_mailbox_that_cannot_be_asked_any_more_is_left_to_the_policy() -> None:
    office = Office()
    row = await unanswered(office)
    office.verifier = None
    assert await Control(office.engine).retry(row) == Cannot("cannot-be-asked", row)
    assert await office.row() == row


# Replay.


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


async def test_what_begins_anew_and_cannot_go_now_is_not_dropped_when_it_comes_again() -> None:
    """Its message meets a row that has still ended as failed."""

    class Full(Unpaced):
        free = False

        @asynccontextmanager
        async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
            yield self.free

    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    office.pace = pace = Full()
    office.clock.move(hours=1)
    await Worker(office.engine).deliver(work(accepted_at=office.clock.now()), outgoing_mail())
    assert (await office.row()).state == "failed"
    pace.free = True
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent) == ("sent", [outgoing_mail().id])


async def test_what_begins_anew_is_not_given_up_although_its_message_fails_again_and_again() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Worker(office.engine).deliver(work(), outgoing_mail())
    office.clock.move(hours=1)
    again = work(accepted_at=office.clock.now())
    assert not await Worker(office.engine).give_up(again, b"")
    await Worker(office.engine).wake_later(again, outgoing_mail())
    await delivered(office)
    assert ((await office.row()).state, office.graph.sent) == ("sent", [outgoing_mail().id])


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


async def test_what_was_no_mail_is_read_anew_as_one_message_whoever_puts_it_back_and_how_often() -> None:
    office = Office()
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "no"))
    row, kept = await office.row("a" * 32), office.outbox.dead["a" * 32]
    await Control(office.engine).replay(row)
    office.outbox.dead["a" * 32] = kept  # as a second operator, at the same moment, has found it
    await Control(office.engine).replay(row)
    messages = [parse_work(content) for _, content, _ in office.outbox.returned]
    assert [(one.queue, one.body) for one in messages if isinstance(one, ProducerMessage)] == [
        ("mail-outbox", b"{}")
    ] * 2
    assert len({one.id for one in messages} - {"a" * 32}) == 1


async def test_what_was_put_back_needs_no_attention_any_more() -> None:
    office = Office()
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "no"))
    row = await office.row("a" * 32)
    assert row.listed_at is not None
    replayed = await Control(office.engine).replay(row)
    assert isinstance(replayed, Row)
    assert (replayed.listed_at, replayed.replays, replayed.put_back) == (None, 1, True)
    assert await Control(office.engine).replay(row) == Cannot("nothing-kept", replayed), "as it is by now"


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
