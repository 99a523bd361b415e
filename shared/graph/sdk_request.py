"""Makes one request that the SDK builds, within a deadline, and returns the answer and the outcome.

An exception alone never decides the outcome. If no byte of the request can have left, Graph has not accepted it,
whatever failed. If the request may have left, an exception without an entry in the table below means Unknown.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
from azure.core.exceptions import AzureError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_http.middleware.options import ResponseHandlerOption

from shared.event_loop import within
from shared.graph.http_status import classify
from shared.graph.outcome import NotConnected, Outcome, Rejected, Stopped, Unknown
from shared.graph.transport import PhaseTracker, RequestPhase

if TYPE_CHECKING:
    from shared.graph.client import GraphConnection

_CONNECT: Final = NotConnected("connect")
_IDENTITY: Final = NotConnected("identity")
# Only Mailroom writes the body, and it was refused before Graph saw it: trying again gives the same.
_UNWRITABLE: Final = Rejected(
    400, "BadRequest", "permanent", "The message cannot be written as a request to Microsoft Graph."
)
# The exceptions that the transport (transport.py), the HTTP client around it and the managed identity raise: the first
# row that fits. Graph's answers come as they are, so the SDK raises none of its own for them.
OUTCOMES: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (AzureError, _IDENTITY),  # only the managed identity speaks through azure-core here
    (httpx.ConnectError, _CONNECT),  # refused, unreachable, no such name, TLS
    (httpx.ConnectTimeout, _CONNECT),
    (httpx.UnsupportedProtocol, _CONNECT),
    (httpx.InvalidURL, _UNWRITABLE),
    (httpx.HTTPError, Unknown("connection")),  # the answer did not come, or cannot be read
)
# What writing a body raises when the body is at fault, and not the machine.
_BODY_FAULTS: Final = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)

type Configure = Callable[[Any], "RequestConfiguration[Any]"]
"""From a request's query parameters, or None, to its configuration."""


async def asked(
    connection: "GraphConnection",
    ask: Callable[[Configure], Awaitable[object]],
    deadline: float,
    *,
    newer_than: datetime | None = None,
    client_request_id: str | None = None,
) -> tuple[httpx.Response | None, Outcome]:
    """The answer, if there was one, and the outcome that it would have as an answer to sendMail.

    ask: makes the request; may raise Stopped with an outcome of its own before anything left. deadline: seconds for
    everything, the token and the connection included. newer_than: see GraphConnection.ensure_token. A refused token, or
    one that lacks the right, is replaced before the next request. client_request_id: None for a new one.

    Raises nothing but asyncio.CancelledError, and that only when the caller cancels: the request may then have left.
    """
    tracker = PhaseTracker()
    try:
        async with within(deadline) as end:
            tracker = PhaseTracker(end)
            await connection.ensure_token(newer_than)
            token_at = connection.token_at
            tracker.phase = RequestPhase.BUILDING
            configure: Configure = lambda query: _configuration(query, client_request_id, tracker)  # noqa: E731
            answer = cast("httpx.Response", await ask(configure))
    except TimeoutError:
        return None, timed_out(tracker)
    except Stopped as stopped:
        return None, stopped.outcome
    except Exception as error:  # noqa: BLE001 - a mail whose outcome is lost may be sent twice
        return None, outcome_of(error, tracker)
    outcome = classify(answer.status_code, answer.headers, answer.content, datetime.now(UTC))
    if isinstance(outcome, Rejected):
        outcome = replace(outcome, token_at=token_at)
        if outcome.kind == "permission":
            connection.distrust_token()
    return answer, outcome


def outcome_of(error: Exception, tracker: PhaseTracker) -> Outcome:
    """What became of a request that ended in `error` after it came as far as `tracker` says.

    An exception that is in no row has its class's name for a reason, and never its text, which may hold addresses.
    """
    if tracker.phase is RequestPhase.TOKEN:
        return _IDENTITY
    outcome = next((row for kind, row in OUTCOMES if isinstance(error, kind)), Unknown(type(error).__name__))
    if tracker.may_have_left or not isinstance(outcome, Unknown):
        return outcome
    if tracker.phase is RequestPhase.BUILDING and isinstance(error, _BODY_FAULTS):
        return _UNWRITABLE
    return _CONNECT if tracker.phase is RequestPhase.CONNECTING else NotConnected("internal")


def timed_out(tracker: PhaseTracker) -> Outcome:
    """The outcome of a request whose deadline passed."""
    if tracker.may_have_left:
        return Unknown("timeout")
    # While the request is built, the one thing to wait for is its token.
    return _CONNECT if tracker.phase is RequestPhase.CONNECTING else _IDENTITY


def _configuration(query: Any, client_request_id: str | None, tracker: PhaseTracker) -> "RequestConfiguration[Any]":
    headers = HeadersCollection()
    name = str(uuid.uuid4()) if client_request_id is None else client_request_id
    if name and name.isascii() and name.isprintable():  # else it cannot be a header: leave it out and send the mail
        headers.add("client-request-id", name)
        headers.add("return-client-request-id", "true")
    # The SDK takes any 2xx for success and has errors of its own; what is wanted is the answer itself.
    return RequestConfiguration(headers, [ResponseHandlerOption(NativeResponseHandler()), tracker], query)
