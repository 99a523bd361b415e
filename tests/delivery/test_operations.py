"""Cancelling, retrying and replaying: what a person does with a mail, against what goes on meanwhile."""

from collections.abc import Awaitable, Callable
from copy import replace
from datetime import datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.cancel_replay_retry import Cannot, Control
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import ProducerMessage, parse_work
from shared.delivery.row import Row, State
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome, Unanswered
from shared.mail.outgoing import OutgoingMail
from shared.settings.config import OnUnknown, Settings
from tests.delivery.memory import MemoryOutbox
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    MAIL,
    NO_PERMISSION,
    NOON,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    ScriptedPace,
    answering,
    fails,
    outgoing_mail,
    work,
)
from tests.delivery.test_request import at_once


async def cannot(office: Office, way: Callable[[Control, Row], Awaitable[object]] = Control.replay) -> str:
    """Why an operator cannot do this with the mail."""
    found = await way(office.control, await office.row())
    assert isinstance(found, Cannot)
    return found.reason


async def test_a_cancelled_mail_is_never_sent_and_its_message_goes_when_it_is_due() -> None:
    office = Office()
    await office.accept()
    cancelled = await office.control.cancel(await office.row())
    assert isinstance(cancelled, Row)
    await office.drain()
    assert (await office.end(), office.graph.rows) == (("cancelled", []), [])


async def test_what_is_being_sent_or_was_cannot_be_cancelled() -> None:
    class CancelledMeanwhile(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            assert await cannot(office, Control.cancel) == "state"
            return await super().__call__(mail, row, still_ours)

    office = Office(graph=CancelledMeanwhile())
    await office.accept()
    before = await office.row()
    await office.drain()
    late = await office.control.cancel(before)
    assert isinstance(late, Cannot)
    assert late.row.state == "sent"


async def test_a_mail_that_waits_and_may_have_gone_before_cannot_be_cancelled() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT, THROTTLED]))
    await office.deliver()
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.may_have_gone) == ("accepted", True)
    assert await office.control.cancel(row) == Cannot("state", row)


# Retry.


async def refused(office: Office, way: str = "queue") -> Row:
    """A mail that Graph has refused for want of a permission, and that waits to be tried again."""
    office.graph.outcomes = [NO_PERMISSION]
    match way:
        case "queue":
            await office.deliver()
        case "request":
            await office.send_now()
        case "webhook":
            office.verifier = answering("absent")
            await at_once(office, outgoing_mail())
    row = await office.row()
    assert (row.state, row.attempts) == ("accepted", 1)
    assert row.due_at is not None
    assert row.due_at > office.clock.now() + timedelta(seconds=30)
    return row


@pytest.mark.parametrize("way", ["queue", "request", "webhook"])
async def test_what_waits_is_tried_at_once_and_once_however_often_that_is_asked_for(way: str) -> None:
    office = Office()
    row = await refused(office, way)
    for _ in range(2):
        retried = await office.control.retry(row)
        assert isinstance(retried, Row)
        assert (retried.state, retried.due_at) == ("accepted", NOON)
        assert [due for due, _ in office.outbox.messages] == [NOON]
    await office.drain()
    assert (await office.end(), office.clock.now()) == (("sent", [MAIL]), NOON)
    assert len(office.graph.rows) == 2, "the attempt that was refused, and this one"


@pytest.mark.parametrize("ended", [False, True])
async def test_what_waits_since_its_mailbox_has_no_recipients_left_is_tried_at_once(*, ended: bool) -> None:
    office = Office(pace=(pace := ScriptedPace(recipients=0)))
    if ended:
        office.pace, office.graph.outcomes = None, [BAD_RECIPIENT]
        await office.deliver()
        office.pace = pace
        await office.control.replay(await office.row())
        await office.deliver_next()
    else:
        await office.deliver()
    waiting = await office.row()
    assert (waiting.state, waiting.replays) == ("accepted", int(ended))
    pace.recipients = 1
    assert isinstance(await office.control.retry(waiting), Row)
    await office.drain()
    assert (await office.end(), office.clock.now()) == (("sent", [MAIL]), NOON)


