"""What comes of an attempt to send a mail, as engine.py hands it to request.py and worker.py."""

from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError

from shared.delivery.ledger import Conflict
from shared.delivery.row import Row
from shared.graph.outcome import Outcome
from shared.policy.pre_send import Declined, Goes
from shared.ratelimit.rate_limits import Reservation

type Slot = tuple[str, datetime]
"""A mailbox, and a time that is reserved there; a message may carry it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Policy lets it go, and its mailbox has a time for it: now, or later."""

    goes: Goes
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot go before `due`, and nothing is claimed. slot: for its message to carry.

    reservation: of that slot, still open: to be carried, or given back. day_spent: the mailbox has no recipients left
    in its day; nothing is reserved.
    """

    due: datetime
    slot: Slot | None = None
    reservation: Reservation | None = None
    day_spent: bool = False

    def carry(self) -> None:
        """Its message is about to be put: whoever receives that, or a copy of it, has what is reserved."""
        if self.reservation is not None:
            self.reservation.carried = True


@dataclass(frozen=True, slots=True)
class Waits:
    """It was claimed, and goes on when it is due. row: still to be written. slot: as above."""

    row: Row
    due: datetime
    slot: Slot | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended. outcome: of the attempt, if there was one. unwritten: why its row does not say so, or may not."""

    row: Row
    outcome: Outcome | Declined | None = None
    unwritten: AzureError | Conflict | None = None


type RunResult = Later | Waits | Ended
