"""The suppression list: addresses that must not be mailed, whoever asks for it. Operators add and remove them.

Entries are kept under a hash of the address in its normal form, so that it is found whatever its spelling, and named in
a URL without telling it. The address stands in the entry too: an operator has to see whom the list holds. It goes into
no log.

What is known of the list is kept for a minute, in this process. A list of up to a thousand entries is read whole, by
one operation; of a longer one each recipient is looked up by itself. So a change holds everywhere within a minute, and
mail costs no operation of its own while the list is short. When the list cannot be read nothing is sent.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shared.mail.addresses import canonical

__all__ = ["AT_ONCE", "FRESH", "Entry", "SuppressionStore", "Suppressions", "entry_id"]

FRESH: Final = 60.0  # seconds
WHOLE: Final = 1000  # entries that are read at once: a page of the table
AT_ONCE: Final = 16  # look-ups at the same time
REMEMBERED: Final = 20_000  # of them, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An address on the list. added_by: the application id of the operator, or `key` for a function key."""

    id: str
    address: str
    reason: str
    added_by: str
    added_at: datetime


class SuppressionStore(Protocol):
    """Where the list is kept. Every method may raise azure.core's AzureError."""

    def ids(self, most: int) -> Awaitable[frozenset[str] | None]:
        """The ids of all entries; None when there are more than `most`. One operation."""
        ...

    def get(self, entry: str) -> Awaitable[Entry | None]:
        """The entry with this id."""
        ...

    def add(self, entry: Entry) -> Awaitable[Entry | None]:
        """Add an entry. Returns the one that is there already, which stays as it is; None: it was added."""
        ...

    def remove(self, entry: str) -> Awaitable[bool]:
        """Take an entry out. False: there was none."""
        ...

    def page(self, most: int, after: str | None) -> Awaitable[tuple[list[Entry], str | None]]:
        """Up to `most` entries, and where the next page begins. Raises ValueError when `after` is none of ours."""
        ...


def entry_id(address: str) -> str:
    """The id of an address's entry: SHA-256, in hex digits, of its canonical form. Raises ValueError without one."""
    return hashlib.sha256(canonical(address).encode()).hexdigest()


class Suppressions:
    """The list as one process knows it."""

    def __init__(self, store: SuppressionStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._monotonic = monotonic
        self._ids: frozenset[str] | None = None  # None: there are too many to know them all
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._changes = 0
        self._known: dict[str, tuple[float, bool]] = {}  # of those looked up: until when, and whether it is there

    async def among(self, addresses: Iterable[str]) -> frozenset[str]:
        """Those of these addresses, as they are written here, that are on the list. Raises AzureError.

        One without a canonical form is not on it, and no rule allows it (policy.patterns).
        """
        ids: dict[str, str] = {}
        for address in addresses:
            with contextlib.suppress(ValueError):
                ids[address] = entry_id(address)
        whole = await self._whole()
        there = whole if whole is not None else await self._looked_up(set(ids.values()))
        return frozenset(address for address, its in ids.items() if its in there)

    def forget(self) -> None:
        """Read anew at the next mail: this process has just changed the list."""
        self._changes += 1
        self._read_at = float("-inf")
        self._known.clear()

    async def _whole(self) -> frozenset[str] | None:
        async with self._reading:  # whoever comes meanwhile waits for the same answer
            if self._monotonic() - self._read_at >= FRESH:
                asked, changes = self._monotonic(), self._changes
                self._ids = await self.store.ids(WHOLE)
                self._read_at = asked if changes == self._changes else float("-inf")
            return self._ids

    async def _looked_up(self, ids: set[str]) -> set[str]:
        now = self._monotonic()
        unknown = [its for its in ids if self._known.get(its, (now, False))[0] <= now]
        at_once = asyncio.Semaphore(AT_ONCE)

        async def look_up(its: str) -> bool:
            async with at_once:
                return await self.store.get(its) is not None

        there = await asyncio.gather(*map(look_up, unknown))
        found = {its for its in ids if its not in unknown and self._known[its][1]}
        if len(self._known) + len(unknown) > REMEMBERED:
            self._known.clear()
        self._known.update({its: (now + FRESH, is_there) for its, is_there in zip(unknown, there, strict=True)})
        return found | {its for its, is_there in zip(unknown, there, strict=True) if is_there}
