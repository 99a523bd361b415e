from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.wire import Wire


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire() as wire:
        yield wire


@pytest.fixture
def name() -> str:
    """A table or a queue that is not there yet."""
    return f"n{uuid4().hex}"
