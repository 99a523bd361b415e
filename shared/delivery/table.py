"""The ledger in Azure Table Storage: one entity a mail, every write on the condition of its ETag.

A write whose answer is lost is tried again by the storage client and then meets itself. So on 409 and 412 the row is
read once: one's own token and state in it mean that the write had succeeded. Every writer therefore puts a token of its
own into what it writes.
"""

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.delivery.ledger import Conflict, Row, State
from shared.delivery.partitions import partition

__all__ = ["TABLE", "TableLedger"]

TABLE: Final = "mailledger"
SEARCH: Final = 5.0  # seconds; a page that is still empty then is given as it is, with where the search goes on
LONGEST_TOKEN: Final = 4096  # characters of a page's `next`; it holds two keys
COLUMNS: Final = tuple(field.name for field in fields(Row) if field.name not in ("id", "etag"))
DEFAULTS: Final = {field.name: field.default for field in fields(Row)}


class TableLedger:
    """Rows in one table. The table is made on the first insert where it is missing, which it is on a laptop only."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def insert(self, row: Row) -> Row:
        try:
            try:
                written = await self._table.create_entity(_entity(row))
            except ResourceNotFoundError:  # an insert finds nothing missing but the table
                with suppress(ResourceExistsError):  # another instance was faster
                    await self._table.create_table()
                written = await self._table.create_entity(_entity(row))
        except ResourceExistsError as error:
            return await self._own(row, error)
        return replace(row, etag=written["etag"])

    async def read(self, mail: str) -> Row | None:
        try:
            entity = await self._table.get_entity(partition(mail), mail)
        except ResourceNotFoundError:
            return None
        return _row(entity)

    async def replace(self, row: Row) -> Row:
        try:
            written = await self._table.update_entity(
                _entity(row), UpdateMode.REPLACE, etag=row.etag, match_condition=MatchConditions.IfNotModified
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            return await self._own(row, error)
        return replace(row, etag=written["etag"])

    async def remove(self, row: Row) -> None:
        try:
            await self._table.delete_entity(
                partition(row.id), row.id, etag=row.etag, match_condition=MatchConditions.IfNotModified
            )
        except ResourceModifiedError as error:
            raise Conflict(row.id) from error
        except ResourceNotFoundError:
            return

    async def partition(self, number: int) -> AsyncIterator[Row]:
        try:
            async for entity in self._table.query_entities(f"PartitionKey eq '{number:02x}'"):
                yield _row(entity)
        except ResourceNotFoundError:  # no mail yet, no table
            return

    async def page(self, state: State | None, most: int, after: str | None) -> tuple[list[Row], str | None]:
        wanted = f"state eq '{state}'" if state else ""
        # An AsyncPageIterator, which alone has the token; its declared type is wider.
        pages: Any = self._table.query_entities(wanted, results_per_page=most).by_page(_token(after))
        try:
            # The service may give short or empty pages while it searches on; they are gone through here, for a while.
            end = time.monotonic() + SEARCH
            async for page in pages:
                rows = [_row(entity) async for entity in page]
                if rows or time.monotonic() >= end:
                    return rows, _text(pages.continuation_token)
        except ResourceNotFoundError:  # no mail yet, no table
            return [], None
        except HttpResponseError as error:
            if after and error.status_code == 400:  # noqa: PLR2004 - the service does not know the token
                raise ValueError("no continuation token") from error
            raise
        return [], None

    async def _own(self, row: Row, error: Exception) -> Row:
        """The row as it stands, if it is what we wrote; else Conflict."""
        found = await self.read(row.id)
        if found is not None and row.token and (found.token, found.state) == (row.token, row.state):
            return replace(row, etag=found.etag)
        raise Conflict(row.id) from error


def _token(after: str | None) -> Any:
    """The service's continuation token out of its text form. Raises ValueError when it is none."""
    if not after:
        return None
    if len(after) > LONGEST_TOKEN:
        raise ValueError("no continuation token")
    try:
        token = json.loads(base64.urlsafe_b64decode(after))
    except RecursionError:
        raise ValueError("no continuation token") from None
    # Where a partition begins there is no row key in it.
    if not isinstance(token, dict) or not set(token) <= {"PartitionKey", "RowKey"}:
        raise ValueError("no continuation token")
    if not all(part is None or isinstance(part, str) for part in token.values()):
        raise ValueError("no continuation token")
    return token


def _text(token: Any) -> str | None:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode() if token else None


def _entity(row: Row) -> dict[str, Any]:
    """What differs from the defaults: most of a row is at them, and each column costs time and bytes."""
    values = {name: getattr(row, name) for name in COLUMNS}
    present = {name: value for name, value in values.items() if value != DEFAULTS[name]}
    return {"PartitionKey": partition(row.id), "RowKey": row.id, **present}


def _row(entity: Mapping[str, Any]) -> Row:
    values = {name: _plain(entity[name]) for name in COLUMNS if name in entity}
    metadata = entity.metadata  # type: ignore[attr-defined] # TableEntity's own
    return Row(id=entity["RowKey"], etag=metadata["etag"], **values)


def _plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
