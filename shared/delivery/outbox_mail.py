"""Reads a producer's mail: a message of the queue `mail-outbox`.

    {"sender": "…", "message": {…}, "saveToSentItems": true, "key": "…", "notBefore": "2026-07-01T08:00:00+02:00",
     "thread": "…"}

The JSON may be wrapped as producer_messages.py allows, and its names may be in any case. Instead of `message` it may
have `mime`: a whole MIME mail in base64, as sendMail accepts it; a copy of it is always saved. Anything else is
refused, including the fields of Mailroom's own `mail-work` messages.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from shared.errors import Malformed
from shared.mail.addresses import mailbox_name
from shared.mail.graph_types import LINE, Property, Typed
from shared.mail.limits import LONGEST_THREAD, MAX_KEY
from shared.mail.model import SendMail
from shared.mail.parse import OUTER, SendMailBody, checked_mail, is_saved, shaped
from shared.parsing.producer_messages import numbers_as_text, renamed, unwrapped
from shared.parsing.strict_json import TYPE, read_json

Sender = Annotated[str, Meta(min_length=1, max_length=320)]
Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY, pattern=LINE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMail:
    """One message of `mail-outbox`. not_before is in UTC. mime: the mail, if it came as MIME."""

    sender: str
    mail: SendMail
    key: str | None = None
    not_before: datetime | None = None
    thread: str | None = None
    mime: bytes | None = None


class _OutboxBody(SendMailBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    sender: Sender
    key: Key | None = None
    not_before: Annotated[datetime, Meta(tz=True)] | None = field(default=None, name="notBefore")
    thread: Annotated[str, Meta(min_length=1, max_length=LONGEST_THREAD)] | None = None
    mime: str | None = None


def outbox_mail(body: bytes) -> OutboxMail:
    """The mail of a message. Raises Malformed as `send_mail`."""
    tree = renamed(_opened(read_json(unwrapped(body))), names())
    if isinstance(tree, dict):
        numbers_as_text(tree, "key", "thread")
    outer = shaped(tree, _OutboxBody)
    sender = _sender(outer.sender)
    if outer.thread is not None and not (outer.thread.strip() and outer.thread.isprintable()):
        raise _wrong("Expected printable characters.", "$.thread")
    mail, mime = (checked_mail(tree, outer), None) if outer.mime is None else _mime(tree, outer, outer.mime)
    try:
        not_before = outer.not_before and outer.not_before.astimezone(UTC)
    except OverflowError:
        raise _wrong("Expected a time within the years 1 to 9999 of UTC.", "$.notBefore") from None
    return OutboxMail(sender=sender, mail=mail, key=outer.key, not_before=not_before, thread=outer.thread, mime=mime)


def named(body: bytes) -> tuple[str, str | None]:
    """The sender and the key of a message that is no mail, as far as they can be read: by them it is found."""
    sender, key = "", None
    with suppress(Malformed):
        tree = renamed(read_json(unwrapped(body)), names(), deep=False)
        if isinstance(tree, dict):
            numbers_as_text(tree, "key")
            with suppress(msgspec.ValidationError):
                key = msgspec.convert(tree.get("key"), Key | None)
            with suppress(msgspec.ValidationError):
                sender = _sender(msgspec.convert(tree.get("sender"), Sender))
    return sender, key


@cache
def names() -> dict[str, str]:
    """Every name that may stand in a message, by its form in lower case."""
    shapes: list[type[msgspec.Struct]] = [_OutboxBody, Property]
    known = set[str]()
    for shape in shapes:
        shapes += shape.__subclasses__()
        known.update(shape.__struct_encode_fields__)
        if issubclass(shape, Typed):
            known |= shape.filled_in | shape.not_taken
    known -= {"Message", "SaveToSentItems"}
    return {name.lower(): name for name in known} | {"odatatype": TYPE}  # as .NET's models have it


def _opened(tree: Any) -> Any:
    """The same; where `message` is a text of JSON, with its value instead."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name.lower() == "message" and isinstance(value, str) and value.lstrip().startswith("{"):
                try:
                    tree[name] = read_json(value.encode())
                except Malformed as error:
                    raise Malformed(error.status, error.code, error.message, f"$.message: {error.path}") from None
    return tree


def _sender(text: str) -> str:
    """The mailbox or the pool in its canonical form."""
    try:
        if text.isprintable() and not any(map(str.isspace, text)):
            return mailbox_name(text)
    except ValueError:
        pass
    raise _wrong("Expected the address or the id of a mailbox.", "$.sender")


def _mime(tree: dict[str, Any], outer: SendMailBody, encoded: str) -> tuple[SendMail, bytes]:
    """A MIME mail as a request, and its bytes. The path of a fault is `$.mime` and the place in the mail."""
    from shared.mime.read import decode_mime, read_mime  # few mails need the readers of Python's email

    if tree.get("message") is not None:
        raise _wrong("Found both message and mime; expected one of them.", "$.message")
    if not is_saved(outer.save, "$.saveToSentItems"):
        raise _wrong("saveToSentItems cannot be false for a MIME mail: a copy is always saved.", "$.saveToSentItems")
    mime = decode_mime(encoded, "$.mime")
    try:
        return read_mime(mime), mime
    except Malformed as error:
        place = f"$.mime: {error.path}" if error.path else "$.mime"
        raise Malformed(error.status, error.code, error.message, place) from None


def _wrong(message: str, path: str) -> Malformed:
    return Malformed(400, OUTER, message, path)
