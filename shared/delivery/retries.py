"""Decides after an attempt whether a mail is tried again, and when, or has ended. Pure functions.

    settle      the next row, from the outcome of an attempt
    give_back   the next row, if Graph was not asked under this claim
    decline     policy lets nothing go

verification.py decides after a verification, with delays of its own.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from shared.delivery.row import Row
from shared.graph.outcome import Accepted, Interrupted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.policy.pre_send import Declined
from shared.settings.config import Settings

SKEW: Final = timedelta(seconds=5)  # what two hosts' clocks may differ by
LONGEST: Final = 3600.0  # seconds between two attempts
LONGEST_UNREACHED: Final = 600.0  # the same, where Graph was not reached


@dataclass(frozen=True, slots=True)
class Settled:
    """Write this row. `again`: and, before completing the message, put it again, due then; None: the mail has ended."""

    row: Row
    again: datetime | None


def backoff(row: Row, now: datetime, least: float, most: float) -> float:
    """Half of the mail's age: doubles the distance of each try without a counter of its own."""
    return min(most, max(least, (now - row.begins).total_seconds() / 2))


def too_old(row: Row, now: datetime, settings: Settings) -> bool:
    return now - row.begins > timedelta(hours=settings.max_age_hours)


def first_verification(lease_until: datetime, settings: Settings) -> datetime:
    """When the mailbox may first be asked. Before the lease is over the request may still be on its way to Graph; the
    copy appears some time after that, so the delays count from there.
    """
    return lease_until + max(SKEW, timedelta(seconds=settings.verify_delays[0]))


def settle(row: Row, outcome: Outcome, now: datetime, settings: Settings, jitter: float = 0.0) -> Settled:
    """The row after an attempt. jitter, 0 to 1, lengthens every delay by up to a fifth."""
    if isinstance(outcome, NotConnected):  # nothing was asked
        seconds = 0.0 if outcome.reason == "lease" else backoff(row, now, 5, LONGEST_UNREACHED)
        return _wait(replace(row, status=None, code=outcome.reason), seconds, now, settings, jitter)
    row = replace(row, request_id=outcome.request_id, client_request_id=outcome.client_request_id)
    if isinstance(outcome, Throttled):  # does not count as an attempt
        seconds = outcome.after or 0.0  # the engine sets it: until when the mailbox is blocked
        return _wait(replace(row, status=outcome.status, code=outcome.code), seconds, now, settings, jitter)
    row = replace(row, attempts=row.attempts + 1)
    code: str | None
    match outcome:
        case Accepted():
            return Settled(ended(row, "sent", now, 202), None)
        case Unknown():
            due = first_verification(row.lease_until or now, settings)
            row = replace(unverified(row), status=outcome.status, code=outcome.code or outcome.reason)
            return Settled(replace(row, state="unknown", due_at=due, may_have_gone=True), due)
        case Rejected(kind="permanent"):
            return Settled(given_up(row, now, outcome.status, outcome.code), None)
        case Interrupted():
            least, code = 10.0, outcome.code or outcome.reason
        case Rejected():
            least, code = LONGEST if outcome.kind == "limit" else 60.0, outcome.code
    seconds = max(outcome.after or 0, backoff(row, now, least, LONGEST))
    return _wait(replace(row, status=outcome.status, code=code), seconds, now, settings, jitter)


def _wait(row: Row, seconds: float, now: datetime, settings: Settings, jitter: float) -> Settled:
    if too_old(row, now, settings) or row.attempts >= settings.max_attempts:
        return Settled(given_up(row, now, row.status, row.code or "TooOld"), None)
    due = now + timedelta(seconds=seconds * (1 + jitter / 5))
    return Settled(replace(row, state="accepted", due_at=due), due)


def give_back(row: Row, due: datetime, *, verify: bool) -> Row:
    """A claim under which Graph was asked nothing: nothing counts. verify: the mail is still to be verified."""
    return replace(row, state="unknown" if verify else "accepted", due_at=due)


def decline(row: Row, declined: Declined, now: datetime) -> Row:
    """The end of a claimed row whose mail is not to be sent. Whether an earlier attempt has sent it stays in doubt."""
    row = replace(row, suppressed_recipients=declined.left_out or None)
    if declined.state == "failed":
        return replace(given_up(row, now, declined.status, declined.code), reason=declined.message or None)
    return ended(row, declined.state, now)


def unverified(row: Row) -> Row:
    """As if nothing had been verified yet."""
    return replace(row, verifications=0, unanswered=0, new_token_from=None)


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
