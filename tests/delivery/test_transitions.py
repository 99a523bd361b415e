"""The tables of the delivery protocol, row by row."""

from copy import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from shared.delivery import row as rows
from shared.delivery.lease import lease_end
from shared.delivery.retries import SKEW, settle
from shared.delivery.row import ENDED, REPLAYABLE, Row, State
from shared.delivery.transitions import Busy, Claim, Drop, Mismatch, PutAgain, decide, is_copy, meet
from shared.graph.outcome import Interrupted, Outcome, Rejected, Throttled
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

SETTINGS: Final = Settings()
LEASE_ENDS: Final = lease_end(NOON, SETTINGS)
FIRST_LOOK: Final = LEASE_ENDS + timedelta(seconds=15)
LATER: Final = NOON + timedelta(minutes=5)
OLD: Final = NOON + timedelta(hours=73)
NEW: Final = "token-2"


def row(state: State, **changes: Any) -> Row:
    return replace(first_claim(work(), NOON, SETTINGS, "token-1", queued=True), state=state, etag="1", **changes)


def check(found: object, expected: object) -> None:
    """expected: the whole answer; or what follows a claim, and some of its columns; or some columns of a row."""
    then, columns = expected if isinstance(expected, tuple) else (None, expected)
    if not isinstance(columns, dict):
        assert found == expected
        return
    assert isinstance(found, Row if then is None else Claim)
    if isinstance(found, Claim):
        assert found.then == then
        found = found.row
    assert {name: getattr(found, name) for name in columns} == columns


def scheduled() -> PutAgain:
    made = rows.first_claim(work(not_before=LATER), NEW, queued=True)
    return PutAgain(LATER, replace(made, state="scheduled", due_at=LATER))


def again(state: State) -> Row:
    return row(state, attempts=20, resends=1, replays=1, settled_at=NOON, code="ErrorQuotaExceeded")


ANEW: Final = {"attempts": 0, "resends": 0, "replays": 2, "accepted_at": LATER, "settled_at": None}
# What there is, what the message says, when, and what a worker does with it.
MESSAGES: Final[dict[str, tuple[Row | None, dict[str, Any], datetime, object]]] = {
    "no row: claimed by an insert": (None, {}, NOON, ("send", {"state": "sending", "token": NEW, "etag": ""})),
    "no row, for later: gets one, so that it can be seen and cancelled": (
        None, {"not_before": LATER}, NOON, scheduled(),
    ),
    "no row, too old: never sent as new": (None, {}, OLD, {"state": "failed", "code": "TooOld"}),
    **{f"{state}: over": (row(state), {}, LATER, Drop("ended")) for state in sorted(ENDED)},
    **{f"{state}: replayed": (again(state), {"replay": 2}, LATER, ("send", ANEW)) for state in sorted(REPLAYABLE)},
    **{f"{state}: replayed once": (again(state), {"replay": 1}, LATER, Drop("ended")) for state in sorted(REPLAYABLE)},
    "another body, accepted": (row("accepted"), {"fingerprint": "another"}, LATER, Drop("other-body")),
    "another body, sending": (row("sending"), {"fingerprint": "another"}, LATER, Drop("other-body")),
    "another body, unknown": (row("unknown"), {"fingerprint": "another"}, LATER, Drop("other-body")),
    "another body, sent": (row("sent"), {"fingerprint": "another"}, LATER, Drop("other-body")),
    # To drop the message of a living attempt would lose the mail if that attempt dies.
    "a living attempt": (row("sending"), {}, NOON, PutAgain(FIRST_LOOK)),
    "a living attempt, its lease just over": (row("sending"), {}, LEASE_ENDS, PutAgain(FIRST_LOOK)),
    "a living attempt, another one given up": (row("sending"), {"released": "another"}, NOON, PutAgain(FIRST_LOOK)),
    "given up to this message": (row("sending"), {"released": "token-1"}, NOON, ("send", {"token": NEW})),
    "an attempt that may have sent": (
        row("sending"), {}, FIRST_LOOK, ("verify", {"token": NEW, "may_have_gone": True}),
    ),
    "unknown, not due": (row("unknown", due_at=LATER), {}, NOON, PutAgain(LATER)),
    "unknown, due": (row("unknown", due_at=LATER), {}, LATER, ("verify", {})),
    "accepted, not due": (row("accepted", due_at=LATER), {}, NOON, PutAgain(LATER)),
    "accepted, due": (row("accepted", due_at=LATER), {}, LATER, ("send", {"etag": "1", "queued": True})),
    "scheduled, not due": (row("scheduled", due_at=LATER), {}, NOON, PutAgain(LATER)),
    "scheduled, due": (row("scheduled", due_at=LATER), {}, LATER, ("send", {"etag": "1", "queued": True})),
    "accepted, too old": (row("accepted"), {}, OLD, {"state": "failed"}),
}  # fmt: skip


