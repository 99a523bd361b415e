"""A ledger in this process's memory: conditional like the table, gone with the process."""

from dataclasses import replace
from itertools import count

from shared.delivery.ledger import Conflict, Row

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """Holds the newest `keep` rows."""

    def __init__(self, keep: int = 100_000) -> None:
        self._rows: dict[str, Row] = {}
        self._keep = keep
        self._etags = count(1)

    async def insert(self, row: Row) -> Row:
        if row.id in self._rows:
            raise Conflict(row.id)
        while len(self._rows) >= self._keep:
            del self._rows[next(iter(self._rows))]
        return self._put(row)

    async def read(self, mail: str) -> Row | None:
        return self._rows.get(mail)

    async def replace(self, row: Row) -> Row:
        if row.id not in self._rows or self._rows[row.id].etag != row.etag:
            raise Conflict(row.id)
        return self._put(row)

    def _put(self, row: Row) -> Row:
        stored = replace(row, etag=str(next(self._etags)))
        self._rows[row.id] = stored
        return stored
