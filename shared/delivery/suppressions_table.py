"""The suppression list in Azure Table Storage: one entity an address, keyed by a hash of it."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables.aio import TableClient

from shared.delivery.suppressions import Entry

__all__ = ["TABLE", "TableSuppressions"]

TABLE: Final = "mailsuppressed"


class TableSuppressions:
    """The table is made on the first entry where it is missing, which it is on a laptop only."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def ids(self, most: int) -> frozenset[str] | None:
        # An AsyncPageIterator, which alone has the token; its declared type is wider.
        pages: Any = self._table.query_entities("", select=["RowKey"], results_per_page=most).by_page()
        try:
            async for page in pages:
                found = frozenset([entity["RowKey"] async for entity in page])
                return None if pages.continuation_token else found
        except ResourceNotFoundError:  # no entry yet, no table
            pass
        return frozenset()

    async def get(self, entry: str) -> Entry | None:
        try:
            return _entry(await self._table.get_entity(entry[:2], entry))
        except ResourceNotFoundError:
            return None

    async def add(self, entry: Entry) -> Entry | None:
        try:
            await self._create(entry)
        except ResourceExistsError:
            # Its own too, where the answer to a first try was lost: then it was added, and says so.
            found = await self.get(entry.id)
            return None if found == entry else found
        return None

    async def remove(self, entry: str) -> bool:
        if await self.get(entry) is None:
            return False
        with suppress(ResourceNotFoundError):
            await self._table.delete_entity(entry[:2], entry)
        return True

    async def page(self, most: int, after: str | None) -> tuple[list[Entry], str | None]:
        token = _token(after)
        pages: Any = self._table.query_entities("", results_per_page=most).by_page(token)
        try:
            async for page in pages:
                return [_entry(entity) async for entity in page], _text(pages.continuation_token)
        except ResourceNotFoundError:
            pass
        return [], None

    async def _create(self, entry: Entry) -> None:
        entity = {
            "PartitionKey": entry.id[:2],
            "RowKey": entry.id,
            "address": entry.address,
            "reason": entry.reason,
            "added_by": entry.added_by,
            "added_at": entry.added_at,
        }
        try:
            await self._table.create_entity(entity)
        except ResourceNotFoundError:  # an insert finds nothing missing but the table
            with suppress(ResourceExistsError):  # another instance was faster
                await self._table.create_table()
            await self._table.create_entity(entity)


def _entry(entity: Mapping[str, Any]) -> Entry:
    return Entry(
        id=entity["RowKey"],
        address=entity["address"],
        reason=entity["reason"],
        added_by=entity["added_by"],
        added_at=entity["added_at"].astimezone(UTC),
    )


def _token(after: str | None) -> Any:
    """The service's continuation token out of its text form. Raises ValueError when it is none."""
    if not after:
        return None
    token = json.loads(base64.urlsafe_b64decode(after))
    if not isinstance(token, dict) or not all(part is None or isinstance(part, str) for part in token.values()):
        raise ValueError("no continuation token")
    return token


def _text(token: Any) -> str | None:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode() if token else None
