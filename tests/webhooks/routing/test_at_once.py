"""The mails of a webhook are sent before it is answered.

What becomes of each of them is in tests/delivery/test_request.py, and that it is sent once whatever fails or dies in
tests/delivery/test_exactly_once.py.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.queue_messages import Work, work_of
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome
from shared.mail.outgoing import OutgoingMail, Signed
from shared.ratelimit.mailbox_pace import RateLimitUnavailable
from shared.ratelimit.rate_limits import RateLimits, Reservation
from shared.webhooks.routing import at_once as at_once_module
from shared.webhooks.routing import intake as intake_module
from shared.webhooks.routing.at_once import AtOnce
from shared.webhooks.sources.source import WebhookReply
from tests.delivery.samples import Clock, Office, ScriptedGraph
from tests.delivery.test_large import large
from tests.ratelimit.far import LIMITS, FarStore
from tests.webhooks.routing.samples import NOW
from tests.webhooks.routing.test_intake import Counter, FullOutbox

MAILBOX = "mailroom@contoso.com"
FIRST_LOOK = timedelta(seconds=60 + 15)  # the lease, and the first of MAIL_VERIFY_DELAYS
ALERT = {"topic": "/t", "eventType": "disk.full", "subject": "s", "eventTime": NOW.isoformat(), "data": {}}
BATCH = [{**ALERT, "id": str(number)} for number in range(5)]


class Graph(ScriptedGraph):
    """asleep: requests wait until it is set. before: called when one comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep: asyncio.Event | None = None
        self.before: Callable[[], object] = lambda: None

    async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        self.before()
        if self.asleep is not None:
            await self.asleep.wait()
        return await super().__call__(mail, row, still_ours)


class Signatures:
    """Every body was signed before."""

    def __init__(self) -> None:
        self.down = False

    async def earlier(self, signed: Signed, mail: str, at: datetime) -> tuple[str, datetime] | None:
        if self.down:
            raise ServiceRequestError("away")
        return "0" * 32, at - timedelta(hours=1)


@dataclass
class House(Counter):
    """Where events come in, and what delivers them."""

    outbox: FullOutbox = field(default_factory=lambda: FullOutbox(1000))
    graph: Graph = field(default_factory=Graph)

    def __post_init__(self) -> None:
        self.environ = {**{f"MAIL_SECRET_{name.upper()}": "secret" for name in self.routes}, **self.environ}
        super().__post_init__()
        given, clock = self.office.settings, Clock(NOW)
        self.limits = RateLimits(FarStore(0), now=clock.now, **LIMITS)
        verifier = self._verify if given.verify_sent else None
        self.office = Office(given, clock, self.graph, outbox=self.outbox, pace=self.limits, verifier=verifier)
        self.signatures = Signatures()
        engine = self.office.engine
        self.worker = Worker(engine, self.signatures.earlier)
        once = AtOnce(engine, self.worker) if given.send_at_once else None
        mails = replace(self.intake.mails, worker=self.worker, at_once=once, now=clock.now)
        self.intake = replace(self.intake, mails=mails)

    @property
    def messages(self) -> list[tuple[datetime, Work]]:
        return self.outbox.messages

    async def _verify(self, row: Row) -> Finding:
        return "sent"

    async def post(self, body: Any = None, route: str = "shop", key: str = "order 1", **headers: str) -> WebhookReply:
        given = {"total": 12} if body is None else body
        return await super().post(given, route, **{"idempotency_key": key, **headers})

    async def wake(self, **later: float) -> None:
        """Time passes, and what is visible is delivered, once each."""
        self.office.clock.move(**later)
        due = [message for message in self.messages if message[0] <= self.office.clock.at]
        for message in due:
            await self.worker.deliver(message[1])
            if message in self.messages:
                self.messages.remove(message)

    async def row(self, work: Work | None = None) -> Row:
        return await self.office.row((work or self.messages[0][1]).id)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [json.loads(record.getMessage())["event"] for record in caplog.records if record.name == "mailroom"]


