"""Notices when a table was deleted and created again.

A missing table is created with the first row that is written. Without its old rows, repeated mails are sent again, or
suppressed addresses get mail. So such a table has a row that says when the table was created, and a blob in
`mail-payloads` is the witness of that row. If only the witness exists, the table was replaced. The timer and requests
about a mail read both; sending a mail reads neither.

The blob's modification time says when the table was last seen. The blob is rewritten each hour, which also protects it
from the lifecycle rule (infra/). If somebody deletes the blobs as well as the table, the account looks new, and nothing
is noticed.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.storage.tables import ColumnValue, Entity, Table
from shared.telemetry import LogEvent, emit

OWN: Final = "mail-payloads"  # the container of the witnesses, and of mails that wait
IDENTITY: Final = "identity"  # both keys of the row: no mail's partition and no address's
SEEN_AGAIN: Final = timedelta(hours=1)
REMEMBERED: Final = 60.0  # seconds, for requests about mails
SAID_FOR: Final = timedelta(days=1)  # at each run of the timer


@dataclass(frozen=True, slots=True)
class Replaced:
    """A table was deleted and made anew, between when it was last seen and when that was found."""

    table: str
    seen: datetime
    found: datetime

    def concerns(self, at: datetime, kept: timedelta) -> bool:
        """Whether a row that the old table kept for so long would still be in use at a time."""
        return at < self.found + kept


def text(at: datetime) -> str:
    """A time as the log has it, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_identity(entity: Entity) -> bool:
    """Whether this row is the identity, for those who read a whole table."""
    return bool(entity["PartitionKey"] == IDENTITY)


@dataclass(eq=False)
class TableIdentity:
    """Of one table. blobs: gives the azure.storage.blob.aio.BlobServiceClient. Every method may raise AzureError."""

    table: Table
    blobs: Callable[[], Any]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    _known: tuple[Replaced | None, float] | None = None

    async def keep(self) -> Replaced | None:
        """Write the row and the witness where they are missing; whether the table was ever replaced."""
        row = await self.table.get(IDENTITY, IDENTITY)
        seen = await self._seen()
        if row is None:
            row = await self._mark(seen)
        if seen is None or seen + SEEN_AGAIN <= self.now():
            await self._witness()
        return self._replaced(row)

    async def report(self) -> None:
        """Keep the identity; log for a day that the table was replaced."""
        replaced = await self.keep()
        if replaced is not None and self.now() < replaced.found + SAID_FOR:
            emit(LogEvent.TABLE_REPLACED, table=replaced.table, seen=text(replaced.seen), found=text(replaced.found))

    async def check(self) -> Replaced | None:
        """Whether the table was replaced, without writing anything. None also for a table that was never marked."""
        row, seen = await self.table.get(IDENTITY, IDENTITY), None
        if row is None and (seen := await self._seen()) is not None:
            # Again: when a table is marked, the witness is written after the row.
            row = await self.table.get(IDENTITY, IDENTITY)
        if row is not None:
            return self._replaced(row)
        return Replaced(self.table.name, seen, self.now()) if seen is not None else None

    async def reach(self) -> None:
        """Read the row and the blob, to see that both services answer."""
        await self.table.get(IDENTITY, IDENTITY)
        await self._seen()

    async def known(self) -> Replaced | None:
        """What `check` found within the last minute."""
        if self._known is None or self.clock() >= self._known[1]:
            self._known = await self.check(), self.clock() + REMEMBERED
        return self._known[0]

    def _replaced(self, row: Entity) -> Replaced | None:
        return Replaced(self.table.name, row["seen_at"], row["made_at"]) if "seen_at" in row else None

    async def _mark(self, seen: datetime | None) -> Entity:
        row: dict[str, ColumnValue] = {"PartitionKey": IDENTITY, "RowKey": IDENTITY, "made_at": self.now()}
        if seen is not None:
            row["seen_at"] = seen
        with suppress(ResourceExistsError):  # another instance was faster
            await self.table.insert(row)
            return row
        return await self.table.get(IDENTITY, IDENTITY) or row

    @property
    def _blob(self) -> Any:
        return self.blobs().get_blob_client(OWN, f"{IDENTITY}/{self.table.name}")

    async def _seen(self) -> datetime | None:
        try:
            properties = await self._blob.get_blob_properties()
        except ResourceNotFoundError:
            return None
        seen: datetime = properties.last_modified
        return seen

    async def _witness(self) -> None:
        try:
            await self._blob.upload_blob(b"", overwrite=True)
        except ResourceNotFoundError:  # the container: on a laptop it is made on its first use
            with suppress(ResourceExistsError):
                await self.blobs().create_container(OWN)
            await self._blob.upload_blob(b"", overwrite=True)
