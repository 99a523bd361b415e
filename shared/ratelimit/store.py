"""The rows that all instances share, in Azure Table Storage.

A write whose answer is lost is tried again by the storage client and then meets itself. So each write carries a marker
of its own, and on 409 and 412 the row is read once: one's own marker in it means that the write had succeeded.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.storage.tables import Entity, Table

TABLE: Final = "mailpacing"
KEYS: Final = frozenset({"PartitionKey", "RowKey", "Timestamp", "marker"})  # columns that are not values

Values = Mapping[str, str | int | datetime]


class Stored(NamedTuple):
    """A row as it was read. Times are in UTC."""

    values: Values
    etag: str


class RateLimitUnavailable(Exception):  # noqa: N818 - a state of the world, not a fault in the program
    """Storage cannot be reached, or too many write the same row: nobody can say when the mail may go. Try later."""


class TableStore:
    """Rows by key in one table, spread over 256 partitions. Both methods may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self, key: str) -> Stored | None:
        return _stored(await self._table.get(key[:2], key))

    async def write(self, key: str, values: Values, etag: str | None) -> tuple[bool, Stored | None]:
        """Put the row in place of the one with this ETag; None: there must be none yet.

        Whether that was so, and the row as it is now (None: it is gone). A write that fails costs two operations.
        """
        marker = secrets.token_hex(8)
        entity = {**values, "PartitionKey": key[:2], "RowKey": key, "marker": marker}
        try:
            new = await (self._table.insert(entity) if etag is None else self._table.replace(entity, etag))
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            found = await self._table.get(key[:2], key)
            return found is not None and found["marker"] == marker, _stored(found)
        return True, Stored(values, new)


def key_of(name: str) -> str:
    """The key of a mailbox or a caller: addresses are personal data, and not all of their characters fit a key."""
    return hashlib.sha256(name.lower().encode()).hexdigest()


def _stored(entity: Entity | None) -> Stored | None:
    if entity is None:
        return None
    values = {name: value for name, value in entity.items() if name not in KEYS and not name.startswith("odata.")}
    return Stored(values, entity["odata.etag"])
