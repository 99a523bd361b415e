"""The emulator as a server on loopback, for the real SDK."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import pytest
import uvicorn

from sandbox.cloud.app import Options, create_app
from sandbox.cloud.connections import CuttableProtocol
from sandbox.cloud.state import Cloud
from sandbox.cloud.tokens import Issuer


@cache
def _issuer() -> Issuer:
    """One for all tests of a process: its key takes a moment."""
    return Issuer()


@asynccontextmanager
async def served(environment: pytest.MonkeyPatch) -> AsyncIterator[tuple[Cloud, str]]:
    """What it knows, and its root; the managed identity of this process's environment is its own."""
    app = create_app(Options(identity_header="secret"), issuer=_issuer())
    config = uvicorn.Config(app, http=CuttableProtocol, ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # who connects too early waits in its queue
        serving = asyncio.create_task(server.serve([listener]))
        root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environment.setenv("IDENTITY_ENDPOINT", f"{root}/msi/token")
        environment.setenv("IDENTITY_HEADER", "secret")
        yield app.state.cloud, root
        server.should_exit = True
        await serving
