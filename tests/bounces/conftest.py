from collections.abc import AsyncIterator

import pytest

from shared.graph.client import open_client
from tests.bounces.post_office import PostOffice
from tests.sandbox.cloud.served import served


@pytest.fixture
async def post(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostOffice]:
    async with served(monkeypatch) as (cloud, root):
        connection = open_client(f"{root}/v1.0", None)
        yield PostOffice(cloud, connection)
        await connection.close()
