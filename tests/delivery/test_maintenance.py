"""What no message comes by for is ended, looked up or removed; nothing that is still on its way is touched."""

import json
from copy import replace
from datetime import timedelta

import pytest

from shared.delivery.ledger import PARTITIONS
from shared.delivery.maintenance import RUNS_AN_HOUR, Maintenance, partitions_of_run
from shared.delivery.queue import BODY, Kept
from shared.delivery.queue_messages import ProducerMessage, parse_work
from shared.delivery.row import Row, State
from shared.delivery.verification import Finding
from shared.graph.outcome import Unanswered
from shared.mail.outgoing import decode
from shared.settings.config import Settings
from tests.delivery.samples import (
    NO_PERMISSION,
    NOON,
    THROTTLED,
    TIMED_OUT,
    Office,
    Verifier,
    first_claim,
    outgoing_mail,
    work,
)

ALL = range(PARTITIONS)
CLAIM = first_claim(work(), NOON, Settings(), "token-1", queued=False)


async def after(office: Office, **time: float) -> Row | None:
    office.clock.move(**time)
    await Maintenance(office.engine).run(ALL)
    return await office.ledger.read(CLAIM.id)


async def holding(state: State, **changes: object) -> Office:
    office = Office()
    await office.ledger.write(replace(CLAIM, state=state, **changes))  # type: ignore[arg-type] # by name
    return office


def test_every_partition_has_its_turn_once_an_hour() -> None:
    turns = [partitions_of_run(NOON + timedelta(minutes=5 * run)) for run in range(RUNS_AN_HOUR)]
    assert sorted(number for turn in turns for number in turn) == list(ALL)


async def test_an_attempt_that_nobody_was_told_of_is_abandoned_an_hour_after_its_lease() -> None:
    office = await holding("sending")
    row = await after(office, minutes=50)
    assert row is not None
    assert row.state == "sending"
    row = await after(office, minutes=30)
    assert row is not None
    assert (row.state, row.code) == ("failed", "Abandoned")


def answering(finding: Finding) -> Verifier:
    async def verifier(row: Row) -> Finding:
        return finding

    return verifier


@pytest.mark.parametrize(("finding", "state"), [("sent", "sent"), ("absent", "failed")])
async def test_before_it_is_abandoned_it_is_looked_for(finding: Finding, state: State) -> None:
    office = await holding("unknown")
    office.verifier = answering(finding)
    row = await after(office, hours=2)
    assert row is not None
    assert (row.state, row.may_have_gone) == (state, state == "failed")


@pytest.mark.parametrize("finding", [Unanswered(THROTTLED), Unanswered(NO_PERMISSION), "waiting"])
async def test_a_look_that_was_not_answered_abandons_nothing_until_it_needs_a_person(finding: Finding) -> None:
    office = await holding("sending")
    office.verifier = answering(finding)
    for _ in range(3):
        row = await after(office, hours=2)
        assert row is not None
        assert row.state == "sending"
    row = await after(office, hours=70)
    assert row is not None
    assert (row.state, row.code, row.may_have_gone) == ("review", "Abandoned", True)


@pytest.mark.parametrize("state", ["sending", "unknown", "accepted"])
async def test_what_is_in_the_queue_is_left_to_its_message(state: State) -> None:
    row = await after(await holding(state, queued=True), hours=71)
    assert row is not None
    assert row.state == state


@pytest.mark.parametrize("state", ["accepted", "scheduled"])
async def test_what_is_open_far_past_its_age_fails(state: State) -> None:
    """No message can come for it any more; it must not vanish without a word."""
    row = await after(await holding(state, queued=True), days=11)
    assert row is not None
    assert (row.state, row.code) == ("failed", "TooOld")


@pytest.mark.parametrize("finding", ["absent", Unanswered(TIMED_OUT), Unanswered(NO_PERMISSION), None])
@pytest.mark.parametrize("state", ["sending", "unknown", "accepted"])
async def test_what_may_have_gone_and_is_far_past_its_age_needs_a_person(state: State, finding: Finding | None) -> None:
    office = await holding(state, queued=True, may_have_gone=True)
    office.verifier = answering(finding) if finding is not None else None
    row = await after(office, days=11)
    assert row is not None
    assert (row.state, row.code, row.may_have_gone) == ("review", "TooOld", True)


