"""Somebody waits: a request is sent, or durable before it is answered, or an answer that says neither."""

import asyncio
from collections.abc import Callable
from copy import replace
from datetime import datetime, timedelta
from typing import Final, Literal

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

from shared.delivery.queue import Receipt
from shared.delivery.queue_messages import Work
from shared.delivery.request import Done, Rejection, Spent, TooMany, Unavailable
from shared.delivery.row import Row
from shared.delivery.transitions import Busy, Mismatch
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome
from shared.mail.outgoing import Origin, OutgoingMail, decode
from shared.policy.pre_send import Declined
from shared.settings.address_patterns import Patterns
from shared.settings.caller_rules import CallerRule
from shared.settings.config import Settings
from shared.webhooks.routing.at_once import AtOnce, Put
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    MAIL,
    NO_LONGER_ALLOWED,
    NOON,
    NOT_CONNECTED,
    SENDER,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    ScriptedPace,
    ScriptedPolicy,
    answering,
    fails,
    outgoing_mail,
)

SENT: Final = Done(MAIL, "sent", "r")
WAITS: Final = Done(MAIL, "accepted")
OTHER_BODY: Final = outgoing_mail(subject="another")


async def test_a_mail_that_graph_takes_is_sent_and_puts_no_message_and_its_key_sends_nothing_again() -> None:
    office = Office()
    for _ in range(2):
        assert await office.send_now() == SENT
    assert (office.outbox.messages, office.graph.sent) == ([], [MAIL])
    assert await office.send_now(OTHER_BODY) == await office.accept(OTHER_BODY) == Mismatch()


async def test_a_mail_that_was_just_admitted_is_not_admitted_a_second_time() -> None:
    office = Office(policy=(policy := ScriptedPolicy()))
    await office.send_now()
    assert policy.admitted == [True]


@pytest.mark.parametrize(
    ("outcome", "state"), [(THROTTLED, "accepted"), (NOT_CONNECTED, "accepted"), (TIMED_OUT, "unknown")]
)
async def test_what_has_not_gone_or_may_have_is_accepted_and_delivered_from_the_outbox(
    outcome: Outcome, state: str
) -> None:
    """Never an error: a client that repeats after a 5xx would send twice."""
    office = Office(graph=ScriptedGraph([outcome]))
    assert await office.send_now() == WAITS
    assert ((await office.row()).state, len(office.outbox.messages)) == (state, 1)
    await office.drain()
    assert await office.end() == ("sent", [MAIL])