@pytest.mark.parametrize("again", [False, True])
async def test_a_retry_that_dies_half_way_loses_nothing_and_can_be_made_again(*, again: bool) -> None:
    office = Office()
    row = await refused(office)
    fails(office.outbox, "show")
    with pytest.raises(ServiceRequestError):
        await office.control.retry(row)
    vars(office.outbox).pop("show")
    if again:
        assert isinstance(await office.control.retry(await office.row()), Row)
    await office.drain()
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
    await office.control.retry(await refused(office))
    assert [row.due_at for row in shown] == [NOON]


async def test_a_message_that_somebody_has_received_meanwhile_needs_no_other() -> None:
    office = Office()
    row = await refused(office)
    _, message = office.outbox.messages.pop()
    assert isinstance(await office.control.retry(row), Row)
    assert office.outbox.messages == []
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [MAIL]


async def test_a_mail_whose_message_is_not_known_is_tried_in_its_time_and_the_operator_told() -> None:
    """A process has died between the message and the row that would have named it."""
    office = Office()
    row = await office.ledger.write(replace(await refused(office), message=None))
    assert await office.control.retry(row) == Cannot("state", row)
    assert await office.row() == row


async def test_a_block_of_graphs_still_holds_for_what_is_tried_at_once() -> None:
    office = Office(pace=(pace := ScriptedPace()))
    row = await refused(office)
    pace.blocked = NOON + timedelta(seconds=20)
    await office.control.retry(row)
    await office.drain()
    assert (office.clock.now(), office.graph.sent) == (pace.blocked, [MAIL])


async def test_what_its_sender_wants_later_is_not_tried_sooner() -> None:
    office = Office()
    await office.accept(replace(outgoing_mail(), not_before=NOON + timedelta(hours=1)))
    assert await cannot(office, Control.retry) == "state"
    await office.drain()
    assert office.clock.now() == NOON + timedelta(hours=1)


@pytest.mark.parametrize(("outcome", "state"), [(ACCEPTED, "sent"), (BAD_RECIPIENT, "failed")])
async def test_what_is_being_sent_or_has_ended_is_not_tried(outcome: Outcome, state: State) -> None:
    """Nor by an operator who has read the row before."""

    async def states() -> list[State]:
        found = [await office.control.retry(row) for row in (await office.row(), waiting)]
        return [one.row.state for one in found if isinstance(one, Cannot)]

    class Asked(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            assert await states() == ["sending"] * 2
            return await super().__call__(mail, row, still_ours)

    office = Office()
    waiting = await refused(office)
    await office.control.retry(waiting)
    office.graph = Asked([outcome])
    await office.drain()
    assert await states() == [state] * 2


async def unanswered(office: Office, *findings: Finding) -> Row:
    """A mail that may have gone, and whose mailbox did not answer when it was asked; and what it says then."""
    office.graph.outcomes = [TIMED_OUT]
    office.verifier = answering(Unanswered(TIMED_OUT), *findings)
    await office.deliver()
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.unanswered) == ("unknown", 1)
    return row


async def test_what_may_have_gone_is_asked_about_at_once_where_its_mailbox_was_silent() -> None:
    office = Office()
    row = await unanswered(office, "sent")
    found = await office.control.retry(row)
    assert isinstance(found, Row)
    assert found == await office.row()
    assert (found.state, found.may_have_gone) == ("sent", False)
    await office.drain()
    assert office.graph.sent == []


async def test_what_is_not_there_so_early_counts_for_nothing_and_is_sent_no_sooner() -> None:
    ends = list[datetime]()
    for retries in (0, 5):
        office = Office(settings=Settings(verify_delays=(15.0, 60.0, 180.0)))
        row = await unanswered(office, "absent")
        for _ in range(retries):
            assert await office.control.retry(row) == row
        assert await office.row() == row
        await office.deliver_next()
        assert (await office.row()).verifications == 1
        await office.drain()
        assert office.graph.sent == [MAIL]
        ends.append(office.clock.now())
    assert abs(ends[0] - ends[1]) < timedelta(seconds=10), "but for chance"


async def test_what_may_have_gone_is_not_asked_about_before_its_copy_may_be_there() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]), verifier=answering())  # which fails when it is asked
    await office.deliver()
    assert await cannot(office, Control.retry) == "state"


