"""One message of a queue: what is written, in which order, and what is left behind."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from copy import replace
from datetime import timedelta

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.engine import SMALL
from shared.delivery.ledger import Conflict
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row, State
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome, Rejected, Throttled, Unanswered, Unknown
from shared.mail.outgoing import OutgoingMail, Repeat, decode
from shared.policy.pre_send import Declined, Goes
from shared.settings.config import OnUnknown, Settings
from shared.telemetry import LogEvent
from tests.delivery.memory import MemoryLedger, MemoryOutbox
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    MAIL,
    NO_LONGER_ALLOWED,
    NO_PERMISSION,
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
    outgoing_mail,
    work,
)


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


async def test_a_new_mail_is_sent_once_and_nothing_is_left_in_the_outbox() -> None:
    office = Office()
    for _ in range(2):
        await office.deliver()
    assert (await office.end(), office.outbox.messages) == (("sent", [MAIL]), [])


async def test_a_throttled_mail_is_put_again_with_its_mail_and_sent_when_due() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await office.deliver()
    [(due, message)] = office.outbox.messages
    assert due > NOON + timedelta(seconds=2)
    assert message.known
    await office.deliver_next()
    assert office.graph.sent == [MAIL]
    assert office.outbox.messages == []


@pytest.mark.parametrize(
    ("policy", "outcomes", "state", "asked"),
    [("resend", 1, "sent", 2), ("resend", 2, "review", 2), ("review", 1, "review", 1)],
)
async def test_an_unknown_outcome_is_for_the_policy_where_the_mailbox_cannot_be_asked(
    policy: OnUnknown, outcomes: int, state: str, asked: int
) -> None:
    """What is sent once more says so in its row; what is not is kept for a person."""
    office = Office(settings=Settings(on_unknown=policy), graph=ScriptedGraph([TIMED_OUT] * outcomes))
    await office.deliver()
    assert (await office.row()).state == "unknown"
    await office.drain()
    row = await office.row()
    assert (row.state, row.resends, row.attempts, len(office.graph.rows)) == (state, asked - 1, asked, asked)
    if state == "review":
        kept = office.outbox.dead[MAIL]
        assert (kept.kind, decode(kept.content)) == ("mail", outgoing_mail())


async def test_a_rejected_mail_is_kept_before_its_row_ends() -> None:
    """If the process dies between the two, the mail is tried again; the other way round it would be gone."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]), ledger=Stumbling(1))
    with pytest.raises(ServiceRequestError):
        await office.deliver()
    assert MAIL in office.outbox.dead
    assert (await office.row()).state == "sending"


async def test_the_end_of_a_mail_for_later_is_logged_with_how_long_it_took_from_its_own_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    with caplog.at_level("INFO", "mailroom"):
        await office.deliver(not_before=NOON + timedelta(hours=1))
        await office.deliver_next()
    ends = [said for record in caplog.records if (said := json.loads(record.message))["event"] == "mail.sent"]
    assert [(end["id"], end["seconds"]) for end in ends] == [(MAIL, 0.0)]


async def test_a_missing_payload_fails_the_mail_instead_of_sending_an_empty_one() -> None:
    office = Office()
    await Worker(office.engine).deliver(work(payload="gone/mail.json"))
    assert ((await office.row()).code, await office.end()) == ("PayloadMissing", ("failed", []))


async def test_a_missing_payload_of_a_mail_that_may_have_gone_needs_a_person() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await office.deliver()
    [(due, message)] = office.outbox.messages
    office.clock.at = due
    await Worker(office.engine).deliver(replace(message, mail=msgspec.Raw(), payload="gone/mail.json"))
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
    await office.deliver()
    assert await office.end() == ("accepted", [])
    await office.deliver_next()
    assert office.graph.sent == [MAIL]


async def test_a_slow_blob_costs_nothing_of_the_lease() -> None:
    """The claim is written when the mail is at hand."""

    class SlowOutbox(MemoryOutbox):
        async def mail_of(self, work: Work) -> OutgoingMail:
            office.clock.move(seconds=31)
            return outgoing_mail()

    office = Office(outbox=SlowOutbox())
    await Worker(office.engine).deliver(work())
    assert office.graph.sent == [MAIL]


async def test_a_mail_that_finds_too_many_requests_in_flight_comes_again_and_nothing_was_written() -> None:
    office = Office(pace=(pace := ScriptedPace(free=[False])))
    await office.deliver()
    assert await office.ledger.read(MAIL) is None
    [(due, message)] = office.outbox.messages
    assert (due - NOON, message.via) == (timedelta(seconds=5), SENDER)
    assert message.reserved is not None
    assert pace.spent == {SENDER: 1}, "the message carries it"
    await office.deliver_next()
    assert office.graph.sent == [MAIL]


