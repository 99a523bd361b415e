"""One authenticated request to Graph, as its handler sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from sandbox.cloud import edm
from sandbox.cloud.errors import Ids, Refusal
from sandbox.cloud.state import Cloud
from sandbox.cloud.tokens import Caller

# Graph's limit of a request.
MAX_REQUEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """cloud and request; the body as bytes; who asks; the mailbox asked for; the ids in the path."""

    cloud: Cloud
    request: Request
    body: bytes
    ids: Ids
    caller: Caller
    mailbox: str
    params: Mapping[str, str]

    def media_type(self) -> str:
        """The content type, without parameters. Raises Refusal 400 when there is none, 415 for a coded body."""
        value = self.request.headers.get("content-type")
        if not value:
            text = "Write requests (excluding DELETE) must contain the Content-Type header declaration."
            raise Refusal(400, "BadRequest", text)
        if self.request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "UnsupportedMediaType", "The sandbox takes no Content-Encoding.")
        return value.partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body of a request that has to be JSON. Raises Refusal 400 or 415."""
        if (media_type := self.media_type()) != "application/json":
            raise Refusal(415, "UnsupportedMediaType", f"Expected application/json, found {media_type}.")
        return edm.parse(self.body)

    def headers(self) -> dict[str, str]:
        """The request's headers, names lower-cased."""
        return dict(self.request.headers.items())


async def read_body(request: Request) -> bytes:
    """The whole body. What is too large is read to its end first, so that the client gets to see the answer.

    Raises Refusal 413.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_REQUEST:
            chunks.append(chunk)
    if size > MAX_REQUEST:
        text = f"The request content length of {size} exceeds the limit of {MAX_REQUEST}."
        raise Refusal(413, "RequestEntityTooLarge", text)
    return b"".join(chunks)
