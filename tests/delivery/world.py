"""A small world with one mail in it: the real delivery code over storage, queue and Graph that fail as planned.

Requests, webhooks, workers, operators and maintenance are coroutines driven by hand. Everything they await of the world
is a point at which another one may run, time may pass, an operation may fail or lose its answer, or a process may die.
By default the world is calm: one runs to its end before the next begins, and time passes when nobody has anything to
do. A `Plan` says what is asked of the world and where it is troubled. The same plan always gives the same run.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import Context, copy_context
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, cycle
from math import inf
from types import SimpleNamespace
from typing import Any, Final, Literal
from unittest.mock import patch

from azure.core.exceptions import AzureError, ResourceNotFoundError, ServiceResponseError

from shared.delivery import engine, large, lease, request, row, worker
from shared.delivery.cancel_replay_retry import Control
from shared.delivery.engine import Engine
from shared.delivery.large import LargeMails
from shared.delivery.ledger import Conflict, partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.request import Answer, Done, Rejection, Requests, Spent, Unavailable
from shared.delivery.row import REPLAYABLE, Row
from shared.delivery.transitions import Busy, Mismatch
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Accepted, NotConnected, Outcome, Throttled, Unanswered, Unknown
from shared.mail.outgoing import OutgoingMail
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.settings.config import OnUnknown, Settings
from shared.telemetry import logger
from shared.webhooks.routing import at_once
from shared.webhooks.routing.at_once import AtOnce
from tests.delivery.drafts import FILES, Drafts
from tests.delivery.memory import MemoryFiles
from tests.delivery.plan import HARMLESS, LOST, OF_THE_WORLD, GraphDoes, Plan, Point, Start, Trouble
from tests.delivery.remote import Pace, PreSend, StorageLedger, StorageOutbox
from tests.delivery.samples import BAD_RECIPIENT, MAIL, NO_PERMISSION, NOON, THROTTLED, mailer, outgoing_mail

__all__ = ["MAIL", "World"]

BODIES: Final = ("Meet for lunch?", "Something else under the same key")
VISIBILITY: Final = 30.0  # seconds until the message of a process that died, or that failed, is there again
MOST_DELIVERIES: Final = 3  # of one message; then it is poison. host.json says 10: that would take too much trouble
# A world that is not quiet by then never will be: three days of silence take half of it. Each more who asks brings a
# message of its own, which waits through them too.
MOST_TURNS: Final = 6000
SIZES: Final = (1.0, 20.0, 70.0, 400.0)  # seconds that something takes, by the size of the trouble
STEPS: Final = (1, 3, 8, 1000)  # for how long others go first
SILENCES: Final[dict[str, Outcome]] = {
    "429": Throttled(60.0),
    "503": Unknown("status", 503),
    "time-out": Unknown("timeout"),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """Graph has accepted a mail."""

    fingerprint: str
    at: float
    mime: bool


@dataclass(eq=False)
class Message:
    """In a queue. mail: of a producer's message."""

    work: Work
    mail: OutgoingMail | None
    visible: float
    receipt: int = 0  # of the last delivery: only that one can complete it


@dataclass(eq=False)
class Client:
    """Asks with the same key until it gets an answer that it can live with."""

    way: Start
    body: int
    tries: int
    answers: list[Answer | None] = field(default_factory=list)  # None: the connection broke


@dataclass(eq=False)
class Actor:
    name: str
    coroutine: Coroutine[Point, Trouble | None, object]
    ended: Callable[[object], None] = lambda _: None  # with what it returned; None: its process has died
    message: Message | None = None
    receipt: int = 0
    point: Point | None = None
    wakes: float = 0.0
    behind: int = 0
    context: Context = field(default_factory=copy_context)  # its own, as a task has it


@dataclass(frozen=True, slots=True)
class _ByDraft(LargeMails):
    """A mailbox that does not say what has become of a draft, either."""

    silence: Callable[[], Outcome | None]

    async def verify(self, row: Row) -> Finding:
        outcome = self.silence() if large._read(row).asked else None
        return Unanswered(outcome) if outcome else await LargeMails.verify(self, row)