@pytest.mark.parametrize(("finding", "state"), [("sent", "sent"), ("waiting", "unknown")])
async def test_what_is_far_past_its_age_and_in_the_mailbox_is_no_persons(finding: Finding, state: State) -> None:
    office = await holding("unknown", queued=True)
    office.verifier = answering(finding)
    row = await after(office, days=11)
    assert row is not None
    assert row.state == state


@pytest.mark.parametrize("state", ["unknown", "accepted"])
async def test_what_ends_far_past_its_age_is_kept_where_its_mail_lies_in_a_blob(state: State) -> None:
    office = Office()
    large = outgoing_mail(size=100_000)
    await office.outbox.put(work(large), NOON, None, large)
    await office.ledger.write(replace(first_claim(work(large), NOON, Settings(), "token-1", queued=True), state=state))
    await after(office, days=11)
    kept = office.outbox.dead[large.id]
    assert (kept.kind, kept.reason, decode(kept.content)) == ("mail", "TooOld", large)


async def test_what_waits_for_its_time_does_not_age_before_it() -> None:
    row = await after(await holding("scheduled", queued=True, not_before=NOON + timedelta(days=40)), days=41)
    assert row is not None
    assert row.state == "scheduled"


async def test_the_age_of_what_waits_longest_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    office = await holding("accepted", queued=True)
    younger = replace(CLAIM, id="2" * 32, state="accepted", queued=True, accepted_at=NOON + timedelta(hours=1))
    await office.ledger.write(younger)
    with caplog.at_level("INFO", "mailroom"):
        await after(office, hours=2)
    said = json.loads(caplog.messages[-1])
    assert (said["event"], said["waiting"], said["oldest"]) == ("backlog.measured", 2, 7200.0)


async def test_an_ended_row_and_what_is_kept_of_it_go_when_the_retention_is_over() -> None:
    office = await holding("failed", settled_at=NOON)
    await office.outbox.set_aside(CLAIM, Kept("mail", "TooOld", b"{}"))
    assert await after(office, days=13) is not None
    assert office.outbox.dead
    assert await after(office, days=2) is None
    assert not office.outbox.dead


async def test_a_payload_of_an_ended_mail_goes_once_nothing_can_be_on_its_way() -> None:
    office = await holding("failed", settled_at=NOON)
    large = outgoing_mail(size=100_000)
    await office.outbox.put(work(large), NOON, None, large)
    await after(office, days=9)
    assert office.outbox.payloads
    await after(office, days=2)
    assert not office.outbox.payloads


async def test_a_payload_without_a_row_goes_only_when_it_has_been_nobodys_for_as_long_again() -> None:
    """Its message may have been put off for weeks, since a setting could not be used, and maintenance with it."""
    office = Office()
    large = outgoing_mail(size=100_000)
    put = (await office.outbox.put(work(large), NOON, None, large)).work
    await after(office, days=40)
    assert await office.outbox.mail_of(put) == large, "the setting is mended, and its message comes"
    await after(office, days=9)
    assert office.outbox.payloads
    await after(office, days=2)
    assert not office.outbox.payloads


async def test_what_a_producers_message_says_is_there_however_long_it_was_put_off() -> None:
    office = Office()
    message = ProducerMessage(v=1, id=CLAIM.id, queue="mail-outbox", inserted_at=NOON, body=b"x" * (BODY + 1))
    await office.outbox.retry_later(message, timedelta(minutes=5))
    [(_, text, _)] = office.outbox.returned
    await after(office, days=40)
    kept = parse_work(text)
    assert isinstance(kept, ProducerMessage)
    whole = await office.outbox.whole(kept)
    assert whole is not None
    assert whole.body == message.body


async def test_the_payload_of_an_open_row_stays() -> None:
    office = await holding("scheduled", queued=True, not_before=NOON + timedelta(days=40))
    large = outgoing_mail(size=100_000)
    await office.outbox.put(work(large), NOON, None, large)
    await after(office, days=30)
    assert office.outbox.payloads


async def test_two_runs_at_once_do_what_one_does() -> None:
    office = await holding("sending")
    office.clock.move(hours=2)
    maintenance = Maintenance(office.engine)
    assert await maintenance.run(ALL) == 1
    assert await maintenance.run(ALL) == 0
