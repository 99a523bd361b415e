"""Maps the HTTP status of a Graph answer to an outcome: 202, 429 with Retry-After, any other 4xx, everything else.

https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling. Importing this module loads no
SDK.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from shared.graph.outcome import Accepted, Kind, Outcome, Rejected, Throttled, Unknown

LONGEST_WAIT: Final = 86_400.0
"""Seconds: no service asks for more than a day, and a wrong header must not park a mail for years."""

_ACCEPTED, _UNAUTHORIZED, _FORBIDDEN, _REQUEST_TIMEOUT, _TOO_MANY = 202, 401, 403, 408, 429
_CLIENT_ERRORS = range(400, 500)
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,128}")  # codes and ids go into logs and table rows: nothing else may pass
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# All three forms of an HTTP date begin with the name of a day. email.utils alone reads dates into almost anything.
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .+", re.ASCII)
_LONGEST_VALUE = 64


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
    """The outcome that an HTTP answer of sendMail stands for.

    headers in any case, now with a time zone. Never raises: error bodies may be empty, HTML, or any JSON. Decides by
    status and code only; Graph's texts change.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    error = _object(_json(body), "error")
    code = _matching(error.get("code"))
    inner = _object(error, "innerError", "innererror")  # Graph writes it both ways
    request_id, client_request_id = (
        _matching(fields.get(name)) or _matching(inner.get(name)) for name in ("request-id", "client-request-id")
    )
    after = retry_after(fields.get("retry-after"), now)
    if status == _ACCEPTED:
        return Accepted(request_id, client_request_id)
    if status not in _CLIENT_ERRORS or status == _REQUEST_TIMEOUT:
        return Unknown("status", status, code, after, request_id, client_request_id)
    if status == _TOO_MANY and code != "ErrorExceededMessageLimit":
        return Throttled(after, status, code, request_id, client_request_id)
    message = error.get("message")
    text = message if isinstance(message, str) else ""
    kind = _kind(status, code)
    return Rejected(status, code, kind, text, after, body if error else None, request_id, client_request_id)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds from `now`, 0 to LONGEST_WAIT; None when it cannot be read.

    Graph sends whole seconds, but also fractions ("2.128", in Microsoft's own documentation), and gateways before it
    may send an HTTP date.
    """
    if value is None or len(value) > _LONGEST_VALUE:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_WAIT)
    if not _DATE.fullmatch(value):
        return None
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)  # asctime's form names no zone; HTTP dates are UTC
        wait = (date - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST_WAIT)


def _kind(status: int, code: str | None) -> Kind:
    if code == "ErrorExceededMessageLimit":
        return "limit"
    if code == "ErrorQuotaExceeded":
        return "quota"
    if status in {_UNAUTHORIZED, _FORBIDDEN} and code != "ErrorSendAsDenied":
        return "permission"
    return "permanent"


def _json(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _object(parent: object, *names: str) -> Mapping[str, Any]:
    """The object under the first of these names in `parent`; an empty one if there is none."""
    if not isinstance(parent, Mapping):
        return {}
    value = next((parent[name] for name in names if name in parent), None)
    return value if isinstance(value, Mapping) else {}


def _matching(value: object) -> str | None:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None
