"""The ledger, in Azure Table Storage: one row for each mail, and the only truth about it.

A row is written only if nobody else has changed it. If the answer to a write is lost, the storage client repeats the
write, which then fails because of the first one. So after 409 or 412 the row is read once: if it has the writer's own
token and state, the first write succeeded. That is why every writer puts a token of its own into the row.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.delivery.attention import AttentionIndex, mail_of, place
from shared.delivery.results import PutIntoQueue, tell, untold
from shared.delivery.row import COLUMNS, Row
from shared.storage.tables import ColumnValue, Entity, Table, between, equal

PARTITIONS: Final = 256  # of rows and payloads, evenly whatever the ids are made of
TABLE: Final = "mailledger"
LARGEST_PAGE: Final = 1000  # entities, the most that the service gives at once
SHORT: Final = timedelta(seconds=30)  # a wait that nobody needs to cut short


class Conflict(Exception):  # noqa: N818 - HTTP's name for it, 409 and 412
    """Another one has changed, or made, the row."""


def partition(mail: str) -> str:
    """The partition of a mail: two hex digits. Ids without a key begin with the time, so they are hashed first."""
    return hashlib.sha256(mail.encode()).hexdigest()[:2]


class Sought(NamedTuple):
    """Rows that are searched for. where: what storage can tell of them, as a $filter. reads: it cannot tell all."""

    matches: Callable[[Row], bool]
    where: str = ""
    reads: bool = False


class Read(NamedTuple):
    """Rows that were found, among how many that storage gave, in how many requests."""

    rows: list[Row]
    read: int
    requests: int


class Ledger:
    """Rows in one table. Every method may raise azure.core's AzureError when storage cannot be reached.

    attention: the index that follows the rows. put: puts a result into its queue.
    """

    def __init__(self, table: Table, attention: AttentionIndex | None = None, put: PutIntoQueue | None = None) -> None:
        self._table = table
        self.attention = attention
        self._put_result = put

    async def write(self, row: Row) -> Row:
        """Put the row in place of the one with row.etag; without an ETag add it. Returns it with its new one.

        What follows from it is done too: its entry in the index of what needs attention, and its results. Where that
        cannot be done, maintenance does it. Raises Conflict when the row is not what it was: changed, gone, or there
        already.
        """
        before = row.listed_at
        row = await self._store(replace(row, listed_at=place(row)))
        with suppress(AzureError):
            await self._list(row, before)
        with suppress(AzureError, Conflict):
            row = await self.told(row)
        return row

    async def told(self, row: Row) -> Row:
        """The row, after what is untold of it was told. Raises AzureError, Conflict: it may have to be told again."""
        if self._put_result is None or not untold(row):
            return row
        return await self._store(replace(row, **await tell(row, self._put_result)))

    async def listed(self, most: int, after: str | None) -> tuple[list[Row], str | None]:
        """What needs attention, the newest first; see AttentionIndex.page. Of each row, what is shown of it."""
        if self.attention is None:
            return [], None
        found, token = await self.attention.page(most, after)
        return [_row({**entity, "RowKey": mail_of(entity), "fingerprint": ""}) for entity in found], token

    async def repair(self, rows: Mapping[str, Row], numbers: Container[int]) -> int:
        """Put the index right for these partitions, whose rows are given by id. Returns how many entries were wrong."""
        if self.attention is None:
            return 0
        missing = {name: row for name, row in rows.items() if row.listed_at is not None}
        wrong = 0
        async for mail, at, state in self.attention.entries():
            if int(partition(mail), 16) not in numbers:
                continue
            row = missing.get(mail)
            if row is not None and row.listed_at == at and row.state in (state, "sending"):
                del missing[mail]
            elif (now := await self.read(mail)) is None or now.listed_at != at:  # it may have changed since
                await self.attention.remove(mail, at)
                wrong += 1
        for mail in missing:
            if (now := await self.read(mail)) is not None and now.listed_at is not None:
                await self.attention.put(now, _columns(now))
                wrong += 1
        return wrong

    async def _list(self, row: Row, before: datetime | None) -> None:
        if self.attention is None or row.state in ("sending", "scheduled"):
            return
        if row.listed_at is not None:
            await self.attention.put(row, _columns(row))
        if before is not None and before != row.listed_at:
            await self.attention.remove(row.id, before)

    async def _unlist(self, row: Row) -> None:
        if self.attention is not None and row.listed_at is not None:
            await self.attention.remove(row.id, row.listed_at)

    async def _store(self, row: Row) -> Row:
        entity = {"PartitionKey": partition(row.id), "RowKey": row.id, **_columns(row)}
        lost = (ResourceModifiedError, ResourceNotFoundError) if row.etag else ResourceExistsError
        try:
            etag = await (self._table.replace(entity, row.etag) if row.etag else self._table.insert(entity))
        except lost as error:
            found = await self.read(row.id)
            if found is None or not row.token or (found.token, found.state) != (row.token, row.state):
                raise Conflict(row.id) from error
            etag = found.etag
        return replace(row, etag=etag)

    async def read(self, mail: str) -> Row | None:
        """The row of this id, or None."""
        entity = await self._table.get(partition(mail), mail)
        return None if entity is None else _row(entity)

    async def note_message(self, row: Row, message: str, wait: timedelta) -> None:
        """Write by which message a mail waits, so that an operator can have it tried sooner. Never raises."""
        if row.state == "accepted" and wait > SHORT:
            with suppress(Conflict, AzureError):
                await self.write(replace(row, message=message))

    async def remove(self, row: Row) -> None:
        """Take the row with row.etag out. Raises Conflict when it has been changed; it may be gone already."""
        try:
            await self._table.delete(partition(row.id), row.id, row.etag)
        except ResourceModifiedError as error:
            raise Conflict(row.id) from error
        except ResourceNotFoundError:
            return
        await self._unlist(row)

    async def partition(self, number: int) -> AsyncIterator[Row]:
        """The rows of one of the 256 partitions."""
        async for entity in self._table.all({"PartitionKey": f"{number:02x}"}):
            yield _row(entity)

    async def some(self, partitions: range, beyond: str, sought: Sought, most: int) -> Read:
        """Up to `most` rows of these partitions, in the order of their keys. beyond: an id, of the first of them: what
        comes up to there is left out. Fewer mean that there are no more.
        """
        rows, read, requests = list[Row](), 0, 0
        first = [f"{equal('PartitionKey', f'{partitions[0]:02x}')} and RowKey gt '{beyond}'"] if beyond else []
        rest = partitions[len(first) :]
        for keys in (*first, *([between("PartitionKey", f"{rest[0]:02x}", f"{rest[-1]:02x}~")] if rest else [])):
            token, goes_on = None, True
            while goes_on and len(rows) < most:
                top = LARGEST_PAGE if sought.reads else most - len(rows)
                where = f"{keys} and {sought.where}" if sought.where else keys
                found, token = await self._table.page(where, most=top, after=token)
                rows += [row for row in map(_row, found) if sought.matches(row)]
                read, requests, goes_on = read + len(found), requests + 1, token is not None
        return Read(rows[:most], read, requests)


def _columns(row: Row) -> dict[str, ColumnValue]:
    """Most columns of a row are at their defaults, and each one written costs time and bytes."""
    values = ((name, getattr(row, name), default) for name, default in COLUMNS.items())
    return {name: value for name, value, default in values if value != default}


def _row(entity: Entity) -> Row:
    values = {name: entity[name] for name in COLUMNS if name in entity}
    return Row(id=entity["RowKey"], etag=entity["odata.etag"], **values)
