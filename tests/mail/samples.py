"""Mails that tests are about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import Origin, OutgoingMail

BOX = "mailroom@contoso.example"
ID = "0197c1b2d3e4f5a6b7c8d9e0f1a2b3c4"


def person(address: str, name: str | None = None) -> Recipient:
    return Recipient(email_address=EmailAddress(address=address, name=name))


def people(*addresses: str) -> tuple[Recipient, ...]:
    return tuple(map(person, addresses))


def outgoing(request: SendMail | None = None, **changes: Any) -> OutgoingMail:
    """A mail of a queue, with this request or to one recipient; `changes` of OutgoingMail's fields."""
    mail = OutgoingMail(
        id=ID,
        scope="queue:mail-outbox",
        fingerprint="f",
        sender=BOX,
        request=request or SendMail(message=Message(to_recipients=people("adele@fabrikam.test"))),
        origin=Origin(kind="queue", name="mail-outbox"),
        accepted_at=datetime(2026, 7, 1, tzinfo=UTC),
    )
    return replace(mail, **changes)
