"""The path of one mail: `Engine.run` takes these steps, in this order, for every mail.

    verify    only if the mail may have gone: ask its mailbox             -> sent, later, review, or go on
    policy    decide what may be sent now                                 -> suppressed, captured, refused
    reserve   take from the mailbox's daily recipients, and its next time -> later
    claim     write the row, if nobody has changed it                     -> Conflict: somebody else has the mail
    send      make one request, or send a draft                           -> an outcome, never an exception
    record    write the row that retries.py derives from the outcome

request.py and at_once.py call it while somebody waits for an answer, worker.py for queue messages. They differ only in
what they do with a mail that cannot be sent now. Whatever was reserved is given back on every way out, unless the mail
was sent or may have been, or its queue message carries the reservation.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import AzureError

from shared.delivery import retries, verification
from shared.delivery.lease import Lease
from shared.delivery.ledger import Conflict, Ledger
from shared.delivery.mailer import GraphMailer
from shared.delivery.queue import Kept, Outbox
from shared.delivery.row import REPLAYABLE, Row, State, facts_of
from shared.delivery.verification import Finding
from shared.graph.outcome import Accepted, NotConnected, Outcome, Stopped, Throttled, Unanswered, Unknown, report
from shared.mail.outgoing import OutgoingMail
from shared.mail.sizes import weight
from shared.policy.pre_send import Declined, Goes, PreSendPolicy
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

PATIENCE: Final = 2.0  # seconds that an execution waits for its mailbox's time, and for a request in flight to end
CROWDED: Final = timedelta(seconds=5)  # until a mail is tried again if too many requests were in flight
UNASKED: Final = timedelta(seconds=30)  # until a mail is tried again if the policy could not be asked
SMALL: Final = 64 * 1024  # bytes; smaller mails do not count among the uploads of their mailbox
UNSENT: Final[frozenset[State]] = frozenset({"failed", "cancelled", "suppressed", "captured"})

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


@dataclass(frozen=True, slots=True)
class Engine:
    """One for a process. now, monotonic: its clocks."""

    settings: Settings
    ledger: Ledger
    outbox: Outbox
    pace: RateLimits
    policy: PreSendPolicy
    mailer: GraphMailer
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic

    async def run(  # noqa: PLR0913 - whose mail, and how far it has come
        self,
        mail: OutgoingMail,
        row: Row,
        *,
        verify: bool = False,
        slot: Slot | None = None,
        told: bool = False,
        ready: Ready | None = None,
    ) -> RunResult:
        """Claim the mail with this row, and send it if that is allowed and possible now.

        verify: the mail may have been sent, so its mailbox is asked first. slot: from the mail's message. told: a
        caller waits who was admitted a moment ago, and who keeps the mail if it is refused. ready: the result of
        `prepare`, if that was called. Raises Conflict if somebody else has the mail, and AzureError or
        RateLimitUnavailable if storage fails; the row then still says what may have happened.
        """
        if not verify:
            return await self._go(mail, row, slot, told=told, ready=ready)
        async with self.in_flight(row.mailbox) as due:  # verifications count as requests in flight
            if due is not None:
                return Later(due, slot)
            lease = await self.claim(row)
            finding = await self.verify(mail, lease.row)
        seen = verification.assess(lease.row, finding, self.now(), self.settings, mail.on_unknown, jitter=_chance())
        if isinstance(seen, retries.Settled):
            if seen.again is not None:
                return Waits(seen.row, seen.again, slot)
            return await self._record(mail, seen.row, None, lease)
        result = await self._go(mail, seen, slot, suspect=lease.row)
        if isinstance(result, Later):  # the mail is still to be verified
            result.carry()
            return Waits(retries.give_back(lease.row, result.due, verify=True), result.due, result.slot)
        return result

    async def _go(  # noqa: PLR0913 - as run
        self,
        mail: OutgoingMail,
        row: Row,
        slot: Slot | None,
        *,
        suspect: Row | None = None,
        told: bool = False,
        ready: Ready | None = None,
    ) -> RunResult:
        """suspect: the row of a mail that may have been sent, as it was claimed for its verification."""
        # 1 policy, 2 quota and time
        found = ready or await self.prepare(mail, row, slot, admitted=told)
        if isinstance(found, Later):
            return found
        if isinstance(found, Declined):  # the mail is not sent again, so the row must not say that it was
            was = suspect or row
            doubt = {"resends": was.resends, "may_have_gone_twice": was.may_have_gone_twice}
            lease = await self.claim(row, **facts_of(mail), **doubt)
            return await self._record(mail, retries.decline(lease.row, found, self.now()), found, lease, told=told)
        goes, reservation = found.goes.mail, found.reservation
        slot = (reservation.mailbox, reservation.at)
        gone = carried = False
        try:
            wait = (reservation.at - self.now()).total_seconds()
            if carried := wait > PATIENCE:
                return Later(reservation.at, slot, reservation)
            if wait > 0:
                await asyncio.sleep(wait)
            async with self.in_flight(reservation.mailbox, goes) as due:
                if carried := due is not None:
                    return Later(due, slot, reservation)
                # 3 claim: the row says how the mail is sent before it is, because that is how it is found again
                left_out = found.goes.left_out or None
                how = {"mailbox": reservation.mailbox, "mime": mail.mime is not None, "suppressed_recipients": left_out}
                lease = await self.claim(row, **facts_of(mail), **how, attempted_at=self.now())
                if suspect is not None and row.resends > suspect.resends:
                    emit(LogEvent.MAIL_RESENT, id=row.id)
                if left_out:
                    emit(LogEvent.RECIPIENTS_LEFT_OUT, id=row.id, count=left_out)
                # 4 send
                gone = True  # it may be, until there is an outcome
                outcome = await self.mailer.send(goes, lease)
                gone, carried = isinstance(outcome, Accepted | Unknown), isinstance(outcome, NotConnected)
        finally:
            if gone:
                self.pace.used(reservation, reservation.recipients)
            elif not carried:
                self.pace.give_back(reservation)
        # 5 record
        reservation.carried |= carried
        return await self._settled(mail, lease, outcome, slot if carried else None, told=told)

    async def prepare(
        self, mail: OutgoingMail, row: Row | None = None, slot: Slot | None = None, *, admitted: bool
    ) -> Ready | Declined | Later:
        """Ask the policy; then choose the mailbox, and reserve the mail's recipients and its time there.

        row: of earlier attempts, if any. Raises AzureError, RateLimitUnavailable.
        """
        try:
            goes = await self.policy.verdict(mail, admitted=admitted)
        except AzureError:
            emit(LogEvent.MAIL_UNCHECKED, id=mail.id)
            return Later(self.now() + UNASKED, slot)
        if isinstance(goes, Declined):
            return goes
        recipients = len(goes.mail.request.message.recipients)
        pool = self.settings.sender_pools.get(mail.sender) or (mail.sender,)
        if row is not None and (row.may_have_gone or row.progress is not None):
            pool = (row.mailbox,)  # an earlier attempt may have sent the mail from there, or left its draft there
        if slot is not None and slot[0] in pool:
            restored = await self.pace.restore(*slot, recipients)
            if restored is not None:
                return Ready(goes, restored)
        first, refused = pool[0] if len(pool) == 1 else self.pace.soonest(pool), list[NoRoom]()
        for mailbox in (first, *(one for one in pool if one != first)):
            found = await self.pace.reserve(mailbox, recipients)
            if isinstance(found, Reservation):
                return Ready(goes, found)
            refused.append(found)
        return Later(min(one.until for one in refused), day_spent=True)

    @asynccontextmanager
    async def in_flight(self, mailbox: str, mail: OutgoingMail | None = None) -> AsyncGenerator[datetime | None]:
        """Hold one of the mailbox's requests in flight within the body. Yields None, or the time at which to try again.

        Try again later if the mailbox is blocked, has too many requests in flight, or has uploaded too much. mail: the
        mail to be sent, if any.
        """
        async with self.pace.in_flight(mailbox, PATIENCE) as free:
            now = self.now()
            blocked = self.pace.blocked_until(mailbox)
            size = weight(mail) if mail is not None else 0
            if blocked is not None and blocked > now:
                yield blocked
            elif not free:
                yield now + CROWDED
            else:
                yield await self.pace.upload(mailbox, size) if size > SMALL else None

    async def claim(self, row: Row, **changes: Any) -> Lease:
        """Write the row, with these changes, as a claim from now on.

        Raises Conflict if somebody else was faster, AzureError.
        """
        lease = Lease(self.ledger, self.settings, self.now, self.monotonic, row)
        await lease.renew(**changes)
        return lease

    async def verify(self, mail: OutgoingMail | None, row: Row) -> Finding | None:
        """Ask the mailbox about a mail that may have been sent; see GraphMailer.verify."""
        finding = await self.mailer.verify(mail, row)
        if isinstance(finding, Unanswered):
            report(finding.outcome, row.id, verifying=True)
            if isinstance(finding.outcome, Throttled):
                await self.pace.throttled(row.mailbox, finding.outcome.after, finding.outcome.code or "")
        return finding

    async def _settled(
        self, mail: OutgoingMail, lease: Lease, outcome: Outcome, slot: Slot | None, *, told: bool
    ) -> RunResult:
        report(outcome, lease.row.id)
        if isinstance(outcome, Throttled):
            until = await self.pace.throttled(lease.row.mailbox, outcome.after, outcome.code or "")
            outcome = replace(outcome, after=(until - self.now()).total_seconds())
        settled = retries.settle(lease.row, outcome, self.now(), self.settings, _chance())
        if settled.again is None:
            return await self._record(mail, settled.row, outcome, lease, told=told)
        return Waits(settled.row, settled.again, slot, outcome)

    async def _record(
        self, mail: OutgoingMail, row: Row, outcome: Outcome | Declined | None, lease: Lease, *, told: bool = False
    ) -> Ended:
        try:
            if isinstance(outcome, Accepted):
                await lease.write_sent(row)
            else:
                keep = row.state in REPLAYABLE and not (told and row.state == "failed")
                row = await self.end(row, Kept.of(mail, row) if keep else None)
        except (AzureError, Conflict) as error:
            return Ended(row, outcome, error)
        return Ended(row, outcome)

    async def end(self, row: Row, kept: Kept | None = None) -> Row:
        """Write that a mail has ended: first its content, if that is to be kept, then the row.

        Raises Conflict, AzureError.
        """
        if kept is not None:
            await self.outbox.set_aside(row, kept)
        return await self.ledger.write(await self.without_draft(row))

    async def without_draft(self, row: Row) -> Row:
        """Delete the draft of a mail that will not be sent. Returns the row without it, or unchanged if that failed."""
        if row.progress is None or row.state not in UNSENT:
            return row
        try:
            await self.mailer.discard(row)
        except Stopped:
            emit(LogEvent.DRAFT_LEFT, id=row.id, state=row.state)  # maintenance tries again
            return row
        return replace(row, progress=None)


def _chance() -> float:
    return secrets.SystemRandom().random()
