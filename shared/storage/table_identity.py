"""Whether a table is still the one that it was: nobody else would notice that it was deleted.

A table that is missing is made with the first row that is written, which nothing keeps from doing its work. Without the
old rows keys are forgotten, and a mail that comes again is sent again; or suppressed addresses are, and are mailed. So
each such table has a row that says when it was made, and a blob of `mail-payloads` is the witness that there was one.
Where the row is missing and the witness is there, the table is another one. Both are looked at by the timer and by
whoever asks about a mail, never for a mail that is sent.

The blob's own time says when the table was last seen as it was; it is written anew each hour, which also keeps it from
the lifecycle rule (infra/). Whoever deletes blobs and table makes an account look new: that cannot be told.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.delivery.payloads import OWN
from shared.storage.tables import Entity, Table, Value
from shared.telemetry import LogEvent, emit

__all__ = ["IDENTITY", "Replaced", "TableIdentity", "is_identity"]

IDENTITY: Final = "identity"  # both keys of the row: no mail's partition and no address's
SEEN_AGAIN: Final = timedelta(hours=1)
REMEMBERED: Final = 60.0  # seconds, for those who ask about mails
SAID_FOR: Final = timedelta(days=1)  # at each run of the timer


@dataclass(frozen=True, slots=True)
class Replaced:
    """A table was deleted, and made anew, after it was last seen and before that was found out."""

    table: str
    seen: datetime
    found: datetime

    def concerns(self, at: datetime, kept: timedelta) -> bool:
        """Whether what the old table kept for so long would still count at a time."""
        return at < self.found + kept


def text(at: datetime) -> str:
    """A time as the log has it, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_identity(entity: Entity) -> bool:
    """Whether this row is the identity, for those who go through all of a table."""
    return bool(entity["PartitionKey"] == IDENTITY)


class TableIdentity:
    """Of one table. blobs: gives the azure.storage.blob.aio.BlobServiceClient. Every method may raise AzureError."""

    def __init__(
        self,
        table: Table,
        blobs: Callable[[], Any],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._blobs = blobs
        self._now = now
        self._clock = clock
        self._known: tuple[Replaced | None, float] | None = None

    async def keep(self) -> Replaced | None:
        """Mark the table and its witness where they are not; say whether the table was ever replaced."""
        row = await self._table.get(IDENTITY, IDENTITY)
        seen = await self._seen()
        if row is None:
            row = await self._mark(seen)
        if seen is None or seen + SEEN_AGAIN <= self._now():
            await self._witness()
        return self._replaced(row)

    async def report(self) -> None:
        """Keep the identity; say in an event that the table was replaced, for a day."""
        replaced = await self.keep()
        if replaced is not None and self._now() < replaced.found + SAID_FOR:
            emit(LogEvent.TABLE_REPLACED, table=replaced.table, seen=text(replaced.seen), found=text(replaced.found))

    async def check(self) -> Replaced | None:
        """The same, and nothing is written. A table that nobody has marked yet says nothing, unless it was marked."""
        row, seen = await self._table.get(IDENTITY, IDENTITY), None
        if row is None and (seen := await self._seen()) is not None:
            row = await self._table.get(
                IDENTITY, IDENTITY
            )  # one that was just being marked has its witness after its row
        if row is not None:
            return self._replaced(row)
        return Replaced(self._table.name, seen, self._now()) if seen is not None else None

    async def reach(self) -> None:
        """Ask for the row and for the blob, whatever the answer is."""
        await self._table.get(IDENTITY, IDENTITY)
        await self._seen()

    async def known(self) -> Replaced | None:
        """The same, as it was within the last minute."""
        if self._known is None or self._clock() >= self._known[1]:
            self._known = await self.check(), self._clock() + REMEMBERED
        return self._known[0]

    def _replaced(self, row: Entity) -> Replaced | None:
        return Replaced(self._table.name, row["seen_at"], row["made_at"]) if "seen_at" in row else None

    async def _mark(self, seen: datetime | None) -> Entity:
        row: dict[str, Value] = {"PartitionKey": IDENTITY, "RowKey": IDENTITY, "made_at": self._now()}
        if seen is not None:
            row["seen_at"] = seen
        with suppress(ResourceExistsError):  # another instance was faster
            await self._table.insert(row)
            return row
        return await self._table.get(IDENTITY, IDENTITY) or row

    @property
    def _blob(self) -> Any:
        return self._blobs().get_blob_client(OWN, f"{IDENTITY}/{self._table.name}")

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
                await self._blobs().create_container(OWN)
            await self._blob.upload_blob(b"", overwrite=True)
