"""Answers over HTTP: Graph's error JSON for what stands in for Graph, RFC 9457 problem details for everything else."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import azure.functions as func

from shared.config import Problem

__all__ = ["graph_error", "json_answer", "problem", "request_ids", "settings_refused"]

LONGEST_ID: Final = 128


def request_ids(req: func.HttpRequest) -> dict[str, str]:
    """The headers that name a request in an answer, as Graph sends them: our id, and the caller's if it gave one."""
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


def settings_refused(problems: tuple[Problem, ...]) -> str:
    """What a caller may know of settings that cannot be used: their names."""
    names = ", ".join(dict.fromkeys(problem.setting for problem in problems))
    return f"Mailroom is not configured: {names}. Its operator finds the reason at /api/health/ready."
