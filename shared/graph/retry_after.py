"""The Retry-After header (RFC 9110, section 10.2.3) in seconds.

Graph sends whole seconds, but also fractions ("2.128", in Microsoft's own documentation), and gateways before it may
send an HTTP date.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST", "retry_after"]

LONGEST = 86400.0
"""Seconds in a day: no service asks for more in earnest, and a wrong header must not park a mail for years."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# All three forms of an HTTP date begin with the name of a day. email.utils alone reads dates into almost anything.
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .+", re.ASCII)
_LONGEST_VALUE = 64


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from `now` (with a time zone), 0 to LONGEST; None when there is no header that can be read."""
    if value is None or len(value) > _LONGEST_VALUE:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST)
    if not _DATE.fullmatch(value):
        return None
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)  # asctime's form names no zone; HTTP dates are UTC
        wait = (date - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST)
