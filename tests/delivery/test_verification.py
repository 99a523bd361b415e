"""What each answer of a mailbox, and each silence, means for a mail that may have gone."""

from copy import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery.retries import SKEW, Settled, settle
from shared.delivery.row import Row
from shared.delivery.verification import LONGEST_PAUSE, Finding, assess
from shared.graph.outcome import Interrupted, NotConnected, Outcome, Rejected, Throttled, Unanswered, Unknown
from shared.settings.config import Settings
from tests.delivery.samples import NOON, TIMED_OUT, first_claim, work

SETTINGS: Final = Settings()
CLAIMED: Final = replace(first_claim(work(), NOON, SETTINGS, "token-1", queued=True), etag="1", may_have_gone=True)
LAST_LOOK: Final = len(SETTINGS.verify_delays) - 1
OLD: Final = NOON - timedelta(hours=73)
MINUTE: Final = timedelta(minutes=1)


def refused(token_at: datetime | None, status: int = 403) -> Unanswered:
    return Unanswered(Rejected(status, "ErrorAccessDenied", "permission", token_at=token_at))


SILENCE: Final[dict[str, Outcome]] = {
    "429": Throttled(None),
    "503": Unknown("status", 503),
    "time-out": Unknown("timeout"),
    "broken": Unknown("connection"),
    "garbage": Unknown("status", 200),
    "no connection": NotConnected("connect"),
    "no token": NotConnected("identity"),
    "401": Rejected(401, "InvalidAuthenticationToken", "permission", token_at=NOON + timedelta(days=1)),
    "403, once": Rejected(403, "ErrorAccessDenied", "permission", token_at=NOON + timedelta(days=1)),
    "404": Rejected(404, "ErrorInvalidUser", "permanent"),
    "limit": Rejected(403, "ErrorExceededMessageLimit", "limit", token_at=NOON + timedelta(days=1)),
    "draft": Interrupted("draft", 503),
}


def looked(
    finding: Finding | None, verifications: int = LAST_LOOK, settings: Settings = SETTINGS, **changes: object
) -> object:
    return assess(replace(CLAIMED, verifications=verifications, **changes), finding, NOON, settings)  # type: ignore[arg-type] # by name


def settled(finding: Finding | None, verifications: int = LAST_LOOK, **changes: object) -> Settled:
    found = looked(finding, verifications, SETTINGS, **changes)
    assert isinstance(found, Settled)
    return found


def test_what_cannot_be_looked_up_is_sent_once_more_then_held() -> None:
    again = looked(None, verifications=0)
    assert isinstance(again, Row)
    assert (again.resends, again.may_have_gone_twice) == (1, True)
    held = settled(None, verifications=0, resends=1)
    assert (held.row.state, held.again) == ("review", None)


def test_what_cannot_be_looked_up_is_review_at_once_where_the_policy_says_hold() -> None:
    held = looked(None, settings=Settings(on_unknown="review"))
    assert isinstance(held, Settled)
    assert held.row.state == "review"


def test_the_choice_can_be_the_mails_own() -> None:
    """A route that sends invoices may hold where all others send again."""
    held = assess(CLAIMED, None, NOON, SETTINGS, "review")
    assert isinstance(held, Settled)
    assert held.row.state == "review"
    assert isinstance(assess(CLAIMED, None, NOON, Settings(on_unknown="review"), "resend"), Row)


@pytest.mark.parametrize("verifications", range(LAST_LOOK + 1))
def test_a_copy_found_is_sent_at_any_look_and_in_doubt_no_more(verifications: int) -> None:
    found = settled("sent", verifications)
    assert (found.row.state, found.row.may_have_gone, found.again) == ("sent", False, None)


def test_a_copy_not_found_is_looked_for_again_at_the_given_times() -> None:
    """15, 60 and 180 seconds after the attempt: copies appear late."""
    for verifications, distance in ((0, 45), (1, 120)):
        waiting = settled("absent", verifications)
        assert (waiting.row.state, waiting.row.verifications, waiting.row.resends) == ("unknown", verifications + 1, 0)
        assert waiting.again == waiting.row.due_at == NOON + timedelta(seconds=distance)


