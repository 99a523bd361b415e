"""The ledger in Azure Table Storage: one entity a mail, every write on the condition of its ETag.

A write whose answer is lost is tried again by the storage client and then meets itself. So on 409 and 412 the row is
read once: one's own token and state in it mean that the write had succeeded. Every writer therefore puts a token of its
own into what it writes.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Final

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.delivery.record import Conflict, Row, State, partition
from shared.storage.table_identity import is_identity
from shared.storage.tables import Entity, Table, Value, continued, token_text

TABLE: Final = "mailledger"
SEARCH: Final = 5.0  # seconds; a page that is still empty then is given as it is, with where the search goes on
COLUMNS: Final = tuple(field.name for field in fields(Row) if field.name not in ("id", "etag"))
DEFAULTS: Final = {field.name: field.default for field in fields(Row)}


class Ledger:
    """Rows in one table. Every method may raise azure.core's AzureError when storage cannot be reached."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def insert(self, row: Row) -> Row:
        """Add the row; returns it with its ETag. Raises Conflict when there is one with this id."""
        try:
            return replace(row, etag=await self._table.insert(_entity(row)))
        except ResourceExistsError as error:
            return await self._own(row, error)

    async def read(self, mail: str) -> Row | None:
        """The row of this id, or None."""
        entity = await self._table.get(partition(mail), mail)
        return None if entity is None else _row(entity)

    async def replace(self, row: Row) -> Row:
        """Put the row in place of the one with row.etag. Raises Conflict when that one is gone."""
        try:
            return replace(row, etag=await self._table.replace(_entity(row), row.etag))
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            return await self._own(row, error)

    async def remove(self, row: Row) -> None:
        """Take the row with row.etag out. Raises Conflict when it has been changed; it may be gone already."""
        try:
            await self._table.delete(partition(row.id), row.id, row.etag)
        except ResourceModifiedError as error:
            raise Conflict(row.id) from error
        except ResourceNotFoundError:
            return

    async def partition(self, number: int) -> AsyncIterator[Row]:
        """The rows of one of the 256 partitions."""
        async for entity in self._table.all({"PartitionKey": f"{number:02x}"}):
            yield _row(entity)

    async def page(self, state: State | None, most: int, after: str | None) -> tuple[list[Row], str | None]:
        """Up to `most` rows in this state (None: any), and where the next page begins (None: it was the last).

        A page may be empty although there is a next one, where rows of a rare state are searched for.
        """
        token = continued(after)
        # The service may give short or empty pages while it searches on; they are gone through here, for a while.
        end = time.monotonic() + SEARCH
        while True:
            found, token = await self._table.page({"state": state} if state else None, most=most, after=token)
            if found or token is None or time.monotonic() >= end:
                return [_row(entity) for entity in found if not is_identity(entity)], token_text(token)

    async def _own(self, row: Row, error: Exception) -> Row:
        """The row as it stands, if it is what we wrote; else Conflict."""
        found = await self.read(row.id)
        if found is not None and row.token and (found.token, found.state) == (row.token, row.state):
            return replace(row, etag=found.etag)
        raise Conflict(row.id) from error


def _entity(row: Row) -> dict[str, Value]:
    """What differs from the defaults: most of a row is at them, and each column costs time and bytes."""
    values = {name: getattr(row, name) for name in COLUMNS}
    present = {name: value for name, value in values.items() if value != DEFAULTS[name]}
    return {"PartitionKey": partition(row.id), "RowKey": row.id, **present}


def _row(entity: Entity) -> Row:
    values = {name: entity[name] for name in COLUMNS if name in entity}
    return Row(id=entity["RowKey"], etag=entity["odata.etag"], **values)
