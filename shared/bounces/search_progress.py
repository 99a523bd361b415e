"""How far the search for reports has come in each mailbox, for the next run.

It is remembered only to save requests: reading a report twice changes nothing.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.ratelimit.shared_row import key_of
from shared.storage.tables import ColumnValue, Table

TABLE: Final = "mailbounces"
FIRST: Final = timedelta(days=1)  # how far back the first run looks, or one whose state was lost
FURTHEST: Final = timedelta(days=7)  # and any other: of one that was not read for longer, no further back
OVERLAP: Final = timedelta(minutes=10)
MOST_SEEN: Final = 1000  # reports remembered by mailbox; more than it can receive in the overlap


@dataclass(slots=True)
class SearchProgress:
    """In one mailbox. since: from when it is searched. seen: reports that are done with, and when they came.

    by_class: the tenant takes the search for reports alone.
    """

    since: datetime
    by_class: bool = True
    seen: dict[str, int] = field(default_factory=dict)
    etag: str = ""

    @classmethod
    async def read(cls, table: Table, mailbox: str, now: datetime) -> Self:
        """Of the runs before. Raises AzureError, as `write`."""
        key = key_of(mailbox)
        entity = await table.get(key[:2], key)
        if entity is None:
            return cls(now - FIRST)
        seen = msgspec.json.decode(entity["seen"], type=dict[str, int])
        return cls(max(entity["since"], now - FURTHEST), entity["by_class"], seen, entity["odata.etag"])

    async def write(self, table: Table, mailbox: str, done: datetime) -> None:
        """After everything that came before `done` was gone through."""
        since, key = max(self.since, done - OVERLAP), key_of(mailbox)
        seen = sorted(((at, name) for name, at in self.seen.items() if at >= int(since.timestamp())), reverse=True)
        if len(seen) > MOST_SEEN:  # what is forgotten must not be read again and again
            since = max(since, datetime.fromtimestamp(seen[MOST_SEEN][0] + 1, UTC))
        entity: dict[str, ColumnValue] = {
            "PartitionKey": key[:2],
            "RowKey": key,
            "since": since,
            "by_class": self.by_class,
            "seen": msgspec.json.encode({name: at for at, name in seen[:MOST_SEEN]}).decode(),
        }
        with suppress(ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):  # of another run: go on there
            await (table.replace(entity, self.etag) if self.etag else table.insert(entity))
