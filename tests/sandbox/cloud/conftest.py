from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.cloud.app import Options, create_app
from sandbox.cloud.tokens import Issuer
from tests.sandbox.cloud.emulator import Clock, Emulator


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """One signing key for all tests that make no other: it takes a moment."""
    return Issuer()


@pytest.fixture
async def emulator(issuer: Issuer) -> AsyncIterator[Emulator]:
    clock = Clock()
    app = create_app(Options(identity_header="secret", seed=7), issuer=issuer, clock=clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
        yield Emulator(app, client, clock)
