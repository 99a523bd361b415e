"""The row of a mail in the ledger: all that is known about the mail.

scheduled   waits for its time                      sent        Graph answered 202, or the copy was found
accepted    waits to be sent                        failed      will not be sent
sending     claimed: token and lease say by whom    review      may have gone; a person decides
unknown     may have gone                           cancelled   before it was sent
suppressed  no recipient may be mailed
captured    recorded, not sent
(open)                                              (ended)
"""

import secrets
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from shared.delivery.queue_messages import Work
from shared.mail.addresses import address_hash
from shared.mail.outgoing import OutgoingMail
from shared.telemetry import LogEvent, emit

State = Literal[
    "scheduled", "accepted", "sending", "unknown", "sent", "failed", "review", "cancelled", "suppressed", "captured"
]
ENDED: Final[frozenset[State]] = frozenset({"sent", "failed", "review", "cancelled", "suppressed", "captured"})
REPLAYABLE: Final[frozenset[State]] = frozenset({"failed", "review", "suppressed", "captured"})  # an operator may
HASH: Final = 64  # characters of an address's hash
ENDS: Final[dict[State, LogEvent]] = {
    "sent": LogEvent.MAIL_SENT,
    "failed": LogEvent.MAIL_FAILED,
    "review": LogEvent.MAIL_NEEDS_REVIEW,
    "suppressed": LogEvent.MAIL_SUPPRESSED,
    "captured": LogEvent.MAIL_CAPTURED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of one mail. Times are in UTC."""

    id: str
    state: State
    scope: str
    fingerprint: str
    mailbox: str
    accepted_at: datetime
    token: str = ""  # of the attempt that holds, or last held, the claim
    lease_until: datetime | None = None
    queued: bool = False  # a message in mail-work or a producer's queue carries it: it was acknowledged
    attempts: int = 0  # answers of Graph other than 429, and attempts whose answer is missing
    mime: bool = False  # came as MIME, so it is found by its Message-ID; a mail from JSON has the marker
    may_have_gone: bool = False  # an attempt's outcome is unknown: from now on only this mailbox can be asked
    resends: int = 0  # attempts after an unknown outcome that could not be verified
    may_have_gone_twice: bool = False  # one was made, by the policy or an operator; whatever is found out later
    replays: int = 0
    not_before: datetime | None = None
    due_at: datetime | None = None  # accepted, scheduled: not sent before; unknown: not verified before
    verifications: int = 0  # that were answered and found nothing, since the last attempt
    unanswered: int = 0  # verifications in a row that got no answer
    new_token_from: datetime | None = None  # its first 403; one more to a newer token: it cannot be asked
    progress: str | None = None  # of an attempt in parts, opaque to the protocol
    message: str | None = None  # by which it waits, where that is known; it may have been received since
    settled_at: datetime | None = None
    status: int | None = None  # HTTP status and code of Graph's last answer
    code: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    route: str | None = None
    suppressed_recipients: int | None = None  # left out at the last attempt, since they must not be mailed
    keep_days: int | None = None  # after its end, if other than MAIL_RETENTION_DAYS
    key: str | None = None  # that its caller gave it: its SHA-256, in hex digits
    recipients: str | None = None  # their hashes, one after the other; see address_hash
    attempted_at: datetime | None = None  # the last time that Graph was asked to send it
    reason: str | None = None  # why it was refused: a sentence with its place, and nothing of its content
    listed_at: datetime | None = None  # its place among what needs attention; see attention.py
    bounced_at: datetime | None = None  # when its last non-delivery report was found
    bounces: str | None = None  # what those reports say, as JSON
    wants_results: bool = False  # its ends and bounces are told in mail-results
    told_end: datetime | None = None  # the end that was told: its settled_at
    told_bounces: int = 0  # how many of its bounces were told
    etag: str = ""

    @property
    def intake(self) -> str:
        """How it came in: `http`, `queue` or `route`."""
        return self.scope.partition(":")[0]

    @property
    def caller(self) -> str:
        """The application id of who sent it over HTTP; or the name of the queue, or of the route."""
        return [*self.scope.split(":"), "", ""][2 if self.intake == "http" else 1]

    @property
    def begins(self) -> datetime:
        """From when its age counts: its acceptance, or the later time it was to wait for."""
        return max(self.not_before or self.accepted_at, self.accepted_at)

    @property
    def put_back(self) -> bool:
        """It is a refused message, not a mail, and was replayed: what that became has a row of its own."""
        return self.state == "failed" and not self.fingerprint and self.replays > 0

    def was_to(self, address: str) -> bool:
        """Whether it was to be sent to this recipient, given as its hash."""
        every = self.recipients or ""
        return address in (every[at : at + HASH] for at in range(0, len(every), HASH))


COLUMNS: Final = {field.name: field.default for field in fields(Row) if field.name not in ("id", "etag")}


def first_claim(of: Work | OutgoingMail, token: str, *, queued: bool) -> Row:
    """The row of a mail that has none, to be claimed."""
    return Row(
        id=of.id,
        state="sending",
        scope=of.scope,
        fingerprint=of.fingerprint,
        mailbox=of.sender,
        accepted_at=of.accepted_at,
        not_before=of.not_before,
        token=token,
        queued=queued,
        route=of.route,
        keep_days=of.keep_days,
    )


def facts_of(mail: OutgoingMail) -> dict[str, Any]:
    """What a row says of its mail's content: by these columns it is found."""
    addresses = dict.fromkeys(one.email_address.address for one in mail.request.message.recipients)
    hashes = "".join(map(address_hash, addresses)) or None
    return {"key": mail.key, "recipients": hashes, "wants_results": mail.wants_results}


def new_token() -> str:
    """Names one writer of a row."""
    return secrets.token_hex(8)


def report_end(row: Row) -> None:
    """Log how a mail has ended, and how long that took from when it was accepted, or from its own later time."""
    took = row.settled_at - row.begins if row.settled_at else None
    emit(
        ENDS[row.state],
        id=row.id,
        route=row.route,
        attempts=row.attempts,
        seconds=None if took is None else round(took.total_seconds(), 3),
        status=row.status,
        code=row.code,
        left_out=row.suppressed_recipients,
        request_id=row.request_id,
    )
