"""The delivery protocol before an attempt, as pure functions: what to do with one mail.

    decide    for a queue message and its row: claim the mail, put the message again, or drop it
    meet      for a request whose mail already has a row: claim the mail, or answer from the row

retries.py decides after an attempt, verification.py after a verification. Messages only wake up a mail; the row is the
truth. All I/O is in engine.py, request.py and worker.py.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.delivery.queue_messages import Work
from shared.delivery.retries import SKEW, ended, first_verification, given_up, too_old, unverified
from shared.delivery.row import ENDED, REPLAYABLE, Row, first_claim
from shared.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Claim:
    """Write this row; if that succeeds the attempt is ours. Then send, or verify first: it may have gone before.

    To a request "verify" says that an attempt has died: the queue takes it over.
    """

    row: Row
    then: Literal["send", "verify"]


@dataclass(frozen=True, slots=True)
class PutAgain:
    """Put the message again, due then, and complete this one. row: to be inserted in between; its mail is new."""

    due: datetime
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Complete the message; nothing else is to be done."""

    reason: Literal["ended", "other-body"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The same key came with another body: 422."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another request with this key is being sent: 409, try again after so many seconds."""

    retry_after: float


type Decision = Claim | PutAgain | Drop | Row
"""A row: the mail ends like this, without an attempt."""
type Reply = Row | Mismatch | Busy | Claim
"""A row: the mail is sent, or safe in the queue, and is answered as the first time."""


def decide(row: Row | None, work: Work, now: datetime, settings: Settings, token: str) -> Decision:
    """What a worker does with a message. token: a new one, for the claim."""
    if row is None:
        return _begin(first_claim(work, token, queued=True), now, settings)
    if row.fingerprint != work.fingerprint:
        return Drop("other-body")
    claimed = replace(row, state="sending", token=token, queued=True, due_at=None, message=None)
    if row.state in REPLAYABLE and work.replay > row.replays:
        return _replay(claimed, work, now)
    if begins_anew(work, row):
        return Claim(_anew(claimed, work.accepted_at), "send")
    if row.state in ENDED:
        return Drop("ended")
    if row.state == "sending" and not (work.released and work.released == row.token):
        over = first_verification(row.lease_until or now, settings)
        return PutAgain(over) if over > now else Claim(replace(claimed, may_have_gone=True), "verify")
    if row.due_at and row.due_at > now and row.state != "sending":
        return PutAgain(row.due_at)
    if row.state == "unknown":
        return Claim(claimed, "verify")
    if too_old(row, now, settings):
        return given_up(row, now, code="TooOld")
    return Claim(claimed, "send")


def _begin(fresh: Row, now: datetime, settings: Settings) -> Decision:
    if too_old(fresh, now, settings):
        return ended(fresh, "failed", now, code="TooOld")
    if fresh.not_before and fresh.not_before > now:
        return PutAgain(fresh.not_before, replace(fresh, state="scheduled", due_at=fresh.not_before))
    return Claim(fresh, "send")


def _replay(claimed: Row, work: Work, now: datetime) -> Claim:
    """What may have gone is verified first and sent only if it is not there. The policy's one resend is used up."""
    anew = replace(_anew(claimed, now), replays=work.replay)
    if claimed.may_have_gone and not work.force:
        return Claim(replace(anew, resends=1), "verify")
    return Claim(replace(anew, may_have_gone_twice=claimed.may_have_gone_twice or claimed.may_have_gone), "send")


def _anew(claimed: Row, now: datetime) -> Row:
    """A claim that begins from the start: the caller, or an operator, has asked for it again."""
    unasked = replace(unverified(claimed), attempts=0, resends=0, status=None, code=None, reason=None)
    return replace(unasked, accepted_at=now, not_before=None, settled_at=None, suppressed_recipients=None)


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


def meet(row: Row, fingerprint: str, now: datetime, token: str) -> Reply:
    """What a direct request does when its key has a row."""
    if row.fingerprint != fingerprint:
        return Mismatch()
    # Its message went with its end. Until there is another one, nobody may be told that it waits.
    claimed = replace(row, state="sending", token=token, queued=False, due_at=None, message=None)
    if _surely_unsent(row):
        return Claim(_anew(claimed, now), "send")  # surely not sent: the caller may try again, from the start
    if row.state != "failed" and (row.queued or row.state in ENDED) and row.code != "Abandoned":
        return row
    if row.state == "sending" and row.lease_until and row.lease_until + SKEW > now:
        return Busy((row.lease_until + SKEW - now).total_seconds())
    return Claim(replace(claimed, may_have_gone=True, accepted_at=now, settled_at=None, code=None), "verify")


def waits_in_queue(row: Row, not_before: datetime | None, now: datetime) -> Row:
    """The row of a mail that goes into the queue without an attempt: scheduled when it is for later, else accepted."""
    later = not_before if not_before is not None and not_before > now else None
    return replace(row, state="scheduled" if later else "accepted", lease_until=None, due_at=later, not_before=later)