async def test_a_mail_of_a_blocked_mailbox_waits_for_the_end_of_the_block() -> None:
    office = Office(pace=ScriptedPace(blocked=NOON + timedelta(minutes=2)))
    await office.deliver()
    [(due, _)] = office.outbox.messages
    assert due == NOON + timedelta(minutes=2)
    assert office.graph.rows == []


async def test_a_mail_that_may_have_gone_is_still_to_be_verified_when_there_was_no_time_for_it_after_all() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT]), pace=ScriptedPace(free=[True, False]), verifier=answering("sent"))
    await office.deliver()
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.verifications, row.attempts, row.may_have_gone) == ("unknown", 0, 1, True)
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert len(office.graph.rows) == 1, "found, not sent again"


@pytest.mark.parametrize(("seconds", "failures"), [(0, 2), (45, 1)])
async def test_that_graph_accepted_is_written_down_although_storage_fails_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, seconds: float, failures: int
) -> None:
    """For as long as the lease lives: a request may take all of its deadline, and storage may stumble after it."""

    class Late(ScriptedGraph):
        async def __call__(self, mail: OutgoingMail, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            outcome = await super().__call__(mail, row, still_ours)
            office.clock.move(seconds=seconds)
            return outcome

    monkeypatch.setattr("shared.delivery.lease.BETWEEN_WRITES", 0)
    office = Office(graph=Late(), ledger=Stumbling(failures))
    await office.deliver()
    assert (await office.row()).state == "sent"


async def test_what_is_no_mail_is_set_aside_with_its_reason_as_it_came() -> None:
    office = Office()
    for _ in range(2):
        refusal = Malformed(400, "BadRequest", "no JSON", "$")
        await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"not json", refusal)
    assert office.outbox.dead["a" * 32] == Kept("message", "BadRequest", b"not json", "mail-outbox")
    assert (await office.row("a" * 32)).state == "failed"


DECLINED = [Declined("suppressed", 2), Declined("captured", 1), NO_LONGER_ALLOWED]


@pytest.mark.parametrize("declined", DECLINED, ids=[one.state for one in DECLINED])
async def test_what_policy_declines_ends_unsent_is_kept_and_can_be_put_back(declined: Declined) -> None:
    office = Office(policy=ScriptedPolicy([declined]))
    await office.deliver()
    row = await office.row()
    assert (row.state, row.status, row.code) == (declined.state, declined.status, declined.code)
    assert (row.suppressed_recipients, row.attempts) == (declined.left_out or None, 0)
    assert office.graph.rows == []
    assert decode(office.outbox.dead[row.id].content) == outgoing_mail()
    await office.control.replay(row)
    await office.deliver_next()
    assert (await office.row()).state == "sent"
    assert (await office.row()).suppressed_recipients is None
    assert office.outbox.dead == {}


async def test_a_mail_that_waited_is_asked_about_again() -> None:
    """What held when it was accepted may hold no longer."""
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await office.deliver()
    office.policy = policy = ScriptedPolicy([DECLINED[0]])
    await office.deliver_next()
    assert (await office.row()).state == "suppressed"
    assert len(office.graph.rows) == 1
    assert policy.admitted == [False], "every rule is asked again"


async def test_a_mail_that_goes_to_some_of_its_recipients_says_how_many_were_left_out() -> None:
    office = Office(policy=ScriptedPolicy(left_out=3))
    await office.deliver()
    row = await office.row()
    assert (row.state, row.suppressed_recipients) == ("sent", 3)


async def test_while_the_suppression_list_cannot_be_read_the_mail_waits_and_is_then_sent() -> None:
    policy = ScriptedPolicy(down=True)
    office = Office(policy=policy)
    await office.deliver()
    assert await office.ledger.read(MAIL) is None
    assert office.graph.rows == []
    policy.down = False
    await office.deliver_next()
    assert (await office.row()).state == "sent"


