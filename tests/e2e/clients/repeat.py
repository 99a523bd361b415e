"""Sends one mail with the official SDK as it comes, and repeats the request when the connection breaks.

The SDK's own retries are on: answers of 429, 503 and 504 are repeated within one call. KEY: the Idempotency-Key.
"""

import asyncio
import os
import time
from typing import Any

import httpx
from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_service_client import GraphServiceClient


class TokenFromEnvironment:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(os.environ["TOKEN"], int(time.time()) + 3600)


async def main() -> None:
    client = GraphServiceClient(TokenFromEnvironment())
    client.request_adapter.base_url = os.environ["BASE_URL"]
    to = Recipient(email_address=EmailAddress(address="fannyd@sandbox.example"))
    body = SendMailPostRequestBody(message=Message(subject=os.environ["SUBJECT"], to_recipients=[to]))
    configuration: RequestConfiguration[Any] = RequestConfiguration()
    configuration.headers.add("Idempotency-Key", os.environ["KEY"])
    while True:
        try:
            return await client.users.by_user_id(os.environ["SENDER"]).send_mail.post(body, configuration)
        except httpx.TransportError:
            await asyncio.sleep(0.1)


asyncio.run(main())
