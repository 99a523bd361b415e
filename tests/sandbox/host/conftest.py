"""A host on the HTTP sample app, shared by the tests of a session."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.sandbox.host.running import APPS, Host, running


@pytest.fixture(scope="session")
def http_host() -> Iterator[Host]:
    """The sample app with HTTP functions; it has no storage and needs none."""
    with running(APPS / "http", settings={"AzureWebJobs.switched_off.Disabled": "true"}) as host:
        yield host


@pytest.fixture
def client(http_host: Host) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=http_host.url, timeout=20) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    """A name for queues that no other test uses."""
    return f"t{uuid4().hex[:12]}"
