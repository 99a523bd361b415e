"""A row that all instances share, and where it is kept. table.py has the real place."""

import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["Changed", "RateLimitUnavailable", "Store", "Stored", "Values", "key_of"]

Values = Mapping[str, str | int | datetime]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it was read. Times are in UTC."""

    values: Values
    etag: str


class Changed(Exception):  # noqa: N818 - a state of the world, not a fault in the program
    """The row is another than the one that was to be replaced. found: what it is now, None when it is gone."""

    def __init__(self, key: str, found: Stored | None) -> None:
        super().__init__(key)
        self.found = found


class RateLimitUnavailable(Exception):  # noqa: N818 - the same
    """Storage cannot be reached, or too many write the same row: nobody can say when the mail may go. Try later."""


class Store(Protocol):
    """Rows changed under the condition that nobody else has. Both methods may raise azure.core's AzureError."""

    def read(self, key: str) -> Awaitable[Stored | None]:
        """One row."""
        ...

    def write(self, key: str, values: Values, etag: str | None) -> Awaitable[str]:
        """Put the row in place of the one with this ETag; None: there must be none yet. Returns the new ETag.

        Raises Changed, with the row as it is: a write that fails costs two operations.
        """
        ...


def key_of(name: str) -> str:
    """What stands for a name in a row: addresses are personal data, and not all of their characters fit a key."""
    return hashlib.sha256(name.lower().encode()).hexdigest()
