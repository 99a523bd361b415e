"""The outcome of a sendMail request, or of the requests that send one mail as a draft, as a value.

    Accepted      202: Graph has the mail
    Throttled     429: Graph did not accept the mail, and may say when to try again
    NotConnected  the request never left, so the mail was not sent
    Rejected      another 4xx: Graph refused the mail, and says why
    Unknown       the mail may have been sent: after a time-out or a broken connection once the request had left, after
                  a 5xx, and after any answer that is not documented for sendMail
    Interrupted   a request that only prepares (creates a draft, uploads a file) failed, so the mail was not sent

An outcome is never a guess: the mail was sent, was not sent, or it is Unknown. http_status.py reads Graph's answers.
Importing this module loads no SDK.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.telemetry import LogEvent, emit

type Kind = Literal["permanent", "permission", "quota", "limit"]
"""Why Graph refused.

permanent: this mail will never pass. permission: 401, or 403 other than ErrorSendAsDenied: Mailroom lacks a right that
an operator can grant. quota: Sent Items is full; an operator can empty it. limit: the mailbox reached its sending
limit; that passes within hours or a day.
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """202. Graph has the mail; delivery itself comes later."""

    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Throttled:
    """429. Graph did not accept the mail. after: seconds to wait, if Graph said so."""

    after: float | None
    status: int = 429
    code: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotConnected:
    """The request was not sent.

    reason: `connect`, `identity` (no token), `policy` (the suppression list cannot be read), `lease` (the claim was
    lost), `storage` (a file cannot be read), `internal`.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Graph read the request and refused it.

    message: Graph's text; it may hold addresses, so it goes to the caller only, never into a log. body: Graph's error
    JSON as it came, for a direct caller; None when Graph sent no such JSON or was not asked. token_at: when the
    request's token was fetched.
    """

    status: int
    code: str | None
    kind: Kind
    message: str = field(default="", repr=False)
    after: float | None = None
    body: bytes | None = field(default=None, repr=False)
    request_id: str | None = None
    client_request_id: str | None = None
    token_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str
    status: int | None = None
    code: str | None = None
    after: float | None = None
    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown(_Failed):
    """The mail may have been sent. reason: `timeout`, `connection`, `status`, or the class of an exception."""


@dataclass(frozen=True, slots=True)
class Interrupted(_Failed):
    """The mail was not sent, because a request that prepares it failed; it may succeed another time."""


type Outcome = Accepted | Throttled | NotConnected | Rejected | Unknown | Interrupted
EVENTS: Final[dict[type, LogEvent]] = {
    Throttled: LogEvent.GRAPH_THROTTLED,
    NotConnected: LogEvent.GRAPH_UNREACHED,
    Unknown: LogEvent.MAIL_UNKNOWN,
    Interrupted: LogEvent.MAIL_INTERRUPTED,
}


def report(outcome: Outcome, mail: str, *, verifying: bool = False) -> None:
    """Log the outcome of a request, except success and refusals of this mail, which are logged when the mail ends.

    verifying: the request was a verification. Then outcomes that delay all mail are logged as usual, and any other as
    `mail.unverified`.
    """
    refused = outcome.kind if isinstance(outcome, Rejected) else None
    if verifying and not (isinstance(outcome, Throttled | NotConnected) or refused == "permission"):
        event = LogEvent.MAIL_UNVERIFIED
    elif isinstance(outcome, Accepted) or refused == "permanent":
        return
    elif isinstance(outcome, Rejected):
        event = LogEvent.GRAPH_PERMISSION if refused == "permission" else LogEvent.GRAPH_QUOTA
    else:
        event = EVENTS[type(outcome)]
    emit(
        event,
        id=mail,
        status=getattr(outcome, "status", 202 if isinstance(outcome, Accepted) else None),
        code=getattr(outcome, "code", None) or getattr(outcome, "reason", None),
        after=getattr(outcome, "after", None),
        request_id=getattr(outcome, "request_id", None),
    )


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The mailbox did not say whether it has a mail. outcome: of the request that asked for it.

    So it is still unknown whether the mail was sent.
    """

    outcome: Outcome


class Stopped(Exception):  # noqa: N818 - carries an outcome to the caller; it is no fault of ours
    """Ends an attempt before the mail was sent. outcome: anything but Unknown."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class Draft(msgspec.Struct, frozen=True):
    """A message as Graph shows it. folder: the id of its folder."""

    id: str
    is_draft: bool = msgspec.field(name="isDraft", default=True)
    folder: str = msgspec.field(name="parentFolderId", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileItem:
    """A file for an upload session. size in bytes."""

    name: str
    size: int
    content_type: str | None = None
    is_inline: bool | None = None
    content_id: str | None = None
