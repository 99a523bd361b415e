"""One attempt to send one mail, and the writing down of it: what the courier and direct requests share."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from azure.core.exceptions import AzureError

from shared.aside import aside
from shared.config import Settings
from shared.delivery import protocol
from shared.delivery.hold import Hold
from shared.delivery.last_check import Policy
from shared.delivery.ledger import Ledger, Row, State
from shared.delivery.outbox import Outbox
from shared.delivery.pacing.store import PacingUnavailable
from shared.delivery.work import Work
from shared.graph.outcome import Accepted, Interrupted, NotConnected, Outcome, Rejected, Stopped, Throttled, Unknown
from shared.letters.draft import needs_draft
from shared.letters.letter import Letter
from shared.policy.before_send import Goes, Withheld, count_of
from shared.telemetry import Event, emit

__all__ = [
    "Attempts",
    "ByDraft",
    "Lease",
    "Pacing",
    "Send",
    "StillOurs",
    "Turn",
    "Verifier",
    "bound",
    "new_token",
    "report_end",
]

BETWEEN_WRITES: Final = 1.0  # seconds between tries to write down that Graph has accepted
SPREAD: Final = timedelta(minutes=5)
ENDS: Final[dict[State, Event]] = {
    "sent": Event.MAIL_SENT,
    "failed": Event.MAIL_FAILED,
    "held": Event.MAIL_HELD,
    "suppressed": Event.MAIL_SUPPRESSED,
    "captured": Event.MAIL_CAPTURED,
}
UNSENT: Final[frozenset[State]] = frozenset({"failed", "cancelled", "suppressed", "captured"})
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


class ByDraft(Protocol):
    """Sends what is too large for one request; see large.LargeMails."""

    def send(self, letter: Letter, hold: Hold) -> Awaitable[Outcome]: ...

    def look(self, row: Row) -> Awaitable[protocol.Finding]:
        """Whether a mail has gone that was to go this way. Never raises."""
        ...

    def discard(self, row: Row) -> Awaitable[None]:
        """Leave no draft behind. Raises Stopped when that cannot be done now."""
        ...


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

    def hold(self, mailbox: str, mail: str, recipients: int) -> Awaitable[datetime | None]: ...

    def spend(self, mailbox: str, mail: str, recipients: int) -> None: ...

    def release(self, mail: str) -> None: ...

    def ask(self, caller: str, per_minute: int, mails: int = 1) -> Awaitable[datetime | None]: ...

    def asked_in_vain(self, caller: str, mails: int = 1) -> None: ...

    def come_at(self, caller: str, per_minute: int) -> Awaitable[datetime]: ...


@dataclass(frozen=True, slots=True)
class Attempts:
    """One for a process. now and monotonic are the clocks, in UTC and in seconds; tests have their own."""

    settings: Settings
    ledger: Ledger
    outbox: Outbox
    send: Send
    pacing: Pacing
    policy: Policy
    verifier: Verifier | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    by_draft: ByDraft | None = None

    def mailbox_for(self, sender: str, row: Row | None = None) -> str:
        """The mailbox to send from: of a pool the one that is free soonest, unless one is settled already."""
        if row is not None and bound(row):
            return row.mailbox
        members = self.settings.sender_pools.get(sender)
        return self.pacing.soonest(members) if members else sender

    async def hold(self, work: Work, mailbox: str, *, alone: bool = False) -> tuple[str, datetime | None]:
        """Hold a mail's recipients in the day of this mailbox, or of another one of its pool unless it is to be alone.

        The mailbox, None; or where no mailbox has room the time at which one may have. Raises PacingUnavailable.
        """
        others = () if alone else self.settings.sender_pools.get(work.mailbox, ())
        first: datetime | None = None
        for member in (mailbox, *(one for one in others if one != mailbox)):
            until = await self.pacing.hold(member, work.id, self.recipients(work))
            if until is None:
                return member, None
            first = min(first or until, until)
        return mailbox, first

    def recipients(self, work: Work) -> int:
        """How many a mail counts for in its mailbox's day."""
        match self.settings.mode:
            case "capture":
                return 0
            case "redirect":
                return 1
        return work.recipients

    def spread(self, due: datetime) -> datetime:
        """A while after that: what waits for the same moment does not all come in it."""
        return due + SPREAD * secrets.SystemRandom().random()

    def lease(self) -> Lease:
        """Of a claim that is about to be written."""
        now = self.monotonic()
        margin = self.settings.lease_margin
        return Lease(self.monotonic, now + margin, now + margin + self.settings.send_timeout)

    async def renew(self, row: Row) -> tuple[Row, Lease]:
        """Claim for another while what one has claimed: for an attempt in parts. Raises Conflict when it was lost."""
        lease = self.lease()
        return await self.write(replace(row, lease_until=protocol.lease(self.now(), self.settings))), lease

    async def once(self, letter: Letter, row: Row, lease: Lease) -> tuple[Outcome | Withheld, protocol.Settled, Lease]:
        """Send under a claim, if policy still lets it go. The outcome, what is to be written of it, and the last lease.

        In parts where it does not fit into one request; the claim is then renewed meanwhile. Raises Conflict when it
        was lost, AzureError; nothing was sent then.
        """
        try:
            verdict = await self.verdict(letter)
        except AzureError:
            emit(Event.MAIL_UNCHECKED, id=row.id)
            unasked = NotConnected("policy")
            return unasked, protocol.settle(row, unasked, self.now(), self.settings), lease
        if isinstance(verdict, Withheld):
            return verdict, protocol.withhold(row, verdict, self.now()), lease
        letter = verdict.letter
        if verdict.left_out:
            emit(Event.RECIPIENTS_LEFT_OUT, id=row.id, count=verdict.left_out)
        row = replace(row, suppressed_recipients=verdict.left_out or None)
        if row.progress is not None or (letter.mail.message.attachments and needs_draft(letter.mail)):
            outcome, row, lease = await self._in_parts(letter, row, lease)
        else:
            outcome, row = await self._by_one_request(letter, row, lease)
        if isinstance(outcome, Accepted | Unknown):
            self.pacing.spend(row.mailbox, row.id, count_of(letter.mail.message))
        return outcome, await self._settled(row, outcome), lease

    async def _by_one_request(self, letter: Letter, row: Row, lease: Lease) -> tuple[Outcome, Row]:
        """Whether it came as MIME is in the row before it goes: nothing else says how it is to be looked for. Where
        the claim has said so already nothing is written here.
        """
        if row.mime is not (letter.mime is not None):
            row = await self.write(replace(row, mime=letter.mime is not None))
        return await self.send(letter, row, lease.may_start), row

    async def _in_parts(self, letter: Letter, row: Row, lease: Lease) -> tuple[Outcome, Row, Lease]:
        """By way of a draft. The row as it was last written, and the lease of that."""
        if self.by_draft is None or (row.progress is None and not self.settings.large_attachments):
            text = "It does not fit into one request, and MAIL_LARGE_ATTACHMENTS is not true."
            return Rejected(413, "LargeAttachmentsOff", "permanent", text), row, lease
        hold = Hold(self, row, lease)
        outcome = await self.by_draft.send(letter, hold)
        return outcome, hold.row, hold.lease

    async def look(self, letter: Letter, row: Row) -> protocol.Finding | None:
        """What the mailbox says of a mail that may have gone. None: it cannot be asked."""
        if row.progress is not None and self.by_draft is not None:
            return await self.by_draft.look(row)
        return await self.verifier(row) if self.verifier and letter.mail.save_to_sent_items else None

    async def without_draft(self, row: Row) -> Row:
        """The row of a mail that will not be sent, its draft deleted; unchanged while that cannot be done."""
        if row.progress is None or row.state not in UNSENT or self.by_draft is None:
            return row
        try:
            await self.by_draft.discard(row)
        except Stopped:
            emit(Event.DRAFT_LEFT, id=row.id, state=row.state)  # upkeep tries again
            return row
        return replace(row, progress=None)

    async def _settled(self, row: Row, outcome: Outcome) -> protocol.Settled:
        _report(row, outcome)
        jitter = secrets.SystemRandom().random()
        settled = protocol.settle(row, outcome, self.now(), self.settings, jitter)
        if isinstance(outcome, Throttled) and settled.again is not None:
            with suppress(PacingUnavailable):  # it holds in this process all the same
                app_wide = outcome.code == "ApplicationThrottled"
                await self.pacing.block(row.mailbox, settled.again, app_wide=app_wide)
        return settled

    async def verdict(self, letter: Letter) -> Goes | Withheld:
        """What policy says of a letter now. Raises AzureError when it cannot be asked: then nothing may go."""
        suppressed = await self.policy.suppressed(letter)
        size = len(letter.mime or b"")  # to redirect it is to read it once more
        return await aside(size, self.policy.verdict, letter, suppressed)

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


def bound(row: Row) -> bool:
    """Whether the mail has to go from the mailbox of an earlier attempt: it may have gone, or its draft is there."""
    return row.may_have_gone or row.progress is not None


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
        left_out=row.suppressed_recipients,
        request_id=row.request_id,
    )


def _report(row: Row, outcome: Outcome) -> None:
    """Say what an attempt met, unless it went well: that is said when it is written down."""
    match outcome:
        case Accepted() | Rejected(kind="permanent"):
            return
        case NotConnected():
            emit(Event.GRAPH_UNREACHED, id=row.id, code=outcome.reason)
        case Interrupted():
            code = outcome.code or outcome.reason
            emit(Event.MAIL_INTERRUPTED, id=row.id, status=outcome.status, code=code, request_id=outcome.request_id)
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
