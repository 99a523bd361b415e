"""The limits on a mail: Graph's, checked before anything is sent, and Mailroom's own.

The limits on the size of a mail are in policy/size_limits.py. Sources:
https://learn.microsoft.com/graph/outlook-mail-concept-overview and
https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits.
"""

from collections.abc import Sized
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shared.errors import Malformed

if TYPE_CHECKING:
    from shared.mail.model import SendMail  # settings read limits, and do not pay for the model

# Of Graph and Exchange Online.
MAX_RECIPIENTS: Final = 500  # to, cc and bcc together
MAX_ATTACHMENTS: Final = 250  # files of a message
MAX_HEADERS: Final = 5  # internetMessageHeaders: https://learn.microsoft.com/graph/api/resources/internetmessageheader
# "4 MB" in bytes. Graph's pages do not say which of the two readings; this one is right under both.
MAX_REQUEST: Final = 4_000_000
# "150 MB", right under both readings: for one file, and for a mail, whose limit its administrator sets (default 35).
MAX_FILES: Final = 150_000_000

# Mailroom's own.
MAX_ENCODED: Final = MAX_REQUEST + MAX_REQUEST // 10  # of base64 as it comes: with line ends, which Mailroom drops
MAX_CATEGORIES: Final = 100
MAX_ADDRESSES: Final = 2_000  # attached items included: each takes time to check
MAX_PROPERTIES: Final = 1_000  # extended properties, attached items included
MAX_NESTING: Final = 10  # messages within messages; Exchange has 30 within MIME
FURTHEST: Final = timedelta(days=366)  # from now to the time that a mail waits for

# Characters, far above what Exchange keeps.
LONGEST_SUBJECT: Final = 5_000
LONGEST_NAME: Final = 1_000  # of a person
LONGEST_LINE: Final = 10_000  # of everything else in one line
LONGEST_HEADER_NAME: Final = 200
LONGEST_ID: Final = 512  # of an extended property: a name of 254 with its type and its namespace
LONGEST_THREAD: Final = 256
MAX_KEY: Final = 256  # of an idempotency key


def check(mail: "SendMail", path: str = "$.message") -> None:
    """Check how many of each a message has. path: of the message in what the caller wrote.

    Raises Malformed 400 with the path of the first one too many: ErrorMissingRecipients, ErrorInvalidRecipients,
    InvalidInternetMessageHeaderCollection, BadRequest.
    """
    message, count = mail.message, 0
    for kind in ("to", "cc", "bcc"):
        there = len(getattr(message, f"{kind}_recipients") or ())
        if count + there > MAX_RECIPIENTS:
            text = (
                f"Found more than {MAX_RECIPIENTS} recipients; Graph sends to {MAX_RECIPIENTS} at most, "
                "to, cc and bcc together."
            )
            raise Malformed(400, "ErrorInvalidRecipients", text, f"{path}.{kind}Recipients[{MAX_RECIPIENTS - count}]")
        count += there
    if not count:
        text = "A message can't be sent because it contains no recipients; expected one in to, cc or bcc."
        raise Malformed(400, "ErrorMissingRecipients", text, path)
    headers = "InvalidInternetMessageHeaderCollection"
    _check_count(message.internet_message_headers, MAX_HEADERS, headers, f"{path}.internetMessageHeaders")
    _check_count(message.categories, MAX_CATEGORIES, "BadRequest", f"{path}.categories")
    _check_count(message.attachments, MAX_ATTACHMENTS, "BadRequest", f"{path}.attachments")


def _check_count(there: Sized | None, most: int, code: str, path: str) -> None:
    if there is not None and len(there) > most:
        raise Malformed(400, code, f"Found {len(there)}, expected {most} at most.", f"{path}[{most}]")


def waiting_until(not_before: datetime | None, now: datetime, place: str) -> datetime | None:
    """The time for which a mail waits; None if it has passed. Raises Malformed if it is too far ahead."""
    if not_before is None or not_before <= now:
        return None
    if not_before - now > FURTHEST:
        text = f"Expected a time within {FURTHEST.days} days from now."
        raise Malformed(400, "BadRequest", text, place)
    return not_before


def too_large(size: int) -> Malformed:
    """The refusal (413) of a request of `size` bytes."""
    text = f"Found a request of {size} bytes; Graph accepts {MAX_REQUEST} at most, including attachments in base64."
    return Malformed(413, "RequestEntityTooLarge", text, "$")
