from collections.abc import Iterator

import pytest

from tests.azurite import azurite


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Functions run on one asyncio loop, so the tests do."""
    return "asyncio"


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """Connection string of an Azurite that ends with the session."""
    with azurite() as (connection, _):
        yield connection
