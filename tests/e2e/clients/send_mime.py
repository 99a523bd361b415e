"""Sends one MIME mail with the official SDK, which has no method for it: its request, with another body."""

import asyncio
import os
import time
from typing import Any

from azure.core.credentials import AccessToken
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_service_client import GraphServiceClient


class TokenFromEnvironment:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(os.environ["TOKEN"], int(time.time()) + 3600)


async def main() -> None:
    client = GraphServiceClient(TokenFromEnvironment())
    client.request_adapter.base_url = os.environ["BASE_URL"]
    builder = client.users.by_user_id(os.environ["SENDER"]).send_mail
    request = builder.to_post_request_information(SendMailPostRequestBody())
    request.headers.remove("Content-Type")
    request.set_stream_content(os.environ["CONTENT"].encode(), "text/plain")
    await client.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})


asyncio.run(main())
