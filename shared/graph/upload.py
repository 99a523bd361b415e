"""Uploads one file into an upload session, in chunks, with a PUT loop of our own.

The SDK's LargeFileUploadTask cannot be used: it fails on Outlook's ranges, can send the last chunk twice, and sends the
bearer token to the upload host. Here a plain HTTP client talks to the upload URL, which itself is the permission.

    200  nextExpectedRanges says where to continue: `2097152`, or with a dash as other services have it,
         `2097152-4194303`
    201  the upload is complete
    401, 403, 404, 410  the session no longer exists
    anything else, or a broken connection: the loop asks the session for its next range and continues there. After three
    failures without progress it stops; a later attempt uploads the file again

Source: https://learn.microsoft.com/graph/outlook-large-attachments.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import httpx

from shared.event_loop import within
from shared.graph.http_status import retry_after
from shared.graph.outcome import Interrupted, Stopped, Throttled
from shared.graph.upload_url import Target, UploadRefusedError, resolved

CHUNK: Final = 12 * 320 * 1024  # a multiple of 320 KiB below 4 MB
TRIES: Final = 3  # of one chunk
PAUSES: Final = (1.0, 2.0, 4.0)  # seconds after a first failure, a second one, …
LONGEST_PAUSE: Final = 15.0  # a longer one that Graph asks for is waited for in the queue
GONE: Final = frozenset({401, 403, 404, 410})
AGAIN: Final = frozenset({408, 429})
Read = Callable[[int, int], Awaitable[bytes]]
Stay = Callable[[], Awaitable[None]]


class Uploaded(Enum):
    """whole: the last chunk was taken. unsure: the session is gone; the draft has to be read to see what it holds."""

    WHOLE = "whole"
    UNSURE = "unsure"


class _Gone(Exception):  # noqa: N818 - HTTP's word
    """The session has ended or expired."""


class Uploader:
    """One for a process. deadline: seconds for each request. graph_host: of GRAPH_BASE_URL."""

    def __init__(
        self,
        graph_host: str,
        deadline: float,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._graph_host = graph_host
        self._deadline = deadline
        self._sleep = sleep
        from shared.graph.transport import AiohttpTransport

        # No proxy and no credentials from the environment; no redirects: each would be another host.
        self._client = httpx.AsyncClient(
            transport=transport or AiohttpTransport(),
            timeout=None,  # noqa: S113 - the transport's own
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )

    async def upload(self, url: str, size: int, read: Read, stay: Stay) -> Uploaded:
        """Put a file of `size` bytes into the session.

        read: gives bytes by offset and length. stay: called before each request; raises when it must not be made.
        Raises Stopped (Interrupted, Throttled), and what read and stay raise; then the session is cancelled, if it can
        be reached.
        """
        try:
            target = await resolved(url, self._graph_host)
        except UploadRefusedError as error:
            raise Stopped(Interrupted("upload-url", code="UploadUrlRefused")) from error
        except OSError as error:
            raise Stopped(Interrupted("upload")) from error
        try:
            return await self._chunks(target, size, read, stay)
        except _Gone:
            await self._cancel(target)
            return Uploaded.UNSURE
        except BaseException:
            await self._cancel(target)
            raise

    async def close(self) -> None:
        await self._client.aclose()

    async def _chunks(self, target: Target, size: int, read: Read, stay: Stay) -> Uploaded:
        start, failures = 0, 0
        while True:
            chunk = await read(start, min(CHUNK, size - start))
            await stay()
            answer = await self._put(target, start, chunk, size)
            if answer is not None and answer.status_code == httpx.codes.CREATED:
                return Uploaded.WHOLE
            following = _next(answer, size) if answer is not None else None
            if following is None:
                failures += 1
                if failures == TRIES:
                    raise Stopped(_interrupted(answer))
                await self._sleep(_pause(answer, failures))
                await stay()
                following = await self._standing(target, size)
            if following is None:
                continue  # unknown: send the same chunk again
            if following > start:
                failures = 0
            if following == size:
                return Uploaded.UNSURE
            start = following

    async def _cancel(self, target: Target) -> None:
        await self._asked("DELETE", target)

    async def _put(self, target: Target, start: int, chunk: bytes, size: int) -> httpx.Response | None:
        headers = {
            "Content-Range": f"bytes {start}-{start + len(chunk) - 1}/{size}",
            "Content-Type": "application/octet-stream",
        }
        answer = await self._asked("PUT", target, headers, chunk)
        if answer is not None and answer.status_code in GONE:
            raise _Gone
        return answer

    async def _standing(self, target: Target, size: int) -> int | None:
        """The offset that the session expects next; None when it did not say."""
        answer = await self._asked("GET", target)
        if answer is not None and answer.is_client_error and answer.status_code not in AGAIN:
            raise _Gone  # a session that cannot be asked is as good as gone: another one begins from the start
        return _next(answer, size) if answer is not None else None

    async def _asked(
        self, method: str, target: Target, headers: dict[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Response | None:
        """One request under its deadline, to the address that was checked; the name is for the Host header and TLS.

        None: there was no answer.
        """
        length = {} if content is None else {"Content-Length": str(len(content))}
        try:
            async with within(self._deadline):
                return await self._client.request(
                    method,
                    target.url,
                    headers={"Host": target.host, **length, **(headers or {})},
                    content=None if content is None else _once(content),
                    extensions={"sni_hostname": target.name},
                )
        except (httpx.HTTPError, TimeoutError):
            return None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    """The content as a stream: a request keeps bytes that it is given, and lives on in a cycle with its answer."""
    yield content


def _next(answer: httpx.Response, size: int) -> int | None:
    """The offset that the session expects next, `size` when it expects nothing; None when the answer does not say."""
    if answer.status_code != httpx.codes.OK:
        return None
    try:
        body: Any = json.loads(answer.content)
        ranges = body["nextExpectedRanges"]
        start = int(str(ranges[0]).partition("-")[0]) if ranges else size
    except (ValueError, TypeError, LookupError):
        return None
    return start if 0 <= start <= size else None


def _pause(answer: httpx.Response | None, failures: int) -> float:
    """Seconds before the next try. Raises Stopped when Graph asks for more than LONGEST_PAUSE."""
    after = _after(answer)
    if after is not None and after > LONGEST_PAUSE and answer is not None:
        raise Stopped(_interrupted(answer))
    return max(after or 0.0, PAUSES[min(failures, len(PAUSES)) - 1])


def _after(answer: httpx.Response | None) -> float | None:
    return retry_after(answer.headers.get("retry-after"), datetime.now(UTC)) if answer is not None else None


def _interrupted(answer: httpx.Response | None) -> Interrupted | Throttled:
    if answer is None:
        return Interrupted("upload")
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Throttled(_after(answer))
    return Interrupted("upload", answer.status_code, after=_after(answer))
