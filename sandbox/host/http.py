"""HTTP in front of the functions: an ASGI application that finds the function, checks the key and runs it.

Answers without a function's doing have no body, as in Azure: 404 when no route fits path and method, 401 without the
key it needs, 500 when the function raises.

Bodies are as unkind as there (GrpcMessageConversionExtensions and GrpcWorkerChannel of the functions host 4):
- one without Content-Length, which is one in chunks, is not read: the function sees none
- one at a time is read for each function; who comes later waits, however slowly it comes
- one over 100 MB, and one whose caller goes away before its end, fail the invocation: 500
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from .admin import Admin
from .functions import Function, HttpTrigger
from .invocations import Invoker
from .keys import Keys, key_of
from .protocol import RpcHttp, TypedData
from .replies import Reply, reply_to
from .routing import overlap, split_path
from .worker import new_trace

_log = logging.getLogger("sandbox.host")

MAX_BODY = 100 * 1024 * 1024
"""Bytes a request's body may have; Azure's limit."""


class _BadRequestError(Exception):
    """A body that cannot be had."""


class Front:
    """The ASGI application."""

    def __init__(self, functions: Sequence[Function], keys: Keys, admin: Admin, invoker: Invoker) -> None:
        http = [(function, function.trigger) for function in functions if isinstance(function.trigger, HttpTrigger)]
        self._routes = sorted(http, key=lambda each: each[1].route.template.rank)
        self._keys = keys
        self._admin = admin
        self._invoker = invoker
        self._reading = {function.id: asyncio.Lock() for function, _ in http}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        reply = await self._answer(scope, receive)
        await reply.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        headers = _headers(scope)
        query = _query(scope)
        path = split_path(scope["raw_path"])
        if path is None:
            return Reply(400)
        key = key_of(headers, {name.lower(): value for name, value in query.items()})
        if path[0].lower() == "admin":
            if not self._keys.is_master(key):
                return Reply(401)
            return await self._administer(scope, receive, headers, path[1:])
        found = self._find(scope["method"], path)
        if found is None:
            return Reply(404)
        function, trigger, params = found
        if not self._keys.opens(trigger.auth, key):
            return Reply(401)
        if function.disabled and not self._keys.is_master(key):
            return Reply(404)
        try:
            async with self._reading[function.id]:
                body = await _body(headers, receive)
        except _BadRequestError as error:
            _log.error(
                "Executed 'Functions.%s' (Failed, Id=%s)\nBadHttpRequestException: %s",
                function.name,
                uuid.uuid4(),
                error,
            )
            return Reply(500, [("connection", "close")])
        request = RpcHttp(
            method=scope["method"],
            url=_base_url(scope, headers) + _path_and_query(scope),
            headers=headers,
            params=params,
            # A parameter without a value is dropped, as Azure does for workers that do not ask for it.
            query={name: value for name, value in query.items() if value},
            body=TypedData(bytes=body) if body else TypedData(),
        )
        trace = new_trace(headers.get("traceparent", ""), headers.get("tracestate", ""))
        response = await self._invoker.run(function, {trigger.parameter: TypedData(http=request)}, trace=trace)
        if response is None:
            return Reply(500)
        try:
            return reply_to(response, function.http_output)
        except ValueError as error:
            _log.error("'Functions.%s' gave a response that cannot be sent: %s", function.name, error)
            return Reply(500)

    def _find(self, method: str, path: Sequence[str]) -> tuple[Function, HttpTrigger, dict[str, str]] | None:
        for function, trigger in self._routes:
            if trigger.route.takes(method):
                params = trigger.route.template.match(path)
                if params is not None:
                    return function, trigger, params
        return None

    async def _administer(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], path: Sequence[str]
    ) -> Reply:
        try:
            body = await _body(headers, receive)
        except _BadRequestError:
            return Reply(400, [("connection", "close")])
        return self._admin.answer(scope["method"], path, body, _base_url(scope, headers))


def shadowed(functions: Sequence[Function]) -> list[tuple[str, str]]:
    """Pairs (first, second) of HTTP functions where this host and Azure disagree about a request both could take.

    This host prefers the more particular route. Azure takes the first in the order of the functions' names
    (WebScriptHostHttpRoutesManager): there `second` would never see those requests.
    """
    http = [function.trigger.route for function in functions if isinstance(function.trigger, HttpTrigger)]
    by_name = sorted(http, key=lambda route: route.function.lower())
    return [
        (first.function, second.function)
        for position, first in enumerate(by_name)
        for second in by_name[position + 1 :]
        if second.template.rank < first.template.rank and overlap(first, second)
    ]


def _headers(scope: Scope) -> dict[str, str]:
    """Headers with lower-case names; those that came more than once are joined with commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _query(scope: Scope) -> dict[str, str]:
    """Query parameters, joined with commas when given more than once; names differ only by case mean the same."""
    spelling: dict[str, str] = {}
    joined: dict[str, str] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        known = spelling.setdefault(name.lower(), name)
        joined[known] = f"{joined[known]},{value}" if known in joined else value
    return joined


def _base_url(scope: Scope, headers: Mapping[str, str]) -> str:
    server, port = scope["server"] or ("localhost", 80)
    return f"{scope['scheme']}://{headers.get('host') or f'{server}:{port}'}"


def _path_and_query(scope: Scope) -> str:
    path: str = scope["raw_path"].decode("latin-1")
    query: str = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The request's body, if it has a Content-Length. Raises _BadRequestError: too large, or the caller has gone."""
    length = 0 if "transfer-encoding" in headers else int(headers.get("content-length", "0"))
    if length > MAX_BODY:
        raise _BadRequestError("Request body too large.")
    body = bytearray()
    while len(body) < length:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _BadRequestError("Unexpected end of request content.")
        body += message.get("body", b"")
    return bytes(body)
