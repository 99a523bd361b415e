"""One message of a queue: what is written, in which order, and what is left behind."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.cancel_replay_retry import Control
from shared.delivery.engine import SMALL
from shared.delivery.ledger import Conflict
from shared.delivery.queue import INLINE, Kept
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row
from shared.delivery.verification import Finding
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome
from shared.mail.outgoing import OutgoingMail, decode
from shared.policy.pre_send import Declined, Goes
from shared.ratelimit.mailbox_pace import NoRoom
from shared.ratelimit.rate_limits import Reservation
from shared.settings.config import Settings
from tests.delivery.memory import MemoryLedger, MemoryOutbox, Unpaced
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    NO_LONGER_ALLOWED,
    NO_PERMISSION,
    NOON,
    NOT_CONNECTED,
    SENDER,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    ScriptedPolicy,
    outgoing_mail,
    work,
)


async def deliver(office: Office) -> None:
    await Worker(office.engine).deliver(work(), outgoing_mail())


async def deliver_next(office: Office) -> None:
    """The next message of mail-work, when it is due."""
    due, message = office.outbox.messages.pop(0)
    office.clock.at = max(office.clock.at, due)
    await Worker(office.engine).deliver(message)


async def test_a_new_mail_is_sent_and_nothing_is_left_in_the_outbox() -> None:
    office = Office()
    await deliver(office)
    assert office.graph.sent == [outgoing_mail().id]
    assert (await office.row()).state == "sent"
    assert office.outbox.messages == []


async def test_the_same_message_again_sends_nothing() -> None:
    office = Office()
    await deliver(office)
    await deliver(office)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_throttled_mail_is_put_again_with_its_mail_and_sent_when_due() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert due > NOON + timedelta(seconds=2)
    assert message.known
    await deliver_next(office)
    assert office.graph.sent == [outgoing_mail().id]
    assert office.outbox.messages == []


async def test_an_unknown_outcome_is_sent_once_more_and_says_so_in_the_row() -> None:
    """Where the mailbox cannot be asked and the policy is `resend`."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    assert (await office.row()).state == "unknown"
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.resends, row.attempts) == ("sent", 1, 2)


async def test_a_second_unknown_outcome_is_review_with_its_mail_kept() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT, TIMED_OUT]))
    await deliver(office)
    await deliver_next(office)
    await deliver_next(office)
    assert (await office.row()).state == "review"
    assert len(office.graph.rows) == 2
    kept = office.outbox.dead[outgoing_mail().id]
    assert (kept.kind, decode(kept.content)) == ("mail", outgoing_mail())


async def test_hold_never_sends_twice() -> None:
    office = Office(settings=Settings(on_unknown="review"), graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    await deliver_next(office)
    assert (await office.row()).state == "review"
    assert len(office.graph.rows) == 1


async def test_a_rejected_mail_is_kept_before_its_row_ends() -> None:
    """If the process dies between the two, the mail is tried again; the other way round it would be gone."""

    class NoSettling(MemoryLedger):
        async def write(self, row: Row) -> Row:
            if row.etag:
                raise ServiceRequestError("gone")
            return await super().write(row)

    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]), ledger=NoSettling())
    with pytest.raises(ServiceRequestError):
        await deliver(office)
    assert outgoing_mail().id in office.outbox.dead
    assert (await office.row()).state == "sending"


async def test_the_end_of_a_mail_for_later_is_logged_with_how_long_it_took_from_its_own_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    with caplog.at_level("INFO", "mailroom"):
        await Worker(office.engine).deliver(work(not_before=NOON + timedelta(hours=1)), outgoing_mail())
        await deliver_next(office)
    ends = [said for record in caplog.records if (said := json.loads(record.message))["event"] == "mail.sent"]
    assert [(end["id"], end["seconds"]) for end in ends] == [(outgoing_mail().id, 0.0)]


