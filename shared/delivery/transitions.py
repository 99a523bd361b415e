"""What to do with one mail: the delivery protocol as pure functions from values to a value.

    decide    a message of the queue meets the row: claim, put the message again, or drop it
    meet      a direct request meets a row that is there already
    settle    the outcome of an attempt meets the row
    withhold  that policy lets nothing go meets the row

What a verification says is decided in verification.py. Messages are wake-ups, the row is the truth. All I/O is in
engine.py, request.py and worker.py.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, assert_never

from shared.delivery.queue_messages import Work
from shared.delivery.record import ENDED, REPLAYABLE, Row, State
from shared.graph.outcome import (
    Accepted,
    Interrupted,
    NotConnected,
    Outcome,
    Rejected,
    Throttled,
    Unanswered,
    Unknown,
)
from shared.policy.pre_send import Withheld
from shared.settings.config import Settings

SKEW: Final = timedelta(seconds=5)  # what two hosts' clocks may differ by
# unsent: not even asked for, whatever became of the attempt; so there is nothing to wait for.
Finding = Literal["sent", "waiting", "absent", "unsent"] | Unanswered


@dataclass(frozen=True, slots=True)
class Claim:
    """Write this row; if that succeeds the attempt is ours. Then send, or verify first: it may have gone before."""

    row: Row
    then: Literal["send", "verify"]


@dataclass(frozen=True, slots=True)
class PutAgain:
    """Put the message again, due then, and complete this one."""

    due: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """The mail waits for its time: put the message again, due then, and only then insert this row."""

    row: Row
    due: datetime


@dataclass(frozen=True, slots=True)
class Drop:
    """Complete the message; nothing else is to be done."""

    reason: Literal["ended", "other-body"]


@dataclass(frozen=True, slots=True)
class Fail:
    """The mail ends as failed, without an attempt."""

    row: Row


@dataclass(frozen=True, slots=True)
class Settled:
    """Write this row. `again`: and, before completing the message, put it again, due then; None: the mail has ended."""

    row: Row
    again: datetime | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The mail is sent, or safe in the queue: the same answer as the first time."""

    row: Row


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The same key came with another body: 422."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another request with this key is being sent: 409, try again after so many seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class TakeOver:
    """An attempt died and may have sent: claim with this row, put the message, settle as unknown, 202."""

    row: Row


Decision = Claim | PutAgain | Schedule | Drop | Fail
Reply = Answered | Mismatch | Busy | TakeOver | Claim


def wait_for_turn(row: Row, not_before: datetime | None, now: datetime) -> Settled:
    """The row of a mail that goes into the queue without an attempt: scheduled when it is for later, else accepted."""
    later = not_before if not_before is not None and not_before > now else None
    state: State = "scheduled" if later else "accepted"
    return Settled(replace(row, state=state, lease_until=None, due_at=later, not_before=later), later)


def first_verification(row: Row, now: datetime, settings: Settings) -> datetime:
    """When the mailbox may first be asked. Before the lease is over the request may still be on its way to Graph; the
    copy appears some time after that, so the delays count from there.
    """
    return (row.lease_until or now) + max(SKEW, timedelta(seconds=settings.verify_delays[0]))


def lease(now: datetime, settings: Settings) -> datetime:
    """The end of a claim made now: every send ends by its own deadline, well before it."""
    return now + timedelta(seconds=settings.send_timeout + settings.lease_margin)


def first_claim(work: Work, now: datetime, settings: Settings, token: str, *, queued: bool) -> Row:
    """The row of a mail that has none, claimed."""
    return Row(
        id=work.id,
        state="sending",
        scope=work.scope,
        fingerprint=work.fingerprint,
        mailbox=work.via or work.mailbox,
        accepted_at=work.accepted_at,
        not_before=work.not_before,
        token=token,
        lease_until=lease(now, settings),
        queued=queued,
        route=work.route,
        keep_days=work.keep_days,
    )