def test_a_copy_found_nowhere_at_the_last_look_is_sent_again() -> None:
    assert looked("absent") == replace(CLAIMED, verifications=0, may_have_gone=False)


@pytest.mark.parametrize("verifications", [0, 1, 2])
def test_what_was_not_even_asked_for_is_sent_without_waiting_for_more_looks(verifications: int) -> None:
    assert looked("unsent", verifications) == replace(CLAIMED, verifications=0, may_have_gone=False)


def test_what_was_sent_once_more_without_being_looked_up_stays_in_doubt() -> None:
    """The draft of the second attempt says nothing of the first."""
    again = looked("unsent", 0, resends=1)
    assert isinstance(again, Row)
    assert again.may_have_gone
    assert settled("unsent", 0, resends=1, attempts=20).row.state == "review"


def test_a_copy_found_nowhere_after_the_last_attempt_fails_the_mail() -> None:
    for failed in (settled("absent", attempts=20), settled("absent", accepted_at=OLD)):
        assert (failed.row.state, failed.row.may_have_gone, failed.again) == ("failed", False, None)


def test_a_copy_among_drafts_or_in_the_outbox_is_waited_for_at_growing_distances() -> None:
    waiting = settled("waiting", verifications=2, accepted_at=NOON - timedelta(minutes=10))
    assert (waiting.row.state, waiting.again) == ("unknown", NOON + timedelta(minutes=5))
    late = settled("waiting", accepted_at=OLD)
    assert late.again == NOON + timedelta(seconds=LONGEST_PAUSE)


def test_what_leaves_the_outbox_may_be_nowhere_for_a_moment_so_its_looks_begin_anew() -> None:
    waiting = settled("waiting", verifications=LAST_LOOK)
    assert isinstance(assess(waiting.row, "absent", NOON + MINUTE, SETTINGS), Settled)


# No answer.


@pytest.mark.parametrize("outcome", SILENCE.values(), ids=SILENCE)
@pytest.mark.parametrize("verifications", range(LAST_LOOK + 1))
def test_a_look_without_an_answer_is_repeated_and_counts_as_none(outcome: Outcome, verifications: int) -> None:
    again = settled(Unanswered(outcome), verifications)
    assert (again.row.state, again.row.verifications, again.row.unanswered) == ("unknown", verifications, 1)
    assert (again.row.resends, again.row.may_have_gone) == (0, True)
    assert again.again == again.row.due_at
    assert again.again is not None
    assert again.again >= NOON + timedelta(seconds=15)


@pytest.mark.parametrize("outcome", SILENCE.values(), ids=SILENCE)
@pytest.mark.parametrize("policy", ["resend", "review"])
def test_what_was_never_answered_until_the_mail_is_too_old_needs_a_person(outcome: Outcome, policy: str) -> None:
    """Whatever the policy: it decides where a mailbox cannot be asked, not where it does not answer."""
    rules = Settings(on_unknown="review" if policy == "review" else "resend")
    held = looked(Unanswered(outcome), settings=rules, accepted_at=OLD)
    assert isinstance(held, Settled)
    assert (held.row.state, held.row.code, held.row.may_have_gone, held.again) == ("review", "Unverified", True, None)


def test_the_distances_double_and_end_at_half_an_hour() -> None:
    distances = [settled(Unanswered(TIMED_OUT), unanswered=n).again for n in (0, 1, 2, 3, 30)]
    assert [(at - NOON).total_seconds() for at in distances if at] == [15, 30, 60, 120, LONGEST_PAUSE]


def test_an_answer_begins_the_distances_anew() -> None:
    assert settled("absent", verifications=0, unanswered=5).row.unanswered == 0


def test_where_graph_says_when_it_is_not_asked_before() -> None:
    assert settled(Unanswered(Throttled(400.0))).again == NOON + timedelta(seconds=400)
    assert settled(Unanswered(Unknown("status", 503, after=90.0))).again == NOON + timedelta(seconds=90)


def test_looks_that_had_no_answer_together_do_not_come_back_together() -> None:
    again = assess(CLAIMED, Unanswered(TIMED_OUT), NOON, SETTINGS, jitter=1.0)
    assert isinstance(again, Settled)
    assert again.again == NOON + timedelta(seconds=18)


# What cannot be asked.