class Impatient(MemoryOutbox):
    """Its messages are delivered at once."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        put = await super().put(work, now, due, mail)
        await self._worker.deliver(put.work)
        return put


@pytest.mark.parametrize("way", ["not connected", "respond-async, after it failed"])
async def test_a_message_that_outran_the_row_may_take_the_claim_that_was_given_up(way: str) -> None:
    """The message is put before the row is settled; its receiver must not wait for a lease nobody holds."""
    office = Office(graph=ScriptedGraph([NOT_CONNECTED if way == "not connected" else BAD_RECIPIENT]))
    if way != "not connected":
        await office.send_now()
    office.outbox = Impatient(Worker(office.engine))
    assert await (office.send_now() if way == "not connected" else office.accept()) == SENT
    assert office.graph.sent == [MAIL]


async def test_graphs_refusal_is_the_callers_and_the_same_mail_may_be_tried_again() -> None:
    for again in ("now", "later"):
        office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
        assert await office.send_now() == Rejection(MAIL, BAD_RECIPIENT)
        assert await (office.send_now() if again == "now" else office.accept()) == (SENT if again == "now" else WAITS)
        await office.drain()
        assert await office.end() == ("sent", [MAIL])


async def test_a_key_that_needs_no_attempt_gives_back_its_time_at_the_mailbox() -> None:
    """Else whoever repeats a key at a busy mailbox would push all others further back."""
    office = Office(pace=(pace := ScriptedPace(waits=[180, 120, 60])))
    assert await office.send_now() == WAITS
    assert pace.waits == [180, 120]
    assert [await office.send_now(), await office.send_now(OTHER_BODY)] == [WAITS, Mismatch()]
    assert pace.waits == [180, 120]


async def test_two_requests_with_one_key_at_once_send_one_mail() -> None:
    class Slow(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            await asyncio.sleep(0.01)
            return await super().__call__(mail, row, still_ours)

    office = Office(graph=Slow(), pace=(pace := ScriptedPace(recipients=5)))
    requests = office.requests
    answers = await asyncio.gather(*(requests.send_now(outgoing_mail()) for _ in range(5)))
    assert pace.spent == {SENDER: 1}, "each has given back its own, and none another's"
    assert len(office.graph.sent) == 1
    assert sorted(type(answer).__name__ for answer in answers) == ["Busy"] * 4 + ["Done"]


class Dying(ScriptedGraph):
    """The process dies over the request, after the outcomes that it was given."""

    async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
        if self.outcomes:
            return await super().__call__(mail, row, still_ours)
        raise asyncio.CancelledError


@pytest.mark.parametrize("way", ["send_now", "accept"])
@pytest.mark.parametrize("failed", [False, True])
async def test_a_key_whose_attempt_died_goes_to_the_queue_as_unknown(way: str, *, failed: bool) -> None:
    """Its row says `sending`, and no message carries it: answering 202 on that would lose it.

    failed: and before, when its message came, which has gone with that end.
    """
    office = Office(graph=Dying([BAD_RECIPIENT] if failed else []))
    if failed:
        await office.accept()
        [(_, message)] = office.outbox.messages
        await Worker(office.engine).deliver(message)
        office.outbox.messages.clear()
    dead = asyncio.ensure_future(office.send_now())
    await asyncio.wait([dead])
    assert dead.cancelled()
    again = getattr(office, way)
    assert isinstance(await again(), Busy)
    office.clock.move(minutes=2)
    assert await again() == WAITS
    row = await office.row()
    assert (row.state, row.queued, len(office.outbox.messages)) == ("unknown", True, 1)


# Where storage is away.


async def test_without_storage_nothing_is_sent() -> None:
    office = Office()
    fails(office.ledger, "write")
    assert await office.send_now() == Unavailable()
    assert office.graph.rows == []


async def test_what_no_queue_can_keep_says_whether_it_may_have_gone() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED, ACCEPTED]))
    fails(office.outbox, "put")
    assert [await office.send_now(), await office.send_now()] == [Unavailable(), SENT]
    office = Office(graph=ScriptedGraph([TIMED_OUT]), outbox=office.outbox)
    assert await office.send_now() == Unavailable(maybe_sent=True)


async def test_that_graph_accepted_is_answered_although_it_cannot_be_written_down() -> None:
    class NoSettling(MemoryLedger):
        async def write(self, row: Row) -> Row:
            if not row.etag:
                return await super().write(row)
            office.clock.move(minutes=1)  # the lease runs out over it
            raise ServiceRequestError("gone")

    office = Office(ledger=NoSettling())
    assert await office.send_now() == SENT


@pytest.mark.parametrize("gone", ["message", "answer to the message", "row"])
async def test_respond_async_that_may_have_been_stored_does_not_say_that_nothing_was(gone: str) -> None:
    """The answer of storage may be what was lost: a caller without a key that repeats would then send twice."""

    class Deaf(MemoryOutbox):
        async def put(
            self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
        ) -> Receipt:
            await super().put(work, now, due, mail)
            raise ServiceRequestError("gone")

    office = Office(outbox=Deaf() if gone.startswith("answer") else MemoryOutbox())
    match gone:
        case "message":
            fails(office.outbox, "put")
        case "row":
            fails(office.ledger, "write")
    assert await office.accept() == Unavailable(maybe_sent=True)
    assert await office.ledger.read(MAIL) is None
    assert len(office.outbox.messages) == (gone != "message")


async def test_respond_async_puts_the_mail_into_the_outbox_without_trying() -> None:
    office = Office()
    assert await office.accept() == WAITS
    assert office.graph.rows == []
    await office.drain()
    assert office.graph.sent == [MAIL]


async def test_respond_async_again_puts_no_second_message() -> None:
    office = Office()
    assert [await office.accept(), await office.accept(), await office.send_now()] == [WAITS] * 3
    assert len(office.outbox.messages) == 1


async def test_an_age_counts_from_the_acceptance_where_the_time_to_wait_for_had_passed() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    assert await office.send_now(replace(outgoing_mail(), not_before=NOON - timedelta(days=4))) == WAITS


# What policy, the caller's rate and the mailbox's day say.


@pytest.mark.parametrize("state", ["suppressed", "captured"])
async def test_a_mail_that_is_declined_is_kept_and_its_caller_told_so_each_time(
    state: Literal["suppressed", "captured"],
) -> None:
    """And nothing of it counts for the mailbox's day."""
    office = Office(policy=ScriptedPolicy([Declined(state, 1)]), pace=ScriptedPace(recipients=0))
    for _ in range(2):
        assert await office.send_now() == Done(MAIL, state)
        assert decode(office.outbox.dead[MAIL].content) == outgoing_mail()
    assert ((await office.row()).suppressed_recipients, office.graph.rows) == (1, [])