def decide(row: Row | None, work: Work, now: datetime, settings: Settings, token: str) -> Decision:
    """What a worker does with a message. token: a new one, for the claim."""
    if row is None:
        return _begin(work, now, settings, token)
    if row.fingerprint != work.fingerprint:
        return Drop("other-body")
    until = lease(now, settings)
    claimed = replace(row, state="sending", token=token, lease_until=until, queued=True, due_at=None, message=None)
    if row.state in REPLAYABLE and work.replay > row.replays:
        return _replay(claimed, work, now)
    if begins_anew(work, row):
        return Claim(_anew(claimed, work.accepted_at), "send")
    if row.state in ENDED:
        return Drop("ended")
    if row.state == "sending" and not (work.released and work.released == row.token):
        over = first_verification(row, now, settings)
        return PutAgain(over) if over > now else Claim(replace(claimed, may_have_gone=True), "verify")
    if row.due_at and row.due_at > now and row.state != "sending":
        return PutAgain(row.due_at)
    if row.state == "unknown":
        return Claim(claimed, "verify")
    if too_old(row, now, settings):
        return Fail(given_up(row, now, code="TooOld"))
    return Claim(claimed, "send")


def _replay(claimed: Row, work: Work, now: datetime) -> Claim:
    """What may have gone is verified first and sent only if it is not there. The policy's one resend is used up."""
    anew = _anew(claimed, now, replays=work.replay)
    if claimed.may_have_gone and not work.force:
        return Claim(replace(anew, resends=1), "verify")
    return Claim(replace(anew, may_have_gone_twice=claimed.may_have_gone_twice or claimed.may_have_gone), "send")


def is_copy(work: Work, row: Row) -> bool:
    """Whether a message meets, for the first time, the row that another acceptance of the same mail has made.

    Not so the same message delivered once more, a later wake-up of its mail, an operator's replay, or what begins anew.
    """
    return _accepted_again(work, row) and not begins_anew(work, row)


def begins_anew(work: Work, row: Row) -> bool:
    """Whether it was accepted once more after it had failed, surely unsent: the same key is then tried again."""
    return _surely_unsent(row) and _accepted_again(work, row) and work.accepted_at > row.accepted_at


def _surely_unsent(row: Row) -> bool:
    return row.state == "failed" and not row.may_have_gone and row.code != "Abandoned"


def _accepted_again(work: Work, row: Row) -> bool:
    told_before = work.known or work.replay or work.released
    return not told_before and work.fingerprint == row.fingerprint and work.accepted_at != row.accepted_at


def repeated(work: Work, earlier: Row) -> bool:
    """Whether a mail without a row of its own says again what an earlier one has said lately."""
    if work.repeats is None or earlier.state in ("failed", "cancelled"):
        return False
    return work.accepted_at - earlier.accepted_at < timedelta(seconds=work.repeats.within)


def _begin(work: Work, now: datetime, settings: Settings, token: str) -> Decision:
    fresh = first_claim(work, now, settings, token, queued=True)
    if too_old(fresh, now, settings):
        return Fail(ended(fresh, "failed", now, code="TooOld"))
    if work.not_before and work.not_before > now:
        return Schedule(replace(fresh, state="scheduled", due_at=work.not_before, lease_until=None), work.not_before)
    return Claim(fresh, "send")


def meet(row: Row, fingerprint: str, now: datetime, settings: Settings, token: str) -> Reply:
    """What a direct request does when its key has a row."""
    if row.fingerprint != fingerprint:
        return Mismatch()
    # Its message went with its end. Until there is another one, nobody may be told that it waits.
    until = lease(now, settings)
    claimed = replace(row, state="sending", token=token, lease_until=until, queued=False, due_at=None, message=None)
    if _surely_unsent(row):
        return Claim(_anew(claimed, now), "send")  # surely not sent: the caller may try again, from the start
    if row.state != "failed" and (row.queued or row.state in ENDED) and row.code != "Abandoned":
        return Answered(row)
    if row.state == "sending" and row.lease_until and row.lease_until + SKEW > now:
        return Busy((row.lease_until + SKEW - now).total_seconds())
    return TakeOver(replace(claimed, may_have_gone=True, accepted_at=now, settled_at=None, code=None))


def give_back(row: Row, due: datetime, *, verify: bool) -> Settled:
    """A claim under which Graph was asked nothing: nothing counts. verify: the mail is still to be verified."""
    state: State = "unknown" if verify else "accepted"
    return Settled(replace(row, state=state, due_at=due), due)


