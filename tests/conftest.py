from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from sandbox.loop import chosen
from shared import telemetry
from shared.telemetry import Bounded
from tests.azurite import azurite

# The same examples in each run of `make test`; `make proof` takes the other profile, and others each time.
settings.register_profile("quick", max_examples=40, derandomize=True, database=None, deadline=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What strangers cause is written once a second; no test is told of what another one has caused."""
    monkeypatch.setattr(telemetry, "_bounded", Bounded(telemetry.STRANGERS))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Functions run on one loop, uvloop's, so the tests do; on asyncio's own with MAILROOM_LOOP=asyncio."""
    return "asyncio", {"use_uvloop": chosen() == "uvloop"}


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """Connection string of an Azurite that ends with the session."""
    with azurite() as (connection, _):
        yield connection
