"""Answers that are not success: Graph's error JSON, and a connection that breaks without an answer."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

# The ASGI scope extension through which a connection is cut; see connections.py.
CUT = "sandbox.cut"


class Refusal(Exception):  # noqa: N818 - the field's word for a 4xx; it is an answer, not a fault of ours
    """A request that is answered with Graph's error JSON.

    status: HTTP status. code: one of Graph's codes. headers: more headers for the answer, such as Retry-After.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Ids:
    """What every answer of Graph carries for diagnosis."""

    request_id: str
    client_request_id: str

    @classmethod
    def of(cls, request: Request) -> Self:
        request_id = str(uuid.uuid4())
        return cls(request_id, request.headers.get("client-request-id") or request_id)

    def headers(self) -> dict[str, str]:
        return {"request-id": self.request_id, "client-request-id": self.client_request_id}


def graph_error(refusal: Refusal, ids: Ids) -> JSONResponse:
    """The refusal as Graph writes it: `{"error": {"code", "message", "innerError": {…}}}`."""
    inner = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), **ids.headers()}
    body = {"error": {"code": refusal.code, "message": refusal.message, "innerError": inner}}
    return JSONResponse(body, refusal.status, headers=refusal.headers)


class Cut(Response):
    """No answer: the connection breaks. In process, where there is none, the caller gets ConnectionResetError."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        cut = scope.get("extensions", {}).get(CUT)
        if cut is None:
            raise ConnectionResetError("The emulator broke the connection without an answer, as it was told to.")
        cut()
        while (await receive())["type"] != "http.disconnect":
            pass
