"""Mails, rows and outcomes for the tests of delivery, and a Graph that answers as told."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from azure.core.exceptions import ServiceRequestError

from shared.delivery import row as rows
from shared.delivery.cancel_replay_retry import Control
from shared.delivery.engine import Engine
from shared.delivery.lease import Lease, lease_end
from shared.delivery.ledger import PARTITIONS, Ledger
from shared.delivery.mailer import GraphMailer
from shared.delivery.maintenance import Maintenance
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.request import Answer, Requests
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.mail.model import SendMail
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint
from shared.mail.parse import send_mail
from shared.policy.pre_send import Declined, Goes
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.settings.config import Settings
from tests.delivery.memory import MemoryLedger, MemoryOutbox, Unpaced

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
SENDER = "mailroom@sandbox.example"
ACCEPTED = Accepted("r", "c")
THROTTLED = Throttled(2.5, code="ApplicationThrottled")
NOT_CONNECTED = NotConnected("connect")
BAD_RECIPIENT = Rejected(400, "ErrorInvalidRecipients", "permanent")
NO_PERMISSION = Rejected(403, "ErrorAccessDenied", "permission")
TIMED_OUT = Unknown("timeout")
NO_LONGER_ALLOWED = Declined("failed", status=403, code="ErrorSendAsDenied", message="MAIL_ALLOWED_SENDERS does not.")


MAIL = "0" * 32


@cache
def _request(subject: str, content: str) -> SendMail:
    message = {
        "subject": subject,
        "body": {"contentType": "text", "content": content},
        "toRecipients": [{"emailAddress": {"address": "fannyd@sandbox.example"}}],
    }
    return send_mail(msgspec.json.encode({"message": message}))


def outgoing_mail(
    mail: str = MAIL, subject: str = "Meet for lunch?", size: int = 0, sign: str = ".", **message: Any
) -> OutgoingMail:
    """message: other properties than it has by default."""
    parsed = _request(subject, sign * size)
    parsed = replace(parsed, message=replace(parsed.message, **message))
    return OutgoingMail(
        id=mail,
        scope="queue:mail-outbox",
        fingerprint=fingerprint(SENDER, parsed),
        sender=SENDER,
        request=parsed,
        origin=Origin(kind="queue", name="mail-outbox"),
        accepted_at=NOON,
    )


def work(of: OutgoingMail | None = None, **changes: Any) -> Work:
    return replace(work_of(of or outgoing_mail()), **changes)


def first_claim(of: Work, now: datetime, settings: Settings, token: str, *, queued: bool) -> Row:
    """The row of a mail that has none, claimed."""
    return replace(rows.first_claim(of, token, queued=queued), lease_until=lease_end(now, settings))


@dataclass
class Clock:
    """Both clocks of a process, moved by hand."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOON).total_seconds()

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class ScriptedGraph:
    """Answers with the outcomes it was given, in turn, then accepts. `sent` holds the ids of what it took."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        self.rows.append(row)
        if not still_ours():
            return NotConnected("lease")
        outcome = self.outcomes.pop(0) if self.outcomes else ACCEPTED
        if isinstance(outcome, Accepted):
            self.sent.append(mail.id)
        return outcome


def answering(*findings: Finding) -> "Verifier":
    """A mailbox that says this, in turn; and the last of it from then on."""
    left = list(findings)

    async def verifier(row: Row) -> Finding:
        return left.pop(0) if len(left) > 1 else left[0]

    return verifier


def fails(owner: object, *methods: str) -> None:
    """Storage cannot be reached by these methods of a ledger or an outbox."""

    async def fail(*_: object, **__: object) -> None:
        raise ServiceRequestError("away")

    for method in methods:
        setattr(owner, method, fail)


type Verifier = Callable[[Row], Awaitable[Finding]]
type Sends = Callable[[OutgoingMail, Row, Callable[[], bool]], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class ScriptedMailer(GraphMailer):
    """The real one; its requests go to a Graph of the test's."""

    graph: Sends
    verifier: Verifier | None

    async def _by_one_request(self, mail: OutgoingMail, lease: Lease) -> Outcome:
        return await self.graph(mail, lease.row, lease.may_start)

    async def find(self, row: Row) -> Finding:
        assert self.verifier is not None
        return await self.verifier(row)


def mailer(settings: Settings, graph: Sends, verifier: Verifier | None = None, drafts: Any = None) -> ScriptedMailer:
    """drafts: a LargeMails."""
    if settings.verify_sent != (verifier is not None):
        settings = replace(settings, verify_sent=verifier is not None)
    none: Any = None
    return ScriptedMailer(settings, none, none, lambda: drafts, graph, verifier)


