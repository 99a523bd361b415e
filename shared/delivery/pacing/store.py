"""Where pacing keeps its rows, and what every place for them has in common. table.py is the real one."""

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Protocol

from shared.delivery.ledger import Conflict

__all__ = ["Changed", "MemoryStore", "PacingStore", "PacingUnavailable", "Stored", "Values", "mailbox_key"]

Values = Mapping[str, str | datetime]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it was read. Times are in UTC."""

    values: Values
    etag: str


class Changed(Conflict):
    """The row is another than the one that was to be replaced. found: what it is now, None when it is gone."""

    def __init__(self, key: str, found: Stored | None) -> None:
        super().__init__(key)
        self.found = found


class PacingUnavailable(Exception):  # noqa: N818 - a state of the world, not a fault in the program
    """Storage cannot be reached, or too many write the same row: nobody can say when the mail may go. Try later."""


class PacingStore(Protocol):
    """Rows changed under the condition that nobody else has. Every method may raise azure.core's AzureError."""

    def read(self, partition: str, key: str) -> Awaitable[Stored | None]:
        """One row."""
        ...

    def rows(self, partition: str) -> Awaitable[dict[str, Stored]]:
        """All rows of a partition, by key. One operation."""
        ...

    def write(self, partition: str, key: str, values: Values, etag: str | None) -> Awaitable[str]:
        """Put the row in place of the one with this ETag; None: there must be none yet. Returns the new ETag.

        Raises Changed, with the row as it is: a write that fails costs two operations.
        """
        ...


class MemoryStore:
    """Rows in this process's memory."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Stored] = {}
        self._etags = count(1)

    async def read(self, partition: str, key: str) -> Stored | None:
        return self._rows.get((partition, key))

    async def rows(self, partition: str) -> dict[str, Stored]:
        return {key: stored for (its, key), stored in self._rows.items() if its == partition}

    async def write(self, partition: str, key: str, values: Values, etag: str | None) -> str:
        found = self._rows.get((partition, key))
        if (found and found.etag) != etag:
            raise Changed(key, found)
        new = str(next(self._etags))
        self._rows[partition, key] = Stored(dict(values), new)
        return new


def mailbox_key(mailbox: str) -> str:
    """What stands for a mailbox in a row: addresses are personal data, and not all of their characters fit a key."""
    return hashlib.sha256(mailbox.lower().encode()).hexdigest()
