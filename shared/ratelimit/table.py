"""The rows in Azure Table Storage.

A write whose answer is lost is tried again by the storage client and then meets itself. So each write carries a stamp
of its own, and on 409 and 412 the row is read once: one's own stamp in it means that the write had succeeded.
"""

import secrets
from typing import Final

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.ratelimit.row import Changed, Stored, Values
from shared.tables import Entity, Table

__all__ = ["TABLE", "TableStore"]

TABLE: Final = "mailpacing"
KEYS: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "stamp"})  # columns that are not values


class TableStore:
    """Rows in one table, in 256 partitions."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self, key: str) -> Stored | None:
        entity = await self._table.get(key[:2], key)
        return None if entity is None else _stored(entity)

    async def write(self, key: str, values: Values, etag: str | None) -> str:
        stamp = secrets.token_hex(8)
        entity = {**values, "PartitionKey": key[:2], "RowKey": key, "stamp": stamp}
        try:
            if etag is None:
                return await self._table.insert(entity)
            return await self._table.replace(entity, etag)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
            found = await self._table.get(key[:2], key)
            if found is not None and found["stamp"] == stamp:
                return _stored(found).etag
            raise Changed(key, None if found is None else _stored(found)) from error


def _stored(entity: Entity) -> Stored:
    values = {name: value for name, value in entity.items() if name not in KEYS and not name.startswith("odata.")}
    return Stored(values, entity["odata.etag"])
