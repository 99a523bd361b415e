"""Access to the functions for operators and producers: checks who calls, and answers everybody else.

Producers and operators send a bearer token; auth.entra.operates tells which of the two a caller is. An operator who has
only a function key uses the same path under `/api/operator`. One path cannot accept both, because the platform checks
function keys before the function runs, or not at all.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import azure.functions as func

from shared.app import App, current_app
from shared.auth.entra import NO_OPERATOR, Caller
from shared.auth.entra_keys import KeysUnavailable
from shared.errors import Malformed, NotAllowed, Refused, Unauthenticated
from shared.functions.http_answers import length_required, problem, settings_refused, unavailable
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

PAGE: Final = 50
LONGEST_PAGE: Final = 1000
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # RFC 6750

type Function = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]
type Handler[W] = Callable[[App, func.HttpRequest, W], Awaitable[func.HttpResponse]]
"""May raise Refused, which is answered as a problem, and AzureError."""


def operable[W](
    name: str, handler: Handler[W], who: Callable[[Caller, Settings], W], key: W, largest: int | None = None
) -> tuple[Function, Function]:
    """The function of this name for callers with a bearer token, and operator_… for operators with a function key.

    who: what the handler gets to know of the caller; raises NotAllowed. key: the same of whoever has a function key,
    which names nobody and does not expire. largest: bytes of a body, which is measured before any proof is looked at.
    """
    return (
        _function(name, handler, _by_token, who, largest),
        _function(f"operator_{name}", handler, _by_key, lambda *_: key, largest),
    )


def _function[C: Caller | None, W](
    name: str,
    handler: Handler[W],
    proof: Callable[[App, func.HttpRequest], Awaitable[C]],
    who: Callable[[C, Settings], W],
    largest: int | None,
) -> Function:
    async def function(req: func.HttpRequest) -> func.HttpResponse:
        if (refused := _body_refused(req, name, largest)) is not None:
            return refused
        app = current_app()
        if app.settings.problems:
            return problem(503, settings_refused(app.settings.problems))
        from azure.core.exceptions import AzureError

        caller: C | None = None
        try:
            caller = await proof(app, req)
            return await handler(app, req, who(caller, app.settings))
        except KeysUnavailable:
            return unavailable("The tenant's signing keys cannot be fetched.", "KeysUnavailable")
        except Refused as refusal:
            report_refused(refusal, caller)
            return problem(refusal.status, str(refusal), CHALLENGE if isinstance(refusal, Unauthenticated) else None)
        except AzureError:
            return unavailable("Mailroom's storage cannot be reached.", "ServiceUnavailable")

    function.__name__ = name
    return function


async def _by_token(app: App, req: func.HttpRequest) -> Caller:
    return await authenticated(app, req)


async def _by_key(app: App, req: func.HttpRequest) -> None:  # noqa: ARG001 - as _by_token
    """The platform has checked the key by then; that none opens anything (MAIL_OPERATOR_KEYS) is decided here."""
    if not app.settings.operator_keys:
        raise NotAllowed(
            f"Function keys are not accepted: MAIL_OPERATOR_KEYS is false. Leave out /operator. {NO_OPERATOR}"
        )


async def authenticated(app: App, req: func.HttpRequest) -> Caller:
    """The caller; its permissions are not checked yet. Raises Unauthenticated, KeysUnavailable."""
    if app.verifier is None:
        raise Unauthenticated("Tokens cannot be verified: MAIL_API_TENANT and MAIL_API_CLIENT_ID are not set.")
    return await app.verifier.verify(req.headers.get("authorization"))


def report_refused(refusal: Refused, caller: Caller | None) -> None:
    """Log that a caller was refused. Other faults of a request are told to its sender only."""
    if isinstance(refusal, Unauthenticated | NotAllowed):
        application = caller.application_id if caller else None
        emit(LogEvent.CALLER_REFUSED, status=refusal.status, code=refusal.code, application=application)


def page_size(req: func.HttpRequest) -> int:
    """The value of `top`, the number of entries in a page. Raises Malformed."""
    given = req.params.get("top", str(PAGE))
    if len(given) <= len(str(LONGEST_PAGE)) and given.isascii() and given.isdigit() and 1 <= int(given) <= LONGEST_PAGE:
        return int(given)
    raise Malformed(400, "BadRequest", f"top is {given[:20]!r}, expected a number from 1 to {LONGEST_PAGE}.")


def wrong_after() -> func.HttpResponse:
    """The answer to an `after` that cannot be read."""
    return problem(400, "after cannot be read; expected the value of `next` in an earlier page.")


def _body_refused(req: func.HttpRequest, name: str, largest: int | None) -> func.HttpResponse | None:
    if (refused := length_required(req, name)) is not None:
        return refused
    size = len(req.get_body())
    if largest is not None and size > largest:
        return problem(413, f"The body has {size} bytes, expected at most {largest}.")
    return None