def settle(row: Row, outcome: Outcome, now: datetime, settings: Settings, jitter: float = 0.0) -> Settled:
    """The row after an attempt. jitter, 0 to 1, lengthens every delay by up to a fifth."""
    if not isinstance(outcome, NotConnected):
        row = replace(row, request_id=outcome.request_id, client_request_id=outcome.client_request_id)

    def wait(row: Row, seconds: float, status: int | None = None, code: str | None = None) -> Settled:
        row = replace(row, status=status, code=code)
        if too_old(row, now, settings) or row.attempts >= settings.max_attempts:
            return Settled(given_up(row, now, row.status, row.code or "TooOld"), None)
        due = now + timedelta(seconds=seconds * (1 + jitter / 5))
        return Settled(replace(row, state="accepted", due_at=due), due)

    match outcome:
        case Accepted():
            return Settled(ended(replace(row, attempts=row.attempts + 1), "sent", now, 202), None)
        case Throttled():
            return wait(
                row, outcome.after if outcome.after is not None else 30, status=outcome.status, code=outcome.code
            )
        case NotConnected():
            seconds = 0.0 if outcome.reason == "lease" else backoff(row, now, 5, 600)
            return wait(row, seconds, code=outcome.reason)
        case Rejected() if outcome.kind == "permanent":
            tried = replace(row, attempts=row.attempts + 1)
            return Settled(given_up(tried, now, outcome.status, outcome.code), None)
        case Rejected() | Interrupted():
            tried = replace(row, attempts=row.attempts + 1)
            least, code = _trouble(outcome)
            seconds = max(outcome.after or 0, backoff(row, now, least, 3600))
            return wait(tried, seconds, status=outcome.status, code=code)
        case Unknown():
            due = first_verification(row, now, settings)
            tried = replace(row, attempts=row.attempts + 1, status=outcome.status, code=outcome.code or outcome.reason)
            return Settled(replace(unverified(tried), state="unknown", due_at=due, may_have_gone=True), due)
    assert_never(outcome)


def withhold(row: Row, withheld: Withheld, now: datetime) -> Settled:
    """The end of a claimed row whose mail is not to be sent. Whether an earlier attempt has sent it stays in doubt."""
    row = replace(row, suppressed_recipients=withheld.left_out or None)
    if withheld.state == "failed":
        return Settled(given_up(row, now, withheld.status, withheld.code), None)
    return Settled(ended(row, withheld.state, now), None)


def _trouble(outcome: Rejected | Interrupted) -> tuple[float, str | None]:
    """Seconds that it lasts at least, and what it is called."""
    if isinstance(outcome, Interrupted):
        return 10, outcome.code or outcome.reason
    return 3600 if outcome.kind == "limit" else 60, outcome.code


def _anew(claimed: Row, now: datetime, replays: int | None = None) -> Row:
    """A claim that begins from the start: the caller, or an operator, has asked for it again."""
    return replace(
        unverified(claimed),
        accepted_at=now,
        not_before=None,
        settled_at=None,
        attempts=0,
        resends=0,
        status=None,
        code=None,
        suppressed_recipients=None,
        replays=claimed.replays if replays is None else replays,
    )


def unverified(row: Row) -> Row:
    """As if nothing had been verified yet."""
    return replace(row, verifications=0, unanswered=0, new_token_from=None)


def too_old(row: Row, now: datetime, settings: Settings) -> bool:
    return now - _begins(row) > timedelta(hours=settings.max_age_hours)


def backoff(row: Row, now: datetime, least: float, most: float) -> float:
    """Half of the mail's age: doubles the distance of each try without a counter of its own."""
    return min(most, max(least, (now - _begins(row)).total_seconds() / 2))


def _begins(row: Row) -> datetime:
    """From when a mail's age counts: its acceptance, or the later time it was to wait for."""
    return max(row.not_before or row.accepted_at, row.accepted_at)


def given_up(row: Row, now: datetime, status: int | None = None, code: str | None = None) -> Row:
    """The end of a mail that cannot be sent. Whether an attempt before this one has sent it stays in doubt."""
    return ended(row, "review" if row.may_have_gone else "failed", now, status, code)


def ended(
    row: Row,
    state: Literal["sent", "failed", "review", "suppressed", "captured"],
    now: datetime,
    status: int | None = None,
    code: str | None = None,
) -> Row:
    may_have_gone = row.may_have_gone and state != "sent"  # then it has
    row = replace(row, state=state, due_at=None, settled_at=now, may_have_gone=may_have_gone)
    return replace(row, status=status or row.status, code=code)
