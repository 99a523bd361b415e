import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from shared.graph.client import GraphConnection, open_client
from tests.graph.service import Service


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The server, with the environment that points the managed identity at it."""
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=2**20)
    service.port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{service.port}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "secret-of-the-platform")
    yield service
    server.close()
    server.close_clients()
    await server.wait_closed()


@pytest.fixture
async def connection(service: Service) -> AsyncIterator[GraphConnection]:
    """A connection to the server."""
    connection = open_client(service.base_url, None)
    yield connection
    await connection.close()


@pytest.fixture
def unused_tcp_port() -> int:
    """A port on loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
