"""The results of an attempt to send a mail, which engine.py returns to request.py, worker.py and at_once.py."""

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
    """The policy allows the mail, and a time is reserved for it in its mailbox: now, or later."""

    goes: Goes
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Later:
    """The mail cannot be sent before `due`, and nothing is claimed. slot: to be carried by its message.

    reservation: of that slot, still open, to be carried or given back. day_spent: the mailbox has reached its daily
    recipient limit, and nothing is reserved.
    """

    due: datetime
    slot: Slot | None = None
    reservation: Reservation | None = None
    day_spent: bool = False

    def carry(self) -> None:
        """The mail's message is about to be put; from then on it, or a copy of it, owns the reservation."""
        if self.reservation is not None:
            self.reservation.carried = True


@dataclass(frozen=True, slots=True)
class Waits:
    """The mail was claimed and continues at `due`. row: still to be written. slot: as above."""

    row: Row
    due: datetime
    slot: Slot | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The mail has ended. outcome: of the attempt, if any. unwritten: why its row may not say so."""

    row: Row
    outcome: Outcome | Declined | None = None
    unwritten: AzureError | Conflict | None = None


type RunResult = Later | Waits | Ended
