"""Remembers for a day which bodies senders have signed, if the signature does not cover the event's id.

GitHub, and senders of the source `hmac`, sign the body but not the id. Whoever has seen such a request can send it
again under another id, and nothing distinguishes it from an event that happens again. So it is mailed as an event of
its own, and the operator is told (`event.signed-again`). The table has one row for each body and day, which all
instances see; the timer removes older rows.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.mail.outgoing import Signed
from shared.storage.tables import ColumnValue, Table

TABLE: Final = "mailsigned"
REMEMBERED: Final = timedelta(days=1)


class SignedBodies:
    """One entity a body; the first event of a day has it. Every method may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def earlier(self, signed: Signed, mail: str, at: datetime) -> tuple[str, datetime] | None:
        """Remember it. Returns what another event has said with the same body less than a day before, if one has: its
        mail, and when it came. The same event again, however often, is not another one.
        """
        entity: dict[str, ColumnValue] = {
            "PartitionKey": signed.body[:2],
            "RowKey": signed.body,
            "event": signed.event,
            "mail": mail,
            "at": at,
        }
        while True:
            try:
                await self._table.insert(entity)
            except ResourceExistsError:
                found = await self._table.get(signed.body[:2], signed.body)
            else:
                return None
            if found is None:  # removed in between
                continue
            if found["at"] + REMEMBERED > at:
                return None if found["event"] == signed.event else (found["mail"], found["at"])
            try:
                await self._table.replace(entity, found["odata.etag"])
            except (ResourceModifiedError, ResourceNotFoundError):
                continue
            return None

    async def forget(self, partitions: range, now: datetime) -> None:
        """Remove what is older than a day."""
        for number in partitions:
            async for entity in self._table.all({"PartitionKey": f"{number:02x}"}):
                if entity["at"] + REMEMBERED <= now:
                    with suppress(ResourceModifiedError, ResourceNotFoundError):
                        await self._table.delete(entity["PartitionKey"], entity["RowKey"], entity["odata.etag"])
