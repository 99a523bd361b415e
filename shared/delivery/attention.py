"""The index of mails that need an operator's attention, newest first.

    state                        sorted by
    accepted, unknown            the time of the last attempt
    failed, review, suppressed   the time at which the mail ended
    sent, with bounces           the time at which the last bounce was found

The index is a table with one entity for each mail. Each day is a partition, and both keys count down, so storage itself
returns the newest first. An entity repeats those columns of the row that are shown, so a page needs no reads of rows.
The ledger writes the entity after the row and removes it when the mail ends well; a mail that is sent at the first
attempt never has one. If a process dies in between, an entity is missing or wrong until maintenance corrects it within
the hour.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import ResourceNotFoundError

from shared.storage.tables import ColumnValue, Entity, Table, continued, token_text

if TYPE_CHECKING:
    from shared.delivery.row import Row

TABLE: Final = "mailattention"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAYS: Final = 99_999_999
MICROSECONDS: Final = 10**16 - 1  # some 300 years of them
REQUESTS: Final = 3  # to storage, for one page
NOT_SHOWN: Final = frozenset(
    {"fingerprint", "token", "lease_until", "progress", "message", "recipients", "new_token_from", "told_end"}
)


def place(row: "Row") -> datetime | None:
    """By which time a mail is listed; None: it needs no attention. What is being sent stays where it is."""
    match row.state:
        case "failed" | "review" | "suppressed":
            return None if row.put_back else row.settled_at
        case "unknown":
            return row.listed_at or row.attempted_at or row.accepted_at
        case "accepted":
            return row.listed_at or row.attempted_at
        case "sent":
            return row.bounced_at
        case "sending" | "scheduled":
            return row.listed_at
        case "cancelled" | "captured":
            return None


class AttentionIndex:
    """Every method may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(self, row: "Row", columns: Mapping[str, ColumnValue]) -> None:
        """The entry of a listed row, in place of the one that it may have at this time. columns: of the row."""
        if row.listed_at is not None:
            shown = {name: value for name, value in columns.items() if name not in NOT_SHOWN}
            await self._table.put({**shown, **_keys(row.id, row.listed_at)})

    async def remove(self, mail: str, at: datetime) -> None:
        keys = _keys(mail, at)
        with suppress(ResourceNotFoundError):
            await self._table.delete(keys["PartitionKey"], keys["RowKey"])

    async def page(self, most: int, after: str | None) -> tuple[list[Entity], str | None]:
        """Up to `most` entries, the newest first, and where the next page begins; None: it was the last.

        Where one day ends, or when it takes long, the service may end its answer. So a short one is filled up, but not
        for ever. Raises ValueError when `after` is none of ours.
        """
        found, token = await self._table.page(most=most, after=continued(after))
        for _ in range(REQUESTS - 1):
            if token is None or len(found) >= most:
                break
            more, token = await self._table.page(most=most - len(found), after=token)
            found += more
        return found, token_text(token)

    async def entries(self) -> AsyncIterator[tuple[str, datetime, str]]:
        """Of every entry the mail, its place and its state."""
        async for entity in self._table.all(select=["PartitionKey", "RowKey", "state"]):
            yield mail_of(entity), EPOCH + timedelta(microseconds=_counted_down(entity)), entity["state"]


def mail_of(entity: Entity) -> str:
    """The id of the mail of an entry."""
    return str(entity["RowKey"]).partition("-")[2]


def _counted_down(entity: Entity) -> int:
    return MICROSECONDS - int(str(entity["RowKey"]).partition("-")[0])


def _keys(mail: str, at: datetime) -> dict[str, Any]:
    microseconds = (at - EPOCH) // timedelta(microseconds=1)
    return {
        "PartitionKey": f"{DAYS - int(f'{at:%Y%m%d}'):08d}",
        "RowKey": f"{MICROSECONDS - microseconds:016d}-{mail}",
    }
