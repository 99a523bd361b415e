"""What most people would write: one HTTP function that sends its body through the SDK, with the SDK's defaults."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import azure.functions as func
from azure.identity.aio import ManagedIdentityCredential
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_service_client import GraphServiceClient

if TYPE_CHECKING:
    from collections.abc import Iterable

app = func.FunctionApp()


@cache
def client() -> GraphServiceClient:
    found = GraphServiceClient(ManagedIdentityCredential(), scopes=["https://graph.microsoft.com/.default"])
    found.request_adapter.base_url = os.environ["GRAPH_BASE_URL"]
    return found


def recipients(given: "Iterable[dict[str, Any]]") -> list[Recipient]:
    return [Recipient(email_address=EmailAddress(address=each["emailAddress"]["address"])) for each in given]


@app.route(route="v1.0/users/{id}/sendMail", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send_mail(req: func.HttpRequest) -> func.HttpResponse:
    given = req.get_json()["message"]
    message = Message(
        subject=given["subject"],
        body=ItemBody(content=given["body"]["content"], content_type=BodyType.Text),
        to_recipients=recipients(given["toRecipients"]),
        cc_recipients=recipients(given["ccRecipients"]),
    )
    body = SendMailPostRequestBody(message=message, save_to_sent_items=True)
    await client().users.by_user_id(req.route_params["id"]).send_mail.post(body)
    return func.HttpResponse(b"", status_code=202)