@pytest.mark.parametrize(("there", "says", "now", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_what_a_worker_does_with_a_message(
    there: Row | None, says: dict[str, Any], now: datetime, expected: object
) -> None:
    check(decide(there, work(**says), now, SETTINGS, NEW), expected)


def test_only_what_was_accepted_another_time_is_a_copy() -> None:
    """Not one message that is delivered twice, one of the mail's own wake-ups, nor an operator's."""
    assert is_copy(work(accepted_at=LATER), row("sent"))
    changes = ({"known": True}, {"replay": 1}, {"released": "token-1"}, {"fingerprint": "another"})
    others = [work(accepted_at=LATER, **change) for change in changes]
    assert not any(is_copy(one, row("sent")) for one in (work(), *others))


def test_a_lease_outlasts_a_request_that_begins_within_its_margin() -> None:
    assert lease_end(NOON, Settings(send_timeout=20, lease_margin=7)) == NOON + timedelta(seconds=27)


QUOTA: Final = Rejected(400, "ErrorQuotaExceeded", "quota")
NEARLY: Final = SETTINGS.max_attempts - 1
COUNTED: Final = {"state": "accepted", "attempts": 1}
UNCOUNTED: Final = {"state": "accepted", "attempts": 0}
# What a claimed row has of attempts and age (in seconds), the outcome, in how many seconds the mail is tried again or
# looked for (None: it has ended), and some of its columns then.
OUTCOMES: Final[dict[str, tuple[int, float, Outcome, float | None, dict[str, object]]]] = {
    "accepted": (
        0, 0, ACCEPTED, None, {"state": "sent", "status": 202, "attempts": 1, "request_id": "r", "settled_at": NOON},
    ),
    "throttled, as long as Graph says": (0, 0, THROTTLED, 2.5, UNCOUNTED),
    "no connection": (0, 0, NOT_CONNECTED, 5, UNCOUNTED),
    "no connection after a minute": (0, 60, NOT_CONNECTED, 30, UNCOUNTED),
    "no connection for hours": (0, 36_000, NOT_CONNECTED, 600, UNCOUNTED),
    # It did not go: nothing is to be looked for.
    "interrupted": (
        0, 0, Interrupted("upload", 503, after=25.0), 25,
        {**COUNTED, "may_have_gone": False, "status": 503, "code": "upload"},
    ),
    "interrupted, soon again": (
        0, 0, Interrupted("draft", 409, "ErrorIrresolvableConflict"), 10, {"code": "ErrorIrresolvableConflict"},
    ),
    "interrupted the last time": (19, 0, Interrupted("upload"), None, {"state": "failed"}),
    "permanent": (
        0, 0, BAD_RECIPIENT, None, {"state": "failed", "status": 400, "code": "ErrorInvalidRecipients"},
    ),
    "what an operator can heal: a permission": (0, 0, NO_PERMISSION, 60, COUNTED),
    "the last time": (NEARLY, 0, NO_PERMISSION, None, {"state": "failed", "code": "ErrorAccessDenied"}),
    "too old": (0, 73 * 3600, NO_PERMISSION, None, {"state": "failed"}),
    "what an operator can heal: a quota": (0, 0, QUOTA, 60, COUNTED),
    "a quota, the last time": (NEARLY, 0, QUOTA, None, {"state": "failed", "code": "ErrorQuotaExceeded"}),
    "a quota, too old": (0, 73 * 3600, QUOTA, None, {"state": "failed"}),
    "the daily limit": (0, 0, Rejected(403, "ErrorExceededMessageLimit", "limit"), 3600, COUNTED),
    # The answer, or the request itself, may still be on its way until the lease is over.
    "unknown": (0, 0, TIMED_OUT, (FIRST_LOOK - NOON).total_seconds(), {"state": "unknown", "attempts": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("attempts", "age", "outcome", "seconds", "columns"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_follows_an_attempt(
    attempts: int, age: float, outcome: Outcome, seconds: float | None, columns: dict[str, object]
) -> None:
    now = NOON + timedelta(seconds=age)
    settled = settle(row("sending", attempts=attempts), outcome, now, SETTINGS)
    assert settled.again == settled.row.due_at == (None if seconds is None else now + timedelta(seconds=seconds))
    check(settled.row, columns)


def test_jitter_only_ever_lengthens_a_delay_by_up_to_a_fifth() -> None:
    """Mails that were refused together must not come back together."""
    assert settle(row("sending"), Throttled(10), NOON, SETTINGS, jitter=1.0).again == NOON + timedelta(seconds=12)


TAKEN_OVER: Final = ("verify", {"token": NEW, "state": "sending"})
SAFE: Final[list[State]] = ["accepted", "scheduled", "unknown", "sending"]
# The row of a key that came again, and what its caller is answered five minutes later. A row: as the first time.
KEYS: Final[dict[str, tuple[Row, object]]] = {
    **{f"{state}: ended": (row(state, queued=False),) * 2 for state in sorted(ENDED - {"failed"})},
    **{f"{state}: safe in the queue": (row(state),) * 2 for state in SAFE},
    "a living attempt of another request": (
        row("sending", queued=False, lease_until=LATER), Busy(SKEW.total_seconds()),
    ),
    # An attempt that died may have sent; nobody was told anything of what was abandoned, so its mail comes again.
    "sending, dead": (row("sending", queued=False), TAKEN_OVER),
    "unknown, dead": (row("unknown", queued=False), TAKEN_OVER),
    "failed, abandoned": (row("failed", queued=False, code="Abandoned"), TAKEN_OVER),
    "review, abandoned": (row("review", queued=False, code="Abandoned"), TAKEN_OVER),
    "failed: from the start": (
        row("failed", attempts=20, code="ErrorQuotaExceeded"),
        ("send", {"attempts": 0, "accepted_at": LATER, "code": None}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("known", "expected"), KEYS.values(), ids=KEYS)
def test_what_a_request_is_answered_whose_key_is_known(known: Row, expected: object) -> None:
    check(meet(known, known.fingerprint, LATER, NEW), expected)
    assert meet(known, "another", LATER, NEW) == Mismatch()
