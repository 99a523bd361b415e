"""Finds a mail in the mailbox that it was sent from, in any folder, by the marker that it was sent with.

This takes one request: with two, the failure of one would make the answer to the other worthless.
"""

import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from shared.graph.client import GraphConnection
from shared.graph.outcome import Unanswered
from shared.graph.sdk_request import asked

with warnings.catch_warnings():
    # The SDK's modules warn of their own deprecated classes; see client.py.
    warnings.simplefilter("ignore", DeprecationWarning)
    from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

MessagesQuery = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters
OK: Final = 200
Found = Literal["sent", "waiting", "absent"] | Unanswered


class _Item(msgspec.Struct, rename="camel"):
    is_draft: bool


class _Items(msgspec.Struct):
    value: list[_Item]


@dataclass(frozen=True, slots=True)
class Marker:
    """The marker of a mail that was sent as JSON: an extended property with this id and value."""

    property_id: str
    value: str

    def __str__(self) -> str:
        return f"singleValueExtendedProperties/Any(ep: ep/id eq '{self.property_id}' and ep/value eq '{self.value}')"


@dataclass(frozen=True, slots=True)
class MessageId:
    """The marker of a mail that was sent as MIME: its Message-ID, with the angle brackets."""

    value: str

    def __str__(self) -> str:
        return f"internetMessageId eq '{self.value}'"


async def find_copy(
    connection: GraphConnection,
    mailbox: str,
    known_by: Marker | MessageId,
    deadline: float,
    newer_than: datetime | None = None,
) -> Found:
    """What the mailbox holds of a mail. deadline: in seconds. newer_than: see GraphConnection.ensure_token.

    sent: a copy that is no draft, wherever it was moved to. waiting: only a draft, such as a message in the Outbox.
    absent: nothing. Unanswered: the mailbox did not say, for whatever reason; never raises. Needs Mail.Read.
    """
    query = MessagesQuery(filter=str(known_by), select=["isDraft"])
    messages = connection.client.users.by_user_id(mailbox).messages
    answer, outcome = await asked(
        connection, lambda configure: messages.get(configure(query)), deadline, newer_than=newer_than
    )
    if answer is None or answer.status_code != OK:
        return Unanswered(outcome)
    try:
        items = msgspec.json.decode(answer.content, type=_Items).value
    except msgspec.DecodeError:
        return Unanswered(outcome)
    if any(not item.is_draft for item in items):
        return "sent"
    return "waiting" if items else "absent"