@pytest.mark.parametrize("silence", [TIMED_OUT, THROTTLED, NO_PERMISSION, "no requests", "cannot be asked any more"])
async def test_a_mailbox_that_gives_no_answer_again_changes_nothing(silence: Outcome | str) -> None:
    office = Office()
    row = await unanswered(office, "sent" if isinstance(silence, str) else Unanswered(silence))
    reason = "no-answer"
    if silence == "no requests":
        office.pace = ScriptedPace(blocked=office.clock.now() + timedelta(seconds=20))
    elif isinstance(silence, str):
        office.verifier, reason = None, "cannot-be-asked"
    assert await cannot(office, Control.retry) == reason
    assert await office.row() == row


# Replay.


async def failed(office: Office) -> Row:
    office.graph.outcomes = [BAD_RECIPIENT]
    await office.deliver()
    return await office.row()


async def test_a_failed_mail_is_put_back_and_sent_once_under_its_id_however_old_and_however_often() -> None:
    office = Office()
    row = await failed(office)
    office.clock.move(days=10)
    for _ in range(2):
        assert isinstance(await office.control.replay(row), Row)
    await office.drain()
    assert await office.end() == ("sent", [MAIL])
    assert ((await office.row()).replays, office.outbox.dead) == (1, {})


async def held(office: Office) -> Row:
    office.settings = Settings(on_unknown="review")
    office.graph = ScriptedGraph([TIMED_OUT])
    await office.deliver()
    await office.drain()
    row = await office.row()
    assert (row.state, row.may_have_gone) == ("review", True)
    return row


async def test_a_review_mail_that_is_found_is_sent_and_not_sent_again() -> None:
    office = Office()
    row = await held(office)
    office.verifier = answering("sent")
    found = await office.control.replay(row)
    assert isinstance(found, Row)
    assert found == await office.row()
    assert (found.state, found.may_have_gone, found.may_have_gone_twice) == ("sent", False, False)
    assert (office.outbox.messages, office.graph.sent, office.outbox.dead) == ([], [], {})


async def test_a_review_mail_that_is_not_there_is_sent_once_it_was_looked_for_often_enough() -> None:
    office = Office()
    row = await held(office)
    office.verifier = answering("absent")
    assert isinstance(await office.control.replay(row), Row)
    assert office.graph.sent == []
    await office.drain()
    row = await office.row()
    assert (row.state, row.replays, row.may_have_gone_twice, office.graph.sent) == ("sent", 1, False, [MAIL])
    assert office.clock.now() - NOON >= timedelta(seconds=240), "lease, the first delay, and the looks"


@pytest.mark.parametrize("policy", ["resend", "review"])
@pytest.mark.parametrize("twice_refused", [False, True])
async def test_a_review_mail_whose_mailbox_cannot_be_asked_wants_force_and_says_so_for_good(
    policy: OnUnknown, *, twice_refused: bool
) -> None:
    """Nobody verifies; or it has refused twice, the second time with a new token."""
    office = Office()
    await held(office)
    office.settings = Settings(on_unknown=policy)
    new = replace(NO_PERMISSION, token_at=office.clock.now() + timedelta(seconds=1))
    for force in (False, True):
        office.verifier = answering(Unanswered(NO_PERMISSION), Unanswered(new)) if twice_refused else None
        if not force:
            assert (await cannot(office), office.outbox.messages) == ("cannot-be-asked", [])
    assert isinstance(await office.control.replay(await office.row(), force=True), Row)
    await office.drain()
    row = await office.row()
    assert (row.state, row.may_have_gone, row.may_have_gone_twice) == ("sent", False, True)


@pytest.mark.parametrize("silence", [NO_PERMISSION, TIMED_OUT, THROTTLED])
async def test_force_sends_nothing_while_the_mailbox_only_does_not_answer(silence: Outcome) -> None:
    """It can be asked; so it is, until the mail is too old."""
    office = Office()
    row = await held(office)
    office.verifier = answering(Unanswered(silence))
    assert isinstance(await office.control.replay(row, force=True), Row)
    await office.drain()
    row = await office.row()
    assert (row.state, row.code, office.graph.sent) == ("review", "Unverified", [])
    office.verifier = answering("absent")
    assert isinstance(await office.control.replay(row), Row), "and it can be put back again"
    await office.drain()
    assert (await office.row()).state == "sent"