class World:
    """Make one with a plan and `run` it; then look at what has become of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        on_unknown: OnUnknown = "review" if plan.policy in ("review", "verify-review") else "resend"
        # So that its row is there at the end.
        self.settings = Settings(
            on_unknown=on_unknown, retention_days=90, large_attachments=True, verify_sent="verify" in plan.policy
        )
        self.now = 0.0  # seconds since noon, true time
        self.ledger = StorageLedger(self)
        self.outbox = StorageOutbox(self)
        self.outbox.now = lambda: NOON + timedelta(seconds=self.now)
        self.messages: list[Message] = []
        self.taken: list[Taken] = []
        self.drafts = Drafts(self)
        self.clients: list[Client] = []
        self.acknowledged = False  # and not refused by Graph since
        self.cancelled = False  # an operator was told so
        self.forced: list[Row] = []  # as an operator saw them who had them sent by force
        self.cannot_be_asked = False  # the mailbox has refused twice, the second time with a token of after the first
        self.doubt = False  # something has happened after which nobody can know for sure
        self.trail: list[str] = []
        self._actors: list[Actor] = []
        self._events: list[tuple[float, Callable[[], object]]] = []
        self._troubles = list(plan.troubles)
        self._points = 0  # since the last trouble
        self._passed = 0
        self.pace = Pace(self)
        self._policy: Any = PreSend(self)
        self._skews = cycle(plan.skews)
        self._graph = iter(plan.graph)
        self._looks = iter(plan.verifications)
        self._silent_until: float | None = None
        self._refused_at = inf
        self._numbers = count(1)

    def run(self) -> None:
        """Until nothing happens any more, and maintenance has gone through it twice."""
        with self._alone():
            try:
                self._run()
            finally:
                for actor in self._actors:
                    actor.context.run(actor.coroutine.close)

    @contextmanager
    def _alone(self) -> Generator[None]:
        """What the code takes from outside comes from here; and nothing is logged."""
        chance = SimpleNamespace(
            token_hex=lambda _: f"token-{next(self._numbers)}",
            SystemRandom=lambda: SimpleNamespace(random=lambda: 0.5),
        )
        with ExitStack() as changed:
            for module in (lease, engine):
                changed.enter_context(patch.object(module, "asyncio", SimpleNamespace(sleep=self._sleep)))
            for module in (request, at_once):
                changed.enter_context(patch.object(module, "within", lambda _: nullcontext()))  # no loop runs here
            for module in (row, engine, worker):
                changed.enter_context(patch.object(module, "secrets", chance))
            changed.enter_context(patch.object(logger, "disabled", new=True))
            yield

    async def _sleep(self, seconds: float) -> None:
        await Point("sleep", self.now + seconds)

    def _run(self) -> None:
        if self.plan.start == "queue":
            self._producer(0)
        else:
            self._ask(Client(self.plan.start, 0, self.plan.retries))
        self._live()
        for days in (0.1, 10.1, 10.1):  # an attempt is abandoned; a payload is marked as nobody's; it is removed
            self.now = max(self.now, 0) + days * 86_400
            self._maintain()
            self._live()

    @property
    def row(self) -> Row | None:
        return self.ledger._rows.get(MAIL)

    async def operation[T](self, name: str, effect: Callable[[], Awaitable[T]]) -> T:
        """Something that is asked of storage."""
        trouble = await Point(name, answered=True)
        kind = trouble.kind if trouble else None
        if kind == "fail":
            raise ServiceResponseError(name)
        if trouble and kind == "late":
            self._events.append((self.now + (0, 0, 2, 20)[trouble.size], lambda: _at_once(effect())))
            raise ServiceResponseError(name)
        result = await effect()
        if kind == "lose":
            raise ServiceResponseError(name)
        if kind == "repeat":
            await Point(f"repeat {name}")
            result = await effect()
        if trouble and kind == "slow":
            await Point(f"answer to {name}", self.now + SIZES[trouble.size])
        return result

    def enqueue(self, work: Work, seconds: float, mail: OutgoingMail | None = None) -> Message:
        """Put a message, visible after so long."""
        self.messages.append(message := Message(work, mail, self.now + seconds))
        return message

    # What lives in the world.

    def _process(self) -> Engine:
        """A process of its own, with clocks of its own."""
        skew, started = next(self._skews), next(self._numbers) * 1000.0
        verify = self.plan.policy in ("verify", "verify-review")

        async def verifier(row: Row) -> Finding:
            return await self._look(row, skew)

        files = MemoryFiles(self.outbox)
        box: Any = self.drafts
        drafts = _ByDraft(box, box, files, verifier, lambda: self.silence(skew))
        now, monotonic = (lambda: NOON + timedelta(seconds=self.now + skew)), (lambda: self.now + started)
        return Engine(
            self.settings,
            self.ledger,
            self.outbox,
            self.pace,
            self._policy,
            mailer(self.settings, self._send, verifier if verify else None, drafts),
            now,
            monotonic,
        )

    def _producer(self, body: int) -> None:
        made = self._mail(body, NOON + timedelta(seconds=self.now), later=True)
        self.enqueue(work_of(made), 0, made)
        self.acknowledged = True

    def _mail(self, body: int, now: datetime, *, later: bool) -> OutgoingMail:
        wanted = NOON + timedelta(seconds=self.now + self.plan.wait)  # by the clock of who asks, which is right
        not_before = wanted if later and self.plan.wait else None
        files: dict[str, Any] = {"attachments": FILES} if self.plan.parts else {}  # that do not fit into a request
        made = outgoing_mail(MAIL, BODIES[body], **files)
        mime = b"Subject: x\r\n\r\n" if self.plan.mime and not self.plan.parts else None
        return replace(made, accepted_at=now, not_before=not_before, mime=mime)

    def _ask(self, client: Client) -> None:
        process = self._process()

        async def serve() -> Answer:
            made = self._mail(client.body, process.now(), later=client.way == "accept")
            requests = Requests(process)
            if client.way == "hook":
                answer = await self._hook(process, made)
            else:
                answer = await (requests.accept(made) if client.way == "accept" else requests.send_now(made))
            await Point("reply")
            return answer

        def ended(answer: Any) -> None:
            client.answers.append(answer)
            self._note(f"client gets {answer}")
            self.acknowledged |= isinstance(answer, Done)
            if isinstance(answer, Done | Rejection | Mismatch) or not client.tries:
                return
            client.tries -= 1
            pause = answer.retry_after if isinstance(answer, Busy | Spent) else self.plan.patience
            self._events.append((self.now + pause, lambda: self._ask(client)))

        if client not in self.clients:
            self.clients.append(client)
        self._begin(Actor(f"request {next(self._numbers)}", serve(), ended))

    async def _hook(self, engine: Engine, mail: OutgoingMail) -> Answer:
        """As AtOnce does with a webhook's mail. The sender has its answer before, or 3 s after, the message is put."""
        once = AtOnce(engine, Worker(engine))
        put = await once._prepared(mail)
        try:
            await once.confirm(put)
        except AzureError:
            once.give_back([put])
            return Unavailable(maybe_sent=True)
        self.acknowledged, answered = True, self.now + 3
        if put.ready is not None:
            await once.send(put, lambda: self.now < answered)
        return Done(mail.id, "accepted")

    def _deliver(self, message: Message) -> None:
        message.receipt += 1
        message.visible = inf  # the host renews it while it lives
        receipt, carrier = message.receipt, Worker(self._process())

        async def deliver() -> None:
            try:
                if receipt > MOST_DELIVERIES:
                    await carrier.wake_later(message.work, message.mail)
                else:
                    await carrier.deliver(message.work, message.mail)
            except (AzureError, RateLimitUnavailable):
                self._release(message, receipt)
                return
            if trouble := await Point("complete"):
                self._release(message, receipt)
                if trouble.kind == "fail":
                    return
            if message.receipt == receipt and message in self.messages:
                self.messages.remove(message)

        self._begin(Actor(f"worker {next(self._numbers)}", deliver(), message=message, receipt=receipt))

    def _release(self, message: Message, receipt: int) -> None:
        if message.receipt == receipt:
            message.visible = self.now + VISIBILITY

    def _operate(self, what: Literal["cancel", "retry", "replay", "force"]) -> None:
        control = Control(self._process())

        async def operate() -> None:
            with suppress(AzureError):
                row = await control.engine.ledger.read(MAIL)
                if row is None:
                    return
                if what == "cancel":
                    self.cancelled |= isinstance(await control.cancel(row), Row)
                elif what == "retry":
                    await control.retry(row)
                elif row.state in REPLAYABLE:
                    if what == "force":
                        self.forced.append(row)
                    await control.replay(row, force=what == "force")

        self._begin(Actor(f"{what} {next(self._numbers)}", operate()))

    def _maintain(self) -> None:
        maintenance = Maintenance(self._process())
        number = int(partition(MAIL), 16)

        async def maintain() -> None:
            with suppress(AzureError):
                await maintenance.run(range(number, number + 1))

        self._begin(Actor(f"maintenance {next(self._numbers)}", maintain()))

    async def _send(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        """Graph, as graph.send shows it. What it accepts it accepts before the deadline, whoever is still there."""
        return await self.ask_to_send(still_ours, lambda at: self.take(mail.fingerprint, at, mime=row.mime))

    async def ask_to_send(self, still_ours: Callable[[], bool], accept: Callable[[float], None]) -> Outcome:
        """accept: called when Graph accepts, with the time at which it has the mail."""
        deadline = self.now + self.settings.send_timeout
        trouble = await Point("fetch a token")
        if trouble and trouble.kind in LOST:
            return NotConnected("identity")
        if self.now > deadline:
            return NotConnected("connect")
        if not still_ours():
            return NotConnected("lease")
        does = next(self._graph, "accept")
        if does == "not connected":
            return NotConnected("connect")
        slow = does in ("accept slowly", "hang")
        if does in ("accept", "accept slowly", "lose accepted", "hang"):
            accept(deadline if slow else self.now)
            self._note("Graph accepts")
        trouble = await Point(f"send: {does}", deadline if slow else 0.0)
        definite: dict[GraphDoes, Outcome] = {
            "accept": Accepted("r", "c"),
            "accept slowly": Accepted("r", "c"),
            "throttle": THROTTLED,
            "reject": BAD_RECIPIENT,
            "no permission": NO_PERMISSION,
        }
        if does == "reject":
            self.acknowledged = False
        if does not in definite or (trouble and trouble.kind in LOST):
            self.doubt = True
            return Unknown("timeout" if slow else "connection")
        return definite[does]

    def take(self, fingerprint: str, at: float, *, mime: bool = False) -> None:
        """Graph has a mail, from then on."""
        self.taken.append(Taken(fingerprint, at, mime))

    def silence(self, skew: float) -> Outcome | None:
        """What a mailbox that is asked about a mail says instead of an answer. None: it answers."""
        if self._silent_until is None:
            self._silent_until = self.now + self.plan.silence
        says = self.plan.silent if self.now < self._silent_until else next(self._looks, "answers")
        if says == "answers":
            return None
        self._note(f"unanswered: {says}")
        if says in ("401", "403"):
            token_at = self.now - self.plan.token_age
            if says == "403":
                self.cannot_be_asked |= token_at > self._refused_at
                self._refused_at = min(self._refused_at, self.now)
            return replace(NO_PERMISSION, status=int(says), token_at=NOON + timedelta(seconds=token_at + skew))
        return SILENCES[says]

    async def _look(self, row: Row, skew: float) -> Finding:
        trouble = await Point("verify")
        if (outcome := self.silence(skew)) or (trouble and trouble.kind in LOST):
            return Unanswered(outcome or Unknown("connection"))
        # Graph shows what it is asked for: a marker, which MIME has not, or a Message-ID.
        shown = [taken for taken in self.taken if taken.mime is row.mime]
        if any(taken.at + self.plan.copy <= self.now for taken in shown):
            return "sent"
        if self.plan.draft and any(taken.at <= self.now < taken.at + self.plan.copy - self.plan.gap for taken in shown):
            return "waiting"
        return "absent"

    # How it goes on.

    def _live(self) -> None:
        most = MOST_TURNS * (1 + sum(trouble.kind == "request" for trouble in self.plan.troubles))
        while self._turn():
            self._passed += 1
            if self._passed > most:
                raise AssertionError("it never ends")

    def _turn(self) -> bool:
        """One thing happens. False: nothing can."""
        for event in [event for event in self._events if event[0] <= self.now]:
            self._events.remove(event)
            event[1]()
        awake = [actor for actor in self._actors if actor.wakes <= self.now]
        visible = next((message for message in self.messages if message.visible <= self.now), None)
        first = next((actor for actor in awake if not actor.behind), None)
        for actor in awake:
            actor.behind = max(0, actor.behind - 1)
        if first is None and visible:
            self._deliver(visible)
        elif awake:
            self._step(first or awake[0])
        elif times := [
            *(actor.wakes for actor in self._actors),
            *(at for at, _ in self._events),
            *(message.visible for message in self.messages if message.visible < inf),
        ]:
            self.now = max(self.now, min(times))
        elif self._troubles:  # of the world in rest, only what comes from outside
            trouble = self._troubles.pop(0)
            if trouble.kind in OF_THE_WORLD:
                self._meddle(trouble)
        else:
            return False
        return True

    def _begin(self, actor: Actor) -> None:
        self._actors.insert(0, actor)
        self._resume(actor, None)

    def _step(self, actor: Actor) -> None:
        trouble = None
        if self._troubles and self._points >= self._troubles[0].after:
            trouble, self._points = self._troubles.pop(0), -1
            self.doubt |= trouble.kind not in HARMLESS
        self._points += 1
        assert actor.point is not None
        self._note(f"{actor.name}: {actor.point.name}{f' !! {trouble.kind} {trouble.size}' if trouble else ''}")
        if trouble is None:
            self._resume(actor, None)
        elif trouble.kind in OF_THE_WORLD:
            self._meddle(trouble)
        elif trouble.kind == "crash":
            self._crash(actor)
        elif trouble.kind == "stall" or (trouble.kind == "slow" and not actor.point.answered):
            self._stand(actor, SIZES[trouble.size])
        elif trouble.kind == "yield":
            actor.behind = STEPS[trouble.size]
        else:
            self._resume(actor, trouble)

    def _resume(self, actor: Actor, trouble: Trouble | None) -> None:
        try:
            actor.point = actor.context.run(actor.coroutine.send, trouble)
        except StopIteration as stop:
            self._actors.remove(actor)
            actor.ended(stop.value)
            return
        if actor.point.until > self.now:
            self._stand(actor, actor.point.until - self.now)

    def _stand(self, actor: Actor, seconds: float) -> None:
        actor.wakes = self.now + seconds
        if actor.message and seconds > VISIBILITY:  # nothing renews the message of a process that stands still
            self._release(actor.message, actor.receipt)

    def _crash(self, actor: Actor) -> None:
        actor.context.run(actor.coroutine.close)
        self._actors.remove(actor)
        if actor.message:
            self._release(actor.message, actor.receipt)
        actor.ended(None)

    def _meddle(self, trouble: Trouble) -> None:
        self._note(f"!! {trouble.kind} {trouble.size}")
        match trouble.kind:
            case "jump":
                self.now += (*SIZES[1:], 4000.0)[trouble.size]
            case "request" if self.plan.start == "queue":
                self._producer(trouble.size % 2)
            case "request":
                way: Start = "accept" if trouble.size > 1 else "direct"
                way = "hook" if self.plan.start == "hook" else way
                self._ask(Client(way, body=trouble.size % 2, tries=self.plan.retries))
            case "cancel" | "retry" | "replay" | "force":
                self._operate(trouble.kind)
            case "maintenance":
                self._maintain()
            case "redeliver" if self.messages:
                message = self.messages[-1 - trouble.size // 2 % len(self.messages)]
                if trouble.size % 2:  # a second one, or the same one while it is still being worked on
                    message = Message(message.work, message.mail, self.now)
                    self.messages.append(message)
                self._deliver(message)

    def _note(self, what: str) -> None:
        self.trail.append(f"{self.now:8.1f} {what}")


def _at_once(effect: Awaitable[object]) -> None:
    """What storage does when nobody listens any more."""
    with suppress(Conflict, ResourceNotFoundError, StopIteration):  # the message may be gone by then
        effect.__await__().send(None)
