"""One sendMail request through the SDK, and what became of it."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from shared.graph.client import GraphConnection
from shared.graph.errors import outcome_of, timed_out
from shared.graph.outcome import NotConnected, Outcome, Rejected, classify
from shared.graph.request_phase import PhaseTracker, RequestPhase
from shared.runtime.deadline import within
from shared.runtime.long_work import aside

if TYPE_CHECKING:
    import httpx
    from kiota_abstractions.default_query_parameters import QueryParameters
    from msgraph.generated.users.item.send_mail.send_mail_request_builder import SendMailRequestBuilder

__all__ = ["send_mail"]


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

    client_request_id: names the request in Graph's logs; diagnosis only. deadline: seconds for everything, the token
    and the connection included. still_ours: asked immediately before the request leaves; when it says no, nothing is
    sent and the outcome is NotConnected("lease"). size: bytes of the mail; a large one is written in a thread.

    Raises nothing but asyncio.CancelledError, and that only when the caller cancels: the mail may then have gone.
    """
    progress = PhaseTracker()
    try:
        async with within(deadline) as end:
            progress = PhaseTracker(end)
            await connection.ensure_token()
            progress.stage = RequestPhase.BUILDING
            # The address as a whole: out of its template the SDK would make it three times for one request, and each
            # time by the character.
            address = f"{connection.client.request_adapter.base_url}/users/{quote(mailbox, safe='')}/sendMail"
            builder = connection.client.users.by_user_id(mailbox).send_mail.with_url(address)
            request = await aside(size, _request, builder, body, _configuration(client_request_id, progress))
            if not still_ours():
                return NotConnected("lease")
            # What builder.post does after it has written the request, which here may have been done in a thread.
            answer = await builder.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})  # type: ignore[func-returns-value]  # NativeResponseHandler's
            response = cast("httpx.Response", answer)
    except TimeoutError:
        return timed_out(progress)
    except Exception as error:  # noqa: BLE001 - the table covers every class; a mail whose outcome is lost may go twice
        return outcome_of(error, progress, datetime.now(UTC))
    outcome = classify(response.status_code, response.headers, response.content, datetime.now(UTC))
    if isinstance(outcome, Rejected) and outcome.kind == "permission":
        connection.distrust_token()
    return outcome


def _request(
    builder: "SendMailRequestBuilder",
    body: SendMailPostRequestBody | bytes,
    configuration: "RequestConfiguration[QueryParameters]",
) -> RequestInformation:
    if isinstance(body, SendMailPostRequestBody):
        return builder.to_post_request_information(body, configuration)
    # The SDK has no method for MIME: its request, with another body. Base64, also of what is ASCII, is Graph's wish:
    # https://learn.microsoft.com/graph/outlook-send-mime-message
    request = builder.to_post_request_information(SendMailPostRequestBody(), configuration)
    request.headers.remove(request.CONTENT_TYPE_HEADER)
    request.set_stream_content(base64.b64encode(body), "text/plain")
    return request


def _configuration(client_request_id: str, progress: PhaseTracker) -> "RequestConfiguration[QueryParameters]":
    headers = HeadersCollection()
    # An id that cannot stand in a header is left out: it is not worth a mail.
    if client_request_id and client_request_id.isascii() and client_request_id.isprintable():
        headers.add("client-request-id", client_request_id)
        headers.add("return-client-request-id", "true")
    # The SDK takes any 2xx for success and follows its own mind about errors; the answer itself is wanted.
    return RequestConfiguration(headers, [ResponseHandlerOption(NativeResponseHandler()), progress])
