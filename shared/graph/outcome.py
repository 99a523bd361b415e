"""What became of one sendMail request, as a value; or of the requests that send one mail by way of a draft.

    Accepted      202: Graph has the mail
    Throttled     429: Graph did not take it and says when to come again
    NotConnected  the request never left, so the mail surely did not go
    Rejected      another 4xx: Graph did not take it and says why
    Unknown       the mail may have gone: a time-out or a broken connection after the request went out, a 5xx, and every
                  answer that sendMail does not document
    Interrupted   the same of a request that only prepares: makes a draft, uploads a file. The mail surely did not go

The request either surely went, surely did not, or is Unknown; nothing here guesses. Importing this module loads no SDK.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from shared.graph.retry_after import retry_after

__all__ = [
    "Accepted",
    "Interrupted",
    "Kind",
    "NotConnected",
    "Outcome",
    "Rejected",
    "Stopped",
    "Throttled",
    "Unanswered",
    "Unknown",
    "classify",
]

type Kind = Literal["permanent", "permission", "quota", "limit"]
"""Why Graph refused.

permanent: this mail will never pass. permission: 401, or 403 other than ErrorSendAsDenied: Mailroom's own right is
missing; an operator can grant it. quota: Sent Items is full; an operator can empty it. limit: the mailbox has sent all
it may; hours or a day heal it.
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """202. Graph has the mail; delivery itself comes later."""

    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Throttled:
    """429. Not accepted; `after` in seconds when Graph said so."""

    after: float | None
    status: int = 429
    code: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotConnected:
    """The request did not leave.

    reason: `connect`, `identity` (no token), `policy` (it cannot be asked), `lease` (no longer ours), `storage` (a file
    cannot be read), `internal`.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Graph read the request and refused it.

    message: Graph's text; it may hold addresses, so it goes to the caller only, never into a log. body: Graph's error
    JSON as it came, for a direct caller; None when Graph sent no such JSON or was not asked at all. token_at: when the
    token that the request came with was fetched, where that matters.
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
class Unknown:
    """The mail may have gone. reason: `timeout`, `connection`, `status`, or the class of an unforeseen exception."""

    reason: str
    status: int | None = None
    code: str | None = None
    after: float | None = None
    request_id: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The mail did not go: what comes before its sending has failed, and may succeed another time."""

    reason: str
    status: int | None = None
    code: str | None = None
    after: float | None = None
    request_id: str | None = None
    client_request_id: str | None = None


type Outcome = Accepted | Throttled | NotConnected | Rejected | Unknown | Interrupted


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A mailbox did not say whether it holds a mail. outcome: what the request that asked for it came to instead.

    It says nothing about the mail: neither that it has gone nor that it has not.
    """

    outcome: Outcome


class Stopped(Exception):  # noqa: N818 - an outcome on its way to who asked; not a fault of ours
    """A mail that is sent in several requests goes no further. outcome: what one of them has met, never Unknown."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


_ACCEPTED = 202
_UNAUTHORIZED, _FORBIDDEN, _REQUEST_TIMEOUT, _TOO_MANY = 401, 403, 408, 429
_CLIENT_ERRORS = range(400, 500)
# Codes go into logs and table rows: only what looks like one may pass.
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,128}")


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
    """The outcome that an HTTP answer of sendMail stands for.

    headers in any case, now with a time zone. Never raises: error bodies may be empty, HTML, or any JSON. Decides by
    status and code only; Graph's texts change.
    https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling
    """
    fields = {name.lower(): value for name, value in headers.items()}
    error = _error(body)
    code = _text(error.get("code"), _CODE)
    inner = _inner(error)
    ids = {
        "request_id": _text(fields.get("request-id"), _CODE) or _text(inner.get("request-id"), _CODE),
        "client_request_id": _text(fields.get("client-request-id"), _CODE)
        or _text(inner.get("client-request-id"), _CODE),
    }
    after = retry_after(fields.get("retry-after"), now)
    if status == _ACCEPTED:
        return Accepted(**ids)
    if status not in _CLIENT_ERRORS or status == _REQUEST_TIMEOUT:
        return Unknown("status", status, code, after, **ids)
    if status == _TOO_MANY and code != "ErrorExceededMessageLimit":
        return Throttled(after, status, code, **ids)
    message = error.get("message")
    return Rejected(
        status,
        code,
        _kind(status, code),
        message if isinstance(message, str) else "",
        after,
        body if error else None,
        ids["request_id"],
        ids["client_request_id"],
    )


def _kind(status: int, code: str | None) -> Kind:
    if code == "ErrorExceededMessageLimit":
        return "limit"
    if code == "ErrorQuotaExceeded":
        return "quota"
    if status in {_UNAUTHORIZED, _FORBIDDEN} and code != "ErrorSendAsDenied":
        return "permission"
    return "permanent"


def _error(body: bytes) -> Mapping[str, Any]:
    """The `error` object of Graph's error JSON; empty when the body is anything else."""
    try:
        answer = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _inner(error: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = error.get("innerError", error.get("innererror"))  # Graph writes it both ways
    return inner if isinstance(inner, dict) else {}


def _text(value: object, shape: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and shape.fullmatch(value) else None