async def test_an_alert_is_sent_before_its_sender_is_answered_and_nothing_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message is there before Graph is asked, hidden until the mail would be verified."""
    house = House(tmp_path)
    hidden: list[timedelta] = []
    house.graph.before = lambda: hidden.extend(due - NOW for due, _ in house.messages)
    with caplog.at_level(logging.INFO, "mailroom"):
        reply = await house.post()
    assert hidden == [FIRST_LOOK]
    (mail,) = house.graph.sent
    assert (reply.status, reply.body, reply.headers) == (202, b"", {"Location": f"/api/messages/{mail}"})
    assert (await house.office.row(mail)).state == "sent"
    assert house.messages == []
    assert said(caplog) == ["mail.accepted", "mail.sent"]


async def test_nothing_of_a_request_is_attempted_before_all_its_messages_are_confirmed(tmp_path: Path) -> None:
    house = House(tmp_path, {"grid": 'source = "eventgrid"\n'})
    counts: list[int] = []
    house.graph.before = lambda: counts.append(len(house.messages))
    reply = await house.post(BATCH[:3], "grid")
    assert counts[0] == 3
    assert len(house.graph.sent) == 3
    assert reply.status == 200
    assert sorted(json.loads(reply.body)) == sorted(house.graph.sent)


async def test_where_one_message_is_not_confirmed_nothing_is_attempted_and_nothing_stays_reserved(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, {"grid": 'source = "eventgrid"\n'})
    house.outbox.takes = 2
    assert (await house.post(BATCH[:3], "grid")).status == 503
    assert house.graph.rows == []
    found = [await house.limits.reserve(MAILBOX, 1) for _ in range(4)]
    assert [one.at for one in found if isinstance(one, Reservation)] == [NOW] * 4
    house.outbox.takes = 1000
    assert (await house.post(BATCH[:3], "grid")).status == 200  # sent again by its sender
    await house.wake(seconds=100)
    await house.wake(seconds=100)
    assert len(house.graph.sent) == len(set(house.graph.sent)) == 3
    assert house.messages == []


async def test_a_sender_is_answered_after_three_seconds_and_the_attempt_goes_on_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message stays; the execution that it wakes reports the end, once."""
    monkeypatch.setattr(intake_module, "ANSWER", 0.05)
    house = House(tmp_path)
    house.graph.asleep = asyncio.Event()
    with caplog.at_level(logging.INFO, "mailroom"):
        async with asyncio.timeout(5):  # Graph itself would never answer
            reply = await house.post()
        assert reply.status == 202
        ((_, work),) = house.messages
        assert (await house.row()).state == "sending"
        house.graph.asleep.set()
        await asyncio.sleep(0.02)
        assert (await house.row(work)).state == "sent"
        assert said(caplog) == ["mail.accepted"]
        await house.wake()
        await house.wake(seconds=100)
    assert said(caplog) == ["mail.accepted", "mail.sent"]
    assert house.graph.sent == [work.id]
    assert house.messages == []


async def test_in_a_burst_mails_beyond_those_in_hand_are_put_only_and_their_senders_answered_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose senders were answered count until they have ended; then mails are sent at once again."""
    monkeypatch.setattr(at_once_module, "IN_HAND", 2)
    monkeypatch.setattr(intake_module, "ANSWER", 0.05)
    house = House(tmp_path)
    house.graph.asleep = asyncio.Event()
    await asyncio.gather(*(house.post(key=str(number)) for number in range(2)))
    monkeypatch.setattr(intake_module, "ANSWER", 60.0)
    async with asyncio.timeout(10):
        assert [(await house.post(key=str(number))).status for number in (2, 3)] == [202, 202]
    assert [due <= NOW for due, _ in house.messages] == [False, False, True, True]
    assert [work.reserved for _, work in house.messages[2:]] == [NOW, NOW], "in the order of their times"
    house.graph.asleep.set()
    await asyncio.sleep(0.02)
    await house.wake(seconds=1)
    house.office.clock.move(seconds=100)
    await house.post(key="4")
    assert len(house.graph.sent) == len(set(house.graph.sent)) == 5
    await house.wake(seconds=100)
    assert house.messages == []


@pytest.mark.parametrize("state", ["sending", "unknown", "accepted", "sent", "review"])
async def test_a_row_that_is_there_means_a_copy_whose_sender_is_answered(tmp_path: Path, state: Any) -> None:
    house = House(tmp_path)
    await house.post()
    mail = house.graph.sent[0]
    row = await house.office.row(mail)
    lease = NOW + timedelta(seconds=60) if state == "sending" else None
    await house.office.ledger.write(replace(row, state=state, lease_until=lease, due_at=NOW + timedelta(hours=1)))
    reply = await house.post()
    assert (reply.status, reply.headers["Location"]) == (202, f"/api/messages/{mail}")
    assert house.graph.sent == [mail]
    assert len(house.messages) == 1, "its own message stays"
    assert (await house.office.row(mail)).state == state


async def test_what_has_no_time_now_is_put_for_its_time_and_later_events_cannot_overtake_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    for number in range(8):
        assert (await house.post(key=f"order {number}")).status == 202
    assert len(house.graph.sent) == 4
    assert [(due - NOW).total_seconds() for due, _ in house.messages] == [2, 4, 6, 8]
    assert [(work.via, work.reserved) for _, work in house.messages] == [(MAILBOX, due) for due, _ in house.messages]
    first = house.messages[0][1].id
    house.office.clock.move(seconds=1)
    await house.post(key="the last")
    assert house.messages[-1][0] == NOW + timedelta(seconds=10)
    await house.wake(seconds=1)
    assert house.graph.sent[4:] == [first]


async def test_a_request_that_finds_no_room_in_flight_comes_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.delivery.engine.PATIENCE", 0.0)
    house = House(tmp_path)
    async with AsyncExitStack() as requests:
        for _ in range(4):
            await requests.enter_async_context(house.limits.in_flight(MAILBOX))
        assert (await house.post()).status == 202
    assert house.graph.rows == []
    ((due, work),) = house.messages
    assert due - NOW <= timedelta(seconds=10)
    await house.wake(seconds=10)
    assert house.graph.sent == [work.id]


@pytest.mark.parametrize("environ", [{"MAIL_VERIFY_SENT": "false"}, {"MAIL_SEND_AT_ONCE": "false"}, {}], ids=str)
async def test_what_a_kill_would_double_and_events_of_the_queue_are_only_put(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    house = House(tmp_path, environ=environ)
    if environ:
        assert (await house.post()).status == 202
    else:
        await house.intake.take_message("m" * 32, b'{"route": "shop", "id": "1", "data": {}}')
    assert house.graph.rows == []
    assert [due for due, _ in house.messages] == [NOW]
    await house.wake()
    assert len(house.graph.sent) == 1


async def test_a_mail_that_needs_a_draft_is_only_put(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.intake.mails.at_once is not None
    (made,) = await house.intake.mails.at_once.put([large()])
    assert made.ready is None
    assert [due for due, _ in house.messages] == [NOW]


class Unreachable(RateLimits):
    """How fast mails may go cannot be asked, or takes for ever."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__(FarStore(0), **LIMITS)
        self.hangs = hangs

    async def reserve(self, mailbox: str, recipients: int) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        raise RateLimitUnavailable


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_cannot_be_asked_keeps_no_mail_from_being_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr(at_once_module, "ASKED", 0.05)
    house = House(tmp_path)
    engine = replace(house.office.engine, pace=Unreachable(hangs=hangs))
    unreached = replace(house.intake.mails, at_once=AtOnce(engine, house.worker))
    house.intake = replace(house.intake, mails=unreached)
    assert (await house.post()).status == 202
    assert house.graph.rows == []
    assert [due for due, _ in house.messages] == [NOW]


