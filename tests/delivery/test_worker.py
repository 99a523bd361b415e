"""One message of a queue: what is written, in which order, and what is left behind."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.config import Settings
from shared.delivery.control import Control
from shared.delivery.ledger import Row
from shared.delivery.outbox import INLINE, Kept
from shared.delivery.protocol import Finding
from shared.delivery.work import Work
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.graph.outcome import Outcome
from shared.letters.letter import Letter, decode
from shared.policy.before_send import Mode, Withheld
from tests.delivery.memory import MemoryLedger, MemoryOutbox, Unpaced
from tests.delivery.samples import (
    ACCEPTED,
    BAD_RECIPIENT,
    NO_LONGER_ALLOWED,
    NO_PERMISSION,
    NOON,
    SENDER,
    THROTTLED,
    TIMED_OUT,
    Office,
    ScriptedGraph,
    ScriptedPolicy,
    letter,
    work,
)


async def deliver(office: Office) -> None:
    await Worker(office.engine).deliver(work(), letter())


async def deliver_next(office: Office) -> None:
    """The next message of mail-work, when it is due."""
    due, message = office.outbox.messages.pop(0)
    office.clock.at = max(office.clock.at, due)
    await Worker(office.engine).deliver(message)


async def test_a_new_mail_is_sent_and_nothing_is_left_in_the_outbox() -> None:
    office = Office()
    await deliver(office)
    assert office.graph.sent == [letter().id]
    assert (await office.row()).state == "sent"
    assert office.outbox.messages == []


async def test_the_same_message_again_sends_nothing() -> None:
    office = Office()
    await deliver(office)
    await deliver(office)
    assert office.graph.sent == [letter().id]


async def test_a_throttled_mail_is_put_again_with_its_letter_and_sent_when_due() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert due > NOON + timedelta(seconds=2)
    assert message.known
    await deliver_next(office)
    assert office.graph.sent == [letter().id]
    assert office.outbox.messages == []


async def test_an_unknown_outcome_is_sent_once_more_and_says_so_in_the_row() -> None:
    """Where the mailbox cannot be asked and the policy is `resend`."""
    office = Office(graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    assert (await office.row()).state == "unknown"
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.resends, row.attempts) == ("sent", 1, 2)


async def test_a_second_unknown_outcome_is_held_with_its_letter_kept() -> None:
    office = Office(graph=ScriptedGraph([TIMED_OUT, TIMED_OUT]))
    await deliver(office)
    await deliver_next(office)
    await deliver_next(office)
    assert (await office.row()).state == "held"
    assert len(office.graph.rows) == 2
    kept = office.outbox.dead[letter().id]
    assert (kept.kind, decode(kept.content)) == ("mail", letter())


async def test_hold_never_sends_twice() -> None:
    office = Office(settings=Settings(on_unknown="hold"), graph=ScriptedGraph([TIMED_OUT]))
    await deliver(office)
    await deliver_next(office)
    assert (await office.row()).state == "held"
    assert len(office.graph.rows) == 1


async def test_a_rejected_mail_is_kept_before_its_row_ends() -> None:
    """If the process dies between the two, the mail is tried again; the other way round it would be gone."""

    class NoSettling(MemoryLedger):
        async def replace(self, row: Row) -> Row:
            raise ServiceRequestError("gone")

    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]), ledger=NoSettling())
    with pytest.raises(ServiceRequestError):
        await deliver(office)
    assert letter().id in office.outbox.dead
    assert (await office.row()).state == "sending"


async def test_missing_permission_is_tried_again_until_the_bound_then_failed() -> None:
    office = Office(settings=Settings(max_attempts=3), graph=ScriptedGraph([NO_PERMISSION] * 3))
    await deliver(office)
    await deliver_next(office)
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.code, row.attempts) == ("failed", "ErrorAccessDenied", 3)
    assert letter().id in office.outbox.dead
    assert office.outbox.messages == []


async def test_a_letter_too_large_for_a_queue_message_goes_to_a_blob_and_the_blob_goes_with_the_end() -> None:
    office = Office(graph=ScriptedGraph([THROTTLED]))
    large = letter(size=INLINE)
    await Worker(office.engine).deliver(work(large), large)
    [(_, message)] = office.outbox.messages
    assert message.inline() is None
    assert list(office.outbox.payloads) == [message.payload]
    await deliver_next(office)
    assert office.graph.sent == [large.id]
    assert office.outbox.payloads == {}


async def test_a_missing_payload_fails_the_mail_instead_of_sending_an_empty_one() -> None:
    office = Office()
    await Worker(office.engine).deliver(work(payload="gone/letter.json"))
    row = await office.row()
    assert (row.state, row.code) == ("failed", "PayloadMissing")
    assert office.graph.sent == []


async def test_too_little_lease_left_gives_the_claim_up() -> None:
    """A slow blob or a stalled process must not send after others may have begun to look."""

    class SlowOutbox(MemoryOutbox):
        async def letter_of(self, work: Work) -> Letter:
            office.clock.move(seconds=31)
            return letter()

    office = Office(outbox=SlowOutbox())
    await Worker(office.engine).deliver(work())
    assert office.graph.rows == []
    assert (await office.row()).state == "accepted"
    await Worker(office.engine).deliver(work(known=True), letter())
    assert office.graph.sent == [letter().id]


class SlotFor(Unpaced):
    """Whether the slot comes to who is next, one after the other."""

    def __init__(self, comes: list[bool]) -> None:
        self.comes = comes

    async def ready(self, seconds: float | None = None) -> bool:
        assert seconds == Settings().lease_margin, "as long as the lease allows a request to start"
        return self.comes.pop(0)


async def test_a_claim_is_written_before_its_slot_is_waited_for() -> None:
    class Watching(Unpaced):
        async def ready(self, seconds: float | None = None) -> bool:
            assert (await office.row()).state == "sending"
            return True

    office = Office(pacing=Watching())
    await deliver(office)
    assert office.graph.sent == [letter().id]


async def test_a_claim_whose_slot_does_not_come_is_given_back_and_nothing_has_been_tried() -> None:
    office = Office(pacing=SlotFor([False, True]))
    await deliver(office)
    row = await office.row()
    assert (row.state, row.attempts, row.code, row.may_have_gone) == ("accepted", 0, None, False)
    assert office.graph.rows == []
    [(due, _)] = office.outbox.messages
    assert due == NOON, "another instance may have a slot for it at once"
    await deliver_next(office)
    assert office.graph.sent == [letter().id]
    assert not (await office.row()).may_have_gone, "it was not looked for"


async def test_a_claim_that_a_block_has_come_between_waits_for_its_end() -> None:
    class Blocked(Unpaced):
        async def ready(self, seconds: float | None = None) -> bool:
            return False

        def blocked_until(self, mailbox: str) -> datetime | None:
            return NOON + timedelta(minutes=2)

    office = Office(pacing=Blocked())
    await deliver(office)
    [(due, _)] = office.outbox.messages
    assert due == (await office.row()).due_at == NOON + timedelta(minutes=2)


async def test_a_mail_that_may_have_gone_is_still_to_be_looked_for_when_its_slot_did_not_come() -> None:
    async def found(row: Row) -> Finding:
        return "sent" if row.may_have_gone else "absent"

    office = Office(graph=ScriptedGraph([TIMED_OUT]), pacing=SlotFor([True, False, True]), verifier=found)
    kept = letter()
    await Worker(office.engine).deliver(work(kept), kept)
    await deliver_next(office)
    row = await office.row()
    assert (row.state, row.looks, row.attempts, row.may_have_gone) == ("unknown", 0, 1, True)
    await deliver_next(office)
    assert (await office.row()).state == "sent"
    assert len(office.graph.rows) == 1, "found, not sent again"


async def test_that_graph_accepted_is_written_down_although_storage_fails_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stumbling(MemoryLedger):
        failures = 2

        async def replace(self, row: Row) -> Row:
            if self.failures:
                self.failures -= 1
                raise ServiceRequestError("gone")
            return await super().replace(row)

    monkeypatch.setattr("shared.delivery.claims.BETWEEN_WRITES", 0)
    office = Office(ledger=Stumbling())
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
        async def __call__(self, letter: Letter, row: Row, still_ours: Callable[[], bool]) -> Outcome:
            outcome = await super().__call__(letter, row, still_ours)
            office.clock.move(seconds=45)
            return outcome

    class Stumbling(MemoryLedger):
        failures = 1

        async def replace(self, row: Row) -> Row:
            if self.failures:
                self.failures -= 1
                raise ServiceRequestError("gone")
            return await super().replace(row)

    monkeypatch.setattr("shared.delivery.claims.BETWEEN_WRITES", 0)
    office = Office(graph=Late(), ledger=Stumbling())
    await deliver(office)
    assert (await office.row()).state == "sent"


WITHHELD = [Withheld("suppressed", 2), Withheld("captured", 1), NO_LONGER_ALLOWED]


@pytest.mark.parametrize("withheld", WITHHELD, ids=[one.state for one in WITHHELD])
async def test_what_policy_withholds_ends_unsent_is_kept_and_can_be_put_back(withheld: Withheld) -> None:
    office = Office(policy=ScriptedPolicy([withheld]))
    await deliver(office)
    row = await office.row()
    assert (row.state, row.status, row.code) == (withheld.state, withheld.status, withheld.code)
    assert (row.suppressed_recipients, row.attempts) == (withheld.left_out or None, 0)
    assert office.graph.rows == []
    assert decode(office.outbox.dead[row.id].content) == letter()
    await Control(office.engine).replay(row)
    await deliver_next(office)
    assert (await office.row()).state == "sent"
    assert (await office.row()).suppressed_recipients is None
    assert office.outbox.dead == {}


async def test_a_mail_that_waited_is_asked_about_again() -> None:
    """What held when it was accepted may hold no longer."""
    office = Office(graph=ScriptedGraph([THROTTLED]))
    await deliver(office)
    office.policy = ScriptedPolicy([WITHHELD[0]])
    await deliver_next(office)
    assert (await office.row()).state == "suppressed"
    assert len(office.graph.rows) == 1


async def test_a_mail_that_goes_to_some_of_its_recipients_says_how_many_were_left_out() -> None:
    office = Office(policy=ScriptedPolicy(left_out=3))
    await deliver(office)
    row = await office.row()
    assert (row.state, row.suppressed_recipients) == ("sent", 3)


async def test_while_the_suppression_list_cannot_be_read_the_mail_waits_and_is_then_sent() -> None:
    policy = ScriptedPolicy(down=True)
    office = Office(policy=policy)
    await deliver(office)
    row = await office.row()
    assert (row.state, row.code, row.attempts) == ("accepted", "policy", 0)
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
    assert (row.state, row.code, row.resends) == ("held", "ErrorSendAsDenied", 0)
    assert len(office.graph.rows) == 1


class Spent(Unpaced):
    """The mailboxes that are named have mailed their recipients of the day."""

    def __init__(self, *mailboxes: str) -> None:
        self.mailboxes = set(mailboxes)
        self.asked: list[tuple[str, int]] = []
        self.first: str | None = None
        self.released: list[str] = []

    async def hold(self, mailbox: str, mail: str, recipients: int) -> datetime | None:
        self.asked.append((mailbox, recipients))
        return NOON + timedelta(hours=5) if mailbox in self.mailboxes else None

    def release(self, mail: str) -> None:
        self.released.append(mail)

    def soonest(self, mailboxes: Sequence[str]) -> str:
        return self.first or mailboxes[0]


async def test_a_mail_of_a_mailbox_whose_day_is_spent_waits_until_there_is_room() -> None:
    pacing = Spent(SENDER)
    office = Office(pacing=pacing)
    await deliver(office)
    assert office.graph.rows == []
    assert await office.ledger.read(letter().id) is None, "no claim is written for nothing"
    [(due, message)] = office.outbox.messages
    assert timedelta(hours=5) <= due - NOON <= timedelta(hours=5, minutes=6)
    assert (message.via, message.reserved) == (None, None)
    pacing.mailboxes.clear()
    await deliver_next(office)
    assert (await office.row()).state == "sent"


async def test_a_mail_of_a_pool_goes_on_at_once_from_a_mailbox_that_has_some_left() -> None:
    one, other = "a@sandbox.example", "b@sandbox.example"
    pacing = Spent(one)
    pacing.first = one
    office = Office(settings=Settings(sender_pools={SENDER: (one, other)}), pacing=pacing)
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert (message.via, due) == (other, NOON)
    await deliver_next(office)
    assert [mailbox for mailbox, _ in pacing.asked] == [one, other, other]
    assert (await office.row()).mailbox == other


async def test_a_mail_of_a_pool_without_room_waits_instead_of_going_round() -> None:
    """Each may have some left, only not enough for this mail."""
    pool = ("a@sandbox.example", "b@sandbox.example")
    office = Office(settings=Settings(sender_pools={SENDER: pool}), pacing=Spent(*pool))
    await deliver(office)
    [(due, message)] = office.outbox.messages
    assert due - NOON >= timedelta(hours=5)
    assert message.via is None


@pytest.mark.parametrize(("mode", "recipients"), [("live", 1), ("redirect", 1), ("capture", 0)])
async def test_a_mail_counts_for_those_whom_it_reaches(mode: Mode, recipients: int) -> None:
    pacing = Spent()
    await deliver(Office(settings=Settings(mode=mode), pacing=pacing))
    assert pacing.asked == [(SENDER, recipients)]


@pytest.mark.parametrize("outcome", [ACCEPTED, THROTTLED, BAD_RECIPIENT])
async def test_what_a_mail_did_not_need_of_the_day_is_given_back_however_its_attempt_ends(outcome: Outcome) -> None:
    pacing = Spent()
    await deliver(Office(graph=ScriptedGraph([outcome]), pacing=pacing))
    assert pacing.released == [letter().id]
