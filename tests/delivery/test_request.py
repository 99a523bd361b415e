"""Somebody waits: a request is sent, or durable before it is answered, or an answer that says neither."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

from shared.delivery.queue import Kept, Receipt
from shared.delivery.queue_messages import Work
from shared.delivery.request import Done, Rejection, Requests, Spent, TooMany, Unavailable
from shared.delivery.row import Row
from shared.delivery.transitions import Busy, Mismatch
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome
from shared.mail.outgoing import Origin, OutgoingMail, decode
from shared.policy.pre_send import Declined
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import Reservation
from shared.settings.address_patterns import Patterns
from shared.settings.caller_rules import CallerRule
from shared.settings.config import Settings
from shared.webhooks.routing.at_once import AtOnce, Put
from tests.delivery.memory import MemoryLedger, MemoryOutbox, Unpaced
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    NO_LONGER_ALLOWED,
    NOON,
    NOT_CONNECTED,
    SENDER,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    ScriptedPolicy,
    outgoing_mail,
)


class NoQueue(MemoryOutbox):
    """Storage is there for the ledger, and not for the queue."""

    async def put(
        self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
    ) -> Receipt:
        raise ServiceRequestError("gone")


async def test_a_mail_that_graph_takes_is_sent_and_puts_no_message() -> None:
    office = Office()
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
    assert office.outbox.messages == []


async def test_a_mail_that_was_just_admitted_is_not_admitted_a_second_time() -> None:
    office = Office(policy=(policy := ScriptedPolicy()))
    await Requests(office.engine).send_now(outgoing_mail())
    assert policy.admitted == [True]


async def test_a_throttled_mail_waits_in_the_outbox_and_is_delivered_from_there() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    [(due, message)] = office.outbox.messages
    office.clock.at = due
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


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


async def test_a_message_that_outran_the_row_may_take_the_claim_that_was_given_up() -> None:
    """The message is put before the row is settled; its receiver must not wait for a lease nobody holds."""
    office = Office(graph=ScriptedGraph([NOT_CONNECTED]))
    office.outbox = Impatient(Worker(office.engine))
    answer = await Requests(office.engine).send_now(outgoing_mail())
    assert answer == Done(outgoing_mail().id, "sent", "r")
    assert office.graph.sent == [outgoing_mail().id]


async def test_an_unknown_outcome_is_answered_as_accepted_never_as_an_error() -> None:
    """A client that repeats after a 5xx would send twice."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert (await office.row()).state == "unknown"
    assert len(office.outbox.messages) == 1


async def test_graphs_refusal_is_the_callers_and_the_same_mail_may_be_tried_again() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail()) == Rejection(outgoing_mail().id, BAD_RECIPIENT)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")


async def test_the_same_key_again_sends_nothing_and_answers_the_same() -> None:
    office = Office()
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail()) == await requests.send_now(outgoing_mail())
    assert len(office.graph.sent) == 1


async def test_a_key_that_needs_no_attempt_gives_back_its_time_at_the_mailbox() -> None:
    """Else whoever repeats a key at a busy mailbox would push all others further back."""

    class Crowded(Unpaced):
        def __init__(self) -> None:
            super().__init__(lambda: NOON)
            self.times = [NOON + timedelta(minutes=minute) for minute in (3, 2, 1)]

        async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
            return Reservation(mailbox, self.times.pop(), recipients)

        def give_back(self, reservation: Reservation) -> None:
            if not reservation.carried:
                self.times.append(reservation.at)

    requests = Requests(Office(pace=(pace := Crowded())).engine)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert len(pace.times) == 2
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert await requests.send_now(outgoing_mail(subject="Something else")) == Mismatch()
    assert len(pace.times) == 2


async def test_the_same_key_with_another_body_is_a_mismatch() -> None:
    requests = Requests(Office().engine)
    await requests.send_now(outgoing_mail())
    assert await requests.send_now(outgoing_mail(subject="another")) == Mismatch()
    assert await requests.accept(outgoing_mail(subject="another")) == Mismatch()


