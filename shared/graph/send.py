"""Makes one sendMail request through the SDK and returns its outcome."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from shared.event_loop import aside
from shared.graph.client import GraphConnection
from shared.graph.outcome import NotConnected, Outcome, Stopped
from shared.graph.sdk_request import Configure, asked

if TYPE_CHECKING:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.send_mail.send_mail_request_builder import SendMailRequestBuilder


async def send_mail(  # noqa: PLR0913 - one request has that many sides
    connection: GraphConnection,
    mailbox: str,
    body: SendMailPostRequestBody | bytes,
    *,
    client_request_id: str,
    deadline: float,
    still_ours: Callable[[], bool] = lambda: True,
    size: int = 0,
) -> Outcome:
    """Send `body` from `mailbox` (id or user principal name), once. Bytes are a whole MIME mail.

    client_request_id: names the request in Graph's logs; diagnosis only. still_ours: asked immediately before the
    request leaves; when it is false, nothing is sent and the outcome is NotConnected("lease"). size: bytes of the mail;
    a large one is written in a thread. Raises nothing, as `asked`.
    """

    async def ask(configure: Configure) -> object:
        # The address as a whole: out of its template the SDK would make it three times for one request, and each time
        # character by character.
        address = f"{connection.client.request_adapter.base_url}/users/{quote(mailbox, safe='')}/sendMail"
        builder = connection.client.users.by_user_id(mailbox).send_mail.with_url(address)
        request = await aside(size, _request, builder, body, configure(None))
        if not still_ours():
            raise Stopped(NotConnected("lease"))
        # What builder.post does after it has written the request, which here may have been done in a thread.
        return await builder.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})  # type: ignore[func-returns-value]  # NativeResponseHandler's

    return (await asked(connection, ask, deadline, client_request_id=client_request_id))[1]


def _request(
    builder: "SendMailRequestBuilder",
    body: SendMailPostRequestBody | bytes,
    configuration: "RequestConfiguration[Any]",
) -> RequestInformation:
    if isinstance(body, SendMailPostRequestBody):
        return builder.to_post_request_information(body, configuration)
    # The SDK has no method for MIME: its request, with another body. Graph wants base64, also of what is ASCII:
    # https://learn.microsoft.com/graph/outlook-send-mime-message
    request = builder.to_post_request_information(SendMailPostRequestBody(), configuration)
    request.headers.remove(request.CONTENT_TYPE_HEADER)
    request.set_stream_content(base64.b64encode(body), "text/plain")
    return request
