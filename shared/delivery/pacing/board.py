"""What all instances have to know of each other, in one partition that is read as a whole, and as it was last seen.

    row "0", "1", …   one for each slot: who holds it until when, and who would like to have it
    row "app"         until when Graph has blocked the app, and single mailboxes

It is seen at most once in some seconds, whatever the number of mails. Blocks stand in one row, not in that of each
mailbox, so that the same look shows all of them.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from shared.delivery.pacing.clock import Clock
from shared.delivery.pacing.shares import SlotRow
from shared.delivery.pacing.store import Changed, PacingStore, PacingUnavailable, Stored, Values, mailbox_key

__all__ = ["FRESH", "Board"]

PARTITION: Final = "slots"
APP: Final = "app"
FRESH: Final = 5.0  # seconds for which what was seen may be acted on
TRIES: Final = 10
MOST_BLOCKS: Final = 500  # mailboxes in the row: a property of a table row holds 32 Ki characters
DIGITS: Final = 24  # of a mailbox's hash, in the row of blocks
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)  # a block that is none


class Board:
    """The partition as last seen. asked: when it was asked for, monotonic."""

    def __init__(self, store: PacingStore, slots: int, clock: Clock) -> None:
        self.asked = float("-inf")
        self._store = store
        self._clock = clock
        self._keys = [str(number) for number in range(slots)]
        self._rows: dict[str, Stored] = {}
        self._blocks: dict[str, datetime] = {}  # by part of a mailbox's hash, and APP; only those to come
        self._looking = asyncio.Lock()
        self._seen: set[str] = set()  # rows seen by themselves since the last look began: they are newer than it

    @property
    def age(self) -> float:
        return self._clock.monotonic() - self.asked

    async def look(self, oldest: float = FRESH) -> None:
        """See the partition again, unless that was less than so many seconds ago. Raises AzureError."""
        async with self._looking:
            if self.age < oldest:
                return
            asked = self._clock.monotonic()
            self._seen.clear()
            rows = await self._store.rows(PARTITION)
            newer = {key: stored for key, stored in self._rows.items() if key in self._seen}
            self._rows = {key: stored for key, stored in rows.items() if key not in self._seen} | newer
            self.asked = asked
            self._learn(self._rows.get(APP))

    def slots(self) -> dict[str, SlotRow]:
        """All slots by key."""
        return {key: self.slot(key) for key in self._keys}

    def slot(self, key: str) -> SlotRow:
        stored = self._rows.get(key)
        return SlotRow.of(stored.values) if stored else SlotRow()

    def etag(self, key: str) -> str | None:
        stored = self._rows.get(key)
        return stored.etag if stored else None

    async def write(self, key: str, row: SlotRow) -> bool:
        """Write a slot in place of the one last seen. False: it has changed, and is seen now. Raises AzureError."""
        values = row.values()
        try:
            etag = await self._store.write(PARTITION, key, values, self.etag(key))
        except Changed as changed:
            self._see(key, changed.found)
            return False
        self._see(key, Stored(values, etag))
        return True

    def blocked_until(self, mailbox: str | None = None) -> datetime | None:
        """Until when the app, or this mailbox or the app, is blocked. None: not blocked, as far as seen."""
        if not self._blocks:
            return None
        now = self._clock.now()
        keys = [APP] if mailbox is None else [APP, mailbox_key(mailbox)[:DIGITS]]
        return max((self._blocks[key] for key in keys if self._blocks.get(key, now) > now), default=None)

    async def block(self, mailbox: str | None, until: datetime) -> None:
        """Block a mailbox, or the app, and let all instances know. An existing block that is longer stays.

        It holds here at once, whether it can be written or not. Raises AzureError, PacingUnavailable.
        """
        key = APP if mailbox is None else mailbox_key(mailbox)[:DIGITS]
        self._blocks[key] = max(until, self._blocks.get(key, until))
        for _ in range(TRIES):
            stored = self._rows.get(APP)
            self._learn(stored)
            values = self._block_values()
            if stored and stored.values == values:
                return
            try:
                etag = await self._store.write(PARTITION, APP, values, self.etag(APP))
            except Changed as changed:
                self._see(APP, changed.found)
            else:
                self._see(APP, Stored(values, etag))
                return
        raise PacingUnavailable(f"The row of blocks was written by others {TRIES} times.")

    def _see(self, key: str, stored: Stored | None) -> None:
        self._seen.add(key)
        if stored:
            self._rows[key] = stored
        else:
            self._rows.pop(key, None)

    def _learn(self, stored: Stored | None) -> None:
        """Add the blocks of the row to those known."""
        now = self._clock.now()
        for key, until in _blocks(stored.values if stored else {}):
            self._blocks[key] = max(until, self._blocks.get(key, until))
        self._blocks = {key: until for key, until in self._blocks.items() if until > now}

    def _block_values(self) -> Values:
        latest = sorted(self._blocks.items(), key=lambda block: block[1], reverse=True)[:MOST_BLOCKS]
        mailboxes = {key: until.isoformat() for key, until in sorted(latest) if key != APP}
        return {"blocked_until": self._blocks.get(APP, NEVER), "mailboxes": json.dumps(mailboxes)}


def _blocks(values: Values) -> Iterable[tuple[str, datetime]]:
    app, mailboxes = values.get("blocked_until"), values.get("mailboxes")
    if isinstance(app, datetime):
        yield APP, app
    if isinstance(mailboxes, str):
        for key, until in json.loads(mailboxes).items():
            yield key, datetime.fromisoformat(until)
