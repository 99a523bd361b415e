"""The answers of sendMail: sent, key already used, rate reached, mail refused, storage not reachable.

Every error has Graph's shape. A request with a used key is answered 409 while the key's mail is being sent, 422 if it
has another body, and otherwise like the first request.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import azure.functions as func

from shared.errors import Refused, Unauthenticated
from shared.functions.access import CHALLENGE, report_refused
from shared.functions.http_answers import BODY_LOST, graph_error, settings_refused
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from shared.auth.entra import Caller
    from shared.delivery.request import Answer, Done, Rejection
    from shared.settings.environ import Problem

type Ids = Mapping[str, str]


def answered(answer: "Answer", mail: str, ids: Ids, *, later: bool, keyed: bool) -> func.HttpResponse:
    """The HTTP answer. mail: its id. later: the caller prefers respond-async. keyed: it has an Idempotency-Key."""
    from shared.delivery.request import Done, Rejection, Spent, TooMany, Unavailable
    from shared.delivery.transitions import Busy, Mismatch

    match answer:
        case Done():
            return _done(answer, ids, later=later)
        case Rejection():
            return _rejected(answer, ids)
        case Busy():
            message = "A request with this key is being sent at this moment."
            return graph_error(409, "Conflict", message, ids, _retry_after(answer.retry_after))
        case Mismatch():
            message = "This key was used for another mail. A key names one mail; use a new one."
            return graph_error(422, "UnprocessableEntity", message, ids)
        case TooMany():
            message = "This caller has reached its rate (ratePerMinute in MAIL_CALLERS); nothing was sent."
            return graph_error(429, "TooManyRequests", message, ids, _retry_after(answer.retry_after))
        case Spent():
            message = "The mailbox has reached its daily recipient limit (MAIL_RECIPIENTS_PER_DAY); nothing was sent."
            return graph_error(429, "ErrorExceededMessageLimit", message, ids, _retry_after(answer.retry_after))
        case Unavailable(maybe_sent=True):
            return _maybe_sent(mail, ids, keyed=keyed)
        case Unavailable():
            return no_storage(mail, ids)


def body_lost(ids: Ids) -> func.HttpResponse:
    return graph_error(411, "LengthRequired", BODY_LOST, ids)


def not_configured(problems: "tuple[Problem, ...]", ids: Ids) -> func.HttpResponse:
    return graph_error(503, "ServiceUnavailable", settings_refused(problems), ids)


def refused(refusal: Refused, caller: "Caller | None", ids: Ids) -> func.HttpResponse:
    report_refused(refusal, caller)
    headers = CHALLENGE if isinstance(refusal, Unauthenticated) else {}
    return graph_error(refusal.status, refusal.code, str(refusal), ids, headers)


def keys_unavailable(ids: Ids) -> func.HttpResponse:
    emit(LogEvent.INTAKE_UNAVAILABLE, code="KeysUnavailable")
    message = "The tenant's signing keys cannot be fetched; nothing was sent."
    return graph_error(503, "ServiceUnavailable", message, ids, {"Retry-After": "10"})


def no_storage(mail: str, ids: Ids) -> func.HttpResponse:
    emit(LogEvent.INTAKE_UNAVAILABLE, id=mail, code="ServiceUnavailable")
    message = "Mailroom's storage cannot be reached; nothing was sent and nothing stored."
    return graph_error(503, "ServiceUnavailable", message, ids, {"Retry-After": "10"})


def _done(answer: "Done", ids: Ids, *, later: bool) -> func.HttpResponse:
    headers = {**ids, "Mailroom-State": answer.state, "Location": f"/api/messages/{answer.mail}"}
    if answer.request_id:
        headers["request-id"] = answer.request_id
    if later:
        headers["Preference-Applied"] = "respond-async"
    return func.HttpResponse(b"", status_code=202, headers=headers)


def _maybe_sent(mail: str, ids: Ids, *, keyed: bool) -> func.HttpResponse:
    emit(LogEvent.INTAKE_UNAVAILABLE, id=mail, code="UnknownOutcome")
    message = "Mailroom's storage cannot be reached, and it is not known whether this mail was sent. "
    if keyed:
        message += "Repeat the request only with the same Idempotency-Key."
    else:
        message += (
            "The request has no Idempotency-Key, so repeating it would send another mail: get the URL in Location "
            "first, and repeat the request only if that answers 404, or the state is failed."
        )
    headers = {"Mailroom-State": "unknown", "Location": f"/api/messages/{mail}"}
    return graph_error(503, "UnknownOutcome", message, ids, headers)


def _rejected(answer: "Rejection", ids: Ids) -> func.HttpResponse:
    """Graph's refusal, with Graph's own body if it sent one."""
    outcome, headers = answer.outcome, {**ids, "Mailroom-State": "failed"}
    if outcome.request_id:
        headers["request-id"] = outcome.request_id
    if outcome.body is None:
        return graph_error(outcome.status, outcome.code or "BadRequest", outcome.message, headers, headers)
    return func.HttpResponse(outcome.body, status_code=outcome.status, headers=headers, mimetype="application/json")


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(0, int(seconds)) + 1)}