async def test_the_policy_never_sends_what_an_operator_has_put_back_unforced() -> None:
    """Its mailbox could be asked when it was put back, and could not any more when it was delivered."""
    office = Office()
    row = await held(office)
    office.settings = Settings(on_unknown="resend")
    office.verifier = answering("absent")
    await office.control.replay(row)
    office.verifier = None
    await office.drain()
    assert await office.end() == ("review", [])


async def test_an_event_accepted_once_more_after_its_mail_failed_begins_anew() -> None:
    """As GitHub's "Redeliver" sends it; not the same message delivered twice, nor an older one."""
    office = Office()
    await failed(office)
    for same in (NOON, NOON - timedelta(hours=1)):
        await office.deliver(accepted_at=same)
        assert (await office.row()).state == "failed"
    office.clock.move(hours=1)
    await office.deliver(accepted_at=office.clock.now())
    assert await office.end() == ("sent", [MAIL])


@pytest.mark.parametrize("trouble", ["no room", "failures"])
async def test_what_begins_anew_and_cannot_go_now_is_not_dropped_when_it_comes_again(trouble: str) -> None:
    """Its message meets a row that has still ended as failed. Nor is it given up although it fails again and again."""
    office = Office()
    await failed(office)
    office.clock.move(hours=1)
    again = work(accepted_at=office.clock.now())
    if trouble == "failures":
        assert not await Worker(office.engine).give_up(again, b"")
        await Worker(office.engine).wake_later(again, outgoing_mail())
    else:
        office.pace = ScriptedPace(free=[False])
        await Worker(office.engine).deliver(again, outgoing_mail())
        office.pace = None
    assert (await office.row()).state == "failed"
    await office.drain()
    assert await office.end() == ("sent", [MAIL])


async def test_a_sent_mail_is_not_put_back() -> None:
    office = Office()
    await office.deliver()
    assert await cannot(office) == "state"


async def test_a_direct_mail_whose_caller_has_the_refusal_cannot_be_put_back() -> None:
    """Nothing of it was acknowledged, so nothing of it is kept."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await office.send_now()
    assert await cannot(office) == "nothing-kept"


async def set_aside(office: Office) -> Row:
    """A producer's message that is no mail."""
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", Malformed(400, "BadRequest", "no"))
    return await office.row("a" * 32)


async def test_what_was_no_mail_is_read_anew_as_one_message_whoever_puts_it_back_and_how_often() -> None:
    office = Office()
    row = await set_aside(office)
    kept = office.outbox.dead[row.id]
    for _ in range(2):
        office.outbox.dead[row.id] = kept  # as a second operator, at the same moment, has found it
        await office.control.replay(row)
    messages = [parse_work(content) for _, content, _ in office.outbox.returned]
    found = [(one.queue, one.body) for one in messages if isinstance(one, ProducerMessage)]
    assert found == [("mail-outbox", b"{}")] * 2
    assert len({one.id for one in messages} - {row.id}) == 1


async def test_what_was_put_back_needs_no_attention_any_more() -> None:
    office = Office()
    row = await set_aside(office)
    assert row.listed_at is not None
    replayed = await office.control.replay(row)
    assert isinstance(replayed, Row)
    assert (replayed.listed_at, replayed.replays, replayed.put_back) == (None, 1, True)
    assert await office.control.replay(row) == Cannot("nothing-kept", replayed), "as it is by now"


async def test_a_mail_for_later_is_put_again_every_six_days_until_its_time() -> None:
    office = Office()
    await office.deliver(not_before=NOON + timedelta(days=40))
    puts = 0
    while (await office.row()).state == "scheduled":
        assert office.outbox.messages[0][0] - office.clock.at <= timedelta(days=6)
        await office.deliver_next()
        puts += 1
    assert (office.graph.sent, puts) == ([MAIL], 7)
    assert office.clock.at >= NOON + timedelta(days=40)


async def test_what_a_person_kept_is_forgotten_with_the_success_only() -> None:
    office = Office()
    row = await failed(office)
    office.graph.outcomes = [BAD_RECIPIENT]
    await office.control.replay(row)
    await office.drain()
    assert (await office.row()).state == "failed"
    assert isinstance(office.outbox.dead[MAIL], Kept)
