"""The store of rows for tests: in memory, and as far away and as unreliable as a test wants it."""

import asyncio
from collections import Counter
from itertools import count
from random import Random
from typing import Any, Final

from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from shared.ratelimit.mailbox_pace import Values
from shared.ratelimit.shared_row import Stored, TableStore

LIMITS: Final[dict[str, Any]] = {"per_minute": 30, "concurrency": 4, "recipients_per_day": 10_000}


class MemoryStore(TableStore):
    """Rows in this process's memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Stored] = {}
        self._etags = count(1)

    async def read(self, key: str) -> Stored | None:
        return self.rows.get(key)

    async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
        found = self.rows.get(key)
        if (found and found.etag) != etag:
            return False, found
        self.rows[key] = Stored(dict(values), str(next(self._etags)))
        return True, self.rows[key]


class FarStore(MemoryStore):
    """Counts its operations. lost: the part of its writes that succeed without an answer, or fail."""

    def __init__(self, seconds: float = 0.01, *, lost: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.down = False
        self._seconds = seconds
        self._lost = lost
        self._random = Random(seed)

    async def read(self, key: str) -> Stored | None:
        await self._way("read")
        found = await super().read(key)
        await asyncio.sleep(self._seconds / 2)
        return found

    async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
        await self._way("write")
        if self._random.random() < self._lost / 2:
            raise ServiceRequestError("The request is lost.")
        found = await super().write(key, values, etag)
        await asyncio.sleep(self._seconds / 2)
        if self._random.random() < self._lost / 2:
            raise ServiceResponseError("The answer is lost.")
        return found

    async def _way(self, what: str) -> None:
        self.operations[what] += 1
        await asyncio.sleep(self._seconds / 2)
        if self.down:
            raise ServiceRequestError("Storage is down.")
