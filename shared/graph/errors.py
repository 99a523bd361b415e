"""The outcome that each exception stands for: the table, and the one function that reads it.

Sending raises exceptions of four libraries. The classes are here by name, the most specific one wins, and a test walks
the libraries and fails when a class has no row. An exception never decides alone: when no byte of the request can have
left, it surely was not accepted, whatever broke.
"""

import json
from datetime import datetime
from typing import Any

import httpx
import kiota_authentication_azure._exceptions as authentication
import kiota_http._exceptions as kiota
from azure.core.exceptions import AzureError, DeserializationError, SerializationError
from kiota_abstractions.api_error import APIError

from shared.graph.outcome import NotConnected, Outcome, Rejected, Unknown, classify
from shared.graph.request_phase import PhaseTracker, RequestPhase

__all__ = ["OUTCOMES", "outcome_of", "timed_out"]

_CONNECT = NotConnected("connect")
_IDENTITY = NotConnected("identity")
_INTERNAL = NotConnected("internal")
_CONNECTION = Unknown("connection")
_TIMEOUT = Unknown("timeout")
# Written by nobody but Mailroom, and refused before Graph saw it: trying again gives the same.
_UNWRITABLE = Rejected(400, "BadRequest", "permanent", "The message cannot be written as a request to Microsoft Graph.")

OUTCOMES: dict[type[Exception], Outcome | None] = {
    # The token. Only the managed identity speaks through azure-core; Graph's answers do not.
    AzureError: _IDENTITY,
    SerializationError: _IDENTITY,
    DeserializationError: _IDENTITY,
    authentication.KiotaAuthenticationError: _IDENTITY,
    authentication.HTTPError: _IDENTITY,
    # No connection, so no request.
    httpx.ConnectError: _CONNECT,  # refused, unreachable, no such name, TLS
    httpx.ConnectTimeout: _CONNECT,
    httpx.PoolTimeout: _CONNECT,
    httpx.ProxyError: _CONNECT,
    httpx.UnsupportedProtocol: _CONNECT,
    # No request that could be sent.
    httpx.InvalidURL: _UNWRITABLE,
    kiota.RequestError: _INTERNAL,
    kiota.BackingStoreError: _INTERNAL,
    # The request may have gone; the answer did not come or could not be read.
    httpx.TimeoutException: _TIMEOUT,
    httpx.ReadTimeout: _TIMEOUT,
    httpx.WriteTimeout: _TIMEOUT,
    httpx.HTTPError: _CONNECTION,
    httpx.RequestError: _CONNECTION,
    httpx.TransportError: _CONNECTION,
    httpx.NetworkError: _CONNECTION,
    httpx.ReadError: _CONNECTION,
    httpx.WriteError: _CONNECTION,
    httpx.CloseError: _CONNECTION,
    httpx.ProtocolError: _CONNECTION,
    httpx.LocalProtocolError: _CONNECTION,
    httpx.RemoteProtocolError: _CONNECTION,
    httpx.DecodingError: _CONNECTION,
    httpx.TooManyRedirects: _CONNECTION,
    httpx.CookieConflict: _CONNECTION,
    httpx.StreamError: _CONNECTION,
    httpx.StreamConsumed: _CONNECTION,
    httpx.StreamClosed: _CONNECTION,
    httpx.ResponseNotRead: _CONNECTION,
    httpx.RequestNotRead: _CONNECTION,
    kiota.KiotaHTTPXError: _CONNECTION,
    kiota.DeserializationError: _CONNECTION,
    kiota.ResponseError: _CONNECTION,
    kiota.RedirectError: _CONNECTION,
    # An answer in the shape of an exception: None, its status decides.
    APIError: None,
    httpx.HTTPStatusError: None,
}

# What writing a body raises when the body is at fault, and not the machine.
_BODY_FAULTS = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)


def outcome_of(error: Exception, progress: PhaseTracker, now: datetime) -> Outcome:
    """What became of a request that ended in `error` after it came as far as `progress` says.

    An exception that is in no table is Unknown with its class's name for a reason, if the request may have left, and
    never its text: that may hold addresses.
    """
    if progress.stage is RequestPhase.TOKEN:
        return _IDENTITY
    row = next((cls for cls in type(error).__mro__ if cls in OUTCOMES), None)
    outcome = OUTCOMES[row] if row else Unknown(type(error).__name__)
    if outcome is None:
        outcome = _answered(error, now)
    if progress.may_have_left or not isinstance(outcome, Unknown):
        return outcome
    if progress.stage is RequestPhase.BUILDING and isinstance(error, _BODY_FAULTS):
        return _UNWRITABLE
    return _CONNECT if progress.stage is RequestPhase.CONNECTING else _INTERNAL


def timed_out(progress: PhaseTracker) -> Outcome:
    """What became of a request whose deadline passed."""
    if progress.may_have_left:
        return _TIMEOUT
    # While the request is built, the one thing to wait for is its token.
    return _CONNECT if progress.stage is RequestPhase.CONNECTING else _IDENTITY


def _answered(error: Exception, now: datetime) -> Outcome:
    if isinstance(error, httpx.HTTPStatusError):
        return classify(error.response.status_code, error.response.headers, error.response.content, now)
    if isinstance(error, APIError) and error.response_status_code:
        main: Any = getattr(error, "error", None)  # ODataError carries Graph's error object
        code, message = getattr(main, "code", None), getattr(main, "message", None)
        body = json.dumps({"error": {"code": code, "message": message}}).encode() if isinstance(code, str) else b""
        return classify(error.response_status_code, error.response_headers or {}, body, now)
    return _CONNECTION
