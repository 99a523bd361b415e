"""A direct request: sent, or durable before it is answered, or an answer that says neither."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.config import Settings
from shared.delivery.ledger import Row
from shared.delivery.outbox import Kept
from shared.delivery.request import Busy, Done, Mismatch, Rejection, Requests, Spent, TooMany, Unavailable
from shared.delivery.work import Work
from shared.delivery.worker import Worker
from shared.graph.outcome import Outcome
from shared.letters.letter import Letter, decode
from shared.policy.admit import CallerRule
from shared.policy.before_send import Withheld
from shared.policy.patterns import Patterns
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
    letter,
)


class NoQueue(MemoryOutbox):
    """Storage is there for the ledger, and not for the queue."""

    async def put(self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None) -> Work:
        raise ServiceRequestError("gone")


async def test_a_mail_that_graph_takes_is_sent_and_puts_no_message() -> None:
    office = Office()
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "sent", "r")
    assert office.outbox.messages == []


async def test_a_throttled_mail_waits_in_the_outbox_and_is_delivered_from_there() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "accepted")
    [(due, message)] = office.outbox.messages
    office.clock.at = due
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [letter().id]


async def test_a_message_that_outran_the_row_may_take_the_claim_that_was_given_up() -> None:
    """The message is put before the row is settled; its receiver must not wait for a lease nobody holds."""
    office = Office(graph=ScriptedGraph([NOT_CONNECTED]))
    courier = Worker(office.engine)

    class Impatient(MemoryOutbox):
        async def put(
            self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None
        ) -> Work:
            put = await super().put(work, now, due, letter)
            await courier.deliver(put)
            return put

    office.outbox = Impatient()
    answer = await Requests(office.engine).send_now(letter())
    assert answer == Done(letter().id, "sent", "r")
    assert office.graph.sent == [letter().id]


async def test_an_unknown_outcome_is_answered_as_accepted_never_as_an_error() -> None:
    """A client that repeats after a 5xx would send twice."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "accepted")
    assert (await office.row()).state == "unknown"
    assert len(office.outbox.messages) == 1


async def test_graphs_refusal_is_the_callers_and_the_same_mail_may_be_tried_again() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    direct = Requests(office.engine)
    assert await direct.send_now(letter()) == Rejection(letter().id, BAD_RECIPIENT)
    assert await direct.send_now(letter()) == Done(letter().id, "sent", "r")


async def test_the_same_key_again_sends_nothing_and_answers_the_same() -> None:
    office = Office()
    direct = Requests(office.engine)
    assert await direct.send_now(letter()) == await direct.send_now(letter())
    assert len(office.graph.sent) == 1


async def test_a_key_that_needs_no_attempt_gives_back_its_time_at_the_mailbox() -> None:
    """Else whoever repeats a key at a busy mailbox would push all others further back."""

    class Crowded(Unpaced):
        def __init__(self) -> None:
            self.times = [NOON + timedelta(minutes=minute) for minute in (3, 2, 1)]

        async def reserve(self, mailbox: str) -> datetime:
            return self.times.pop()

        def put_back(self, mailbox: str, reserved: datetime) -> None:
            self.times.append(reserved)

    pacing = Crowded()
    direct = Requests(Office(pacing=pacing).engine)
    assert await direct.send_now(letter()) == Done(letter().id, "accepted")
    assert len(pacing.times) == 2
    assert await direct.send_now(letter()) == Done(letter().id, "accepted")
    assert await direct.send_now(letter(subject="Something else")) == Mismatch()
    assert len(pacing.times) == 2


async def test_the_same_key_with_another_body_is_a_mismatch() -> None:
    direct = Requests(Office().engine)
    await direct.send_now(letter())
    assert await direct.send_now(letter(subject="another")) == Mismatch()
    assert await direct.accept(letter(subject="another")) == Mismatch()


async def test_two_requests_with_one_key_at_once_send_one_mail() -> None:
    class Slow(ScriptedGraph):
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            await asyncio.sleep(0.01)
            return await super().__call__(letter, row, still_ours)

    office = Office(graph=Slow())
    direct = Requests(office.engine)
    answers = await asyncio.gather(*(direct.send_now(letter()) for _ in range(5)))
    assert len(office.graph.sent) == 1
    assert sorted(type(answer).__name__ for answer in answers) == ["Busy"] * 4 + ["Done"]


