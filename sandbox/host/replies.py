"""HTTP answers: what goes back to the caller, and how a function's result becomes that.

After the host's HttpBinding and RawScriptResult: a response object gives status, headers and body; text is
200 text/plain; no value is 204. A response that HTTP cannot carry is an error of the function: 500.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Send

from .protocol import InvocationResponse, RpcHttp, TypedData

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The server's own business: it knows the length of the body and the state of the connection.
_HOP = frozenset(["connection", "content-length", "transfer-encoding"])
_BODYLESS = frozenset([204, 205, 304])


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers and body of an answer."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(default=b"", repr=False)

    async def send(self, send: Send) -> None:
        """Send it by ASGI, with its length. The server leaves the body of an answer to HEAD away."""
        headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in self.headers]
        body = b"" if self.status in _BODYLESS else self.body
        if self.status not in _BODYLESS:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def json_reply(status: int, document: Any) -> Reply:
    return Reply(status, [("content-type", "application/json; charset=utf-8")], json.dumps(document).encode())


def reply_to(response: InvocationResponse, http_output: str | None) -> Reply:
    """The answer of an HTTP function; `http_output` is the name of its HTTP output, usually `$return`.

    Raises ValueError when the function's response cannot be sent: a status or a header that is none.
    """
    value = response.return_value
    if value is None and http_output is not None:
        value = next((each.data for each in response.output_data if each.name == http_output), None)
    match value.kind if value is not None else None:
        case None:
            return Reply(204)
        case "http":
            assert value is not None  # noqa: S101 (said by its kind)
            return _from_response(value.value)
        case _:
            return _plain(200, [], value)


def _from_response(response: RpcHttp) -> Reply:
    if not re.fullmatch(r"[2-9]\d\d", response.status_code):
        raise ValueError(f"{response.status_code!r} is not a status a response can have")
    headers = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP]
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not value.isascii() or any(sign in value for sign in "\r\n\0"):
            raise ValueError(f"{name!r} is not a header a response can have")
    return _plain(int(response.status_code), headers, response.body)


def _plain(status: int, headers: list[tuple[str, str]], value: TypedData | None) -> Reply:
    if value is None or value.kind is None:
        return Reply(status, headers)
    if value.kind == "bytes":
        content_type, body = "application/octet-stream", bytes(value.value)
    else:
        content_type, body = "text/plain; charset=utf-8", str(value.value).encode()
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = [*headers, ("content-type", content_type)]
    return Reply(status, headers, body)
