"""The claim on one mail: until it expires, nobody else sends the mail."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import AzureError

from shared.delivery.ledger import Ledger
from shared.delivery.row import Row
from shared.graph.outcome import NotConnected, Stopped
from shared.settings.config import Settings

BETWEEN_WRITES: Final = 1.0  # seconds between tries to write down that Graph has accepted


def lease_end(now: datetime, settings: Settings) -> datetime:
    """The end of a claim made now: every send ends by its own deadline, well before it."""
    return now + timedelta(seconds=settings.send_timeout + settings.lease_margin)


@dataclass(slots=True)
class Lease:
    """A claim on one mail: its row as last written, and for how long it is ours. now, monotonic: a process's clocks."""

    ledger: Ledger
    settings: Settings
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    row: Row
    last_start: float = 0.0  # on the clock without jumps

    async def renew(self, **changes: Any) -> None:
        """Write the row, changed like this, as claimed from now on. Raises Conflict: another was faster; AzureError."""
        started = self.monotonic()  # before the write: it may take its time
        until = lease_end(self.now(), self.settings)
        self.row = await self.ledger.write(replace(self.row, lease_until=until, **changes))
        self.last_start = started + self.settings.lease_margin

    def may_start(self) -> bool:
        """Whether a whole request, with its own deadline, still fits into it."""
        return self.monotonic() <= self.last_start

    async def keep(self, progress: str | None) -> None:
        """Write how far an attempt in parts has come, which renews the claim.

        Raises Conflict when it was lost; Stopped when no request may be made under it any more; AzureError.
        """
        await self.renew(progress=progress)
        if not self.may_start():
            raise Stopped(NotConnected("lease"))

    async def stay(self) -> None:
        """Renew the claim if half of what it has beyond a request is over. Raises Conflict, Stopped as `keep`."""
        if self.last_start - self.monotonic() > self.settings.lease_margin / 2:
            return
        try:
            await self.keep(self.row.progress)
        except AzureError:
            if not self.may_start():
                raise Stopped(NotConnected("lease")) from None

    async def write_sent(self, row: Row) -> None:
        """Write that Graph has accepted, again and again while the claim lives: nothing else is as dear to lose."""
        while True:
            try:
                await self.ledger.write(row)
            except AzureError:
                if self.monotonic() >= self.last_start + self.settings.send_timeout:
                    raise
                await asyncio.sleep(BETWEEN_WRITES)
            else:
                return