async def test_a_key_whose_attempt_died_goes_to_the_queue_as_unknown() -> None:
    class Dying(ScriptedGraph):
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            raise asyncio.CancelledError

    office = Office(graph=Dying())
    direct = Requests(office.engine)
    dead = asyncio.ensure_future(direct.send_now(letter()))
    await asyncio.wait([dead])
    assert dead.cancelled()
    assert isinstance(await direct.send_now(letter()), Busy)
    office.clock.move(minutes=2)
    assert await direct.send_now(letter()) == Done(letter().id, "accepted")
    row = await office.row()
    assert (row.state, row.queued) == ("unknown", True)
    assert len(office.outbox.messages) == 1


async def test_without_storage_nothing_is_sent() -> None:
    class NoTable(MemoryLedger):
        async def insert(self, row: Row) -> Row:
            raise ServiceRequestError("gone")

    office = Office(ledger=NoTable())
    assert await Requests(office.engine).send_now(letter()) == Unavailable()
    assert office.graph.rows == []


async def test_what_graph_did_not_take_and_no_queue_can_keep_may_be_repeated_at_once() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED, ACCEPTED]), outbox=NoQueue())
    direct = Requests(office.engine)
    assert await direct.send_now(letter()) == Unavailable()
    assert await direct.send_now(letter()) == Done(letter().id, "sent", "r")


async def test_what_may_have_gone_and_no_queue_can_keep_says_so() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]), outbox=NoQueue())
    assert await Requests(office.engine).send_now(letter()) == Unavailable(maybe_sent=True)


async def test_that_graph_accepted_is_answered_although_it_cannot_be_written_down() -> None:
    class NoSettling(MemoryLedger):
        async def replace(self, row: Row) -> Row:
            office.clock.move(minutes=1)  # the lease runs out over it
            raise ServiceRequestError("gone")

    office = Office(ledger=NoSettling())
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "sent", "r")


async def test_respond_async_puts_the_mail_into_the_outbox_without_trying() -> None:
    office = Office()
    assert await Requests(office.engine).accept(letter()) == Done(letter().id, "accepted")
    assert office.graph.rows == []
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [letter().id]


async def test_respond_async_again_puts_no_second_message() -> None:
    office = Office()
    direct = Requests(office.engine)
    await direct.accept(letter())
    assert await direct.accept(letter()) == Done(letter().id, "accepted")
    assert len(office.outbox.messages) == 1
    assert await direct.send_now(letter()) == Done(letter().id, "accepted")


async def test_respond_async_whose_message_may_have_been_stored_does_not_say_that_nothing_was() -> None:
    """The answer of storage may be what was lost: a caller without a key that repeats would then send twice."""

    class Deaf(MemoryOutbox):
        async def put(
            self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None
        ) -> Work:
            await super().put(work, now, due, letter)
            raise ServiceRequestError("gone")

    for outbox in (NoQueue(), Deaf()):
        office = Office(outbox=outbox)
        assert await Requests(office.engine).accept(letter()) == Unavailable(maybe_sent=True)
        assert await office.ledger.read(letter().id) is None


async def test_respond_async_whose_row_cannot_be_written_does_not_say_that_nothing_was_stored() -> None:
    class NoTable(MemoryLedger):
        async def insert(self, row: Row) -> Row:
            raise ServiceRequestError("gone")

    office = Office(ledger=NoTable())
    assert await Requests(office.engine).accept(letter()) == Unavailable(maybe_sent=True)
    assert len(office.outbox.messages) == 1


async def test_respond_async_does_not_take_a_dead_attempt_for_an_accepted_mail() -> None:
    """Its row says `sending`, and no message carries it: answering 202 on that would lose it."""

    class Dying(ScriptedGraph):
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            raise asyncio.CancelledError

    office = Office(graph=Dying())
    direct = Requests(office.engine)
    await asyncio.wait([asyncio.ensure_future(direct.send_now(letter()))])
    assert isinstance(await direct.accept(letter()), Busy)
    office.clock.move(minutes=2)
    assert await direct.accept(letter()) == Done(letter().id, "accepted")
    assert (await office.row()).state == "unknown"
    assert len(office.outbox.messages) == 1


