"""What no message comes by for is ended, looked up or removed; nothing that is still on its way is touched."""

import json
from copy import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from shared.delivery.ledger import PARTITIONS
from shared.delivery.maintenance import RUNS_AN_HOUR, Maintenance, partitions_of_run
from shared.delivery.queue import BODY, Kept
from shared.delivery.queue_messages import ProducerMessage, Work, parse_work
from shared.delivery.row import State
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
    answering,
    first_claim,
    outgoing_mail,
    work,
)

ALL: Final = range(PARTITIONS)
CLAIM: Final = first_claim(work(), NOON, Settings(), "token-1", queued=False)
LARGE: Final = outgoing_mail(size=100_000)
HOUR: Final = 1 / 24
IN_40_DAYS: Final = NOON + timedelta(days=40)
QUEUED: Final[dict[str, Any]] = {"queued": True}
DOUBTED: Final[dict[str, Any]] = {"queued": True, "may_have_gone": True}
STATE: Final[list[State]] = ["sending", "unknown", "accepted"]
NEEDS_A_PERSON: Final = {"state": "review", "code": "TooOld", "may_have_gone": True}


async def holding(state: State, **changes: Any) -> Office:
    office = Office()
    await office.ledger.write(replace(CLAIM, state=state, **changes))
    return office


