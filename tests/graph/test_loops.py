"""What event loops do in ways of their own ends alike on both: broken and kept connections, names, cancelling.

Azure's worker runs on uvloop. It resolves names in its own threads, raises RuntimeError where asyncio raises OSError,
and closes what is half closed at other moments.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from shared.graph.client import GraphConnection, open_client
from shared.graph.outcome import Accepted, NotConnected, Unknown
from shared.graph.transport import AiohttpTransport
from shared.graph.upload import Uploaded, Uploader
from shared.storage.account import StorageAccount
from tests.graph.service import Service
from tests.graph.test_send import send
from tests.runtime.test_deadlines import account_at
from tests.serving import serving

ANSWER = b"HTTP/1.1 %d Said\r\nETag: W/1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


def shut(writer: asyncio.StreamWriter) -> None:
    writer.close()


def half_shut(writer: asyncio.StreamWriter) -> None:
    """No more is said; what comes is still read."""
    writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


ENDS = [shut, half_shut, reset]


@dataclass
class Server:
    """Answers each request, unless it is told what to do instead, or afterwards; counts."""

    port: int = 0
    instead: list[Callable[[asyncio.StreamWriter], None]] = field(default_factory=list)
    afterwards: list[Callable[[asyncio.StreamWriter], None]] = field(default_factory=list)
    requests: int = 0
    connections: int = 0
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or "0")
                await reader.readexactly(length)
                self.requests += 1
                if self.instead:
                    self.instead.pop(0)(writer)
                    continue
                writer.write(ANSWER % (201 if head.startswith("put") else 202))
                if self.afterwards:
                    await writer.drain()
                    self.afterwards.pop(0)(writer)
        except (asyncio.IncompleteReadError, OSError):
            self.left.set()
        finally:
            writer.close()

    def hang(self, _: asyncio.StreamWriter) -> None:
        self.hung.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with serving(server.serve) as server.port:
        yield server


@pytest.fixture
async def connection(server: Server, service: Service) -> AsyncIterator[GraphConnection]:
    """To that server, with tokens of the other one."""
    del service
    connection = open_client(f"http://127.0.0.1:{server.port}/v1.0", None)
    await connection.ensure_token()
    yield connection
    await connection.close()


@pytest.mark.parametrize("end", ENDS)
async def test_a_kept_connection_that_has_ended_meanwhile_is_not_used(
    server: Server, connection: GraphConnection, end: Callable[[asyncio.StreamWriter], None]
) -> None:
    """However it has ended: the next mail goes by a new one and is in no doubt."""
    server.afterwards.append(end)
    assert await send(connection) == Accepted()
    await asyncio.sleep(0.1)
    assert await send(connection) == Accepted()
    assert (server.requests, server.connections) == (2, 2)


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("end", ENDS)
async def test_a_connection_that_ends_in_place_of_an_answer_leaves_the_mail_in_doubt_at_once(
    server: Server, connection: GraphConnection, end: Callable[[asyncio.StreamWriter], None], *, kept: bool
) -> None:
    """On a kept connection too, where HTTP clients like to send again; and not only when the deadline passes."""
    if kept:
        assert await send(connection) == Accepted()
    server.instead.append(end)
    async with asyncio.timeout(5):
        assert await send(connection, deadline=60) == Unknown("connection")
    assert server.requests == 1 + kept
    assert await send(connection) == Accepted()


async def test_a_cancelled_request_takes_its_connection_along(server: Server, connection: GraphConnection) -> None:
    """The answer that may still come on it is nobody else's."""
    server.instead.append(server.hang)
    task = asyncio.create_task(send(connection))
    await server.hung.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await server.left.wait()
    assert await send(connection) == Accepted()
    assert server.connections == 2


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
async def test_a_deadline_takes_the_connection_along(
    server: Server, connection: GraphConnection, *, kept: bool
) -> None:
    """On a connection that was open already no connecting is seen; the request went out all the same."""
    if kept:
        assert await send(connection) == Accepted()
    server.instead.append(server.hang)
    assert await send(connection, deadline=0.3) == Unknown("timeout")
    async with asyncio.timeout(5):
        await server.left.wait()
    assert await send(connection) == Accepted()


async def test_a_name_that_nobody_has_is_not_connected() -> None:
    transport = AiohttpTransport()
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(httpx.Request("POST", "http://nobody.invalid/", content=b"x"))
    await transport.aclose()


async def test_of_a_names_addresses_one_that_answers_is_taken(server: Server) -> None:
    """The server is on 127.0.0.1 only; localhost is ::1 as well."""
    transport = AiohttpTransport()
    answer = await transport.handle_async_request(
        httpx.Request("POST", f"http://localhost:{server.port}/", content=b"x")
    )
    assert answer.status_code == 202
    await transport.aclose()


async def test_a_name_that_is_not_resolved_in_time_is_not_connected(
    server: Server, connection: GraphConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> object:
        return await asyncio.get_running_loop().create_future()

    del server
    monkeypatch.setattr("aiohttp.resolver.DefaultResolver.resolve", never)
    slow = open_client("http://localhost:1/v1.0", None)
    assert await send(slow, deadline=0.3) == NotConnected("connect")
    await slow.close()


@pytest.mark.parametrize("end", ENDS)
async def test_an_upload_goes_on_after_its_connection_has_ended(
    server: Server, end: Callable[[asyncio.StreamWriter], None]
) -> None:
    """In place of an answer, or meanwhile."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def read(_start: int, length: int) -> bytes:
        return bytes(length)

    async def stay() -> None: ...

    uploader = Uploader("127.0.0.1", 5, sleep=sleep)
    server.instead.append(end)
    async with asyncio.timeout(10):
        assert await uploader.upload(f"http://127.0.0.1:{server.port}/x", 1000, read, stay) is Uploaded.WHOLE
    await uploader.close()
    assert waits == [1.0]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("when", ["afterwards", "instead"])
async def test_a_row_is_written_though_its_connection_ends(
    server: Server, end: Callable[[asyncio.StreamWriter], None], when: str
) -> None:
    account = StorageAccount(account_at(server.port))
    table = account.tables.table("rows")
    getattr(server, when).append(end)
    for key in "12":
        async with asyncio.timeout(10):
            assert await table.replace({"PartitionKey": key, "RowKey": key}, "W/0") == "W/1"
        await asyncio.sleep(0.1)
    await account.close()
