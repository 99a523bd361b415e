"""Messages of `mail-work`, Mailroom's own queue.

    {"kind": "mail", "v": 1, "id", "scope", "fingerprint", "sender", "acceptedAt"[, "notBefore"],
     "mail": {…} or "payload": "<blob>"[, "files": "<folder>"]
     [, "released": "<claim token>"] [, "claimed": "<claim token>"] [, "known": true] [, "replay": n [, "force": true]]
     [, "via": "<mailbox>"] [, "reserved": time] [, "repeats": {"of": "<id>", "within": seconds}] [, "keepDays": n]
     [, "route": "<name>"] [, "knownBy": "…"] [, "signed": {"body": "<digest>", "event": "<digest>"}]}
    {"kind": "message", "v": 1, "id", "queue", "insertedAt", "body": "<base64>" or "payload": "<blob>"
     [, "paced": true] [, "poisoned": true]}
    {"kind": "batch", "v": 1, "id", "route", "acceptedAt", "payload": "<blob>", "count": n
     [, "left": [n, …]] [, "paced": true]}

No producer has a role on this queue, so a message that does not fit the schema is a bug, or of another version.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.mail.outgoing import KnownBy, OutgoingMail, Repeat, Signed, identity
from shared.parsing.producer_messages import elements

NO_MAIL = msgspec.Raw()


class _OfMailWork(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    v: Literal[1]
    id: str


class _AnyVersion(msgspec.Struct, frozen=True):
    kind: str
    v: int


class Work(_OfMailWork, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="kind", tag="mail"):
    """One wake-up. What the row of a new mail needs stands here, so that no payload is read before it is needed."""

    scope: str
    fingerprint: str
    sender: str
    accepted_at: datetime
    not_before: datetime | None = None
    mail: msgspec.Raw = NO_MAIL  # the mail itself, where it fits into a queue message
    payload: str | None = None  # or the name of its blob in mail-payloads
    files: str | None = None  # where its larger files lie in mail-payloads
    released: str | None = None  # the token of a claim that was given up: whoever holds this may take it over
    known: bool = False  # the mail has a row: read it, do not try to insert
    claimed: str | None = None  # the token of the attempt that was made beside it, whose end nobody may have reported
    replay: int = 0  # an operator has asked for it this many times: a row that ended unsent begins anew
    force: bool = False  # and the operator wants it sent although it may have gone and nobody can be asked
    via: str | None = None  # the mailbox chosen of a pool
    reserved: datetime | None = None  # its time in the mailbox's rate: it needs no other one
    repeats: Repeat | None = None  # it is a duplicate of that one, if that one is young enough
    keep_days: int | None = None
    route: str | None = None
    known_by: KnownBy = "caller-key"  # why it is a copy, if there is a mail of its id already
    signed: Signed | None = None  # to be looked up: whether another event has said the same

    @property
    def carries(self) -> bool:
        """Whether it has the mail with it, or names its blob."""
        return self.payload is not None or bool(bytes(self.mail))


class ProducerMessage(_OfMailWork, frozen=True, kw_only=True, rename="camel", tag_field="kind", tag="message"):
    """A producer's message that cannot be read at the moment, kept with the id that its first delivery gave it."""

    queue: str
    inserted_at: datetime
    body: bytes = b""
    payload: str | None = None  # or the name of its blob in mail-payloads, where it does not fit into a queue message
    paced: bool = False  # it has waited for its time in the rate of its queue
    poisoned: bool = False  # the platform has given it up after ten failures


class Batch(_OfMailWork, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="kind", tag="batch"):
    """The events of one request that asks for more mails than are put one by one (webhooks/routing/batches.py)."""

    route: str
    accepted_at: datetime
    payload: str  # the name of the blob in mail-payloads that holds the events
    count: int
    left: tuple[int, ...] | None = None  # the numbers of those whose mails are still to be put; None: all
    paced: bool = False  # nobody waits for an answer: each mail gets its time in the rate of the route


def apart(message: ProducerMessage) -> list[ProducerMessage] | None:
    """One message for each element of one that is an array, named by its place in it; None where it is none.

    Raises Malformed for an array that is empty or broken.
    """
    found = elements(message.body)
    if found is None:
        return None
    return [
        msgspec.structs.replace(message, id=identity(f"part of {message.id}", str(at)), body=body)
        for at, body in enumerate(found)
    ]


def work_of(mail: OutgoingMail, slot: tuple[str, datetime] | None = None) -> Work:
    """The wake-up for a mail, without the mail: the outbox adds it. slot: the mailbox and the time that it carries."""
    via, reserved = slot or (None, None)
    return Work(
        via=via,
        reserved=reserved,
        v=1,
        id=mail.id,
        scope=mail.scope,
        fingerprint=mail.fingerprint,
        sender=mail.sender,
        accepted_at=mail.accepted_at,
        not_before=mail.not_before,
        repeats=mail.repeats,
        keep_days=mail.keep_days,
        route=mail.route,
        known_by=mail.known_by,
        signed=mail.signed,
    )


def of_some_version(body: bytes) -> bool:
    """Whether what parse_work cannot read is a message of another version: all name their kind and their version."""
    try:
        msgspec.json.decode(body, type=_AnyVersion)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def parse_work(body: bytes) -> Work | ProducerMessage | Batch:
    """Raises msgspec.DecodeError (ValidationError when it is JSON of another shape)."""
    try:
        return msgspec.json.decode(body, type=Work | ProducerMessage | Batch)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
