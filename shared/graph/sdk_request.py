"""One request that the SDK builds, under its deadline: its answer as it came, and what that stands for."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_http.middleware.options import ResponseHandlerOption

from shared.graph.client import GraphConnection
from shared.graph.errors import outcome_of, timed_out
from shared.graph.outcome import NotConnected, Outcome, Rejected, classify
from shared.graph.request_phase import PhaseTracker, RequestPhase
from shared.runtime.deadline import within

if TYPE_CHECKING:
    import httpx

__all__ = ["Configure", "asked"]

type Configure = Callable[[Any], "RequestConfiguration[Any]"]
"""From a request's query parameters, or None, to its configuration."""


async def asked(
    connection: GraphConnection,
    ask: Callable[[Configure], Awaitable[object]],
    deadline: float,
    *,
    still_ours: Callable[[], bool] = lambda: True,
    newer_than: datetime | None = None,
) -> tuple["httpx.Response | None", Outcome]:
    """The answer, if there was one, and the outcome that it would have as an answer to sendMail.

    deadline: seconds for everything, the token and the connection included. newer_than: see
    GraphConnection.ensure_token. A refused token, or one that has not the right, is replaced before the next request.
    """
    progress = PhaseTracker()
    try:
        async with within(deadline) as end:
            progress = PhaseTracker(end)
            await connection.ensure_token(newer_than)
            token_at = connection.token_at
            if not still_ours():
                return None, NotConnected("lease")
            progress.stage = RequestPhase.BUILDING
            answer = cast("httpx.Response", await ask(lambda query: _configuration(query, progress)))
    except TimeoutError:
        return None, timed_out(progress)
    except Exception as error:  # noqa: BLE001 - the table covers every class; see errors.py
        return None, outcome_of(error, progress, datetime.now(UTC))
    outcome = classify(answer.status_code, answer.headers, answer.content, datetime.now(UTC))
    if isinstance(outcome, Rejected):
        outcome = replace(outcome, token_at=token_at)
        if outcome.kind == "permission":
            connection.distrust_token()
    return answer, outcome


def _configuration(query: Any, progress: PhaseTracker) -> "RequestConfiguration[Any]":
    headers = HeadersCollection()
    headers.add("client-request-id", str(uuid.uuid4()))
    headers.add("return-client-request-id", "true")
    return RequestConfiguration(headers, [ResponseHandlerOption(NativeResponseHandler()), progress], query)
