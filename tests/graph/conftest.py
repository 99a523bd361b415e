import socket
from collections.abc import AsyncIterator

import pytest

from shared.graph.client import GraphConnection, open_client
from tests.graph.service import Service
from tests.serving import serving


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The server, with the environment that points the managed identity at it."""
    service = Service()
    async with serving(service.serve) as service.port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{service.port}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "secret-of-the-platform")
        yield service


@pytest.fixture
async def connection(service: Service) -> AsyncIterator[GraphConnection]:
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
