"""The suppression list: addresses to which nobody may send. Operators add and remove them.

The id of an entry, also in URLs, is a hash of the address in its canonical form. A list of up to a thousand entries is
read whole, in one operation; in a longer list each recipient is looked up. A process caches what it has read for a
minute, so a change takes effect everywhere within a minute. While the list cannot be read, nothing is sent.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from msgspec import Meta

from shared.mail.addresses import address_hash
from shared.mail.graph_types import LINE
from shared.storage.table_identity import IDENTITY, is_identity
from shared.storage.tables import Entity, Table, continued, token_text

TABLE: Final = "mailsuppressed"
FRESH: Final = 60.0  # seconds that what is known holds
WHOLE: Final = 1000  # entries that are read at once: a page of the table
AT_ONCE: Final = 16  # look-ups at the same time
REMEMBERED: Final = 20_000  # look-ups, at most


class NewSuppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's request for an entry. reason: for those who read the list later."""

    address: Annotated[str, Meta(min_length=1, max_length=320)]
    reason: Annotated[str, Meta(pattern=LINE, max_length=500)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedAddress:
    """An entry of the list. added_by: the application id of the operator, or `key` for a function key."""

    id: str
    address: str
    reason: str
    added_by: str
    added_at: datetime


class SuppressionTable:
    """The list in one table, an entity for each address. Every method may raise azure.core's AzureError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def ids(self, most: int) -> frozenset[str] | None:
        """The ids of all entries, by one operation; None when there are more than `most`."""
        found, after = await self._table.page(most=most, select=["RowKey"])
        return None if after else frozenset(entity["RowKey"] for entity in found) - {IDENTITY}

    async def get(self, entry: str) -> SuppressedAddress | None:
        entity = await self._table.get(entry[:2], entry)
        return None if entity is None else _entry(entity)

    async def add(self, entry: SuppressedAddress) -> SuppressedAddress | None:
        """Add an entry. Returns None, or the existing entry, which stays unchanged."""
        columns = asdict(entry)
        try:
            await self._table.insert({"PartitionKey": entry.id[:2], "RowKey": columns.pop("id"), **columns})
        except ResourceExistsError:
            # The same entry, where the answer to a first try was lost: it was added now.
            found = await self.get(entry.id)
            return None if found == entry else found
        return None

    async def remove(self, entry: str) -> bool:
        """Remove an entry. False if there was none."""
        if await self.get(entry) is None:
            return False
        with contextlib.suppress(ResourceNotFoundError):
            await self._table.delete(entry[:2], entry)
        return True

    async def page(self, most: int, after: str | None) -> tuple[list[SuppressedAddress], str | None]:
        """Up to `most` entries, and where the next page begins. Raises ValueError when `after` is none of ours."""
        found, token = await self._table.page(most=most, after=continued(after))
        return [_entry(entity) for entity in found if not is_identity(entity)], token_text(token)


def _entry(entity: Entity) -> SuppressedAddress:
    names = ("address", "reason", "added_by", "added_at")
    return SuppressedAddress(id=entity["RowKey"], **{name: entity[name] for name in names})


class SuppressionList:
    """The suppression list, as cached by one process."""

    def __init__(self, store: SuppressionTable, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._monotonic = monotonic
        self._ids: frozenset[str] | None = None  # None: there are too many to know them all
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._changes = 0
        self._known: dict[str, tuple[float, bool]] = {}  # of those looked up: until when, and whether it is there

    async def among(self, addresses: Iterable[str]) -> frozenset[str]:
        """Those of these addresses, spelled as here, that are on the list. Raises AzureError.

        One without a canonical form is not on it, and no rule allows it (address_patterns.py).
        """
        async with self._reading:  # others wait for the same answer
            if self._monotonic() - self._read_at >= FRESH:
                asked, changes = self._monotonic(), self._changes
                self._ids = await self.store.ids(WHOLE)
                self._read_at = asked if changes == self._changes else float("-inf")
        whole = self._ids
        if whole is not None and not whole:
            return frozenset()
        ids: dict[str, str] = {}
        for address in addresses:
            with contextlib.suppress(ValueError):
                ids[address] = address_hash(address)
        there = whole if whole is not None else await self._looked_up(set(ids.values()))
        return frozenset(address for address, its in ids.items() if its in there)

    def forget(self) -> None:
        """Read the list again for the next mail, because this process has just changed it."""
        self._changes += 1
        self._read_at = float("-inf")
        self._known.clear()

    async def _looked_up(self, ids: set[str]) -> set[str]:
        now = self._monotonic()
        known = {its: found[1] for its in ids if (found := self._known.get(its)) and now < found[0]}
        unknown = list(ids - known.keys())
        at_once = asyncio.Semaphore(AT_ONCE)

        async def look_up(its: str) -> bool:
            async with at_once:
                return await self.store.get(its) is not None

        looked_up = dict(zip(unknown, await asyncio.gather(*map(look_up, unknown)), strict=True))
        if len(self._known) + len(unknown) > REMEMBERED:
            self._known.clear()
        self._known.update({its: (now + FRESH, is_there) for its, is_there in looked_up.items()})
        return {its for its, is_there in (known | looked_up).items() if is_there}