@dataclass
class ScriptedPolicy:
    """Says what it was given, in turn, then lets everything go. down: the suppression list cannot be read.

    admitted: what it was told of each mail that it was asked about.
    """

    verdicts: list[Goes | Declined] = field(default_factory=list)
    left_out: int = 0
    down: bool = False
    admitted: list[bool] = field(default_factory=list)

    async def verdict(self, mail: OutgoingMail, *, admitted: bool = False) -> Goes | Declined:
        self.admitted.append(admitted)
        if self.down:
            raise ServiceRequestError("Storage is down.")
        return self.verdicts.pop(0) if self.verdicts else Goes(mail, self.left_out)


@dataclass
class ScriptedPace(Unpaced):
    """Does as it was told, then lets everything go at once; and remembers what it was asked.

    recipients: of each mailbox in its day; spent: of these. waits: seconds until a mail's time, the last one first.
    free: whether one request after the other may be in flight. until: what a 429 leads to. full: until when nothing may
    be uploaded. first: the mailbox of a pool that is free soonest.
    """

    now: Callable[[], datetime] = lambda: NOON
    mails: int = 100  # of a caller
    recipients: int = 100
    spent: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    free: list[bool] = field(default_factory=list)
    blocked: datetime | None = None
    until: datetime | None = None
    full: datetime | None = None
    first: str = ""
    asked: list[tuple[str, int]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    throttles: list[tuple[str, float | None]] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        self.mails -= 1
        return None if self.mails >= 0 else NOON + timedelta(seconds=20)

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        self.mails += mails

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        self.asked.append((mailbox, recipients))
        if self.spent[mailbox] + recipients > self.recipients:
            return NoRoom(NOON + timedelta(hours=5))
        self.spent[mailbox] += recipients
        return Reservation(mailbox, NOON + timedelta(seconds=self.waits.pop() if self.waits else 0), recipients)

    def give_back(self, reservation: Reservation) -> None:
        if not reservation.carried:
            self.ends.append("given back")
            self.spent[reservation.mailbox] -= reservation.recipients
            self.waits.append((reservation.at - NOON).total_seconds())

    def used(self, reservation: Reservation) -> None:
        self.ends.append("used")

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return min(mailboxes, key=lambda mailbox: (mailbox != self.first, self.spent[mailbox]))

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        yield self.free.pop(0) if self.free else True

    def blocked_until(self, mailbox: str) -> datetime | None:
        return self.blocked

    async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
        self.throttles.append((mailbox, after))
        return self.until or await super().throttled(mailbox, after, code)

    async def upload(self, mailbox: str, size: int) -> datetime | None:
        self.uploads.append(size)
        return self.full


@dataclass
class Office:
    """Everything that delivery needs, in memory."""

    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=Clock)
    graph: ScriptedGraph = field(default_factory=ScriptedGraph)
    ledger: Ledger = field(default_factory=MemoryLedger)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    pace: RateLimits | None = None
    policy: Any = field(default_factory=ScriptedPolicy)
    verifier: Verifier | None = None

    def __post_init__(self) -> None:
        self.outbox.now = self.clock.now

    @property
    def engine(self) -> Engine:
        settings = replace(self.settings, verify_sent=self.verifier is not None)
        return Engine(
            settings,
            self.ledger,
            self.outbox,
            self.pace or Unpaced(self.clock.now),
            self.policy,
            mailer(settings, self.graph, self.verifier),
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    @property
    def control(self) -> Control:
        return Control(self.engine)

    @property
    def requests(self) -> Requests:
        return Requests(self.engine)

    async def send_now(self, mail: OutgoingMail | None = None) -> Answer:
        return await self.requests.send_now(mail or outgoing_mail())

    async def accept(self, mail: OutgoingMail | None = None) -> Answer:
        return await self.requests.accept(mail or outgoing_mail())

    async def deliver(self, mail: OutgoingMail | None = None, **changes: Any) -> None:
        """A producer's message with this mail."""
        mail = mail or outgoing_mail()
        await Worker(self.engine).deliver(work(mail, **changes), mail)

    async def deliver_next(self) -> None:
        """The next message of mail-work, when it is due."""
        due, message = self.outbox.messages.pop(0)
        self.clock.at = max(self.clock.at, due)
        await Worker(self.engine).deliver(message)

    async def drain(self) -> None:
        """Every message, each when it is due, until there are none."""
        while self.outbox.messages:
            await self.deliver_next()

    async def maintain(self, **later: float) -> None:
        """All of the ledger, so much later."""
        self.clock.move(**later)
        await Maintenance(self.engine).run(range(PARTITIONS))

    async def end(self) -> tuple[str, list[str]]:
        """The state of the mail, and the ids of what Graph has accepted."""
        return (await self.row()).state, self.graph.sent

    async def row(self, mail: str = MAIL) -> Row:
        row = await self.ledger.read(mail)
        assert row is not None
        return row
