"""Looking a mail up in the mailbox it was sent from, in all folders: by its stamp, then by its Message-ID."""

import asyncio
from typing import TYPE_CHECKING, Literal, cast

import msgspec
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

from shared.graph.client import GraphConnection

if TYPE_CHECKING:
    import httpx

__all__ = ["Found", "look"]

Found = Literal["sent", "waiting", "absent", "undetermined"]


class _Item(msgspec.Struct, rename="camel"):
    is_draft: bool


class _Items(msgspec.Struct):
    value: list[_Item]


async def look(  # noqa: PLR0913, PLR0917 - what a mail is known by, and where
    connection: GraphConnection, mailbox: str, property_id: str, value: str, message_id: str | None, deadline: float
) -> Found:
    """What the mailbox holds of the mail whose extended property `property_id` is `value`, or whose id is `message_id`.

    A mail that went as JSON has the property, one that went as MIME has the Message-ID that it was given; None: no mail
    goes as MIME here, and a second question would only be one more that can fail. One deadline for both, in seconds.

    sent: a copy that is no draft, wherever it was moved to. waiting: only a draft, as what is in the Outbox is.
    absent: nothing. undetermined: the mailbox did not say, for whatever reason; never raises. Needs Mail.Read.
    """
    filters = [f"singleValueExtendedProperties/Any(ep: ep/id eq '{property_id}' and ep/value eq '{value}')"]
    if message_id is not None:
        filters.append(f"internetMessageId eq '{message_id}'")
    found: Found = "absent"
    try:
        async with asyncio.timeout(deadline):
            for wanted in filters:
                found = await _found(connection, mailbox, wanted)
                if found != "absent":
                    break
    except Exception:  # noqa: BLE001 - not to know is an answer here: it is asked again, then the policy decides
        return "undetermined"
    return found


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
