"""The tables of the delivery protocol, row by row."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.delivery.lease import lease_end
from shared.delivery.retries import SKEW, settle
from shared.delivery.row import ENDED, REPLAYABLE, Row, State
from shared.delivery.transitions import (
    Busy,
    Claim,
    Drop,
    Mismatch,
    PutAgain,
    decide,
    is_copy,
    meet,
)
from shared.graph.outcome import Interrupted, Rejected, Throttled
from shared.settings.config import Settings
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    NO_PERMISSION,
    NOON,
    NOT_CONNECTED,
    THROTTLED,
    TIMED_OUT,
    first_claim,
    work,
)

SETTINGS = Settings()
LEASE_ENDS = lease_end(NOON, SETTINGS)
FIRST_LOOK = LEASE_ENDS + timedelta(seconds=15)
LATER = NOON + timedelta(minutes=5)


def row(state: State, **changes: object) -> Row:
    claimed = first_claim(work(), NOON, SETTINGS, "token-1", queued=True)
    return replace(claimed, state=state, etag="1", **changes)  # type: ignore[arg-type] # by name


def test_a_mail_without_a_row_is_claimed_by_an_insert_and_sent() -> None:
    decision = decide(None, work(), NOON, SETTINGS, "token-2")
    assert isinstance(decision, Claim)
    assert (decision.row.state, decision.row.token, decision.row.etag) == ("sending", "token-2", "")
    assert decision.then == "send"


def test_a_mail_without_a_row_that_is_for_later_gets_one_so_that_it_can_be_seen_and_cancelled() -> None:
    decision = decide(None, work(not_before=LATER), NOON, SETTINGS, "t")
    assert isinstance(decision, PutAgain)
    assert decision.row is not None
    assert decision.due == decision.row.due_at == LATER
    assert (decision.row.state, decision.row.lease_until) == ("scheduled", None)


def test_a_mail_without_a_row_that_is_too_old_is_never_sent_as_new() -> None:
    decision = decide(None, work(), NOON + timedelta(hours=73), SETTINGS, "t")
    assert isinstance(decision, Row)
    assert (decision.state, decision.code) == ("failed", "TooOld")


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_mail_that_has_ended_drops_the_message(state: State) -> None:
    assert decide(row(state), work(), LATER, SETTINGS, "t") == Drop("ended")


def test_only_what_was_accepted_another_time_is_a_copy() -> None:
    """Not one message that is delivered twice, one of the mail's own wake-ups, nor an operator's."""
    again = work(accepted_at=LATER)
    assert is_copy(again, row("sent"))
    changes = ({"known": True}, {"replay": 1}, {"released": "token-1"}, {"fingerprint": "another"})
    others = [work(accepted_at=LATER, **change) for change in changes]
    assert not any(is_copy(one, row("sent")) for one in (work(), *others))


@pytest.mark.parametrize("state", sorted(REPLAYABLE))
def test_a_replay_begins_anew_once(state: State) -> None:
    ended = row(state, attempts=20, resends=1, replays=1, settled_at=NOON, code="ErrorQuotaExceeded")
    decision = decide(ended, work(replay=2), LATER, SETTINGS, "token-2")
    assert isinstance(decision, Claim)
    assert (decision.row.attempts, decision.row.resends, decision.row.replays) == (0, 0, 2)
    assert (decision.row.accepted_at, decision.row.settled_at, decision.then) == (LATER, None, "send")
    assert decide(ended, work(replay=1), LATER, SETTINGS, "t") == Drop("ended")


@pytest.mark.parametrize("state", ["accepted", "sending", "unknown", "sent"])
def test_another_body_under_the_same_key_drops_the_message(state: State) -> None:
    assert decide(row(state), work(fingerprint="another"), LATER, SETTINGS, "t") == Drop("other-body")


def test_a_living_attempt_puts_the_message_again_behind_its_lease() -> None:
    """Dropping it would lose the mail if that attempt dies."""
    assert decide(row("sending"), work(), NOON, SETTINGS, "t") == PutAgain(FIRST_LOOK)
    assert decide(row("sending"), work(released="another"), NOON, SETTINGS, "t") == PutAgain(FIRST_LOOK)


def test_a_claim_that_was_given_up_to_this_message_is_taken_at_once() -> None:
    decision = decide(row("sending"), work(released="token-1"), NOON, SETTINGS, "token-2")
    assert isinstance(decision, Claim)
    assert (decision.then, decision.row.token) == ("send", "token-2")


def test_a_lease_outlasts_a_request_that_begins_within_its_margin() -> None:
    assert lease_end(NOON, Settings(send_timeout=20, lease_margin=7)) == NOON + timedelta(seconds=27)


def test_an_attempt_whose_lease_is_over_may_have_sent_so_it_is_looked_at() -> None:
    decision = decide(row("sending"), work(), FIRST_LOOK, SETTINGS, "token-2")
    assert isinstance(decision, Claim)
    assert (decision.then, decision.row.token) == ("verify", "token-2")
    assert decision.row.may_have_gone
    assert decide(row("sending"), work(), LEASE_ENDS, SETTINGS, "t") == PutAgain(FIRST_LOOK)


def test_an_unknown_outcome_waits_for_its_look() -> None:
    waiting = row("unknown", due_at=LATER)
    assert decide(waiting, work(), NOON, SETTINGS, "t") == PutAgain(LATER)
    decision = decide(waiting, work(), LATER, SETTINGS, "t")
    assert isinstance(decision, Claim)
    assert decision.then == "verify"


@pytest.mark.parametrize("state", ["accepted", "scheduled"])
def test_an_accepted_mail_is_sent_when_it_is_due(state: State) -> None:
    waiting = row(state, due_at=LATER)
    assert decide(waiting, work(), NOON, SETTINGS, "t") == PutAgain(LATER)
    decision = decide(waiting, work(), LATER, SETTINGS, "t")
    assert isinstance(decision, Claim)
    assert (decision.then, decision.row.etag, decision.row.queued) == ("send", "1", True)


def test_an_accepted_mail_that_has_become_too_old_fails() -> None:
    decision = decide(row("accepted"), work(), NOON + timedelta(hours=73), SETTINGS, "t")
    assert isinstance(decision, Row)
    assert decision.state == "failed"


# The outcome of an attempt.

CLAIMED = row("sending")


def test_accepted_is_sent() -> None:
    settled = settle(CLAIMED, ACCEPTED, LATER, SETTINGS)
    assert settled.again is None
    assert (settled.row.state, settled.row.status, settled.row.attempts, settled.row.request_id) == (
        "sent",
        202,
        1,
        "r",
    )
    assert settled.row.settled_at == LATER


def test_a_throttle_waits_as_long_as_graph_says_and_counts_nothing() -> None:
    settled = settle(CLAIMED, THROTTLED, NOON, SETTINGS)
    assert (settled.row.state, settled.row.attempts) == ("accepted", 0)
    assert settled.again == settled.row.due_at == NOON + timedelta(seconds=2.5)


def test_jitter_only_ever_lengthens_a_delay_by_up_to_a_fifth() -> None:
    """Mails that were refused together must not come back together."""
    assert settle(CLAIMED, Throttled(10), NOON, SETTINGS, jitter=1.0).again == NOON + timedelta(seconds=12)


def test_no_connection_is_tried_again_at_growing_distances_and_counts_nothing() -> None:
    again = [settle(CLAIMED, NOT_CONNECTED, NOON + timedelta(seconds=age), SETTINGS) for age in (0, 60, 36000)]
    distances = [(one.again - NOON).total_seconds() if one.again else None for one in again]
    assert distances == [5, 60 + 30, 36000 + 600]
    assert {one.row.attempts for one in again} == {0}


def test_what_was_interrupted_before_it_was_sent_counts_and_is_tried_again_soon() -> None:
    """It did not go: nothing is to be looked for."""
    settled = settle(CLAIMED, Interrupted("upload", 503, after=25.0), NOON, SETTINGS)
    assert (settled.row.state, settled.row.attempts, settled.row.may_have_gone) == ("accepted", 1, False)
    assert (settled.row.status, settled.row.code) == (503, "upload")
    assert settled.again == NOON + timedelta(seconds=25)
    soon = settle(CLAIMED, Interrupted("draft", 409, "ErrorIrresolvableConflict"), NOON, SETTINGS)
    assert (soon.row.code, soon.again) == ("ErrorIrresolvableConflict", NOON + timedelta(seconds=10))
    last = settle(replace(CLAIMED, attempts=19), Interrupted("upload"), NOON, SETTINGS)
    assert (last.row.state, last.again) == ("failed", None)


def test_a_permanent_rejection_ends_the_mail() -> None:
    settled = settle(CLAIMED, BAD_RECIPIENT, NOON, SETTINGS)
    assert settled.again is None
    assert (settled.row.state, settled.row.status, settled.row.code) == ("failed", 400, "ErrorInvalidRecipients")


@pytest.mark.parametrize("outcome", [NO_PERMISSION, Rejected(400, "ErrorQuotaExceeded", "quota")])
def test_what_an_operator_can_heal_is_tried_again_for_the_bounded_time(outcome: Rejected) -> None:
    settled = settle(CLAIMED, outcome, NOON, SETTINGS)
    assert (settled.row.state, settled.row.attempts) == ("accepted", 1)
    assert settled.again == NOON + timedelta(seconds=60)
    last = settle(replace(CLAIMED, attempts=SETTINGS.max_attempts - 1), outcome, NOON, SETTINGS)
    assert (last.row.state, last.row.code, last.again) == ("failed", outcome.code, None)
    old = settle(CLAIMED, outcome, NOON + timedelta(hours=73), SETTINGS)
    assert old.row.state == "failed"


def test_a_mailbox_at_its_daily_limit_is_parked_for_an_hour() -> None:
    settled = settle(CLAIMED, Rejected(403, "ErrorExceededMessageLimit", "limit"), NOON, SETTINGS)
    assert settled.again == NOON + timedelta(hours=1)


def test_an_unknown_outcome_is_not_looked_at_before_the_lease_is_over() -> None:
    """The answer, or the request itself, may still be on its way until then."""
    settled = settle(CLAIMED, TIMED_OUT, NOON, SETTINGS)
    assert (settled.row.state, settled.row.attempts) == ("unknown", 1)
    assert settled.again == settled.row.due_at == FIRST_LOOK


# A direct request whose key is known.


def same(known: Row, now: object = NOON) -> object:
    return meet(known, known.fingerprint, NOON if now is NOON else LATER, "token-2")


def test_another_body_under_the_same_key_is_a_mismatch() -> None:
    assert meet(row("sent"), "another", NOON, "t") == Mismatch()


@pytest.mark.parametrize("state", ["sent", "review", "cancelled", "suppressed", "captured"])
def test_an_ended_mail_is_answered_without_sending(state: State) -> None:
    assert same(row(state, queued=False)) == row(state, queued=False)


@pytest.mark.parametrize("state", ["accepted", "scheduled", "unknown", "sending"])
def test_a_mail_safe_in_the_queue_is_answered_without_sending(state: State) -> None:
    assert same(row(state)) == row(state)


def test_a_living_attempt_of_another_request_is_busy() -> None:
    reply = same(row("sending", queued=False))
    assert reply == Busy((LEASE_ENDS + SKEW - NOON).total_seconds())


@pytest.mark.parametrize("state", ["sending", "unknown"])
def test_an_attempt_that_died_is_taken_over_as_what_may_have_gone(state: State) -> None:
    reply = same(row(state, queued=False), LATER)
    assert isinstance(reply, Claim)
    assert (reply.row.token, reply.row.state, reply.then) == ("token-2", "sending", "verify")


def test_a_failed_mail_may_be_tried_again_from_the_start() -> None:
    reply = same(row("failed", attempts=20, code="ErrorQuotaExceeded"), LATER)
    assert isinstance(reply, Claim)
    assert (reply.row.attempts, reply.row.accepted_at, reply.row.code) == (0, LATER, None)


@pytest.mark.parametrize("state", ["failed", "review"])
def test_a_mail_whose_attempt_was_abandoned_may_have_gone(state: State) -> None:
    """Nobody was told anything of it: with its caller its mail comes again, and it is looked for."""
    reply = same(row(state, queued=False, code="Abandoned"), LATER)
    assert isinstance(reply, Claim)
    assert reply.then == "verify"