# A row, what its mailbox says (None: nobody asks it), and after how many days what has become of it.
type Life = tuple[State, dict[str, Any], Finding | None, dict[float, dict[str, Any]]]
LIVES: Final[dict[str, Life]] = {
    "nobody was told of it": (
        "sending", {}, None, {50 / 1440: {"state": "sending"}, 80 / 1440: {"state": "failed", "code": "Abandoned"}},
    ),
    "nobody was told of it, and it was found": (
        "unknown", {}, "sent", {2 * HOUR: {"state": "sent", "may_have_gone": False}},
    ),
    "nobody was told of it, and it was not found": (
        "unknown", {}, "absent", {2 * HOUR: {"state": "failed", "may_have_gone": True}},
    ),
    **{
        f"nobody was told of it, nor maintenance: {finding}": (
            "sending", {}, finding, {
                **{hours * HOUR: {"state": "sending"} for hours in (2, 4, 6)},
                76 * HOUR: {"state": "review", "code": "Abandoned", "may_have_gone": True},
            },
        )
        for finding in (Unanswered(THROTTLED), Unanswered(NO_PERMISSION), "waiting")
    },
    **{f"{state} in the queue": (state, QUEUED, None, {71 * HOUR: {"state": state}}) for state in STATE},
    # No message can come for it any more; it must not vanish without a word.
    "accepted, far past its age": ("accepted", QUEUED, None, {11: {"state": "failed", "code": "TooOld"}}),
    "scheduled, far past its age": ("scheduled", QUEUED, None, {11: {"state": "failed", "code": "TooOld"}}),
    **{
        f"{state}, may have gone, far past its age: {finding}": (state, DOUBTED, finding, {11: NEEDS_A_PERSON})
        for finding in ("absent", Unanswered(TIMED_OUT), Unanswered(NO_PERMISSION), None)
        for state in STATE
    },
    "far past its age, found": ("unknown", QUEUED, "sent", {11: {"state": "sent"}}),
    "far past its age, on its way": ("unknown", QUEUED, "waiting", {11: {"state": "unknown"}}),
    "for later: it does not age before": (
        "scheduled", QUEUED | {"not_before": IN_40_DAYS}, None, {41: {"state": "scheduled"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("state", "changes", "finding", "later"), LIVES.values(), ids=LIVES)
async def test_what_becomes_of_a_row_that_no_message_comes_for(
    state: State, changes: dict[str, Any], finding: Finding | None, later: dict[float, dict[str, Any]]
) -> None:
    office = await holding(state, **changes)
    office.verifier = answering(finding) if finding is not None else None
    for days, columns in later.items():
        office.clock.at = NOON + timedelta(days=days)
        await office.maintain()
        row = await office.row()
        assert {name: getattr(row, name) for name in columns} == columns


def test_every_partition_has_its_turn_once_an_hour() -> None:
    turns = [partitions_of_run(NOON + timedelta(minutes=5 * run)) for run in range(RUNS_AN_HOUR)]
    assert sorted(number for turn in turns for number in turn) == list(ALL)


@pytest.mark.parametrize("state", ["unknown", "accepted"])
async def test_what_ends_far_past_its_age_is_kept_where_its_mail_lies_in_a_blob(state: State) -> None:
    office = await holding(state, queued=True, fingerprint=LARGE.fingerprint)
    await put(office)
    await office.maintain(days=11)
    kept = office.outbox.dead[LARGE.id]
    assert (kept.kind, kept.reason, decode(kept.content)) == ("mail", "TooOld", LARGE)


async def test_the_age_of_what_waits_longest_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    office = await holding("accepted", queued=True)
    younger = replace(CLAIM, id="2" * 32, state="accepted", queued=True, accepted_at=NOON + timedelta(hours=1))
    await office.ledger.write(younger)
    with caplog.at_level("INFO", "mailroom"):
        await office.maintain(hours=2)
    said = json.loads(caplog.messages[-1])
    assert (said["event"], said["waiting"], said["oldest"]) == ("backlog.measured", 2, 7200.0)


async def test_an_ended_row_and_what_is_kept_of_it_go_when_the_retention_is_over() -> None:
    office = await holding("failed", settled_at=NOON)
    await office.outbox.set_aside(CLAIM, Kept("mail", "TooOld", b"{}"))
    for days, there in ((13, True), (2, False)):
        await office.maintain(days=days)
        assert (await office.ledger.read(CLAIM.id) is not None, bool(office.outbox.dead)) == (there, there)


async def put(office: Office) -> Work:
    """A mail that does not fit into its message."""
    return (await office.outbox.put(work(LARGE), NOON, None, LARGE)).work


async def test_a_payload_of_an_ended_mail_goes_once_nothing_can_be_on_its_way_and_that_of_an_open_one_stays() -> None:
    office = await holding("failed", settled_at=NOON)
    await put(office)
    for days, there in ((9, True), (2, False)):
        await office.maintain(days=days)
        assert bool(office.outbox.payloads) == there
    office = await holding("scheduled", queued=True, not_before=IN_40_DAYS)
    await put(office)
    await office.maintain(days=30)
    assert office.outbox.payloads


async def test_a_payload_without_a_row_goes_only_when_it_has_been_nobodys_for_as_long_again() -> None:
    """Its message may have been put off for weeks, since a setting could not be used, and maintenance with it."""
    office = Office()
    message = await put(office)
    await office.maintain(days=40)
    assert await office.outbox.mail_of(message) == LARGE, "the setting is mended, and its message comes"
    for days, there in ((9, True), (2, False)):
        await office.maintain(days=days)
        assert bool(office.outbox.payloads) == there


async def test_what_a_producers_message_says_is_there_however_long_it_was_put_off() -> None:
    office = Office()
    message = ProducerMessage(v=1, id=CLAIM.id, queue="mail-outbox", inserted_at=NOON, body=b"x" * (BODY + 1))
    await office.outbox.retry_later(message, timedelta(minutes=5))
    [(_, text, _)] = office.outbox.returned
    await office.maintain(days=40)
    kept = parse_work(text)
    assert isinstance(kept, ProducerMessage)
    whole = await office.outbox.whole(kept)
    assert whole is not None
    assert whole.body == message.body


async def test_two_runs_at_once_do_what_one_does() -> None:
    office = await holding("sending")
    office.clock.move(hours=2)
    assert [await Maintenance(office.engine).run(ALL) for _ in range(2)] == [1, 0]
