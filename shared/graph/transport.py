"""How the SDK's requests reach Graph: httpx's interface for transports, on the HTTP client that storage uses anyway.

httpx's own transport is Python down to the parsing of headers: it costs a third of a request to Graph, and a mail's
first request another 30 ms to load (bench/RESULTS.md). An answer is read whole, within its request: each is small, and
every caller of Mailroom's wants all of it.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import httpx
from yarl import URL

from shared.graph.request_phase import PhaseTracker
from shared.runtime.tls import tls

__all__ = ["AiohttpTransport"]

CONNECT_TIMEOUT: Final = 5.0  # seconds, TLS included
POOL_TIMEOUT: Final = 5.0  # until a connection is free to use or to make
# How long an unused connection is kept. Short: a request on a connection that the other side closes at that moment ends
# as Unknown, which costs more than a new connection.
KEEP_ALIVE: Final = 5.0
MAX_CONNECTIONS: Final = 128  # four for each mailbox; more than a host has executions that ask Graph
# No limit on reading: every call brings a deadline of its own, which reads first what has come (runtime/deadline.py).
# These limits do not, and need not: before there is a connection nothing can have come.
TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, connect=POOL_TIMEOUT + CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=None
)
LARGE: Final = 2**20  # bytes; aiohttp writes a larger body at once only under protest, for it would hold up the loop
PIECE: Final = 2**16


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One for a process and event loop. No proxy, no cookies, no redirects.

    A GET or DELETE is made a second time where a connection that was kept turns out to be closed, nothing else is.
    Needs no loop before its first request.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's exceptions: when no byte of it has left, ConnectError, ConnectTimeout, UnsupportedProtocol."""
        session = self._session or self._open()
        progress = request.extensions.get(PhaseTracker.get_key()) or PhaseTracker()
        body = await request.aread()
        try:
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=_pieces(body, progress) if len(body) > LARGE else body or None,
                allow_redirects=False,
                trace_request_ctx=progress,
            )
            content = await answer.read()
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
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE, ssl=tls()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=TIMEOUT,
            auto_decompress=False,  # httpx does it
            trace_configs=[_observed()],
        )
        return self._session


def _observed() -> aiohttp.TraceConfig:
    """Tells a request's PhaseTracker how far it came: until there is a connection no byte of it can have left."""

    async def connecting(_session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
        context.trace_request_ctx.connecting()

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
        context.trace_request_ctx.connected()

    async def leaving(_session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
        context.trace_request_ctx.leaving()

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(connecting)
    trace.on_connection_create_start.append(connecting)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    trace.on_request_headers_sent.append(leaving)  # in spite of its name, before they are
    return trace


async def _pieces(body: bytes, progress: PhaseTracker) -> Any:
    for start in range(0, len(body), PIECE):
        if progress.is_late:
            raise TimeoutError  # the rest of it stays here, so that Graph has no whole request
        yield body[start : start + PIECE]
        await asyncio.sleep(0)
