import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Functions run on one asyncio loop, so the tests do."""
    return "asyncio"
