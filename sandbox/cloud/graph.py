"""The way of each request to Graph: token, limits, fault, permission, mailbox, handler; and the table of operations."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud import attachments, faults, messages, sendmail
from sandbox.cloud.calls import Call, read_body
from sandbox.cloud.errors import Cut, Ids, Refusal, graph_error
from sandbox.cloud.tokens import Caller

if TYPE_CHECKING:
    from sandbox.cloud.state import Cloud

# Delegated scopes that an operation asks for; any of them will do (Graph's permissions reference).
_SCOPES = {
    "sendMail": {"Mail.Send"},
    "read": {"Mail.Read", "Mail.ReadWrite"},
    "readwrite": {"Mail.ReadWrite"},
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """permission: what the control endpoint can take away. fault: what faults.OPERATIONS calls it."""

    method: str
    path: re.Pattern[str]
    handler: Callable[[Call], Awaitable[Response]]
    permission: str
    fault: str


def _operation(method: str, path: str, handler: Callable[[Call], Awaitable[Response]], kind: str) -> _Operation:
    """Paths below the user; `{name}` stands for one segment. kind: send, read or write."""
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    permission = {"send": "sendMail", "read": "read", "write": "readwrite"}[kind]
    whole = re.compile(rf"(?:users/(?P<user>[^/]+)|me)/{pattern}", re.IGNORECASE)
    return _Operation(method, whole, handler, permission, kind)


_MESSAGE = "messages/{message}"
_OPERATIONS = (
    _operation("POST", "(?:microsoft.graph.)?sendMail", sendmail.send_mail, "send"),
    _operation("GET", "messages", messages.list_messages, "read"),
    _operation("GET", "mailFolders/{folder}/messages", messages.list_messages, "read"),
    _operation("POST", "messages", messages.create, "write"),
    _operation("GET", _MESSAGE, messages.read, "read"),
    _operation("GET", f"{_MESSAGE}/\\$value", messages.content, "read"),
    _operation("GET", f"mailFolders/{{folder}}/{_MESSAGE}/\\$value", messages.content_in_a_folder, "read"),
    _operation("PATCH", _MESSAGE, messages.update, "write"),
    _operation("DELETE", _MESSAGE, messages.delete, "write"),
    _operation("POST", f"{_MESSAGE}/(?:microsoft.graph.)?send", messages.send, "send"),
    _operation("GET", f"{_MESSAGE}/attachments", attachments.list_attachments, "read"),
    _operation("POST", f"{_MESSAGE}/attachments", attachments.add, "write"),
    _operation(
        "POST",
        f"{_MESSAGE}/attachments/(?:microsoft.graph.)?createUploadSession",
        attachments.create_upload_session,
        "write",
    ),
)


async def graph(request: Request) -> Response:
    """Everything below /v1.0."""
    return await _respond(request, _authenticated)


async def upload(request: Request) -> Response:
    """An upload URL: no token; it counts for who has opened it. Faults with `"on": "upload"`."""

    async def inner(request: Request, ids: Ids) -> Response:
        cloud: Cloud = request.app.state.cloud
        body = await read_body(request)
        session = cloud.uploads.get(request.path_params["token"])
        pair = (session.app_id, session.mailbox) if session else ("", "")
        with cloud.throttling.admitted(pair, request.method, len(body), cloud.limits()):
            return await _with_fault(request, "upload", ids, lambda: attachments.upload(request, body))

    return await _respond(request, inner)


async def redirected(_: Request) -> Response:
    """Where the fault `redirect` leads: a client that follows takes this for success."""
    return JSONResponse({})


ROUTES = [
    Route("/v1.0/{path:path}", graph, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    Route("/upload/{token}", upload, methods=["GET", "PUT", "DELETE"]),
    Route("/redirected", redirected, methods=["GET", "POST"]),
]


async def _respond(request: Request, inner: Callable[[Request, Ids], Awaitable[Response]]) -> Response:
    """Counts the request and puts the ids on its answer."""
    cloud: Cloud = request.app.state.cloud
    stats = cloud.stats
    ids = Ids.of(request)
    stats.requests += 1
    entry = request.state.entry = cloud.journal.begin(request)
    try:
        response = await inner(request, ids)
    except Refusal as refusal:
        response = graph_error(refusal, ids)
    except ClientDisconnect:  # in the middle of its body: nobody is there to be answered
        response = Cut()
    status = "cut" if isinstance(response, Cut) else str(response.status_code)
    stats.by_status[status] = stats.by_status.get(status, 0) + 1
    stats.throttled += response.status_code == 429  # noqa: PLR2004 - an HTTP status
    stats.unauthorized += response.status_code == 401  # noqa: PLR2004 - the same
    response.headers.update(ids.headers())
    entry.ended(response)
    return response


async def _authenticated(request: Request, ids: Ids) -> Response:
    cloud: Cloud = request.app.state.cloud
    try:
        body = await read_body(request)
    finally:  # a token that is missing counts for more than a body that is too large
        caller = cloud.issuer.graph_caller(request.headers.get("authorization"))
    if cloud.settings.journal:
        request.state.entry.read(request, body)
    pair = caller.app_id, cloud.directory.address(_user(request) or caller.oid)
    with cloud.throttling.admitted(pair, request.method, len(body), cloud.limits()):
        await asyncio.sleep(cloud.settings.latency)
        operation, params = _find(request)

        async def work() -> Response:
            return await operation.handler(_call(request, ids, body, caller, operation, params))

        return await _with_fault(request, operation.fault, ids, work)


async def _with_fault(request: Request, operation: str, ids: Ids, work: Callable[[], Awaitable[Response]]) -> Response:
    cloud: Cloud = request.app.state.cloud
    fault = cloud.faults.draw(operation)
    if fault is None:
        return await work()
    request.state.entry.fault = fault.kind
    hits = cloud.stats.faults
    hits[fault.kind] = hits.get(fault.kind, 0) + 1
    if fault.kind == "expired":
        cloud.uploads.pop(request.path_params["token"], None)
        return await work()
    if (instead := await faults.before(fault, ids)) is not None:
        return instead
    try:
        response = await work()
    except Refusal:
        cloud.faults.give_back(fault)
        hits[fault.kind] -= 1
        raise
    return faults.after(fault, ids) or response


def _user(request: Request) -> str | None:
    """Whose mailbox the path is about; None: the caller's own."""
    match = re.match(r"users/([^/]+)", request.path_params["path"].strip("/"), re.IGNORECASE)
    return match and match[1]