async def test_missing_permission_is_tried_again_until_the_bound_then_failed() -> None:
    office = Office(settings=Settings(max_attempts=3), graph=ScriptedGraph([NO_PERMISSION] * 3))
    await deliver(office)
    await deliver_next(office)
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.code, row.attempts) == ("failed", "ErrorAccessDenied", 3)
    assert outgoing_mail().id in office.outbox.dead
    assert office.outbox.messages == []


async def test_a_mail_too_large_for_a_queue_message_goes_to_a_blob_and_the_blob_goes_with_the_end() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    large = outgoing_mail(size=INLINE)
    await Worker(office.engine).deliver(work(large), large)
    [(_, message)] = office.outbox.messages
    assert not bytes(message.mail)
    assert list(office.outbox.payloads) == [message.payload]
    await deliver_next(office)
    assert office.graph.sent == [large.id]
    assert office.outbox.payloads == {}


async def test_a_missing_payload_fails_the_mail_instead_of_sending_an_empty_one() -> None:
    office = Office()
    await Worker(office.engine).deliver(work(payload="gone/mail.json"))
    row = await office.row()
    assert (row.state, row.code) == ("failed", "PayloadMissing")
    assert office.graph.sent == []


async def test_a_missing_payload_of_a_mail_that_may_have_gone_needs_a_person() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    [(due, message)] = office.outbox.messages
    office.clock.at = due
    await Worker(office.engine).deliver(msgspec.structs.replace(message, mail=msgspec.Raw(), payload="gone/mail.json"))
    row = await office.row()
    assert (row.state, row.code) == ("review", "PayloadMissing")


async def test_too_little_lease_left_gives_the_claim_up() -> None:
    """A slow storage or a stalled process must not send after others may have begun to verify."""

    class SlowClaim(MemoryLedger):
        async def write(self, row: Row) -> Row:
            written = await super().write(row)
            if not row.etag:
                office.clock.move(seconds=31)
            return written

    office = Office(ledger=SlowClaim())
    await deliver(office)
    assert office.graph.sent == []
    assert (await office.row()).state == "accepted"
    await deliver_next(office)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_slow_blob_costs_nothing_of_the_lease() -> None:
    """The claim is written when the mail is at hand."""

    class SlowOutbox(MemoryOutbox):
        async def mail_of(self, work: Work) -> OutgoingMail:
            office.clock.move(seconds=31)
            return outgoing_mail()

    office = Office(outbox=SlowOutbox())
    await Worker(office.engine).deliver(work())
    assert office.graph.sent == [outgoing_mail().id]


class Flights(Unpaced):
    """Whether there is room for one more request in flight, one after the other; and until when Graph blocks."""

    def __init__(self, free: Sequence[bool] = (), blocked: datetime | None = None) -> None:
        super().__init__(lambda: NOON)
        self.free = list(free)
        self.blocked = blocked
        self.given_back: list[Reservation] = []

    @asynccontextmanager
    async def in_flight(self, mailbox: str, patience: float | None = None) -> AsyncGenerator[bool]:
        yield self.free.pop(0) if self.free else True

    def blocked_until(self, mailbox: str) -> datetime | None:
        return self.blocked

    def give_back(self, reservation: Reservation) -> None:
        if not reservation.carried:
            self.given_back.append(reservation)


async def test_a_mail_that_finds_too_many_requests_in_flight_comes_again_and_nothing_was_written() -> None:
    office = Office(pace=(pace := Flights([False])))
    await deliver(office)
    assert await office.ledger.read(outgoing_mail().id) is None
    [(due, message)] = office.outbox.messages
    assert (due - NOON, message.via) == (timedelta(seconds=5), SENDER)
    assert message.reserved is not None
    assert pace.given_back == [], "the message carries it"
    await deliver_next(office)
    assert office.graph.sent == [outgoing_mail().id]


async def test_a_mail_of_a_blocked_mailbox_waits_for_the_end_of_the_block() -> None:
    office = Office(pace=Flights(blocked=NOON + timedelta(minutes=2)))
    await deliver(office)
    [(due, _)] = office.outbox.messages
    assert due == NOON + timedelta(minutes=2)
    assert office.graph.rows == []


