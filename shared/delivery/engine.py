"""THE path of one mail, once for all of them. `Engine.run` goes it from top to bottom:

    verify    only if the mail may have gone: ask its mailbox   -> sent, later, needs a person, or go on
    policy    what may go, now                                  -> suppressed, captured, refused
    reserve   recipients of the mailbox's day, then its next time             -> later
    claim     write the row, on condition                       -> Conflict: somebody else has the mail
    send      by one request, or by way of a draft              -> an outcome, never an exception
    record    the row as transitions.py settles it

request.py calls it where somebody waits, worker.py where nobody does. They differ in what they do where it cannot go
now, and in what they keep of a mail that ends unsent; everything else is here. What is reserved is given back on every
way out, unless the mail has gone, or may have, or its message carries the reservation on.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from azure.core.exceptions import AzureError

from shared.delivery import transitions, verification
from shared.delivery.claims import Claims, Lease, LongClaim
from shared.delivery.queue import Kept, Outbox
from shared.delivery.queue_messages import Work
from shared.delivery.record import Conflict, Row, State
from shared.delivery.reports import report_outcome, report_unanswered
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Stopped, Throttled, Unanswered, Unknown
from shared.mail.outgoing import OutgoingMail, encode
from shared.mail.sizes import needs_draft, weight
from shared.policy.pre_send import Goes, Withheld
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.settings.config import Settings
from shared.telemetry import LogEvent, emit

if TYPE_CHECKING:
    from shared.delivery.large import LargeMails

PATIENCE: Final = 2.0  # seconds that an execution waits for its mailbox: for its time, and for a request to end
CROWDED: Final = timedelta(seconds=5)  # until a mail comes again that found too many requests in flight
UNASKED: Final = timedelta(seconds=30)  # until a mail comes again that policy could not be asked about
SMALL: Final = 64 * 1024  # bytes of a mail that do not count among its mailbox's uploads
UNSENT: Final[frozenset[State]] = frozenset({"failed", "cancelled", "suppressed", "captured"})
type StillOurs = Callable[[], bool]


type Send = Callable[[OutgoingMail, Row, StillOurs], Awaitable[Outcome]]
"""Makes one request to Graph; see mailer.GraphMailer. It asks whether the claim is still ours before it goes out."""
type Verifier = Callable[[Row], Awaitable[transitions.Finding]]
"""Asks the mailbox whether a mail has gone. It must have been asked to keep a copy."""


class Policy(Protocol):
    """Whether a mail may still go, and to whom; see pre_send.PreSendPolicy."""

    def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Awaitable[Goes | Withheld]:
        """Raises azure.core's AzureError when it cannot be asked: then nothing may go."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One mail on its way. work: the message that carries it, or would. keeps: if it ends in one of these states its
    content is kept before its row says so. admitted: when it came in, which was a moment ago.
    """

    mail: OutgoingMail
    work: Work
    keeps: frozenset[State]
    admitted: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Policy lets it go, and its mailbox has a time for it: now, or later."""

    goes: Goes
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Later:
    """It cannot go before `due`, and nothing is claimed. work: with the mailbox and the time that it has there.

    reservation: open, for the message to carry; or to be given back. day_spent: the mailbox has no recipients left in
    its day, so nothing is reserved.
    """

    due: datetime
    work: Work
    reservation: Reservation | None = None
    day_spent: bool = False

    def carry(self) -> None:
        """Its message is about to be put: whoever receives that, or a copy of it, has what is reserved."""
        if self.reservation is not None:
            self.reservation.carried = True


