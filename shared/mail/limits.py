"""Graph's limits, checked before anything is sent.

Sources: https://learn.microsoft.com/graph/outlook-mail-concept-overview and Exchange Online's limits
(https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits).
"""

import json
from collections.abc import Sized
from datetime import date, datetime, timedelta
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import msgspec

from shared.errors import Malformed
from shared.mail.marker import MAX_HEADERS, with_marker
from shared.mail.model import BlobAttachment, SendMail
from shared.mail.names import MAX_RECIPIENTS

__all__ = [
    "MAX_ADDRESSES",
    "MAX_ATTACHMENTS",
    "MAX_CATEGORIES",
    "MAX_ENCODED",
    "MAX_HEADERS",
    "MAX_NESTING",
    "MAX_PROPERTIES",
    "MAX_RECIPIENTS",
    "MAX_REQUEST",
    "check",
    "check_size",
    "json_size",
    "request_size",
    "size_with_marker",
    "too_large",
]

MAX_ATTACHMENTS: Final = 250  # Exchange Online: file attachments in a message
MAX_CATEGORIES: Final = 100  # nobody's limit but ours: more is a mistake
MAX_ADDRESSES: Final = 2_000  # attached items included; ours, as each takes time to check
MAX_PROPERTIES: Final = 1_000  # extended ones, attached items included; ours
MAX_NESTING: Final = 10  # messages within messages; ours too, Exchange has 30 within MIME
# "4 MB" in bytes. Graph's pages do not say which of the two readings; this one is right under both.
MAX_REQUEST: Final = 4_000_000
# A MIME mail in base64 as it comes: in lines it is longer than Mailroom's own, which has none.
MAX_ENCODED: Final = MAX_REQUEST + MAX_REQUEST // 10
FURTHEST: Final = timedelta(days=366)  # a mail may wait so long for its time

_RECIPIENTS: Final = (
    ("to_recipients", "toRecipients"),
    ("cc_recipients", "ccRecipients"),
    ("bcc_recipients", "bccRecipients"),
)
_ANY_ID: Final = "0" * 32


def check(mail: SendMail, path: str = "$.message") -> None:
    """The limits on how many of each a message may have. path: where the message stands in what the caller wrote.

    Raises Malformed 400: ErrorMissingRecipients, ErrorInvalidRecipients, InvalidInternetMessageHeaderCollection,
    BadRequest; its path is that of the first one too many.
    """
    message, count = mail.message, 0
    for attribute, name in _RECIPIENTS:
        there = len(getattr(message, attribute) or ())
        if count + there > MAX_RECIPIENTS:
            raise Malformed(
                400,
                "ErrorInvalidRecipients",
                f"Found more than {MAX_RECIPIENTS} recipients; Graph sends to {MAX_RECIPIENTS} at most, "
                "to, cc and bcc together.",
                f"{path}.{name}[{MAX_RECIPIENTS - count}]",
            )
        count += there
    if not count:
        text = "A message can't be sent because it contains no recipients; expected one in to, cc or bcc."
        raise Malformed(400, "ErrorMissingRecipients", text, path)
    headers = "InvalidInternetMessageHeaderCollection"
    _few(message.internet_message_headers, MAX_HEADERS, headers, f"{path}.internetMessageHeaders")
    _few(message.categories, MAX_CATEGORIES, "BadRequest", f"{path}.categories")
    _few(message.attachments, MAX_ATTACHMENTS, "BadRequest", f"{path}.attachments")


def check_size(mail: SendMail) -> None:
    """The limit on the whole request, marker included. Raises Malformed 413 RequestEntityTooLarge."""
    size = size_with_marker(mail)
    if size > MAX_REQUEST:
        raise too_large(size)


def size_with_marker(mail: SendMail) -> int:
    """Bytes of the request with the marker in it."""
    return request_size(msgspec.structs.replace(mail, message=with_marker(mail.message, _ANY_ID)))


def waiting_until(not_before: datetime | None, now: datetime, place: str) -> datetime | None:
    """The time that a mail waits for; None for one that has passed. Raises Malformed for one too far ahead."""
    if not_before is None or not_before <= now:
        return None
    if not_before - now > FURTHEST:
        text = f"Expected a time within {FURTHEST.days} days from now."
        raise Malformed(400, "BadRequest", text, place)
    return not_before


def too_large(size: int) -> Malformed:
    """The refusal of a request of so many bytes."""
    text = f"Found a request of {size} bytes; Graph takes {MAX_REQUEST} at most, attachments in base64 included."
    return Malformed(413, "RequestEntityTooLarge", text, "$")


def request_size(mail: SendMail) -> int:
    """Bytes of the request, exactly as the SDK writes it: Python's json, blanks between, all but ASCII escaped, files
    in base64. No file is encoded for it, and one in a blob counts with the size that was found there.
    """
    return len('{"Message": , "SaveToSentItems": }') + json_size(mail.message) + json_size(mail.save_to_sent_items)


def _few(there: Sized | None, most: int, code: str, path: str) -> None:
    if there is not None and len(there) > most:
        raise Malformed(400, code, f"Found {len(there)}, expected {most} at most.", f"{path}[{most}]")


def json_size(value: Any) -> int:
    """Bytes of a part of the request, a message or an attachment, written as in `request_size`."""
    match value:
        case BlobAttachment():
            return json_size(value.filled(b"")) + _base64_size(value.size or 0)
        case msgspec.Struct():
            tag = value.__struct_config__.tag
            sizes = [] if tag is None else [len(f'"@odata.type": "{tag}"')]
            for attribute, name in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
                there = getattr(value, attribute)
                if there is not None:
                    sizes.append(len(name) + 4 + json_size(there))
            return _enclosed(sizes)
        case tuple():
            return _enclosed([json_size(item) for item in value])
        case str():  # an enumeration's too
            return len(encode_basestring_ascii(value))
        case bytes():
            return 2 + _base64_size(len(value))
        case date():  # a datetime too
            return 2 + len(value.isoformat())
        case bool() | int() | float():
            return len(json.dumps(value))
    raise TypeError(f"no size for a {type(value).__name__}")


def _base64_size(size: int) -> int:
    return (size + 2) // 3 * 4


def _enclosed(sizes: list[int]) -> int:
    return 2 + sum(sizes) + 2 * max(0, len(sizes) - 1)
