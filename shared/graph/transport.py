"""The transport to Graph: implements httpx's transport interface with aiohttp, which storage needs anyway.

httpx's own transport is written in Python down to the parsing of headers. It takes a third of the time of a request to
Graph, and 30 ms more to load for the first request (bench/RESULTS.md). Each answer is read whole, within its request,
because answers are small. Only a message in a mailbox may be large; one longer than LONGEST is not read.

The transport also records how far each request came. A deadline can end a request at any point. Before its first byte
has left, the mail was surely not sent and can be retried now; after that nobody knows, and verifying takes minutes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
import httpx
from kiota_abstractions.request_option import RequestOption
from kiota_http.middleware import REQUEST_OPTIONS_KEY, BaseMiddleware
from yarl import URL

from shared.event_loop import Deadline

CONNECT_TIMEOUT: Final = 5.0  # seconds, TLS included
POOL_TIMEOUT: Final = 5.0  # until a connection is free to use or to make
# How long an unused connection is kept. Short: a request on a connection that the other side closes at that moment ends
# as Unknown, which costs more than a new connection.
KEEP_ALIVE: Final = 5.0
MAX_CONNECTIONS: Final = 128  # four for each mailbox; more than a host has executions that ask Graph
# No limit on reading: every call brings a deadline of its own, which first reads what has come (event_loop.py).
# These limits do not, and need not: before there is a connection nothing can have come.
TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, connect=POOL_TIMEOUT + CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=None
)
LONGEST: Final = 20 * 2**20  # bytes of an answer
LARGE: Final = 2**20  # bytes; aiohttp warns when it writes a larger body at once, because that blocks the loop
PIECE: Final = 2**16


class RequestPhase(Enum):
    """The steps of one request."""

    TOKEN = "token"  # noqa: S105 - asking for one
    BUILDING = "building"  # writing the body, before the HTTP client has it
    HANDED_OVER = "handed over"  # the HTTP client has it and has reported nothing yet
    CONNECTING = "connecting"
    SENDING = "sending"  # on an open connection


class PhaseTracker(RequestOption):
    """Given with a request, says afterwards how far it came.

    deadline: after it no byte of the request may leave; what left before may still read its answer.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.phase = RequestPhase.TOKEN
        self._deadline = deadline

    @property
    def is_late(self) -> bool:
        return self._deadline is not None and self._deadline.passed

    @property
    def may_have_left(self) -> bool:
        """Whether Graph may have read the request. True when in doubt, so an unobserved request loses nothing."""
        return self.phase in {RequestPhase.HANDED_OVER, RequestPhase.SENDING}

    def connecting(self) -> None:
        """Records that the request has no connection yet."""
        if self.phase is not RequestPhase.SENDING:  # a second connection does not undo what the first has carried
            self.phase = RequestPhase.CONNECTING

    def connected(self) -> None:
        """Records that there is a connection, so bytes may leave from now on."""
        self.phase = RequestPhase.SENDING

    def leaving(self) -> None:
        """Records that the first byte leaves now. Raises TimeoutError if the request is late; then nothing leaves."""
        if self.is_late:
            self.phase = RequestPhase.CONNECTING
            raise TimeoutError

    @staticmethod
    def get_key() -> str:
        """The name under which the SDK carries this option."""
        return "mailroom.phase"


class PhaseHandler(BaseMiddleware):
    """The last of the SDK's middleware: hands a request's PhaseTracker on to the transport, in its extensions."""

    async def send(self, request: httpx.Request, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        tracker = request.extensions.get(REQUEST_OPTIONS_KEY, {}).get(PhaseTracker.get_key())
        if isinstance(tracker, PhaseTracker):
            tracker.phase = RequestPhase.HANDED_OVER
            request.extensions[PhaseTracker.get_key()] = tracker
        return await super().send(request, transport)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One for a process and event loop. No proxy, no cookies, no redirects. Needs no loop before its first request.

    aiohttp makes a GET or DELETE a second time when its connection closes without an answer, and nothing else. As in
    httpx's own transport, the extension `sni_hostname` is the name for TLS when the URL has an address.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's exceptions: when no byte of it has left, ConnectError, ConnectTimeout, UnsupportedProtocol."""
        session = self._session or self._open()
        tracker = request.extensions.get(PhaseTracker.get_key()) or PhaseTracker()
        # Not aread(), which keeps the body with the request, and a request lives on in a cycle with its answer.
        body = b"".join([part async for part in cast("httpx.AsyncByteStream", request.stream)])
        # aiohttp would make a PUT a second time as well, but not when its body is a stream: an upload session has to be
        # asked first what it has received.
        streamed = len(body) > LARGE or request.method == "PUT"
        try:
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=_pieces(body, tracker) if streamed else body or None,
                allow_redirects=False,
                server_hostname=request.extensions.get("sni_hostname"),
                trace_request_ctx=tracker,
            )
            content = await (_bounded(answer) if request.method == "GET" else answer.read())
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx.ConnectTimeout(str(error), request=request) from error
        except aiohttp.InvalidURL as error:
            raise httpx.UnsupportedProtocol(str(error), request=request) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(str(error), request=request) from error
        return httpx.Response(answer.status, headers=answer.raw_headers, content=content, request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=TIMEOUT,
            auto_decompress=False,  # httpx does it
            trace_configs=[_observed()],
        )
        return self._session


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises aiohttp.ClientPayloadError for one that is too long; its connection is then closed."""
    try:
        await answer.content.readexactly(LONGEST + 1)
    except asyncio.IncompleteReadError as end:
        return end.partial
    answer.close()
    raise aiohttp.ClientPayloadError("too long")


def _observed() -> aiohttp.TraceConfig:
    """Tells a request's PhaseTracker how far it came: until there is a connection no byte of it can have left."""

    def tells(step: Callable[[PhaseTracker], None]) -> Any:
        async def told(_session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
            step(context.trace_request_ctx)

        return told

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(tells(PhaseTracker.connecting))
    trace.on_connection_create_start.append(tells(PhaseTracker.connecting))
    trace.on_connection_create_end.append(tells(PhaseTracker.connected))
    trace.on_connection_reuseconn.append(tells(PhaseTracker.connected))
    trace.on_request_headers_sent.append(tells(PhaseTracker.leaving))  # in spite of its name, before they are
    return trace


async def _pieces(body: bytes, tracker: PhaseTracker) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        if tracker.is_late:
            raise TimeoutError  # the rest of the body stays here, so that Graph has no whole request
        yield body[start : start + PIECE]
        await asyncio.sleep(0)
