"""A message of `mail-work`, Mailroom's own queue: which mail to wake up for, and where its letter is.

    {"v": 1, "id", "scope", "fingerprint", "mailbox", "acceptedAt"[, "notBefore"],
     "letter": {…} or "payload": "<blob>" [, "released": "<claim token>"] [, "known": true] [, "replay": n]}

No producer has a role on this queue, so what does not fit the schema is a fault of ours, or of an older version.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.letters.letter import Letter, decode

__all__ = ["Work", "parse_work", "work_of"]


class Work(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """One wake-up. What the row of a new mail needs stands here, so that no payload is read before it is needed."""

    v: Literal[1]
    id: str
    scope: str
    fingerprint: str
    mailbox: str
    accepted_at: datetime
    not_before: datetime | None = None
    letter: msgspec.Raw | None = None  # the letter itself, where it fits into a queue message
    payload: str | None = None  # or the name of its blob in mail-payloads
    released: str | None = None  # the token of a claim that was given up: whoever holds this may take it over
    known: bool = False  # the mail has a row: read it, do not try to insert
    replay: int = 0  # an operator has asked for it this many times: a failed or held row begins anew
    reserved: datetime | None = None  # its time in the mailbox's rate: it needs no other one
    waits: int = 0  # how often it was put back because no slot was free

    def inline(self) -> Letter | None:
        return decode(bytes(self.letter)) if self.letter is not None else None


def work_of(letter: Letter) -> Work:
    """The wake-up for a letter, without the letter: the outbox adds it."""
    return Work(
        v=1,
        id=letter.id,
        scope=letter.scope,
        fingerprint=letter.fingerprint,
        mailbox=letter.sender,
        accepted_at=letter.accepted_at,
        not_before=letter.not_before,
    )


def parse_work(body: bytes) -> Work:
    """Raises msgspec.DecodeError (ValidationError when it is JSON of another shape)."""
    return msgspec.json.decode(body, type=Work)
