"""One attempt to send one mail, and the writing down of it: what the courier and direct requests share."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

from azure.core.exceptions import AzureError

from shared.config import Settings
from shared.delivery import protocol
from shared.delivery.ledger import Ledger, Row, State
from shared.delivery.outbox import Outbox
from shared.delivery.pacing.store import PacingUnavailable
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.letters.letter import Letter
from shared.telemetry import Event, emit

__all__ = ["Attempts", "Lease", "Pacing", "Send", "StillOurs", "Turn", "Verifier", "new_token", "report_end"]

BETWEEN_WRITES: Final = 1.0  # seconds between tries to write down that Graph has accepted
ENDS: Final[dict[State, Event]] = {
    "sent": Event.MAIL_SENT,
    "failed": Event.MAIL_FAILED,
    "held": Event.MAIL_HELD,
}
StillOurs = Callable[[], bool]


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


class Send(Protocol):
    """Makes one request to Graph; see graph.send. `still_ours` is asked immediately before it goes out."""

    def __call__(self, letter: Letter, row: Row, still_ours: StillOurs) -> Awaitable[Outcome]: ...


class Verifier(Protocol):
    """Looks in the mailbox whether a mail has gone. It must have been asked to keep a copy."""

    def __call__(self, row: Row) -> Awaitable[protocol.Finding]: ...


class Turn(Protocol):
    """A mail is next at its mailbox: what must come before its request is done now, then it waits for its slot."""

    def ready(self, seconds: float | None = None) -> Awaitable[bool]:
        """True: the slot is there. False: it does not come within so many seconds, None: of the patience; or at all."""
        ...


class Pacing(Protocol):
    """When a mail may go; see pacing.Pacer. Every method may raise PacingUnavailable."""

    def reserve(self, mailbox: str) -> Awaitable[datetime]: ...

    def put_back(self, mailbox: str, reserved: datetime) -> None: ...

    def turn(self, mailbox: str, patience: float) -> AbstractAsyncContextManager[Turn | None]: ...

    def block(self, mailbox: str, until: datetime, *, app_wide: bool = False) -> Awaitable[None]: ...

    def blocked_until(self, mailbox: str) -> datetime | None: ...

    def soonest(self, mailboxes: Sequence[str]) -> str: ...

    def return_at(self) -> Awaitable[datetime]: ...


@dataclass(frozen=True, slots=True)
class Attempts:
    """One for a process. now and monotonic are the clocks, in UTC and in seconds; tests have their own.

    as_mime: whether a letter goes as MIME from this mailbox.
    """

    settings: Settings
    ledger: Ledger
    outbox: Outbox
    send: Send
    pacing: Pacing
    verifier: Verifier | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    as_mime: Callable[[Letter, str], bool] = lambda letter, _: letter.mime is not None

    def mailbox_for(self, sender: str, row: Row | None = None) -> str:
        """The mailbox to send from: of a pool the one that is free soonest, unless an earlier attempt may have gone."""
        if row is not None and row.may_have_gone:
            return row.mailbox
        members = self.settings.sender_pools.get(sender)
        return self.pacing.soonest(members) if members else sender

    def goes_as_mime(self, letter: Letter, row: Row) -> bool:
        """Whether the next attempt does. What may have gone goes again as it went, so that one look finds either."""
        if row.may_have_gone and letter.mime is None:
            return row.mime
        return self.as_mime(letter, row.mailbox)

    def lease(self) -> Lease:
        """Of a claim that is about to be written."""
        now = self.monotonic()
        margin = self.settings.lease_margin
        return Lease(self.monotonic, now + margin, now + margin + self.settings.send_timeout)

    async def renew(self, row: Row) -> tuple[Row, Lease]:
        """Claim for another while what one has claimed: for an attempt in parts. Raises Conflict when it was lost."""
        lease = self.lease()
        return await self.write(replace(row, lease_until=protocol.lease(self.now(), self.settings))), lease

    async def once(self, letter: Letter, row: Row, lease: Lease) -> tuple[Outcome, protocol.Settled]:
        """Send under a claim. The outcome, and what is to be written of it.

        Whether it goes as MIME is in the row before it goes: nothing else says how it is to be looked for. Where the
        claim has said so already nothing is written here. Raises Conflict, AzureError; nothing was sent then.
        """
        mime = self.goes_as_mime(letter, row)
        if mime is not row.mime:
            row = await self.write(replace(row, mime=mime))
        outcome = await self.send(letter, row, lease.may_start)
        _report(row, outcome)
        jitter = secrets.SystemRandom().random()
        settled = protocol.settle(row, outcome, self.now(), self.settings, jitter)
        if isinstance(outcome, Throttled) and settled.again is not None:
            with suppress(PacingUnavailable):  # it holds in this process all the same
                app_wide = outcome.code == "ApplicationThrottled"
                await self.pacing.block(row.mailbox, settled.again, app_wide=app_wide)
        return outcome, settled

    async def write(self, row: Row) -> Row:
        """Add a row, or replace the one it was read as. Raises Conflict, AzureError."""
        return await (self.ledger.replace(row) if row.etag else self.ledger.insert(row))

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


def new_token() -> str:
    """Names one claim."""
    return secrets.token_hex(8)


def report_end(row: Row) -> None:
    """Say how a mail has ended, and how long that took from when it was accepted, or from its own later time."""
    took = row.settled_at - max(row.not_before or row.accepted_at, row.accepted_at) if row.settled_at else None
    emit(
        ENDS[row.state],
        id=row.id,
        route=row.route,
        attempts=row.attempts,
        seconds=None if took is None else round(took.total_seconds(), 3),
        status=row.status,
        code=row.code,
        request_id=row.request_id,
    )


def _report(row: Row, outcome: Outcome) -> None:
    """Say what an attempt met, unless it went well: that is said when it is written down."""
    match outcome:
        case Accepted() | Rejected(kind="permanent"):
            return
        case NotConnected():
            emit(Event.GRAPH_UNREACHED, id=row.id, code=outcome.reason)
        case Throttled():
            emit(
                Event.GRAPH_THROTTLED, id=row.id, code=outcome.code, after=outcome.after, request_id=outcome.request_id
            )
        case Unknown():
            code = outcome.code or outcome.reason
            emit(Event.MAIL_UNKNOWN, id=row.id, status=outcome.status, code=code, request_id=outcome.request_id)
        case Rejected():
            event = Event.GRAPH_PERMISSION if outcome.kind == "permission" else Event.GRAPH_QUOTA
            emit(event, id=row.id, status=outcome.status, code=outcome.code, request_id=outcome.request_id)