async def test_what_may_have_gone_and_is_no_longer_allowed_is_left_to_a_person() -> None:
    """Failed would say that it was not sent; and it was not sent a second time."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await office.deliver()
    office.policy = ScriptedPolicy([NO_LONGER_ALLOWED])
    await office.deliver_next()
    row = await office.row()
    assert (row.state, row.code, row.resends) == ("review", "ErrorSendAsDenied", 0)
    assert len(office.graph.rows) == 1


async def test_those_who_wait_for_the_same_moment_come_one_by_one() -> None:
    office = Office(pace=ScriptedPace(recipients=0))
    for number in range(100):
        mail = outgoing_mail(f"{number:032}")
        await office.deliver(mail)
    times = {due - NOON for due, _ in office.outbox.messages}
    assert timedelta(hours=5) <= min(times) < max(times) <= timedelta(hours=5, minutes=6)
    assert len(times) > 50


async def test_a_mail_of_a_mailbox_whose_day_is_spent_waits_until_there_is_room() -> None:
    office = Office(pace=(pace := ScriptedPace(recipients=0)))
    await office.deliver()
    assert office.graph.rows == []
    row = await office.row()
    [(due, message)] = office.outbox.messages
    assert timedelta(hours=5) <= due - NOON <= timedelta(hours=5, minutes=6)
    assert row.state == "accepted", "whoever asks is told that it waits, and until when"
    assert row.due_at is not None
    assert due - row.due_at < timedelta(seconds=1)
    assert (message.via, message.reserved) == (None, None)
    pace.recipients = 1
    await office.deliver_next()
    assert (await office.row()).state == "sent"


async def test_a_large_mail_waits_while_its_mailbox_has_uploaded_too_much() -> None:
    office = Office(pace=(pace := ScriptedPace(full=NOON + timedelta(minutes=5))))
    large = outgoing_mail(size=SMALL + 1)
    await office.deliver(large)
    assert office.graph.rows == []
    [(due, _)] = office.outbox.messages
    assert due == NOON + timedelta(minutes=5)
    small = outgoing_mail("1" * 32, size=1000)
    await office.deliver(small)
    assert office.graph.sent == [small.id], "of small mails the room that is left is enough"
    assert len(pace.uploads) == 1
    assert pace.uploads[0] > SMALL


POOL = ("a@sandbox.example", "b@sandbox.example")
POOLED = Settings(sender_pools={SENDER: POOL})


async def test_a_mail_of_a_pool_goes_on_at_once_from_a_mailbox_that_has_some_left() -> None:
    pace = ScriptedPace(spent=Counter({POOL[0]: 100}), first=POOL[0])
    office = Office(settings=POOLED, pace=pace)
    await office.deliver()
    assert [mailbox for mailbox, _ in pace.asked] == list(POOL)
    assert (await office.row()).mailbox == POOL[1]


async def test_a_mail_of_a_pool_that_may_have_gone_is_sent_again_from_its_own_mailbox() -> None:
    """Only there it could be found, now that it may have gone twice."""
    office = Office(settings=POOLED, graph=ScriptedGraph([TIMED_OUT]), pace=ScriptedPace(spent=Counter({POOL[0]: 100})))
    await office.deliver()
    office.pace = ScriptedPace()
    await office.deliver_next()
    assert [row.mailbox for row in office.graph.rows] == [POOL[1], POOL[1]]


async def test_a_mail_of_a_pool_without_room_waits_instead_of_going_round() -> None:
    """Each may have some left, only not enough for this mail."""
    office = Office(settings=POOLED, pace=ScriptedPace(recipients=0))
    await office.deliver()
    [(due, message)] = office.outbox.messages
    assert due - NOON >= timedelta(hours=5)
    assert message.via is None


async def test_a_mail_counts_for_those_whom_policy_lets_it_reach() -> None:
    three = outgoing_mail(to_recipients=(outgoing_mail().request.message.to_recipients or ()) * 3)
    office = Office(pace=(pace := ScriptedPace()), policy=ScriptedPolicy([Goes(outgoing_mail(), 2)]))
    await office.deliver(three)
    assert (pace.asked, pace.ends) == ([(SENDER, 1)], ["used"])


async def test_what_policy_declines_reserves_nothing() -> None:
    await Office(policy=ScriptedPolicy([DECLINED[1]]), pace=(pace := ScriptedPace())).deliver()
    assert (pace.asked, pace.ends) == ([], [])


@pytest.mark.parametrize(
    ("outcome", "end"),
    [(ACCEPTED, "used"), (TIMED_OUT, "used"), (THROTTLED, "given back"), (BAD_RECIPIENT, "given back")],
)
async def test_what_is_reserved_is_used_or_given_back_however_the_attempt_ends(outcome: Outcome, end: str) -> None:
    await Office(graph=ScriptedGraph([outcome]), pace=(pace := ScriptedPace())).deliver()
    assert pace.ends == [end]


async def test_what_is_reserved_is_given_back_where_another_one_has_the_mail() -> None:
    class Taken(MemoryLedger):
        async def write(self, row: Row) -> Row:
            with suppress(Conflict):
                await super().write(replace(row, state="sent", token="another"))
            raise Conflict(row.id)

    await Office(ledger=Taken(), pace=(pace := ScriptedPace())).deliver()
    assert pace.ends == ["given back"]


async def test_a_mail_that_graph_was_not_asked_about_keeps_its_time() -> None:
    office = Office(graph=ScriptedGraph([NOT_CONNECTED]), pace=(pace := ScriptedPace()))
    await office.deliver()
    [(_, message)] = office.outbox.messages
    assert (message.via, message.reserved is not None, pace.ends) == (SENDER, True, [])


async def test_a_throttled_mail_gets_another_time_and_waits_as_long_as_its_mailbox_is_blocked() -> None:
    office = Office(
        graph=ScriptedGraph([replace(THROTTLED, after=None)]), pace=ScriptedPace(until=NOON + timedelta(minutes=10))
    )
    await office.deliver()
    [(due, message)] = office.outbox.messages
    assert due >= NOON + timedelta(minutes=10)
    assert (message.via, message.reserved) == (None, None)


async def test_the_end_of_an_attempt_that_outlasted_its_request_is_reported_by_the_message_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    await office.deliver()
    token = (await office.row()).token
    caplog.clear()
    with caplog.at_level("INFO", "mailroom"):
        await office.deliver(claimed="another")
        assert "mail.sent" not in caplog.text
        await office.deliver(claimed=token)
    assert "mail.sent" in caplog.text


# A mailbox that does not say whether a mail has gone.


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Rejected(401, "InvalidAuthenticationToken", "permission"), LogEvent.GRAPH_PERMISSION),
        (NO_PERMISSION, LogEvent.GRAPH_PERMISSION),
        (THROTTLED, LogEvent.GRAPH_THROTTLED),
        (NOT_CONNECTED, LogEvent.GRAPH_UNREACHED),
        (Unknown("status", 503), LogEvent.MAIL_UNVERIFIED),
        (Rejected(404, "ErrorInvalidUser", "permanent"), LogEvent.MAIL_UNVERIFIED),
    ],
)
async def test_why_a_mailbox_did_not_say_whether_a_mail_has_gone_is_an_event(
    outcome: Outcome, event: LogEvent, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that the alerts count for a mail that met the same."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]), verifier=answering(Unanswered(outcome)))
    await office.deliver()
    caplog.clear()
    await office.deliver_next()
    assert (await office.row()).state == "unknown"
    said = [json.loads(record.getMessage())["event"] for record in caplog.records]
    assert [one for one in said if one != LogEvent.MAIL_WAITING] == [event]


async def test_a_look_that_is_throttled_blocks_its_mailbox() -> None:
    office = Office(
        graph=ScriptedGraph([TIMED_OUT]), verifier=answering(Unanswered(Throttled(20.0))), pace=(pace := ScriptedPace())
    )
    await office.deliver()
    await office.deliver_next()
    assert pace.throttles == [(SENDER, 20.0)]


# Repeat windows: what says again what an earlier mail has said lately is no second mail.

FIRST, SECOND = outgoing_mail("1" * 32), outgoing_mail("2" * 32)
REPEATS = Repeat(of=FIRST.id, within=1800)


@pytest.mark.parametrize(
    ("first", "minutes", "sent"),
    [("sent", 29, False), ("sent", 31, True), (None, 1, True), ("failed", 1, True), ("cancelled", 1, True)],
)
async def test_what_repeats_a_mail_that_went_is_dropped_within_its_window(
    first: State | None, minutes: float, *, sent: bool
) -> None:
    """first: the state of the earlier one, if there is one."""
    office = Office()
    if first is not None:
        await office.deliver(FIRST)
        await office.ledger.write(replace(await office.row(FIRST.id), state=first))
    office.clock.move(minutes=minutes)
    await office.deliver(SECOND, repeats=REPEATS, accepted_at=office.clock.now())
    assert (SECOND.id in office.graph.sent) is sent


async def test_a_mail_on_its_way_is_not_dropped_for_one_that_was_replayed_meanwhile() -> None:
    """Its own row counts before its neighbour's."""
    office = Office(graph=ScriptedGraph([NOT_CONNECTED]))
    await office.deliver(SECOND, repeats=REPEATS)
    await office.deliver(FIRST)
    assert (await office.row(FIRST.id)).state == "sent"
    office.clock.move(hours=1)
    await office.deliver(SECOND, repeats=REPEATS)
    assert SECOND.id in office.graph.sent
