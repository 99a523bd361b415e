"""What each answer of a mailbox, and each silence, means for a mail that may have gone."""

from copy import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery.retries import SKEW, Settled, settle
from shared.delivery.row import Row
from shared.delivery.verification import LONGEST_PAUSE, Finding, assess
from shared.graph.outcome import Interrupted, NotConnected, Outcome, Rejected, Throttled, Unanswered, Unknown
from shared.settings.config import OnUnknown, Settings
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
    finding: Finding | None, verifications: int = LAST_LOOK, jitter: float = 0.0, **changes: Any
) -> Settled | Row:
    return assess(replace(CLAIMED, verifications=verifications, **changes), finding, NOON, SETTINGS, jitter=jitter)


def settled(finding: Finding | None, **changes: Any) -> Settled:
    found = looked(finding, **changes)
    assert isinstance(found, Settled)
    return found


WAITS: Final[dict[str, object]] = {"state": "unknown"}
FAILED: Final[dict[str, object]] = {"state": "failed", "may_have_gone": False}
HELD: Final[dict[str, object]] = {"state": "review"}
ANSWERS: Final[dict[str, tuple[Finding | None, dict[str, Any], float | None, dict[str, object]]]] = {
    **{
        f"found at look {look}": ("sent", {"verifications": look}, None, {"state": "sent", "may_have_gone": False})
        for look in range(LAST_LOOK + 1)
    },
    # 15, 60 and 180 seconds after the attempt: copies appear late.
    "not found at the first": ("absent", {"verifications": 0}, 45, {**WAITS, "verifications": 1, "resends": 0}),
    "not found at the second": ("absent", {"verifications": 1}, 120, {**WAITS, "verifications": 2, "resends": 0}),
    "not found after the last attempt": ("absent", {"attempts": 20}, None, FAILED),
    "not found, too old": ("absent", {"accepted_at": OLD}, None, FAILED),
    # The draft of the second attempt says nothing of the first.
    "not asked for, after one resend": ("unsent", {"resends": 1, "attempts": 20, "verifications": 0}, None, HELD),
    "waits among drafts or in the outbox, at growing distances": (
        "waiting", {"accepted_at": NOON - timedelta(minutes=10)}, 300, {**WAITS, "verifications": 0},
    ),
    "waits there for long": ("waiting", {"accepted_at": OLD}, LONGEST_PAUSE, WAITS),
    "cannot be looked up, after one resend": (None, {"verifications": 0, "resends": 1}, None, HELD),
    **{
        f"no answer for the {number}. time": (
            Unanswered(TIMED_OUT), {"unanswered": number}, seconds, {**WAITS, "unanswered": number + 1},
        )
        for number, seconds in ((0, 15), (1, 30), (2, 60), (3, 120), (30, LONGEST_PAUSE))
    },
    "an answer begins the distances anew": ("absent", {"verifications": 0, "unanswered": 5}, 45, {"unanswered": 0}),
    "Graph says when": (Unanswered(Throttled(400.0)), {}, 400, WAITS),
    "Graph says when, with 503": (Unanswered(Unknown("status", 503, after=90.0)), {}, 90, WAITS),
    "looks do not come back together": (Unanswered(TIMED_OUT), {"jitter": 1.0}, 18, WAITS),
}  # fmt: skip


@pytest.mark.parametrize(("finding", "row", "seconds", "columns"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_says_and_when_the_mailbox_is_asked_again(
    finding: Finding | None, row: dict[str, Any], seconds: float | None, columns: dict[str, object]
) -> None:
    found = settled(finding, **row)
    assert found.again == found.row.due_at == (None if seconds is None else NOON + timedelta(seconds=seconds))
    assert {name: getattr(found.row, name) for name in columns} == columns


@pytest.mark.parametrize(("finding", "look"), [("absent", LAST_LOOK), *(("unsent", look) for look in range(3))])
def test_what_was_found_nowhere_at_the_last_look_or_was_never_asked_for_is_sent(finding: Finding, look: int) -> None:
    assert looked(finding, look) == replace(CLAIMED, verifications=0, may_have_gone=False)


def test_what_was_sent_once_more_without_being_looked_up_stays_in_doubt() -> None:
    draft = looked("absent", LAST_LOOK, resends=1, progress="draft")
    for again in (looked("unsent", 0, resends=1), draft):
        assert isinstance(again, Row)
        assert again.may_have_gone


@pytest.mark.parametrize(
    ("rule", "own"), [("resend", None), ("review", None), ("resend", "review"), ("review", "resend")]
)
def test_what_cannot_be_looked_up_is_for_the_policy_or_the_mails_own(rule: OnUnknown, own: OnUnknown | None) -> None:
    """A route that sends invoices may hold where all others send again."""
    found = assess(CLAIMED, None, NOON, Settings(on_unknown=rule), own)
    if (own or rule) == "resend":
        assert isinstance(found, Row)
        assert (found.resends, found.may_have_gone_twice) == (1, True)
    else:
        assert isinstance(found, Settled)
        assert (found.row.state, found.again) == ("review", None)


def test_what_leaves_the_outbox_may_be_nowhere_for_a_moment_so_its_looks_begin_anew() -> None:
    assert isinstance(assess(settled("waiting").row, "absent", NOON + MINUTE, SETTINGS), Settled)


@pytest.mark.parametrize("outcome", SILENCE.values(), ids=SILENCE)
@pytest.mark.parametrize("verifications", range(LAST_LOOK + 1))
def test_a_look_without_an_answer_is_repeated_and_counts_as_none(outcome: Outcome, verifications: int) -> None:
    again = settled(Unanswered(outcome), verifications=verifications)
    assert (again.row.state, again.row.verifications, again.row.unanswered) == ("unknown", verifications, 1)
    assert (again.row.resends, again.row.may_have_gone) == (0, True)
    assert again.again == again.row.due_at
    assert again.again is not None
    assert again.again >= NOON + timedelta(seconds=15)


@pytest.mark.parametrize("outcome", SILENCE.values(), ids=SILENCE)
@pytest.mark.parametrize("policy", ["resend", "review"])
def test_what_was_never_answered_until_the_mail_is_too_old_needs_a_person(outcome: Outcome, policy: OnUnknown) -> None:
    """Whatever the policy: it decides where a mailbox cannot be asked, not where it does not answer."""
    held = assess(replace(CLAIMED, accepted_at=OLD), Unanswered(outcome), NOON, Settings(on_unknown=policy))
    assert isinstance(held, Settled)
    assert (held.row.state, held.row.code, held.row.may_have_gone, held.again) == ("review", "Unverified", True, None)


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
