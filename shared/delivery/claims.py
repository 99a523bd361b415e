"""Claims on rows: written on condition, held for as long as their lease, renewed by an attempt that takes longer."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import AzureError

from shared.delivery import transitions
from shared.delivery.ledger import Ledger
from shared.delivery.record import Conflict, Row
from shared.graph.outcome import NotConnected, Stopped
from shared.settings.config import Settings

BETWEEN_WRITES: Final = 1.0  # seconds between tries to write down that Graph has accepted
SHORT: Final = timedelta(seconds=30)  # a wait that nobody needs to cut short


def new_token() -> str:
    """Names one claim."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a claim holds, on the clock without jumps. Times in seconds."""

    monotonic: Callable[[], float]
    last_start: float
    end: float

    def may_start(self) -> bool:
        """Whether a whole request, with its own deadline, still fits into it."""
        return self.monotonic() <= self.last_start

    def to_start(self) -> float:
        """Seconds for which that holds."""
        return self.last_start - self.monotonic()

    def lives(self) -> bool:
        return self.monotonic() < self.end


@dataclass(frozen=True, slots=True)
class Claims:
    """Writes rows. One for a process; now and monotonic are its clocks, in UTC and in seconds; tests have their own."""

    settings: Settings
    ledger: Ledger
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic

    async def write(self, row: Row) -> Row:
        """Add a row, or replace the one it was read as. Raises Conflict, AzureError."""
        return await (self.ledger.replace(row) if row.etag else self.ledger.insert(row))

    async def claim(self, row: Row, **changes: Any) -> tuple[Row, Lease]:
        """Write a row that claims its mail from now on, with these changes.

        Raises Conflict where another one was faster, AzureError.
        """
        now, settings = self.monotonic(), self.settings  # before the write: it may take its time
        last_start = now + settings.lease_margin
        claimed = replace(row, lease_until=transitions.lease(self.now(), settings), **changes)
        return await self.write(claimed), Lease(self.monotonic, last_start, last_start + settings.send_timeout)

    async def note_message(self, row: Row, message: str, due: datetime) -> None:
        """Write by which message a mail waits, so that an operator can have it tried sooner; not for a short wait.

        Never raises: the message is there, and the mail goes when it is due.
        """
        if row.state == "accepted" and due - self.now() > SHORT:
            with suppress(Conflict, AzureError):
                await self.write(replace(row, message=message))

    async def write_sent(self, row: Row, lease: Lease) -> None:
        """Write that Graph has accepted, again and again while the lease lives: nothing else is as dear to lose."""
        while True:
            try:
                await self.write(row)
            except AzureError:
                if not lease.lives():
                    raise
                await asyncio.sleep(BETWEEN_WRITES)
            else:
                return


@dataclass(slots=True)
class LongClaim:
    """A claim that is held over an attempt in parts: renewed while that goes on, with its progress in the row.

    row: as it was last written. lease: how long that holds.
    """

    claims: Claims
    row: Row
    lease: Lease

    async def keep(self, progress: str | None) -> None:
        """Write how far the attempt has come, which renews the claim.

        Raises Conflict when it was lost; Stopped when the writing took so long that no request may be made any more;
        AzureError.
        """
        self.row, self.lease = await self.claims.claim(replace(self.row, progress=progress))
        if not self.lease.may_start():
            raise Stopped(NotConnected("lease"))

    async def stay(self) -> None:
        """Renew the claim if half of what it has beyond a request is over.

        Raises Conflict when it was lost, Stopped when it could not be renewed and no request may be made under it.
        """
        if self.lease.to_start() > self.claims.settings.lease_margin / 2:
            return
        try:
            await self.keep(self.row.progress)
        except AzureError:
            if not self.lease.may_start():
                raise Stopped(NotConnected("lease")) from None