async def test_respond_async_puts_a_failed_mail_into_the_queue_again_even_when_a_courier_is_faster_than_its_row() -> (
    None
):
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    courier = Worker(office.engine)

    class Impatient(MemoryOutbox):
        async def put(
            self, work: Work, now: datetime, due: datetime | None = None, letter: Letter | None = None
        ) -> Work:
            put = await super().put(work, now, due, letter)
            await courier.deliver(put)
            return put

    await Requests(office.engine).send_now(letter())
    office.outbox = Impatient()
    assert await Requests(office.engine).accept(letter()) == Done(letter().id, "sent", "r")
    assert office.graph.sent == [letter().id]


async def test_a_failed_mail_that_is_tried_again_is_not_called_accepted_before_a_message_carries_it() -> None:
    """Its message has gone with its end; a process that dies now leaves nothing that would send it."""

    class Dying(ScriptedGraph):
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            if not self.rows:
                return await super().__call__(letter, row, still_ours)
            raise asyncio.CancelledError

    office = Office(graph=Dying([BAD_RECIPIENT]))
    direct = Requests(office.engine)
    await direct.accept(letter())
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert (await office.row()).state == "failed"
    await asyncio.wait([asyncio.ensure_future(direct.send_now(letter()))])
    assert isinstance(await direct.send_now(letter()), Busy)
    office.clock.move(minutes=2)
    assert await direct.send_now(letter()) == Done(letter().id, "accepted")
    assert len(office.outbox.messages) == 2


async def test_respond_async_puts_a_failed_mail_into_the_queue_again() -> None:
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    direct = Requests(office.engine)
    await direct.send_now(letter())
    assert await direct.accept(letter()) == Done(letter().id, "accepted")
    [(_, message)] = office.outbox.messages
    await Worker(office.engine).deliver(message)
    assert office.graph.sent == [letter().id]


async def test_an_age_counts_from_the_acceptance_where_the_time_to_wait_for_had_passed() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    long_due = replace(letter(), not_before=office.clock.now() - timedelta(days=4))
    assert await Requests(office.engine).send_now(long_due) == Done(letter().id, "accepted")


@pytest.mark.parametrize("state", ["suppressed", "captured"])
async def test_a_mail_that_is_withheld_is_kept_and_its_caller_told_so_each_time(
    state: Literal["suppressed", "captured"],
) -> None:
    office = Office(policy=ScriptedPolicy([Withheld(state, 1)]))
    direct = Requests(office.engine)
    assert await direct.send_now(letter()) == Done(letter().id, state)
    assert decode(office.outbox.dead[letter().id].content) == letter()
    assert await direct.send_now(letter()) == Done(letter().id, state)
    assert (await office.row()).suppressed_recipients == 1
    assert office.graph.rows == []


async def test_a_mail_that_is_not_allowed_any_more_is_refused_in_graphs_words() -> None:
    answer = await Requests(Office(policy=ScriptedPolicy([NO_LONGER_ALLOWED])).engine).send_now(letter())
    assert isinstance(answer, Rejection)
    assert (answer.outcome.status, answer.outcome.code) == (403, "ErrorSendAsDenied")


async def test_while_the_suppression_list_cannot_be_read_the_mail_is_accepted_and_waits() -> None:
    office = Office(policy=ScriptedPolicy(down=True))
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "accepted")
    assert office.graph.rows == []
    assert len(office.outbox.messages) == 1


async def test_what_cannot_be_kept_is_not_withheld_with_a_success() -> None:
    class Full(MemoryOutbox):
        async def set_aside(self, mail: str, kept: Kept) -> None:
            raise ServiceRequestError("down")

    office = Office(policy=ScriptedPolicy([Withheld("captured")]), outbox=Full())
    assert await Requests(office.engine).send_now(letter()) == Unavailable()
    assert ((await office.row()).state, (await office.row()).code) == ("failed", "NotStored")


