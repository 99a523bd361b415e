"""Mails, rows and outcomes for the tests of delivery, and a Graph that answers as told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from azure.core.exceptions import ServiceRequestError

from shared.delivery import row as rows
from shared.delivery.engine import Engine
from shared.delivery.lease import Lease, lease_end
from shared.delivery.ledger import Ledger
from shared.delivery.mailer import GraphMailer
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.mail.outgoing import Origin, OutgoingMail, fingerprint
from shared.mail.parse import send_mail
from shared.policy.pre_send import Declined, Goes
from shared.ratelimit.rate_limits import RateLimits
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


def outgoing_mail(
    mail: str = "0" * 32, subject: str = "Meet for lunch?", size: int = 0, sign: str = "."
) -> OutgoingMail:
    body = {
        "message": {
            "subject": subject,
            "body": {"contentType": "text", "content": sign * size},
            "toRecipients": [{"emailAddress": {"address": "fannyd@sandbox.example"}}],
        }
    }
    parsed = send_mail(msgspec.json.encode(body))
    return OutgoingMail(
        id=mail,
        scope="queue:mail-outbox",
        fingerprint=fingerprint(SENDER, parsed),
        sender=SENDER,
        request=parsed,
        origin=Origin(kind="queue", name="mail-outbox"),
        accepted_at=NOON,
    )


def work(of: OutgoingMail | None = None, **changes: object) -> Work:
    return msgspec.structs.replace(work_of(of or outgoing_mail()), **changes)


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

    async def row(self, mail: str = "0" * 32) -> Row:
        row = await self.ledger.read(mail)
        assert row is not None
        return row
