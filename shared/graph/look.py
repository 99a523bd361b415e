"""Looking a mail up in the mailbox it was sent from, in all folders: by the mark that it went with.

One question: with two, one that fails makes the other worth nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import msgspec
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

from shared.deadline import within
from shared.graph.client import GraphConnection

if TYPE_CHECKING:
    import httpx

__all__ = ["Found", "MessageId", "Stamp", "look"]

Found = Literal["sent", "waiting", "absent", "undetermined"]


class _Item(msgspec.Struct, rename="camel"):
    is_draft: bool


class _Items(msgspec.Struct):
    value: list[_Item]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a mail has that went as JSON: an extended property of this id with this value."""

    property_id: str
    value: str

    def __str__(self) -> str:
        return f"singleValueExtendedProperties/Any(ep: ep/id eq '{self.property_id}' and ep/value eq '{self.value}')"


@dataclass(frozen=True, slots=True)
class MessageId:
    """What a mail has that went as MIME, which knows no properties: the Message-ID, with its angle brackets."""

    value: str

    def __str__(self) -> str:
        return f"internetMessageId eq '{self.value}'"


async def look(connection: GraphConnection, mailbox: str, known_by: Stamp | MessageId, deadline: float) -> Found:
    """What the mailbox holds of a mail. deadline: in seconds.

    sent: a copy that is no draft, wherever it was moved to. waiting: only a draft, as what is in the Outbox is.
    absent: nothing. undetermined: the mailbox did not say, for whatever reason; never raises. Needs Mail.Read.
    """
    try:
        async with within(deadline):
            return await _found(connection, mailbox, str(known_by))
    except Exception:  # noqa: BLE001 - not to know is an answer here: it is asked again, then the policy decides
        return "undetermined"


async def _found(connection: GraphConnection, mailbox: str, wanted: str) -> Found:
    query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(filter=wanted, select=["isDraft"])
    configuration = RequestConfiguration(
        options=[ResponseHandlerOption(NativeResponseHandler())], query_parameters=query
    )
    answer = await connection.client.users.by_user_id(mailbox).messages.get(configuration)
    response = cast("httpx.Response", answer)
    if response.status_code != 200:  # noqa: PLR2004 - OK
        return "undetermined"
    try:
        items = msgspec.json.decode(response.content, type=_Items).value
    except msgspec.DecodeError:
        return "undetermined"
    if any(not item.is_draft for item in items):
        return "sent"
    return "waiting" if items else "absent"
