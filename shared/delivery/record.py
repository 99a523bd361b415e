"""The record of one mail: one row of the ledger, the single truth about it.

    scheduled   waits for its time                      sent        Graph answered 202, or the copy was found
    accepted    waits to be sent                        failed      will not be sent
    sending     claimed: token and lease say by whom    review      may have gone; a person decides
    unknown     may have gone                           cancelled   before it was sent
                                                        suppressed  no recipient may be mailed
                                                        captured    recorded, not sent
    (open)                                              (ended)

A row is changed only on the condition that nobody else has changed it: `replace` takes the row as read, with its ETag.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

State = Literal[
    "scheduled", "accepted", "sending", "unknown", "sent", "failed", "review", "cancelled", "suppressed", "captured"
]
ENDED: Final[frozenset[State]] = frozenset({"sent", "failed", "review", "cancelled", "suppressed", "captured"})
PARTITIONS: Final = 256  # of rows and payloads, evenly whatever the ids are made of
REPLAYABLE: Final[frozenset[State]] = frozenset({"failed", "review", "suppressed", "captured"})  # an operator may


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
    etag: str = ""


def partition(mail: str) -> str:
    """The partition of a mail: two hex digits. Ids without a key begin with the time, so they are hashed first."""
    return hashlib.sha256(mail.encode()).hexdigest()[:2]


class Conflict(Exception):  # noqa: N818 - HTTP's name for it, 409 and 412
    """Another one has changed, or made, the row."""