CLOUDS = [{"specversion": "1.0", "id": str(n), "source": "/s", "type": "t"} for n in range(2)]


@pytest.mark.parametrize(
    ("source", "body", "headers", "answer"),
    [
        ("eventgrid", BATCH, {}, (200, 0)),  # more than four are durable as one, and not attempted
        (
            "cloudevents",  # whose terms allow no body in the answer
            CLOUDS,
            {"content_type": "application/cloudevents-batch+json", "authorization": "Bearer secret"},
            (202, 2),
        ),
        ("key", {"total": 12}, {}, (202, 0)),  # filtered out
    ],
)
async def test_an_answer_names_no_mails_where_there_are_too_many_or_none_or_no_body_is_allowed(
    tmp_path: Path, source: str, body: Any, headers: dict[str, str], answer: tuple[int, int]
) -> None:
    text = f'source = "{source}"\n' + ('when = "data.total > `100`"\n' if source == "key" else "")
    house = House(tmp_path, {"route": text})
    reply = await house.post(body, "route", **headers)
    assert (reply.body, reply.headers) == (b"", {})
    assert (reply.status, len(house.graph.sent)) == answer
    assert len(house.outbox.batches) == (source == "eventgrid")


async def test_a_reminder_within_the_window_of_its_route_is_not_sent(tmp_path: Path) -> None:
    """Its key has another stretch of time, so no row of its own: the earlier one is asked for before it goes."""
    house = House(tmp_path, {"shop": 'source = "key"\nrepeat_window_minutes = 60\n'})
    house.office.clock.at = NOW + timedelta(minutes=59)
    await house.post()
    house.office.clock.move(minutes=10)
    assert (await house.post()).status == 202
    await house.wake(seconds=100)
    assert len(house.graph.sent) == 1
    assert house.messages == []


async def test_an_operator_is_told_of_a_body_that_was_signed_before_when_its_mail_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that cannot be looked up, the mail is left to its message."""
    signed = Signed(body="a" * 32, event="b" * 32)
    monkeypatch.setattr(at_once_module, "work_of", lambda *given: replace(work_of(*given), signed=signed))
    house = House(tmp_path)
    with caplog.at_level(logging.INFO, "mailroom"):
        await house.post()
        assert said(caplog) == ["mail.accepted", "event.signed-again", "mail.sent"]
        house.signatures.down = True
        assert (await house.post(key="order 2")).status == 202
    assert len(house.graph.sent) == 1
    assert [due for due, _ in house.messages] == [NOW]
    house.signatures.down = False
    await house.wake()
    assert len(house.graph.sent) == 2


async def test_a_fault_of_ours_in_an_attempt_leaves_the_mail_to_its_message(tmp_path: Path) -> None:
    house = House(tmp_path)

    def fault() -> None:
        raise KeyError("of ours")

    house.graph.before = fault
    assert (await house.post()).status == 202
    ((_, work),) = house.messages
    house.graph.before = lambda: None
    for _ in range(3):
        await house.wake(seconds=200)
    assert (await house.row(work)).state == "sent"