@dataclass(frozen=True, slots=True)
class Waits:
    """It was claimed, and goes on when it is due. row: still to be written. work: as above."""

    row: Row
    due: datetime
    work: Work
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended. outcome: of the attempt, if there was one. unwritten: why its row does not say so, or may not."""

    row: Row
    outcome: Outcome | Withheld | None = None
    unwritten: AzureError | Conflict | None = None


type Result = Later | Waits | Ended


@dataclass(frozen=True, slots=True)
class Engine:
    """One for a process. drafts: for what does not fit into one request; loaded with the first such mail."""

    settings: Settings
    claims: Claims
    outbox: Outbox
    pace: RateLimits
    policy: Policy
    send: Send
    verifier: Verifier | None = None
    drafts: "Callable[[], LargeMails] | None" = None

    async def run(self, job: Job, decision: transitions.Claim, ready: Ready | None = None) -> Result:
        """Send a mail under the row that `decision` claims, if it may and can go now.

        ready: what `prepare` has said already. Raises Conflict: another one has the mail; AzureError,
        RateLimitUnavailable: storage is in the way, and whoever reads the row next knows what may have happened.
        """
        if decision.then == "send":
            return await self._go(job, decision.row, ready)
        verified = await self._verified(job, decision.row)
        if not isinstance(verified, _NotGone):
            return verified
        result = await self._go(job, verified.row, suspect=verified.suspect)
        if isinstance(result, Later):  # what was to be verified is so still
            result.carry()
            settled = transitions.give_back(verified.suspect, result.due, verify=True)
            return Waits(settled.row, result.due, result.work)
        return result

    async def _go(self, job: Job, row: Row, ready: Ready | None = None, suspect: Row | None = None) -> Result:
        # 1 policy, 2 quota and time
        found = ready or await self.prepare(job, row)
        if isinstance(found, Later):
            return found
        if isinstance(found, Withheld):  # of a mail that may have gone: it does not go again, and must not say so
            was = suspect or row
            twice = was.may_have_gone_twice
            row, lease = await self.claims.claim(row, resends=was.resends, may_have_gone_twice=twice)
            return await self._record(job, transitions.withhold(row, found, self.claims.now()).row, found, lease)
        mail, reservation = found.goes.mail, found.reservation
        gone = carried = False
        try:
            if carried := (due := await self._its_time(reservation)) is not None:
                return Later(due, _carrying(job.work, reservation), reservation)
            async with self.in_flight(reservation.mailbox, mail) as due:
                if carried := due is not None:
                    return Later(due, _carrying(job.work, reservation), reservation)
                # 3 claim
                row, lease = await self.claims.claim(row, **_how(job.mail, found))
                _say_how(row, suspect)
                # 4 send
                gone = True  # for all that anybody knows until there is an outcome
                outcome, row, lease = await self._ask_graph(mail, row, lease)
                gone, carried = isinstance(outcome, Accepted | Unknown), isinstance(outcome, NotConnected)
        finally:
            if gone:
                self.pace.used(reservation, len(mail.request.message.recipients))
            elif not carried:
                self.pace.give_back(reservation)
        # 5 record
        reservation.carried |= carried
        settled = await self._settled(row, outcome)
        if settled.again is None:
            return await self._record(job, settled.row, outcome, lease)
        work = _carrying(job.work, reservation) if carried else _free(job.work)
        return Waits(settled.row, settled.again, work, outcome)

    async def prepare(self, job: Job, row: Row | None = None) -> Ready | Withheld | Later:
        """What policy says of a mail now; then its recipients and its time, reserved in the mailbox that it goes from.

        row: of the attempts before, if there were any. Raises AzureError, RateLimitUnavailable.
        """
        try:
            goes = await self.policy.verdict(job.mail, admitted=job.admitted)
        except AzureError:
            emit(LogEvent.MAIL_UNCHECKED, id=job.mail.id)
            return Later(self.claims.now() + UNASKED, job.work)
        if isinstance(goes, Withheld):
            return goes
        found = await self._reserve(job.work, len(goes.mail.request.message.recipients), row)
        if isinstance(found, NoRoom):
            return Later(found.until, _free(job.work), day_spent=True)
        return Ready(goes, found)

    async def _reserve(self, work: Work, recipients: int, row: Row | None) -> Reservation | NoRoom:
        """In the mailbox of an earlier attempt that binds it, or else in the one of its pool that is free soonest."""
        pool = self.settings.sender_pools.get(work.mailbox) or (work.mailbox,)
        pool = (row.mailbox,) if row is not None and bound(row) else pool
        if work.reserved is not None and work.via in pool:
            restored = await self.pace.restore(work.via, work.reserved, recipients)
            if restored is not None:
                return restored
        first, refused = self.pace.soonest(pool), list[NoRoom]()
        for mailbox in (first, *(one for one in pool if one != first)):
            found = await self.pace.reserve(mailbox, recipients)
            if isinstance(found, Reservation):
                return found
            refused.append(found)
        return min(refused, key=lambda one: one.until)

    async def _its_time(self, reservation: Reservation) -> datetime | None:
        """Wait for the time that is reserved. It, where that takes too long."""
        wait = (reservation.at - self.claims.now()).total_seconds()
        if wait > PATIENCE:
            return reservation.at
        if wait > 0:
            await asyncio.sleep(wait)
        return None

    @asynccontextmanager
    async def in_flight(self, mailbox: str, mail: OutgoingMail | None = None) -> AsyncGenerator[datetime | None]:
        """The right to requests to Graph for a mailbox, within the body. A time: not now, but from then on.

        It is blocked, or has too much in flight, or uploaded. mail: that is to be sent; None: nothing is.
        """
        async with self.pace.in_flight(mailbox, PATIENCE) as free:
            now = self.claims.now()
            blocked = self.pace.blocked_until(mailbox)
            size = weight(mail) if mail is not None else 0
            if blocked is not None and blocked > now:
                yield blocked
            elif not free:
                yield now + CROWDED
            else:
                yield await self.pace.upload(mailbox, size) if size > SMALL else None

    async def _ask_graph(self, mail: OutgoingMail, row: Row, lease: Lease) -> tuple[Outcome, Row, Lease]:
        """Send, by one request or by way of a draft. The outcome, the row as it was last written, the lease of that."""
        if row.progress is None and not (mail.request.message.attachments and needs_draft(mail.request)):
            return await self.send(mail, row, lease.may_start), row, lease
        if self.drafts is None or (row.progress is None and not self.settings.large_attachments):
            text = "It does not fit into one request, and MAIL_LARGE_ATTACHMENTS is not true."
            return Rejected(413, "LargeAttachmentsOff", "permanent", text), row, lease
        claim = LongClaim(self.claims, row, lease)
        outcome = await self.drafts().send(mail, claim)
        return outcome, claim.row, claim.lease

    async def _verified(self, job: Job, row: Row) -> "Result | _NotGone":
        """Ask the mailbox of a mail that may have gone. Verifications count among its requests in flight."""
        async with self.in_flight(row.mailbox) as due:
            if due is not None:
                return Later(due, job.work)
            suspect, lease = await self.claims.claim(row)
            finding = await self.verify(job.mail, suspect)
        now, chance = self.claims.now(), secrets.SystemRandom().random()
        seen = verification.assess(suspect, finding, now, self.settings, job.mail.on_unknown, jitter=chance)
        if isinstance(seen, transitions.Claim):
            return _NotGone(suspect, seen.row)
        if seen.again is not None:
            return Waits(seen.row, seen.again, job.work)
        return await self._record(job, seen.row, None, lease)

    async def verify(self, mail: OutgoingMail | None, row: Row) -> transitions.Finding | None:
        """What the mailbox says of a mail that may have gone. None: nothing could be found in it, so it is not asked.

        mail None: it is not at hand; whether it left a copy at all is not known then.
        """
        finding: transitions.Finding | None = None
        if row.progress is not None and self.drafts is not None:
            finding = await self.drafts().look(row)
        elif self.verifier is not None and (mail is None or mail.request.save_to_sent_items):
            finding = await self.verifier(row)
        if isinstance(finding, Unanswered):
            report_unanswered(row, finding.outcome)
            if isinstance(finding.outcome, Throttled):
                await self.pace.throttled(row.mailbox, finding.outcome.after)
        return finding

    async def _settled(self, row: Row, outcome: Outcome) -> transitions.Settled:
        report_outcome(row, outcome)
        if isinstance(outcome, Throttled):
            until = await self.pace.throttled(row.mailbox, outcome.after)
            outcome = replace(outcome, after=(until - self.claims.now()).total_seconds())
        return transitions.settle(row, outcome, self.claims.now(), self.settings, secrets.SystemRandom().random())

    async def _record(self, job: Job, row: Row, outcome: Outcome | Withheld | None, lease: Lease) -> Ended:
        """Write down how a mail has ended: first its content, where that is to be kept, then the row."""
        try:
            if isinstance(outcome, Accepted):
                await self.claims.write_sent(row, lease)
            else:
                if row.state in job.keeps:
                    await self.outbox.set_aside(row.id, Kept("mail", row.code or row.state, encode(job.mail)))
                row = await self.without_draft(row)
                await self.claims.write(row)
        except (AzureError, Conflict) as error:
            return Ended(row, outcome, error)
        return Ended(row, outcome)

    async def without_draft(self, row: Row) -> Row:
        """The row of a mail that will not be sent, its draft deleted; unchanged while that cannot be done."""
        if row.progress is None or row.state not in UNSENT or self.drafts is None:
            return row
        try:
            await self.drafts().discard(row)
        except Stopped:
            emit(LogEvent.DRAFT_LEFT, id=row.id, state=row.state)  # maintenance tries again
            return row
        return replace(row, progress=None)


@dataclass(frozen=True, slots=True)
class _NotGone:
    """A mail that may have gone is to be sent. suspect: its row, claimed to ask the mailbox. row: to go on with."""

    suspect: Row
    row: Row


def bound(row: Row) -> bool:
    """Whether the mail has to go from the mailbox of an earlier attempt: it may have gone, or its draft is there."""
    return row.may_have_gone or row.progress is not None


def _how(mail: OutgoingMail, ready: Ready) -> dict[str, Any]:
    """How it goes, as its row has to say before it does: by that it is found again."""
    return {
        "mailbox": ready.reservation.mailbox,
        "mime": mail.mime is not None,
        "suppressed_recipients": ready.goes.left_out or None,
    }


def _say_how(row: Row, suspect: Row | None) -> None:
    if suspect is not None and row.resends > suspect.resends:
        emit(LogEvent.MAIL_RESENT, id=row.id)
    if row.suppressed_recipients:
        emit(LogEvent.RECIPIENTS_LEFT_OUT, id=row.id, count=row.suppressed_recipients)


def _carrying(work: Work, reservation: Reservation) -> Work:
    return msgspec.structs.replace(work, via=reservation.mailbox, reserved=reservation.at)


def _free(work: Work) -> Work:
    """Without a time at a mailbox: the next attempt gets another one."""
    return msgspec.structs.replace(work, via=None, reserved=None) if work.via else work
