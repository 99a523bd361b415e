"""Sends a mail with the official SDK as it comes, under a key, and repeats the request when the connection breaks.

Only the base URL is Mailroom's. The SDK's own retries are on: answers of 429, 503 and 504 are repeated within one call.
MIME: sent then as well, for which the SDK has no method: its request, with another body.
"""

import asyncio
import base64
import os
import time
from typing import Any

import httpx
from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_service_client import GraphServiceClient


class TokenFromEnvironment:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(os.environ["TOKEN"], int(time.time()) + 3600)


async def main() -> None:
    client = GraphServiceClient(TokenFromEnvironment())
    client.request_adapter.base_url = os.environ["BASE_URL"]
    file = base64.b64decode(os.environ["CONTENT"])
    message = Message(
        subject=os.environ["SUBJECT"],
        body=ItemBody(content="<p>2026-07-01T12:00:00Z</p>", content_type=BodyType.Html),
        to_recipients=[Recipient(email_address=EmailAddress(address="fannyd@sandbox.example", name="Fanny"))],
        attachments=[FileAttachment(name="menu.pdf", content_type="application/pdf", content_bytes=file)],
    )
    configuration: RequestConfiguration[Any] = RequestConfiguration()
    configuration.headers.add("Idempotency-Key", os.environ["KEY"])
    builder, sent = client.users.by_user_id(os.environ["SENDER"]).send_mail, False
    while not sent:
        try:
            await builder.post(SendMailPostRequestBody(message=message), configuration)
            sent = True
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    if mime := os.environ["MIME"]:
        request = builder.to_post_request_information(SendMailPostRequestBody())
        request.headers.remove("Content-Type")
        request.set_stream_content(mime.encode(), "text/plain")
        await client.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})


asyncio.run(main())