async def test_a_mail_that_is_not_allowed_any_more_is_refused_in_graphs_words() -> None:
    answer = await Office(policy=ScriptedPolicy([NO_LONGER_ALLOWED])).send_now()
    assert isinstance(answer, Rejection)
    assert (answer.outcome.status, answer.outcome.code) == (403, "ErrorSendAsDenied")


async def test_while_the_suppression_list_cannot_be_read_the_mail_is_accepted_and_waits() -> None:
    office = Office(policy=ScriptedPolicy(down=True))
    assert await office.send_now() == WAITS
    assert (office.graph.rows, len(office.outbox.messages)) == ([], 1)


async def test_what_cannot_be_kept_is_not_declined_with_a_success() -> None:
    office = Office(policy=ScriptedPolicy([Declined("captured")]))
    fails(office.outbox, "set_aside")
    assert await office.send_now() == Unavailable()
    assert ((await office.row()).state, (await office.row()).code) == ("failed", "NotStored")


def rated(pace: ScriptedPace) -> Office:
    rule = CallerRule(Patterns.parse("*"), rate_per_minute=3)
    return Office(settings=Settings(callers={"mail-outbox": rule}), pace=pace)


async def test_a_caller_over_its_rate_is_refused_and_nothing_is_stored() -> None:
    office = rated(ScriptedPace(mails=1))
    assert await office.send_now(outgoing_mail("1" * 32)) == Done("1" * 32, "sent", "r")
    in_capitals = replace(outgoing_mail(), origin=Origin(kind="queue", name="MAIL-OUTBOX"))
    assert [await office.send_now(in_capitals), await office.accept()] == [TooMany(20)] * 2
    assert await office.ledger.read(MAIL) is None
    assert office.outbox.messages == []


async def test_a_repeated_key_gets_back_what_it_was_counted() -> None:
    office = rated(pace := ScriptedPace(mails=2))
    for _ in range(3):
        answers = [await office.send_now(), await office.accept(), await office.send_now(OTHER_BODY)]
        assert answers == [SENT, SENT, Mismatch()]
    assert pace.mails == 1


async def test_a_mailbox_whose_day_is_spent_refuses_new_mail_and_answers_repeated_keys() -> None:
    office = Office(pace=ScriptedPace(recipients=1))
    asked = [outgoing_mail(), outgoing_mail("1" * 32), outgoing_mail(), OTHER_BODY]
    assert [await office.send_now(one) for one in asked] == [SENT, Spent(5 * 3600), SENT, Mismatch()]
    assert await office.ledger.read("1" * 32) is None


@pytest.mark.parametrize(
    ("outcome", "spent"), [(ACCEPTED, 1), (TIMED_OUT, 1), (THROTTLED, 0), (BAD_RECIPIENT, 0), (NOT_CONNECTED, 1)]
)
async def test_only_what_may_have_gone_or_keeps_its_time_counts_for_the_mailboxes_day(
    outcome: Outcome, spent: int
) -> None:
    await Office(graph=ScriptedGraph([outcome]), pace=(pace := ScriptedPace())).send_now()
    assert sum(pace.spent.values()) == spent


async def test_a_pool_sends_from_the_mailbox_that_has_recipients_left() -> None:
    pools = {SENDER: ("a@sandbox.example", "b@sandbox.example")}
    office = Office(settings=Settings(sender_pools=pools), pace=(pace := ScriptedPace(recipients=1)))
    answers = [await office.send_now(outgoing_mail(str(number) * 32)) for number in range(3)]
    assert [type(answer) for answer in answers] == [Done, Done, Spent]
    assert pace.spent == {"a@sandbox.example": 1, "b@sandbox.example": 1}


