"""Decides after a verification, for a mail that may have been sent. Pure functions.

finding            what follows
sent               the mail was sent
waiting            Graph has the mail and is still sending it: verify again
absent             there is no copy: verify again; after the last verification the mail counts as not sent
unsent             Graph was never asked to send the draft: the mail was not sent
Unanswered         the mailbox gave no answer: verify again until the mail is too old, then a person decides
cannot be asked    403 again with a newer token, no copy in Sent Items, or verification is off: the policy decides
"""

from copy import replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeGuard

from shared.delivery.retries import SKEW, Settled, backoff, ended, given_up, too_old, unverified
from shared.delivery.row import Row
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Unanswered
from shared.settings.config import OnUnknown, Settings

LONGEST_PAUSE: Final = 1800.0  # seconds between two verifications that got no answer, or that find a draft
NEW_TOKEN: Final = 60.0  # seconds before a refused verification is repeated: a token is not asked for more often
FORBIDDEN: Final = 403

Finding = Literal["sent", "waiting", "absent", "unsent"] | Unanswered


def assess(  # noqa: PLR0913 - what the decision depends on
    row: Row,
    finding: Finding | None,
    now: datetime,
    settings: Settings,
    policy: OnUnknown | None = None,
    *,
    jitter: float = 0.0,
) -> Settled | Row:
    """What follows for a claimed row that may have gone. A row: it is to be sent, with this one.

    finding None: there is no copy to find, so nobody was asked. A verification without an answer says nothing: it is
    repeated until the mail is too old, and then a person decides. Only where the mailbox cannot be asked does the
    policy decide; policy: the mail's own, where it has one. "absent" counts only at the last of several answered
    verifications, since a copy appears late. jitter, 0 to 1: as in settle.
    """
    delays = settings.verify_delays
    match finding:
        case "sent":
            return Settled(ended(row, "sent", now), None)
        case "waiting":  # on its way to Sent Items it may be in neither folder for a moment: the count starts again
            pause = backoff(row, now, delays[0], LONGEST_PAUSE) * (1 + jitter / 5)
            return _verify_again(row, now, pause, verifications=0)
        case "absent" if row.verifications + 1 < len(delays):
            pause = max(delays[row.verifications + 1] - delays[row.verifications], delays[0])
            return _verify_again(row, now, pause, verifications=row.verifications + 1)
        case "absent" | "unsent":
            # What could not be verified before it was sent once more stays in doubt: a draft tells only of itself.
            by_draft = finding == "unsent" or row.progress is not None
            seen = replace(unverified(row), may_have_gone=by_draft and row.resends > 0)
            if row.attempts >= settings.max_attempts or too_old(row, now, settings):
                return Settled(given_up(seen, now, row.status, row.code or "TooOld"), None)
            return seen
        case Unanswered() if not cannot_be_asked(row, finding):
            return _unanswered(row, finding.outcome, now, settings, jitter)
    if (policy or settings.on_unknown) == "resend" and row.resends == 0:
        return replace(unverified(row), resends=1, may_have_gone_twice=True)
    return Settled(ended(row, "review", now, row.status, row.code), None)


def is_forbidden(finding: Finding | None) -> TypeGuard[Unanswered]:
    """Whether the mailbox has refused, by 403."""
    return isinstance(finding, Unanswered) and _forbidden(finding.outcome)


def cannot_be_asked(row: Row, finding: Finding | None) -> bool:
    """Whether the mailbox has refused, by 403, once more, and with a token that is newer than its first refusal."""
    if not isinstance(finding, Unanswered) or not _forbidden(finding.outcome):
        return False
    token_at = finding.outcome.token_at
    return row.new_token_from is not None and token_at is not None and token_at > row.new_token_from


def _forbidden(outcome: Outcome) -> TypeGuard[Rejected]:
    return isinstance(outcome, Rejected) and outcome.kind == "permission" and outcome.status == FORBIDDEN


def _unanswered(row: Row, outcome: Outcome, now: datetime, settings: Settings, jitter: float) -> Settled:
    """Ask again at distances that double; and where Graph says when, not before."""
    if too_old(row, now, settings):
        return Settled(ended(row, "review", now, row.status, "Unverified"), None)
    pause = min(LONGEST_PAUSE, settings.verify_delays[0] * 2.0 ** min(row.unanswered, 20))
    if isinstance(outcome, Rejected) and outcome.kind == "permission":
        pause = max(pause, NEW_TOKEN)
    after = 0.0 if isinstance(outcome, Accepted | NotConnected) else outcome.after or 0.0
    if _forbidden(outcome) and row.new_token_from is None:
        row = replace(row, new_token_from=now + SKEW)
    due = now + timedelta(seconds=max(pause, after) * (1 + jitter / 5))
    return Settled(replace(row, unanswered=row.unanswered + 1, state="unknown", due_at=due), due)


def _verify_again(row: Row, now: datetime, seconds: float, *, verifications: int) -> Settled:
    """The mailbox has answered, but not conclusively."""
    due = now + timedelta(seconds=seconds)
    row = replace(row, verifications=verifications, unanswered=0, new_token_from=None)
    return Settled(replace(row, state="unknown", due_at=due), due)
