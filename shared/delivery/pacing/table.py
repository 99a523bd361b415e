"""The rows of pacing in Azure Table Storage.

A write whose answer is lost is tried again by the storage client and then meets itself. So each write carries a stamp
of its own, and on 409 and 412 the row is read once: one's own stamp in it means that the write had succeeded.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.delivery.pacing.store import Changed, Stored, Values

__all__ = ["TABLE", "TableStore"]

TABLE: Final = "mailpacing"
KEYS: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "stamp"})  # columns that are not values


class TableStore:
    """Rows in one table. The table is made on the first write where it is missing, which it is on a laptop only."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read(self, partition: str, key: str) -> Stored | None:
        entity = await self._entity(partition, key)
        return None if entity is None else _stored(entity)

    async def rows(self, partition: str) -> dict[str, Stored]:
        found = self._table.query_entities("PartitionKey eq @partition", parameters={"partition": partition})
        try:
            return {entity["RowKey"]: _stored(entity) async for entity in found}
        except ResourceNotFoundError:  # a query finds nothing missing but the table
            return {}

    async def write(self, partition: str, key: str, values: Values, etag: str | None) -> str:
        stamp = secrets.token_hex(8)
        entity = {**values, "PartitionKey": partition, "RowKey": key, "stamp": stamp}
        try:
            if etag is None:
                return await self._create(entity)
            written = await self._table.update_entity(
                entity, UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
            found = await self._entity(partition, key)
            if found is not None and found["stamp"] == stamp:
                return _stored(found).etag
            raise Changed(key, None if found is None else _stored(found)) from error
        return str(written["etag"])

    async def _create(self, entity: Mapping[str, Any]) -> str:
        try:
            written = await self._table.create_entity(entity)
        except ResourceNotFoundError:  # an insert finds nothing missing but the table
            with suppress(ResourceExistsError):  # another instance was faster
                await self._table.create_table()
            written = await self._table.create_entity(entity)
        return str(written["etag"])

    async def _entity(self, partition: str, key: str) -> Mapping[str, Any] | None:
        try:
            return await self._table.get_entity(partition, key)
        except ResourceNotFoundError:
            return None


def _stored(entity: Mapping[str, Any]) -> Stored:
    values = {name: _plain(value) for name, value in entity.items() if name not in KEYS}
    return Stored(values, str(entity.metadata["etag"]))  # type: ignore[attr-defined] # TableEntity's own


def _plain(value: Any) -> Any:
    """The client's own kind of datetime as a plain one."""
    if not isinstance(value, datetime):
        return value
    return datetime.combine(value.date(), value.time(), value.tzinfo).astimezone(UTC)
