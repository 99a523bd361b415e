"""The suppression list in Azure Table Storage: one entity an address, keyed by a hash of it."""

from contextlib import suppress
from typing import Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.policy.suppression_list import Entry
from shared.storage.table_identity import IDENTITY, is_identity
from shared.storage.tables import Entity, Table, continued, token_text

__all__ = ["TABLE", "TableSuppressions"]

TABLE: Final = "mailsuppressed"


class TableSuppressions:
    """The list in one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def ids(self, most: int) -> frozenset[str] | None:
        found, after = await self._table.page(most=most, select=["RowKey"])
        return None if after else frozenset(entity["RowKey"] for entity in found) - {IDENTITY}

    async def get(self, entry: str) -> Entry | None:
        entity = await self._table.get(entry[:2], entry)
        return None if entity is None else _entry(entity)

    async def add(self, entry: Entry) -> Entry | None:
        try:
            await self._table.insert(
                {
                    "PartitionKey": entry.id[:2],
                    "RowKey": entry.id,
                    "address": entry.address,
                    "reason": entry.reason,
                    "added_by": entry.added_by,
                    "added_at": entry.added_at,
                }
            )
        except ResourceExistsError:
            # Its own too, where the answer to a first try was lost: then it was added, and says so.
            found = await self.get(entry.id)
            return None if found == entry else found
        return None

    async def remove(self, entry: str) -> bool:
        if await self.get(entry) is None:
            return False
        with suppress(ResourceNotFoundError):
            await self._table.delete(entry[:2], entry)
        return True

    async def page(self, most: int, after: str | None) -> tuple[list[Entry], str | None]:
        found, token = await self._table.page(most=most, after=continued(after))
        return [_entry(entity) for entity in found if not is_identity(entity)], token_text(token)


def _entry(entity: Entity) -> Entry:
    return Entry(
        id=entity["RowKey"],
        address=entity["address"],
        reason=entity["reason"],
        added_by=entity["added_by"],
        added_at=entity["added_at"],
    )