# Webhooks that send at once: their message is put first, hidden.


async def at_once(office: Office, mail: OutgoingMail, *, heard: bool = True) -> Put:
    once = AtOnce(office.engine, Worker(office.engine))
    [put] = await once.put([mail])
    if put.ready:
        await once.send(put, lambda: heard)
    return put


async def test_a_webhooks_mail_is_sent_beside_its_message_which_is_then_deleted() -> None:
    office = Office(verifier=answering("absent"))
    put = await at_once(office, outgoing_mail())
    assert (office.graph.sent, office.outbox.messages) == ([MAIL], [])
    assert put.due == NOON + timedelta(seconds=75), "the message hides until the first verification"
    row = await office.row()
    assert (row.state, row.queued) == ("sent", True)


@pytest.mark.parametrize("trouble", [THROTTLED, TIMED_OUT, NOT_CONNECTED, "its deletion fails", "it comes again"])
async def test_a_webhooks_mail_is_sent_once_whatever_its_message_meets(trouble: Outcome | str) -> None:
    """One that does not go at once goes by the message that is there."""

    class Stale(MemoryOutbox):
        async def take_back(self, message: str) -> None:
            raise ResourceNotFoundError

    outcomes = [] if isinstance(trouble, str) else [trouble]
    outbox = Stale() if trouble == "its deletion fails" else MemoryOutbox()
    office = Office(verifier=answering("absent"), graph=ScriptedGraph(outcomes), outbox=outbox)
    for _ in range(1 + (trouble == "it comes again")):
        await at_once(office, outgoing_mail())
    assert len(office.outbox.messages) == 1
    await office.drain()
    assert await office.end() == ("sent", [MAIL])


async def test_a_webhooks_mail_that_graph_refuses_is_kept_since_its_sender_has_been_told_that_it_is_taken() -> None:
    office = Office(verifier=answering("absent"), graph=ScriptedGraph([BAD_RECIPIENT]))
    await at_once(office, outgoing_mail())
    assert (await office.row()).state == "failed"
    assert decode(office.outbox.dead[MAIL].content) == outgoing_mail()
    assert office.outbox.messages == []


async def test_after_its_sender_was_answered_an_attempt_says_nothing_and_its_message_reports_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office(verifier=answering("absent"))
    with caplog.at_level("INFO", "mailroom"):
        await at_once(office, outgoing_mail(), heard=False)
        assert ((await office.row()).state, caplog.text) == ("sent", "")
        await office.drain()
    assert "mail.sent" in caplog.text
    assert office.graph.sent == [MAIL]


@pytest.mark.parametrize("why", ["no verification", "no copy", "a time to wait for", "policy", "no storage"])
async def test_what_a_kill_would_double_or_what_cannot_go_now_is_only_put(why: str) -> None:
    mail = outgoing_mail()
    office = Office(verifier=None if why == "no verification" else answering("absent"))
    match why:
        case "no copy":
            mail = replace(mail, request=replace(mail.request, save_to_sent_items=False))
        case "a time to wait for":
            mail = replace(mail, not_before=NOON + timedelta(hours=1))
        case "policy":
            office.policy = ScriptedPolicy([Declined("captured")])
        case "no storage":
            office.policy = ScriptedPolicy(down=True)
    assert (await at_once(office, mail)).ready is None
    assert (office.graph.rows, len(office.outbox.messages)) == ([], 1)


async def test_a_webhooks_mail_without_a_time_now_is_put_for_its_own_time_so_that_later_ones_cannot_overtake() -> None:
    put = await at_once(Office(verifier=answering("absent"), pace=ScriptedPace(waits=[40])), outgoing_mail())
    assert (put.ready, put.due, put.work.reserved) == (None, NOON + timedelta(seconds=40), NOON + timedelta(seconds=40))


async def test_what_is_reserved_for_a_message_that_could_not_be_put_is_given_back() -> None:
    office = Office(verifier=answering("absent"), pace=(pace := ScriptedPace()))
    fails(office.outbox, "put")
    with pytest.raises(ServiceRequestError):
        await at_once(office, outgoing_mail())
    assert pace.spent == {SENDER: 0}
