"""A day's memory of what senders have signed, where the signature does not hold the event's name.

GitHub signs the body of a delivery and not its id, and so do senders of the source `hmac`. Whoever has seen such a
request can send it again under another id, and nothing in it tells that from an event that happens again. So it is
mailed as an event of its own, and the operator is told: `event.signed-again`. One row in a table for each body and day:
it holds over all instances, and the timer removes what is older.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.mail.outgoing import Signed
from shared.storage.tables import Entity, Table, Value

TABLE: Final = "mailsigned"
REMEMBERED: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The mail of another event with the same signed body, and when that came."""

    mail: str
    at: datetime


class SignedBodies(Protocol):
    """What has been signed. Every method may raise azure.core's AzureError."""

    def earlier(self, signed: Signed, mail: str, at: datetime) -> Awaitable[Earlier | None]:
        """Remember it. Returns what another event has said with the same body less than a day before, if one has.

        The same event again, however often, is not another one.
        """
        ...


class TableSignedBodies:
    """One entity a body; the first event of a day has it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def earlier(self, signed: Signed, mail: str, at: datetime) -> Earlier | None:
        entity: dict[str, Value] = {
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
                return None if found["event"] == signed.event else Earlier(found["mail"], found["at"])
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
                    await self._remove(entity)

    async def _remove(self, entity: Entity) -> None:
        try:
            await self._table.delete(entity["PartitionKey"], entity["RowKey"], entity["odata.etag"])
        except (ResourceModifiedError, ResourceNotFoundError):
            return
