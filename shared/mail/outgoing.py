"""A mail to be sent, with all that is known about it besides its content.

Its id stays the same over all attempts. Its fingerprint shows whether a second request with its key is for the same
mail.
"""

import hashlib
import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.mail.model import SendMail

ID_DIGITS: Final = 32
MAIL_ID: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
HASH: Final = re.compile(r"[0-9a-f]{64}")  # a SHA-256: of an address, a key or a body

# What a mail's id is made of, and so why another mail with the same id is a copy of it:
#   sender-id   an id that the event's sender repeats when it tries again
#   identity    what its source documents as one event
#   route-key   what the route's `key` finds, or the header Idempotency-Key
#   same-bytes  the same bytes, within the time in which its sender tries again
#   message     the queue's own name of the message
#   caller-key  the key that its caller or producer gave the mail
#   nothing     no other mail is a copy of it
KnownBy = Literal["sender-id", "identity", "route-key", "same-bytes", "message", "caller-key", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a mail: who asks for it.

    kind: `application` for an app-only token; `user` for a delegated one, with the user's object id. name: the
    application id of the caller, also for a user; or the name of the queue or of the route.
    """

    kind: Literal["application", "user", "queue", "route"]
    name: str
    tenant: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """The mail is a duplicate if the one with the id `of` was accepted less than so many seconds before it."""

    of: str
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the sender of an event has signed, and the event, whose id is not signed: 32 hex digits each."""

    body: str
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMail:
    """sender: the mailbox, an address, an object id or the name of a pool. Times are aware.

    on_unknown, keep_days: None: as MAIL_ON_UNKNOWN and MAIL_RETENTION_DAYS say. thread, topic: of its conversation
    (threading.py). mime: the whole mail, where it came as MIME; `request` then says what its headers say of people and
    subject, and takes precedence over them (mime/read.py, mime/write.py).
    """

    id: str
    scope: str
    fingerprint: str
    sender: str
    request: SendMail
    origin: Origin
    accepted_at: datetime
    not_before: datetime | None = None
    on_unknown: Literal["resend", "review"] | None = None
    repeats: Repeat | None = None
    keep_days: int | None = None
    thread: str | None = None
    topic: str | None = None
    mime: bytes | None = None
    known_by: KnownBy = "caller-key"
    signed: Signed | None = None
    route: str | None = None  # that made it
    key: str | None = None  # that its caller or producer gave it, or the event's own: its SHA-256, in hex digits
    wants_results: bool = False  # what becomes of it is told in mail-results


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(OutgoingMail)


def encode(mail: OutgoingMail) -> bytes:
    """The mail as a JSON object, for a queue message or a blob."""
    return _ENCODER.encode(mail)


def decode(data: bytes) -> OutgoingMail:
    """The mail that `encode` wrote. Raises msgspec.DecodeError for anything else."""
    return _DECODER.decode(data)


def identity(scope: str, key: str) -> str:
    """The id of the mail with this key in this scope: 32 hex digits of a SHA-256. It depends on nothing else."""
    return _digest(_utf8(scope), _utf8(key))[:ID_DIGITS]


def key_hash(key: str) -> str:
    """The SHA-256 of a key, in hex digits. Rows contain only that, because a key may say whom a mail is for."""
    return hashlib.sha256(_utf8(key)).hexdigest()


def new_id() -> str:
    """The id of a mail without a key: a UUIDv7 (RFC 9562, section 5.7) as 32 hex digits, so that ids sort by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"{value:032x}"


def fingerprint(sender: str, mail: SendMail, thread: str | None = None, mime: bytes | None = None) -> str:
    """The SHA-256, in 64 hex digits, of the mailbox in any case, the mail as it was read, or its MIME, and its thread.

    Order of properties, white space and the like make no difference: they are gone once a mail is read.
    """
    content = [_ENCODER.encode(mail)] if mime is None else [b"mime", mime]
    return _digest(_utf8(sender.lower()), *content, *([] if thread is None else [_utf8(thread)]))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(*parts: bytes) -> str:
    """A hash of these parts and of where each ends: no two lists of parts run together to the same bytes."""
    result = hashlib.sha256()
    for part in parts:
        result.update(b"%d:" % len(part))
        result.update(part)
    return result.hexdigest()