async def test_a_mail_that_may_have_gone_is_still_to_be_verified_when_there_was_no_time_for_it_after_all() -> None:
    async def found(row: Row) -> Finding:
        return "sent" if row.may_have_gone else "absent"

    office = Office(graph=ScriptedGraph([TIMED_OUT]), pace=Flights([True, False]), verifier=found)
    await deliver(office)
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.verifications, row.attempts, row.may_have_gone) == ("unknown", 0, 1, True)
    await deliver_next(office)
    assert (await office.row()).state == "sent"
    assert len(office.graph.rows) == 1, "found, not sent again"


class Stumbling(MemoryLedger):
    """Fails so many times to write what is there already."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def write(self, row: Row) -> Row:
        if row.etag and self.failures:
            self.failures -= 1
            raise ServiceRequestError("gone")
        return await super().write(row)


async def test_that_graph_accepted_is_written_down_although_storage_fails_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.delivery.lease.BETWEEN_WRITES", 0)
    office = Office(ledger=Stumbling(2))
    await deliver(office)
    assert (await office.row()).state == "sent"


async def test_what_is_no_mail_is_set_aside_with_its_reason_as_it_came() -> None:
    office = Office()
    await Worker(office.engine).refuse(
        "a" * 32, "mail-outbox", b"not json", Malformed(400, "BadRequest", "no JSON", "$")
    )
    assert office.outbox.dead["a" * 32] == Kept("message", "BadRequest", b"not json", "mail-outbox")
    assert (await office.row("a" * 32)).state == "failed"
    await Worker(office.engine).refuse(
        "a" * 32, "mail-outbox", b"not json", Malformed(400, "BadRequest", "no JSON", "$")
    )


async def test_that_graph_accepted_late_is_written_down_for_as_long_as_the_lease_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request may take all of its deadline, and storage may stumble after it."""

    class Late(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            outcome = await super().__call__(mail, row, still_ours)
            office.clock.move(seconds=45)
            return outcome

    monkeypatch.setattr("shared.delivery.lease.BETWEEN_WRITES", 0)
    office = Office(graph=Late(), ledger=Stumbling(1))
    await deliver(office)
    assert (await office.row()).state == "sent"


DECLINED = [Declined("suppressed", 2), Declined("captured", 1), NO_LONGER_ALLOWED]


@pytest.mark.parametrize("declined", DECLINED, ids=[one.state for one in DECLINED])
async def test_what_policy_declines_ends_unsent_is_kept_and_can_be_put_back(declined: Declined) -> None:
    office = Office(policy=ScriptedPolicy([declined]))
    await deliver(office)
    row = await office.row()
    assert (row.state, row.status, row.code) == (declined.state, declined.status, declined.code)
    assert (row.suppressed_recipients, row.attempts) == (declined.left_out or None, 0)
    assert office.graph.rows == []
    assert decode(office.outbox.dead[row.id].content) == outgoing_mail()
    await Control(office.engine).replay(row)
    await deliver_next(office)
    assert (await office.row()).state == "sent"
    assert (await office.row()).suppressed_recipients is None
    assert office.outbox.dead == {}


async def test_a_mail_that_waited_is_asked_about_again() -> None:
    """What held when it was accepted may hold no longer."""
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await deliver(office)
    office.policy = policy = ScriptedPolicy([DECLINED[0]])
    await deliver_next(office)
    assert (await office.row()).state == "suppressed"
    assert len(office.graph.rows) == 1
    assert policy.admitted == [False], "every rule is asked again"


async def test_a_mail_that_goes_to_some_of_its_recipients_says_how_many_were_left_out() -> None:
    office = Office(policy=ScriptedPolicy(left_out=3))
    await deliver(office)
    row = await office.row()
    assert (row.state, row.suppressed_recipients) == ("sent", 3)


async def test_while_the_suppression_list_cannot_be_read_the_mail_waits_and_is_then_sent() -> None:
    policy = ScriptedPolicy(down=True)
    office = Office(policy=policy)
    await deliver(office)
    assert await office.ledger.read(outgoing_mail().id) is None
    assert office.graph.rows == []
    policy.down = False
    await deliver_next(office)
    assert (await office.row()).state == "sent"


async def test_what_may_have_gone_and_is_no_longer_allowed_is_left_to_a_person() -> None:
    """Failed would say that it was not sent; and it was not sent a second time."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    office.policy = ScriptedPolicy([NO_LONGER_ALLOWED])
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.code, row.resends) == ("review", "ErrorSendAsDenied", 0)
    assert len(office.graph.rows) == 1


class Spent(Unpaced):
    """The mailboxes that are named have reached their daily recipient limit."""

    def __init__(self, *mailboxes: str) -> None:
        super().__init__(lambda: NOON)
        self.spent = set(mailboxes)
        self.asked: list[tuple[str, int]] = []
        self.first: str | None = None
        self.ends: list[str] = []
        self.counted: list[int] = []

    async def reserve(self, mailbox: str, recipients: int) -> Reservation | NoRoom:
        self.asked.append((mailbox, recipients))
        if mailbox in self.spent:
            return NoRoom(NOON + timedelta(hours=5))
        return await super().reserve(mailbox, recipients)

    def give_back(self, reservation: Reservation) -> None:
        self.ends.append("given back")

    def used(self, reservation: Reservation, recipients: int) -> None:
        self.ends.append("used")
        self.counted.append(recipients)

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return self.first or mailboxes[0]


async def test_those_who_wait_for_the_same_moment_come_one_by_one() -> None:
    office = Office(pace=Spent(SENDER))
    for number in range(100):
        mail = outgoing_mail(f"{number:032}")
        await Worker(office.engine).deliver(work(mail), mail)
    times = {due - NOON for due, _ in office.outbox.messages}
    assert timedelta(hours=5) <= min(times) < max(times) <= timedelta(hours=5, minutes=6)
    assert len(times) > 50


async def test_a_mail_of_a_mailbox_whose_day_is_spent_waits_until_there_is_room() -> None:
    pace = Spent(SENDER)
    office = Office(pace=pace)
    await deliver(office)
    assert office.graph.rows == []
    row = await office.row()
    [(due, message)] = office.outbox.messages
    assert timedelta(hours=5) <= due - NOON <= timedelta(hours=5, minutes=6)
    assert row.state == "accepted", "whoever asks is told that it waits, and until when"
    assert row.due_at is not None
    assert due - row.due_at < timedelta(seconds=1)
    assert (message.via, message.reserved) == (None, None)
    pace.spent.clear()
    await deliver_next(office)
    assert (await office.row()).state == "sent"


async def test_a_large_mail_waits_while_its_mailbox_has_uploaded_too_much() -> None:
    class Full(Unpaced):
        async def upload(self, mailbox: str, size: int) -> datetime | None:
            asked.append(size)
            return NOON + timedelta(minutes=5)

    asked: list[int] = []
    office = Office(pace=Full(lambda: NOON))
    large = outgoing_mail(size=SMALL + 1)
    await Worker(office.engine).deliver(work(large), large)
    assert office.graph.rows == []
    [(due, _)] = office.outbox.messages
    assert due == NOON + timedelta(minutes=5)
    small = outgoing_mail("1" * 32, size=1000)
    await Worker(office.engine).deliver(work(small), small)
    assert office.graph.sent == [small.id], "of small mails the room that is left is enough"
    assert len(asked) == 1
    assert asked[0] > SMALL


async def test_a_mail_of_a_pool_goes_on_at_once_from_a_mailbox_that_has_some_left() -> None:
    one, other = "a@sandbox.example", "b@sandbox.example"
    pace = Spent(one)
    pace.first = one
    office = Office(settings=Settings(sender_pools={SENDER: (one, other)}), pace=pace)
    await deliver(office)
    assert [mailbox for mailbox, _ in pace.asked] == [one, other]
    assert (await office.row()).mailbox == other


async def test_a_mail_of_a_pool_that_may_have_gone_is_sent_again_from_its_own_mailbox() -> None:
    """Only there it could be found, now that it may have gone twice."""
    pool = ("a@sandbox.example", "b@sandbox.example")
    office = Office(
        settings=Settings(sender_pools={SENDER: pool}), graph=ScriptedGraph([TIMED_OUT]), pace=Spent(pool[0])
    )
    await deliver(office)
    office.pace = Spent()
    await deliver_next(office)
    assert [row.mailbox for row in office.graph.rows] == [pool[1], pool[1]]


async def test_a_mail_of_a_pool_without_room_waits_instead_of_going_round() -> None:
    """Each may have some left, only not enough for this mail."""
    pool = ("a@sandbox.example", "b@sandbox.example")
    office = Office(settings=Settings(sender_pools={SENDER: pool}), pace=Spent(*pool))
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert due - NOON >= timedelta(hours=5)
    assert message.via is None


async def test_a_mail_counts_for_those_whom_policy_lets_it_reach() -> None:
    three = outgoing_mail()
    recipients = (three.request.message.to_recipients or ()) * 3
    message = msgspec.structs.replace(three.request.message, to_recipients=recipients)
    three = replace(three, request=msgspec.structs.replace(three.request, message=message))
    office = Office(pace=(pace := Spent()), policy=ScriptedPolicy([Goes(outgoing_mail(), 2)]))
    await Worker(office.engine).deliver(work(three), three)
    assert pace.asked == [(SENDER, 1)]
    assert pace.counted == [1]


async def test_what_policy_declines_reserves_nothing() -> None:
    await deliver(Office(policy=ScriptedPolicy([DECLINED[1]]), pace=(pace := Spent())))
    assert (pace.asked, pace.ends) == ([], [])


@pytest.mark.parametrize(
    ("outcome", "end"),
    [(ACCEPTED, "used"), (TIMED_OUT, "used"), (THROTTLED, "given back"), (BAD_RECIPIENT, "given back")],
)
async def test_what_is_reserved_is_used_or_given_back_however_the_attempt_ends(outcome: Outcome, end: str) -> None:
    await deliver(Office(graph=ScriptedGraph([outcome]), pace=(pace := Spent())))
    assert pace.ends == [end]


async def test_what_is_reserved_is_given_back_where_another_one_has_the_mail() -> None:
    class Taken(MemoryLedger):
        async def write(self, row: Row) -> Row:
            with suppress(Conflict):
                await super().write(replace(row, state="sent", token="another"))
            raise Conflict(row.id)

    await deliver(Office(ledger=Taken(), pace=(pace := Spent())))
    assert pace.ends == ["given back"]


async def test_a_mail_that_graph_was_not_asked_about_keeps_its_time() -> None:
    office = Office(graph=ScriptedGraph([NOT_CONNECTED]), pace=(pace := Spent()))
    await deliver(office)
    [(_, message)] = office.outbox.messages
    assert (message.via, message.reserved is not None, pace.ends) == (SENDER, True, [])


async def test_a_throttled_mail_gets_another_time_and_waits_as_long_as_its_mailbox_is_blocked() -> None:
    class Blocks(Unpaced):
        async def throttled(self, mailbox: str, after: float | None, code: str = "") -> datetime:
            return NOON + timedelta(minutes=10)

    office = Office(graph=ScriptedGraph([replace(THROTTLED, after=None)]), pace=Blocks())
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert due >= NOON + timedelta(minutes=10)
    assert (message.via, message.reserved) == (None, None)


async def test_the_end_of_an_attempt_that_outlasted_its_request_is_reported_by_the_message_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    await deliver(office)
    token = (await office.row()).token
    caplog.clear()
    with caplog.at_level("INFO", "mailroom"):
        await Worker(office.engine).deliver(work(claimed="another"), outgoing_mail())
        assert "mail.sent" not in caplog.text
        await Worker(office.engine).deliver(work(claimed=token), outgoing_mail())
    assert "mail.sent" in caplog.text