def _find(request: Request) -> tuple[_Operation, dict[str, Any]]:
    path = request.path_params["path"].strip("/")
    allowed = []
    for operation in _OPERATIONS:
        if match := operation.path.fullmatch(path):
            if operation.method == request.method:
                return operation, match.groupdict()
            allowed.append(operation.method)
    if allowed:
        raise Refusal(405, "MethodNotAllowed", "Specified HTTP method is not allowed.", {"Allow": ", ".join(allowed)})
    raise Refusal(404, "ResourceNotFound", "Resource not found for the segment: the sandbox has no such path.")


def _call(  # noqa: PLR0913, PLR0917 - what is known of the request by then
    request: Request, ids: Ids, body: bytes, caller: Caller, operation: _Operation, params: dict[str, Any]
) -> Call:
    """Checks permission and mailbox. Raises Refusal 400, 403 or 404."""
    cloud: Cloud = request.app.state.cloud
    user = params.pop("user", None)
    if user is None and caller.scopes is None:
        raise Refusal(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
    mailbox = cloud.directory.mailbox(caller.oid if user is None else user)
    if caller.scopes is not None and (
        cloud.directory.mailbox(caller.oid) != mailbox or not caller.scopes & _SCOPES[operation.permission]
    ):
        raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    cloud.check_permission(operation.permission, mailbox)
    return Call(cloud, request, body, ids, caller, mailbox, params)