async def test_two_requests_with_one_key_at_once_send_one_mail() -> None:
    class Slow(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            await asyncio.sleep(0.01)
            return await super().__call__(mail, row, still_ours)

    office = Office(graph=Slow(), pace=(pace := Limited(recipients=5)))
    requests = Requests(office.engine)
    answers = await asyncio.gather(*(requests.send_now(outgoing_mail()) for _ in range(5)))
    assert pace.spent == {SENDER: 1}, "each has given back its own, and none another's"
    assert len(office.graph.sent) == 1
    assert sorted(type(answer).__name__ for answer in answers) == ["Busy"] * 4 + ["Done"]


async def test_a_key_whose_attempt_died_goes_to_the_queue_as_unknown() -> None:
    class Dying(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            raise asyncio.CancelledError

    office = Office(graph=Dying())
    requests = Requests(office.engine)
    dead = asyncio.ensure_future(requests.send_now(outgoing_mail()))
    await asyncio.wait([dead])
    assert dead.cancelled()
    assert isinstance(await requests.send_now(outgoing_mail()), Busy)
    office.clock.move(minutes=2)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    row = await office.row()
    assert (row.state, row.queued) == ("unknown", True)
    assert len(office.outbox.messages) == 1


async def test_without_storage_nothing_is_sent() -> None:
    class NoTable(MemoryLedger):
        async def write(self, row: Row) -> Row:
            raise ServiceRequestError("gone")

    office = Office(ledger=NoTable())
    assert await Requests(office.engine).send_now(outgoing_mail()) == Unavailable()
    assert office.graph.rows == []


async def test_what_graph_did_not_take_and_no_queue_can_keep_may_be_repeated_at_once() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED, ACCEPTED]), outbox=NoQueue())
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail()) == Unavailable()
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")


async def test_what_may_have_gone_and_no_queue_can_keep_says_so() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]), outbox=NoQueue())
    assert await Requests(office.engine).send_now(outgoing_mail()) == Unavailable(maybe_sent=True)


async def test_that_graph_accepted_is_answered_although_it_cannot_be_written_down() -> None:
    class NoSettling(MemoryLedger):
        async def write(self, row: Row) -> Row:
            if not row.etag:
                return await super().write(row)
            office.clock.move(minutes=1)  # the lease runs out over it
            raise ServiceRequestError("gone")

    office = Office(ledger=NoSettling())
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")