class Limited(Unpaced):
    """Lets so many mails of a caller come, and so many recipients of each mailbox."""

    def __init__(self, mails: int = 100, recipients: int = 100) -> None:
        self.mails = mails
        self.recipients = recipients
        self.spent: dict[str, int] = {}
        self.holds: dict[str, int] = {}

    async def ask(self, caller: str, per_minute: int, mails: int = 1) -> datetime | None:
        self.mails -= 1
        return None if self.mails >= 0 else NOON + timedelta(seconds=20)

    def asked_in_vain(self, caller: str, mails: int = 1) -> None:
        self.mails += mails

    async def hold(self, mailbox: str, mail: str, recipients: int) -> datetime | None:
        if self.spent.get(mailbox, 0) + recipients > self.recipients:
            return NOON + timedelta(hours=5)
        self.holds[mail] = recipients
        return None

    def spend(self, mailbox: str, mail: str, recipients: int) -> None:
        self.holds.pop(mail, None)
        self.spent[mailbox] = self.spent.get(mailbox, 0) + recipients

    def release(self, mail: str) -> None:
        self.holds.pop(mail, None)

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return min(mailboxes, key=lambda mailbox: self.spent.get(mailbox, 0))


def rated(pacing: Limited) -> Office:
    rule = CallerRule(Patterns.parse("*"), rate_per_minute=3)
    return Office(settings=Settings(callers={"mail-outbox": rule}), pacing=pacing)


async def test_a_caller_over_its_rate_is_refused_and_nothing_is_stored() -> None:
    office = rated(Limited(mails=1))
    direct = Requests(office.engine)
    assert await direct.send_now(letter("1" * 32)) == Done("1" * 32, "sent", "r")
    assert await direct.send_now(letter()) == TooMany(20)
    assert await direct.accept(letter()) == TooMany(20)
    assert await office.ledger.read(letter().id) is None
    assert office.outbox.messages == []


async def test_a_repeated_key_gets_back_what_it_was_counted() -> None:
    office = rated(pacing := Limited(mails=2))
    direct = Requests(office.engine)
    for _ in range(3):
        assert await direct.send_now(letter()) == Done(letter().id, "sent", "r")
        assert await direct.accept(letter()) == Done(letter().id, "sent", "r")
        assert await direct.send_now(letter(subject="another")) == Mismatch()
    assert pacing.mails == 1


async def test_a_mailbox_whose_day_is_spent_refuses_new_mail_and_answers_repeated_keys() -> None:
    office = Office(pacing=Limited(recipients=1))
    direct = Requests(office.engine)
    assert await direct.send_now(letter()) == Done(letter().id, "sent", "r")
    assert await direct.send_now(letter("1" * 32)) == Spent(5 * 3600)
    assert await direct.send_now(letter()) == Done(letter().id, "sent", "r")
    assert await direct.send_now(letter(subject="another")) == Mismatch()
    assert await office.ledger.read("1" * 32) is None


@pytest.mark.parametrize(
    ("outcome", "spent"), [(ACCEPTED, 1), (TIMED_OUT, 1), (THROTTLED, 0), (NOT_CONNECTED, 0), (BAD_RECIPIENT, 0)]
)
async def test_only_what_may_have_gone_counts_for_the_mailboxes_day(outcome: Outcome, spent: int) -> None:
    pacing = Limited()
    await Requests(Office(graph=ScriptedGraph([outcome]), pacing=pacing).engine).send_now(letter())
    assert sum(pacing.spent.values()) == spent
    assert pacing.holds == {}


async def test_a_pool_sends_from_the_mailbox_that_has_recipients_left() -> None:
    pools = {SENDER: ("a@sandbox.example", "b@sandbox.example")}
    office = Office(settings=Settings(sender_pools=pools), pacing=(pacing := Limited(recipients=1)))
    direct = Requests(office.engine)
    for number in range(2):
        assert isinstance(await direct.send_now(letter(str(number) * 32)), Done)
    assert pacing.spent == {"a@sandbox.example": 1, "b@sandbox.example": 1}
    assert isinstance(await direct.send_now(letter("2" * 32)), Spent)


async def test_in_capture_nothing_counts_for_the_day() -> None:
    policy = ScriptedPolicy([Withheld("captured")])
    office = Office(settings=Settings(mode="capture"), policy=policy, pacing=Limited(recipients=0))
    assert await Requests(office.engine).send_now(letter()) == Done(letter().id, "captured")