def test_a_mailbox_cannot_be_asked_when_403_repeats_with_a_token_of_after_the_first() -> None:
    once = settled(refused(NOON - MINUTE)).row
    assert once.due_at == NOON + MINUTE, "a new token is not asked for more often"
    later = NOON + 2 * MINUTE
    stale = assess(once, refused(NOON - MINUTE), later, SETTINGS)
    assert isinstance(stale, Settled)
    assert (stale.row.state, stale.row.new_token_from) == ("unknown", NOON + SKEW)
    resent = assess(stale.row, refused(NOON + MINUTE), later, SETTINGS)
    assert isinstance(resent, Row)
    assert (resent.resends, resent.new_token_from) == (1, None)


def test_401_never_means_that_it_cannot_be_asked() -> None:
    once = settled(refused(NOON, 401)).row
    for status in (401, 403):
        twice = assess(once, refused(NOON + 5 * MINUTE, status), NOON + 6 * MINUTE, SETTINGS)
        assert isinstance(twice, Settled)
        assert twice.row.state == "unknown"


def test_an_answer_takes_back_a_refusal() -> None:
    once = settled(refused(NOON)).row
    answered = assess(replace(once, verifications=0), "absent", NOON + MINUTE, SETTINGS)
    assert isinstance(answered, Settled)
    again = assess(answered.row, refused(NOON + 5 * MINUTE), NOON + 6 * MINUTE, SETTINGS)
    assert isinstance(again, Settled)
    assert again.row.state == "unknown"


# Whatever comes in whatever order.

ROWS = st.builds(
    replace,
    st.just(CLAIMED),
    verifications=st.integers(0, 5),
    unanswered=st.integers(0, 40),
    resends=st.integers(0, 1),
    attempts=st.integers(0, 25),
    accepted_at=st.timedeltas(timedelta(days=-9), timedelta(0)).map(lambda age: NOON + age),
    new_token_from=st.none() | st.just(NOON - MINUTE),
    progress=st.sampled_from([None, "{}"]),
)
NEVER_CANNOT = [outcome for name, outcome in SILENCE.items() if name != "403, once"]


@given(ROWS, st.sampled_from(NEVER_CANNOT), st.sampled_from(["resend", "review", None]), st.floats(0, 1))
def test_no_silence_is_ever_followed_by_a_sending(row: Row, outcome: Outcome, policy: None, jitter: float) -> None:
    seen = assess(row, Unanswered(outcome), NOON, SETTINGS, policy, jitter=jitter)
    assert isinstance(seen, Settled)
    assert seen.row.state in ("unknown", "review")
    assert seen.row.may_have_gone
    assert (seen.row.state == "unknown") == (seen.again is not None)
    assert seen.again is None or seen.again > NOON


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*SILENCE.values(), "absent", "waiting"]), max_size=30), st.floats(0, 1))
def test_a_mail_is_sent_again_only_after_as_many_answers_in_a_row_as_there_are_delays(
    findings: list[Outcome | Finding], jitter: float
) -> None:
    """However many looks go unanswered in between. (403 counts here as one with a token that is never new.)"""
    row, now, absent = CLAIMED, NOON, 0
    for finding in findings:
        asked = finding if isinstance(finding, str) else Unanswered(_stale(finding))
        seen = assess(row, asked, now, SETTINGS, jitter=jitter)
        absent = {"absent": absent + 1, "waiting": 0}.get(str(finding), absent)
        if isinstance(seen, Row):
            assert (finding, absent) == ("absent", len(SETTINGS.verify_delays))
            return
        assert seen.again is not None
        row, now = replace(seen.row, state="sending"), seen.again


def _stale(outcome: Outcome | Finding) -> Outcome:
    assert not isinstance(outcome, str | Unanswered)
    return replace(outcome, token_at=NOON - MINUTE) if isinstance(outcome, Rejected) else outcome


def test_a_new_attempt_begins_its_looks_anew() -> None:
    row = replace(CLAIMED, verifications=2, unanswered=7, new_token_from=NOON)
    asked = settle(row, TIMED_OUT, NOON, SETTINGS).row
    assert (asked.verifications, asked.unanswered, asked.new_token_from) == (0, 0, None)
