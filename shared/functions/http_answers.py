"""Builds HTTP answers: errors in Graph's JSON for sendMail, in problem details (RFC 9457) for everything else."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import azure.functions as func
import msgspec

from shared.settings.environ import Problem
from shared.telemetry import LogEvent, emit

_WITH_OFFSET: Final[type[datetime]] = Annotated[datetime, msgspec.Meta(tz=True)]  # type: ignore[assignment] # as annotated
LONGEST_ID: Final = 128
NO_STORE: Final = {"Cache-Control": "no-store"}
BODY_LOST: Final = (
    "The request has a Transfer-Encoding and its body did not arrive: Azure Functions passes on only bodies of a known "
    "length. Send it again with Content-Length instead."
)


def request_ids(req: func.HttpRequest) -> dict[str, str]:
    """The headers with the request's ids, as Graph sends them: Mailroom's own id, and the caller's if it gave one."""
    ids = {"request-id": str(uuid.uuid4())}
    given = req.headers.get("client-request-id", "")
    if given and len(given) <= LONGEST_ID and given.isprintable() and given.isascii():
        ids["client-request-id"] = given
    return ids


def graph_error(
    status: int, code: str, message: str, ids: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Graph's shape: https://learn.microsoft.com/graph/errors."""
    inner = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), **ids}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return json_answer(status, body, {**ids, **(headers or {})})


def json_answer(
    status: int, body: object, headers: Mapping[str, str] | None = None, mimetype: str = "application/json"
) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body, ensure_ascii=False), status_code=status, headers=dict(headers or {}), mimetype=mimetype
    )


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """Problem details, RFC 9457. The title is the status's own phrase, as about:blank has it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_answer(status, body, headers, "application/problem+json")


def unavailable(detail: str, code: str) -> func.HttpResponse:
    """Answer 503, and log the event that the alert counts. code: what cannot be reached."""
    emit(LogEvent.INTAKE_UNAVAILABLE, code=code)
    return problem(503, detail, {"Retry-After": "10"})


def lost_its_body(req: func.HttpRequest, function: str, route: str | None = None) -> bool:
    """Whether a POST came in chunks (RFC 9112, section 7.1), which the host drops; if so, an event says it.

    Checked first: without its body every signature is wrong and nothing is a mail, so any other answer would name a
    fault that the request does not have. https://github.com/Azure/azure-functions-host/issues/7930
    """
    if req.method != "POST" or not req.headers.get("transfer-encoding") or req.get_body():
        return False
    emit(LogEvent.BODY_LOST, function=function, route=route)
    return True


def length_required(req: func.HttpRequest, function: str, route: str | None = None) -> func.HttpResponse | None:
    """The answer, as a problem, to a request that has lost its body; None if it has not."""
    return problem(411, BODY_LOST) if lost_its_body(req, function, route) else None


def settings_refused(problems: tuple[Problem, ...]) -> str:
    """Names the invalid settings to a caller, who may know no more about them."""
    names = ", ".join(dict.fromkeys(problem.setting for problem in problems))
    return f"Mailroom has invalid settings: {names}. Operators find the reasons at /api/health/ready."


def time_of(given: str) -> datetime | None:
    """The time, in UTC, that a text of RFC 3339 with an offset says; None for any other text."""
    try:
        return msgspec.convert(given, _WITH_OFFSET).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


def rfc_3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