async def test_respond_async_puts_the_mail_into_the_outbox_without_trying() -> None:
    office = Office()
    assert await Requests(office.engine).accept(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert office.graph.rows == []
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


async def test_respond_async_again_puts_no_second_message() -> None:
    office = Office()
    requests = Requests(office.engine)
    await requests.accept(outgoing_mail())
    assert await requests.accept(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert len(office.outbox.messages) == 1
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")


async def test_respond_async_whose_message_may_have_been_stored_does_not_say_that_nothing_was() -> None:
    """The answer of storage may be what was lost: a caller without a key that repeats would then send twice."""

    class Deaf(MemoryOutbox):
        async def put(
            self, work: Work, now: datetime, due: datetime | None = None, mail: OutgoingMail | None = None
        ) -> Receipt:
            await super().put(work, now, due, mail)
            raise ServiceRequestError("gone")

    for outbox in (NoQueue(), Deaf()):
        office = Office(outbox=outbox)
        assert await Requests(office.engine).accept(outgoing_mail()) == Unavailable(maybe_sent=True)
        assert await office.ledger.read(outgoing_mail().id) is None


async def test_respond_async_whose_row_cannot_be_written_does_not_say_that_nothing_was_stored() -> None:
    class NoTable(MemoryLedger):
        async def write(self, row: Row) -> Row:
            raise ServiceRequestError("gone")

    office = Office(ledger=NoTable())
    assert await Requests(office.engine).accept(outgoing_mail()) == Unavailable(maybe_sent=True)
    assert len(office.outbox.messages) == 1


async def test_respond_async_does_not_take_a_dead_attempt_for_an_accepted_mail() -> None:
    """Its row says `sending`, and no message carries it: answering 202 on that would lose it."""

    class Dying(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            raise asyncio.CancelledError

    office = Office(graph=Dying())
    requests = Requests(office.engine)
    await asyncio.wait([asyncio.ensure_future(requests.send_now(outgoing_mail()))])
    assert isinstance(await requests.accept(outgoing_mail()), Busy)
    office.clock.move(minutes=2)
    assert await requests.accept(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert (await office.row()).state == "unknown"
    assert len(office.outbox.messages) == 1


async def test_respond_async_puts_a_failed_mail_into_the_queue_again_even_when_a_worker_is_faster_than_its_row() -> (
    None
):
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await Requests(office.engine).send_now(outgoing_mail())
    office.outbox = Impatient(Worker(office.engine))
    assert await Requests(office.engine).accept(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_failed_mail_that_is_tried_again_is_not_called_accepted_before_a_message_carries_it() -> None:
    """Its message has gone with its end; a process that dies now leaves nothing that would send it."""

    class Dying(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            if not self.rows:
                return await super().__call__(mail, row, still_ours)
            raise asyncio.CancelledError

    office = Office(graph=Dying([BAD_RECIPIENT]))
    requests = Requests(office.engine)
    await requests.accept(outgoing_mail())
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert (await office.row()).state == "failed"
    await asyncio.wait([asyncio.ensure_future(requests.send_now(outgoing_mail()))])
    assert isinstance(await requests.send_now(outgoing_mail()), Busy)
    office.clock.move(minutes=2)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert len(office.outbox.messages) == 2


async def test_respond_async_puts_a_failed_mail_into_the_queue_again() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    requests = Requests(office.engine)
    await requests.send_now(outgoing_mail())
    assert await requests.accept(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


async def test_an_age_counts_from_the_acceptance_where_the_time_to_wait_for_had_passed() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    long_due = replace(outgoing_mail(), not_before=office.clock.now() - timedelta(days=4))
    assert await Requests(office.engine).send_now(long_due) == Done(outgoing_mail().id, "accepted")


@pytest.mark.parametrize("state", ["suppressed", "captured"])
async def test_a_mail_that_is_declined_is_kept_and_its_caller_told_so_each_time(
    state: Literal["suppressed", "captured"],
) -> None:
    office = Office(policy=ScriptedPolicy([Declined(state, 1)]))
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, state)
    assert decode(office.outbox.dead[outgoing_mail().id].content) == outgoing_mail()
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, state)
    assert (await office.row()).suppressed_recipients == 1
    assert office.graph.rows == []


async def test_a_mail_that_is_not_allowed_any_more_is_refused_in_graphs_words() -> None:
    answer = await Requests(Office(policy=ScriptedPolicy([NO_LONGER_ALLOWED])).engine).send_now(outgoing_mail())
    assert isinstance(answer, Rejection)
    assert (answer.outcome.status, answer.outcome.code) == (403, "ErrorSendAsDenied")


async def test_while_the_suppression_list_cannot_be_read_the_mail_is_accepted_and_waits() -> None:
    office = Office(policy=ScriptedPolicy(down=True))
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "accepted")
    assert office.graph.rows == []
    assert len(office.outbox.messages) == 1


async def test_what_cannot_be_kept_is_not_declined_with_a_success() -> None:
    class Full(MemoryOutbox):
        async def set_aside(self, row: Row, kept: Kept) -> None:
            raise ServiceRequestError("down")

    office = Office(policy=ScriptedPolicy([Declined("captured")]), outbox=Full())
    assert await Requests(office.engine).send_now(outgoing_mail()) == Unavailable()
    assert ((await office.row()).state, (await office.row()).code) == ("failed", "NotStored")


class Limited(Unpaced):
    """Lets so many mails of a caller come, and so many recipients of each mailbox."""

    def __init__(self, mails: int = 100, recipients: int = 100) -> None:
        super().__init__(lambda: NOON)
        self.mails = mails
        self.recipients = recipients
        self.spent: dict[str, int] = {}

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        self.mails -= 1
        return None if self.mails >= 0 else NOON + timedelta(seconds=20)

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        self.mails += mails

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        if self.spent.get(mailbox, 0) + recipients > self.recipients:
            return NoRoom(NOON + timedelta(hours=5))
        self.spent[mailbox] = self.spent.get(mailbox, 0) + recipients
        return await super().reserve(mailbox, recipients)

    def give_back(self, reservation: Reservation) -> None:
        if not reservation.carried:
            self.spent[reservation.mailbox] -= reservation.recipients

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return min(mailboxes, key=lambda mailbox: self.spent.get(mailbox, 0))


def rated(pace: Limited) -> Office:
    rule = CallerRule(Patterns.parse("*"), rate_per_minute=3)
    return Office(settings=Settings(callers={"mail-outbox": rule}), pace=pace)


async def test_a_caller_over_its_rate_is_refused_and_nothing_is_stored() -> None:
    office = rated(Limited(mails=1))
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail("1" * 32)) == Done("1" * 32, "sent", "r")
    in_capitals = replace(outgoing_mail(), origin=Origin(kind="queue", name="MAIL-OUTBOX"))
    assert await requests.send_now(in_capitals) == TooMany(20)
    assert await requests.accept(outgoing_mail()) == TooMany(20)
    assert await office.ledger.read(outgoing_mail().id) is None
    assert office.outbox.messages == []


async def test_a_repeated_key_gets_back_what_it_was_counted() -> None:
    office = rated(pace := Limited(mails=2))
    requests = Requests(office.engine)
    for _ in range(3):
        assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
        assert await requests.accept(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
        assert await requests.send_now(outgoing_mail(subject="another")) == Mismatch()
    assert pace.mails == 1


async def test_a_mailbox_whose_day_is_spent_refuses_new_mail_and_answers_repeated_keys() -> None:
    office = Office(pace=Limited(recipients=1))
    requests = Requests(office.engine)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
    assert await requests.send_now(outgoing_mail("1" * 32)) == Spent(5 * 3600)
    assert await requests.send_now(outgoing_mail()) == Done(outgoing_mail().id, "sent", "r")
    assert await requests.send_now(outgoing_mail(subject="another")) == Mismatch()
    assert await office.ledger.read("1" * 32) is None


@pytest.mark.parametrize(
    ("outcome", "spent"), [(ACCEPTED, 1), (TIMED_OUT, 1), (THROTTLED, 0), (BAD_RECIPIENT, 0), (NOT_CONNECTED, 1)]
)
async def test_only_what_may_have_gone_or_keeps_its_time_counts_for_the_mailboxes_day(
    outcome: Outcome, spent: int
) -> None:
    pace = Limited()
    await Requests(Office(graph=ScriptedGraph([outcome]), pace=pace).engine).send_now(outgoing_mail())
    assert sum(pace.spent.values()) == spent


async def test_a_pool_sends_from_the_mailbox_that_has_recipients_left() -> None:
    pools = {SENDER: ("a@sandbox.example", "b@sandbox.example")}
    office = Office(settings=Settings(sender_pools=pools), pace=(pace := Limited(recipients=1)))
    requests = Requests(office.engine)
    for number in range(2):
        assert isinstance(await requests.send_now(outgoing_mail(str(number) * 32)), Done)
    assert pace.spent == {"a@sandbox.example": 1, "b@sandbox.example": 1}
    assert isinstance(await requests.send_now(outgoing_mail("2" * 32)), Spent)


async def test_in_capture_nothing_counts_for_the_day() -> None:
    policy = ScriptedPolicy([Declined("captured")])
    office = Office(settings=Settings(mode="capture"), policy=policy, pace=Limited(recipients=0))
    assert await Requests(office.engine).send_now(outgoing_mail()) == Done(outgoing_mail().id, "captured")


# Webhooks that send at once: their message is put first, hidden.


async def at_once(office: Office, mail: OutgoingMail, *, heard: bool = True) -> Put:
    once = AtOnce(office.engine, Worker(office.engine))
    [put] = await once.put([mail])
    if put.ready:
        await once.send(put, lambda: heard)
    return put


async def found(row: Row) -> Finding:
    return "absent"


async def test_a_webhooks_mail_is_sent_beside_its_message_which_is_then_deleted() -> None:
    office = Office(verifier=found)
    put = await at_once(office, outgoing_mail())
    assert (office.graph.sent, office.outbox.messages) == ([outgoing_mail().id], [])
    assert put.due == NOON + timedelta(seconds=75), "the message hides until the first verification"
    row = await office.row()
    assert (row.state, row.queued) == ("sent", True)


async def test_a_message_whose_deletion_fails_finds_its_row_ended() -> None:
    class Stale(MemoryOutbox):
        async def take_back(self, message: str) -> None:
            raise ResourceNotFoundError

    office = Office(verifier=found, outbox=Stale())
    await at_once(office, outgoing_mail())
    assert (await office.row()).state == "sent"
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


@pytest.mark.parametrize("outcome", [THROTTLED, TIMED_OUT, NOT_CONNECTED])
async def test_a_webhooks_mail_that_does_not_go_at_once_goes_by_the_message_that_is_there(outcome: Outcome) -> None:
    office = Office(verifier=found, graph=ScriptedGraph([outcome]))
    await at_once(office, outgoing_mail())
    while office.outbox.messages:
        due, message = office.outbox.messages.pop(0)
        office.clock.at = max(office.clock.at, due)
        await Worker(office.engine).deliver(message)
    assert (await office.row()).state == "sent"
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_webhooks_mail_that_is_there_already_is_a_copy_and_its_message_stays() -> None:
    office = Office(verifier=found)
    await at_once(office, outgoing_mail())
    await at_once(office, outgoing_mail())
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_webhooks_mail_that_graph_refuses_is_kept_since_its_sender_has_been_told_that_it_is_taken() -> None:
    office = Office(verifier=found, graph=ScriptedGraph([BAD_RECIPIENT]))
    await at_once(office, outgoing_mail())
    assert (await office.row()).state == "failed"
    assert decode(office.outbox.dead[outgoing_mail().id].content) == outgoing_mail()
    assert office.outbox.messages == []


async def test_after_its_sender_was_answered_an_attempt_says_nothing_and_its_message_reports_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office(verifier=found)
    with caplog.at_level("INFO", "mailroom"):
        await at_once(office, outgoing_mail(), heard=False)
        assert ((await office.row()).state, caplog.text) == ("sent", "")
        [(_, message)] = office.outbox.messages
        await Worker(office.engine).deliver(message)
    assert "mail.sent" in caplog.text
    assert office.graph.sent == [outgoing_mail().id]


@pytest.mark.parametrize("why", ["no verification", "no copy", "a time to wait for", "policy", "no storage"])
async def test_what_a_kill_would_double_or_what_cannot_go_now_is_only_put(why: str) -> None:
    mail = outgoing_mail()
    office = Office(verifier=None if why == "no verification" else found)
    match why:
        case "no copy":
            mail = replace(mail, request=msgspec.structs.replace(mail.request, save_to_sent_items=False))
        case "a time to wait for":
            mail = replace(mail, not_before=NOON + timedelta(hours=1))
        case "policy":
            office.policy = ScriptedPolicy([Declined("captured")])
        case "no storage":
            office.policy = ScriptedPolicy(down=True)
    put = await at_once(office, mail)
    assert put.ready is None
    assert office.graph.rows == []
    assert len(office.outbox.messages) == 1


async def test_a_webhooks_mail_without_a_time_now_is_put_for_its_own_time_so_that_later_ones_cannot_overtake() -> None:
    class Busy(Unpaced):
        async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
            return Reservation(mailbox, NOON + timedelta(seconds=40), recipients)

    office = Office(verifier=found, pace=Busy())
    put = await at_once(office, outgoing_mail())
    assert (put.ready, put.due, put.work.reserved) == (None, NOON + timedelta(seconds=40), NOON + timedelta(seconds=40))


async def test_what_is_reserved_for_a_message_that_could_not_be_put_is_given_back() -> None:
    class Full(MemoryOutbox):
        async def put(self, *_: object, **__: object) -> Receipt:
            raise ServiceRequestError("full")

    office = Office(verifier=found, pace=(pace := Limited()), outbox=Full())
    with pytest.raises(ServiceRequestError):
        await at_once(office, outgoing_mail())
    assert pace.spent == {SENDER: 0}
