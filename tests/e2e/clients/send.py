"""Sends two mails with the official SDK; only the base URL is Mailroom's.

One as its own documentation shows, and MIME, for which it has no method: its request, with another body.
"""

import asyncio
import base64
import os
import time
from typing import Any

from azure.core.credentials import AccessToken
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
    message = Message(
        subject="Grüße from Python",
        body=ItemBody(content="<p>2026-07-01T12:00:00Z</p>", content_type=BodyType.Html),
        to_recipients=[Recipient(email_address=EmailAddress(address="fannyd@sandbox.example", name="Fanny"))],
        attachments=[
            FileAttachment(
                name="menu.pdf",
                content_type="application/pdf",
                content_bytes=base64.b64decode(os.environ["CONTENT"]),
            )
        ],
    )
    body = SendMailPostRequestBody(message=message)
    builder = client.users.by_user_id(os.environ["SENDER"]).send_mail
    await builder.post(body)
    request = builder.to_post_request_information(SendMailPostRequestBody())
    request.headers.remove("Content-Type")
    request.set_stream_content(os.environ["MIME"].encode(), "text/plain")
    await client.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})


asyncio.run(main())
