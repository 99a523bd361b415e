"""A claim that is held over an attempt in parts: renewed while it goes on, with its progress in the row."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared.delivery.ledger import Row
from shared.graph.outcome import NotConnected, Stopped

if TYPE_CHECKING:
    from shared.delivery.attempts import Attempts, Lease

__all__ = ["Hold"]


@dataclass(slots=True)
class Hold:
    """row: as it was last written. lease: how long that holds."""

    attempts: "Attempts"
    row: Row
    lease: "Lease"

    async def keep(self, progress: str | None) -> None:
        """Write how far the attempt has come, which renews the claim.

        Raises Conflict when it was lost; Stopped when the writing took so long that no request may be made any more;
        AzureError.
        """
        self.row, self.lease = await self.attempts.renew(replace(self.row, progress=progress))
        if not self.lease.may_start():
            raise Stopped(NotConnected("lease"))

    async def stay(self) -> None:
        """Renew the claim if half of what it has beyond a request is over.

        Raises Conflict when it was lost, Stopped when it could not be renewed and no request may be made under it.
        """
        if self.lease.to_start() > self.attempts.settings.lease_margin / 2:
            return
        try:
            await self.keep(self.row.progress)
        except AzureError:
            if not self.lease.may_start():
                raise Stopped(NotConnected("lease")) from None
