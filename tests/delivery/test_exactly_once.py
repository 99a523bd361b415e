"""Exactly once: whatever goes wrong, a mail that was acknowledged ends, and Graph accepts it once.

Hypothesis draws plans of a small world (world.py): who asks for the mail and how often, what Graph and the mailbox
answer, where operations fail or lose their answers, processes die or stand still, and messages come twice. What was
promised (delivery.md) is checked when nothing moves any more.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, Final
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, currently_in_test_context, find, given, note, settings
from hypothesis import strategies as st

from shared.delivery import direct, large, protocol
from shared.delivery.attempts import Lease
from shared.delivery.direct import Answer, DirectRequests, Done, Mismatch, Rejection, Spent, Unavailable
from shared.delivery.ledger import ENDED, Conflict, Row
from shared.delivery.memory import MemoryLedger
from shared.delivery.protocol import Decision, Drop, PutAgain, Settled
from shared.delivery.work import Work
from shared.graph.outcome import Accepted, Stopped
from shared.letters.letter import Letter
from tests.delivery.drafts import Drafts
from tests.delivery.plan import HARMLESS, LOST, GraphDoes, Kind, Plan, Says, Start, Trouble
from tests.delivery.remote import StorageLedger
from tests.delivery.samples import BAD_RECIPIENT, NO_LONGER_ALLOWED, NOON
from tests.delivery.world import MAIL, World

KINDS: Final[list[Kind]] = [
    *("fail", "lose", "late", "repeat", "crash", "crash", "stall", "stall", "slow", "slow", "yield", "yield"),
    *("redeliver", "jump", "request", "request", "cancel", "replay", "upkeep"),
]
TROUBLES = st.builds(
    Trouble,
    after=st.integers(0, 8),
    kind=st.sampled_from(KINDS),
    size=st.sampled_from([0, 1, 2, 3, 3]),
)

ANSWERS: Final[list[GraphDoes]] = [
    *("accept", "accept slowly", "throttle", "not connected", "reject", "no permission"),
    *("lose", "lose accepted", "hang"),
]
SAYS: Final[list[Says]] = ["go", "go", "suppressed", "captured", "refused"]
CALM = st.builds(
    Plan,
    start=st.sampled_from(["direct", "accept", "queue"]),
    policy=st.sampled_from(["verify", "verify-hold", "resend", "hold"]),
    large=st.booleans(),
    mime=st.booleans(),
    retries=st.integers(0, 3),
    patience=st.sampled_from([1.0, 100.0]),
    skews=st.sampled_from([(0.0, 0.0, 0.0), (2.5, -2.5, 0.0), (-2.5, 2.5, -2.5)]),
    copy=st.sampled_from([0.0, 30.0, 150.0]),
    draft=st.booleans(),
    troubles=st.lists(TROUBLES, min_size=1, max_size=4).map(tuple),
)
WILD = st.builds(
    replace,
    CALM,
    wait=st.sampled_from([0.0, 0.0, 100.0, 8 * 86_400.0]),
    graph=st.lists(st.sampled_from(ANSWERS), max_size=4).map(tuple),
    turns=st.lists(st.sampled_from(["go", "soon", "late", "no slot"]), max_size=3).map(tuple),
    slots=st.lists(st.booleans(), max_size=3).map(tuple),
    spent=st.lists(st.booleans(), max_size=3).map(tuple),
    policy_says=st.lists(st.sampled_from(SAYS), max_size=3).map(tuple),
    looks=st.lists(st.booleans(), max_size=4).map(tuple),
    troubles=st.lists(TROUBLES, max_size=7).map(tuple),
)
PLANS = CALM | WILD
SEARCH = settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DECIDE = protocol.decide
WRITE = large._write
FILL = large.LargeMails._fill


def broken_promises(plan: Plan) -> list[str]:
    """What went wrong in the world of this plan; empty: nothing."""
    world = World(plan)
    try:
        world.run()
        return [*_sent(world), *_ended(world), *_told(world), *_left(world)]
    finally:
        if currently_in_test_context():
            note("\n".join(world.trail))


def _sent(world: World) -> list[str]:
    """How often Graph has accepted it."""
    row, times = world.row, len(world.taken)
    sure = world.settings.on_unknown == "hold" or (world.plan.policy == "verify" and not world.undetermined)
    # Each time an operator has replayed what may have gone, it may go again.
    rounds = 1 + sum(seen.may_have_gone or seen.code == "Abandoned" for seen in world.replayed)
    most = rounds * (1 if sure else 2)
    return [
        *([f"accepted {times} times"] if times > most else []),
        *(["sent without a file"] if world.drafts.sent_incomplete else []),
        *(["two mails under one key"] if len({taken.fingerprint for taken in world.taken}) > 1 else []),
        *(["sent twice silently"] if times > 1 and rounds == 1 and row and not row.resends else []),
        *(["sent, although cancelled"] if times and row and row.state == "cancelled" else []),
        *(["cancelled, and then not"] if world.cancelled and row and row.state != "cancelled" else []),
    ]


def _ended(world: World) -> list[str]:
    """How it has ended: every mail ends, and its row says what is true."""
    row, times, acknowledged = world.row, len(world.taken), world.acknowledged
    if row is None:
        return ["acknowledged, and no row"] if acknowledged or times else []
    if row.state not in ENDED:
        return [f"never ends: {row.state}"]
    wrong = []
    if row.state == "sent" and not times:
        wrong.append("sent, says the row, and was not")
    if row.state == "failed" and times and row.code != "Abandoned":
        wrong.append(f"failed for {row.code}, says the row, and was sent")
    if row.state in ("suppressed", "captured") and times and not row.may_have_gone and not row.replays:
        wrong.append(f"{row.state}, says the row, and was sent")
    refusals = (BAD_RECIPIENT.code, NO_LONGER_ALLOWED.code)
    if row.state == "failed" and acknowledged and not times and row.code not in refusals:
        wrong.append(f"acknowledged and lost: {row.code}")
    if row.state == "held" and not world.doubt:
        wrong.append("held, although nothing was in doubt")
    if row.state in ("suppressed", "captured") or (row.state in ("failed", "held") and row.queued):
        kept = world.outbox.dead.get(MAIL)
        if kept is None or not kept.content:
            wrong.append(f"{row.state}, and nothing kept to replay")
    return wrong


def _told(world: World) -> list[str]:
    """What clients were told."""
    answers = [answer for client in world.clients for answer in client.answers]
    wrong = []
    # A rejection that could not be written down is no end: an earlier message of the mail may have it tried again.
    lost = any(trouble.kind in LOST for trouble in world.plan.troubles)
    # Busy says that it is being sent at that moment, by whichever request: not that it was not. Who stops asking then
    # has no answer yet.
    not_sent = (Mismatch, Spent) if lost else (Mismatch, Spent, Rejection)
    if answers and all(isinstance(answer, not_sent) or answer == Unavailable() for answer in answers) and world.taken:
        wrong.append("sent, and every client was told that it was not")
    if any(isinstance(answer, Done) and answer.state == "sent" for answer in answers) and not world.taken:
        wrong.append("a client was told sent, and it was not")
    return wrong


def _left(world: World) -> list[str]:
    return [
        *(["messages left"] if world.messages else []),
        *(["payloads left"] if world.outbox.payloads else []),
        *(["a draft left"] if world.drafts.left() and world.row and world.row.state != "held" else []),
    ]


class Broken:
    """Mailroom without one of its safeguards, each by its name."""

    @staticmethod
    def the_lease_is_not_checked_before_the_request() -> Any:
        return patch.object(Lease, "may_start", lambda _: True)

    @staticmethod
    def the_row_is_settled_before_the_message_is_put() -> Any:
        async def queue(self: DirectRequests, letter: Letter, work: Work, settled: Settled) -> Answer | None:
            try:
                row = await self.attempts.write(replace(settled.row, queued=True))
            except Conflict:
                return None
            known = msgspec.structs.replace(work, known=True)
            await self.attempts.outbox.put(known, self.attempts.now(), settled.again, letter)
            return Done(row.id, "accepted")

        return patch.object(DirectRequests, "_queue", queue)

    @staticmethod
    def a_message_of_a_busy_mail_is_dropped() -> Any:
        def decide(row: Row | None, *given: Any) -> Decision:
            decision = DECIDE(row, *given)
            busy = isinstance(decision, PutAgain) and row is not None and row.state == "sending"
            return Drop("ended") if busy else decision

        return patch.object(protocol, "decide", decide)

    @staticmethod
    def a_write_that_meets_itself_counts_as_lost() -> Any:
        return patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: False))

    @staticmethod
    def a_write_that_meets_another_counts_as_its_own() -> Any:
        return patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: True))

    @staticmethod
    def claims_are_not_conditional() -> Any:
        async def write(self: MemoryLedger, row: Row) -> Row:
            return self._put(row)

        return patch.object(MemoryLedger, "replace", write)

    @staticmethod
    def others_look_before_the_lease_is_over() -> Any:
        def decide(row: Row | None, *given: Any) -> Decision:
            return DECIDE(
                replace(row, lease_until=NOON - timedelta(minutes=1)) if row and row.state == "sending" else row, *given
            )

        return patch.object(protocol, "decide", decide)

    @staticmethod
    def a_claim_that_may_have_sent_is_named_as_given_up() -> Any:
        return patch.object(direct, "Unknown", Accepted)

    @staticmethod
    def a_look_whose_slot_does_not_come_is_forgotten() -> Any:
        give_back = protocol.give_back
        return patch.object(protocol, "give_back", lambda row, due, **_: give_back(row, due, look=False))


class BrokenInParts:
    """The same for mails that go by way of a draft."""

    @staticmethod
    def a_draft_whose_answer_was_lost_is_not_looked_for() -> Any:
        async def find(*_: Any) -> list[Any]:
            return []

        return patch.object(Drafts, "find", find)

    @staticmethod
    def it_is_not_written_down_before_sending_is_asked_for() -> Any:
        return patch.object(large, "_write", lambda progress: WRITE(msgspec.structs.replace(progress, asked=False)))

    @staticmethod
    def what_the_draft_holds_is_not_counted_before_it_is_sent() -> Any:
        async def fill(self: large.LargeMails, plan: Any, progress: Any, hold: Any) -> None:
            with suppress(Stopped):
                await FILL(self, plan, progress, hold)

        return patch.object(large.LargeMails, "_fill", fill)

    @staticmethod
    def the_draft_of_a_mail_that_ended_is_not_deleted() -> Any:
        async def nothing(*_: Any) -> None:
            return

        return patch.object(large.LargeMails, "discard", nothing)

    @staticmethod
    def a_draft_that_is_still_there_counts_as_sent_no_more() -> Any:
        async def look(*_: Any) -> str:
            return "unsent"

        return patch.object(large.LargeMails, "look", look)


# In which worlds it shows soonest, so that the search takes seconds: what the plan says, and the kinds of trouble.
WHERE: Final[dict[str, dict[str, Any]]] = {
    "the_lease_is_not_checked_before_the_request": {"start": "queue", "policy": "verify"},
    "a_write_that_meets_itself_counts_as_lost": {"start": "queue", "policy": "hold", "kinds": HARMLESS},
    "others_look_before_the_lease_is_over": {"policy": "hold", "kinds": HARMLESS},
    "a_claim_that_may_have_sent_is_named_as_given_up": {
        "start": "direct",
        "policy": "hold",
        "graph": ("lose accepted",),
    },
    "a_look_whose_slot_does_not_come_is_forgotten": {
        "start": "queue",
        "policy": "verify",
        "graph": ("lose accepted",),
        "slots": (True, False),
    },
}


def there(plan: Plan, kinds: frozenset[Kind] | None = None, **where: Any) -> Plan:
    troubles = tuple(trouble for trouble in plan.troubles if kinds is None or trouble.kind in kinds)
    return replace(plan, troubles=troubles, **where)


@pytest.mark.parametrize("safeguard", [name for name in vars(Broken) if not name.startswith("_")])
def test_without_any_one_of_its_safeguards_the_search_finds_a_broken_promise(safeguard: str) -> None:
    plans = CALM.map(lambda plan: there(plan, **WHERE.get(safeguard, {})))
    with getattr(Broken, safeguard)():
        find(plans, lambda plan: bool(broken_promises(plan)), settings=SEARCH, random=Random(4))


@pytest.mark.parametrize("safeguard", [name for name in vars(BrokenInParts) if not name.startswith("_")])
def test_without_any_safeguard_of_its_draft_the_search_finds_a_broken_promise(safeguard: str) -> None:
    plans = PLANS.map(lambda plan: there(plan, start="queue", policy="verify", parts=True))
    with getattr(BrokenInParts, safeguard)():
        find(plans, lambda plan: bool(broken_promises(plan)), settings=SEARCH, random=Random(4))


@pytest.mark.parametrize("start", ["direct", "accept", "queue"])
def test_every_large_mail_ends_and_is_sent_once_with_its_files_and_leaves_no_draft(start: Start) -> None:
    @settings(SEARCH, max_examples=400)
    @given(PLANS)
    def search(plan: Plan) -> None:
        assert broken_promises(replace(plan, start=start, parts=True)) == []

    search()


@pytest.mark.parametrize("start", ["direct", "accept", "queue"])
def test_every_acknowledged_mail_ends_and_is_sent_once_whatever_goes_wrong(start: Start) -> None:
    @settings(SEARCH, max_examples=600)
    @given(PLANS)
    def search(plan: Plan) -> None:
        assert broken_promises(replace(plan, start=start)) == []

    search()


# Rare ones that the search has found once.
FOUND: Final[dict[str, Plan]] = {
    "a late copy of a message of a mail that was rejected, tried again, and waits": Plan(
        start="accept",
        large=True,
        graph=("reject", "throttle"),
        troubles=(Trouble(2, "repeat"), Trouble(3, "yield", 3), Trouble(11, "request"), Trouble(19, "yield", 3)),
    ),
    "rejected when sent again, after it may have gone": Plan(
        start="queue", policy="resend", graph=("lose accepted", "reject")
    ),
    "cancelled while it waits to be sent again, after it may have gone": Plan(
        start="queue", policy="resend", graph=("lose accepted", "throttle"), troubles=(Trouble(19, "cancel"),)
    ),
    "a caller told that it was rejected, after another had taken it over and sent it": Plan(
        policy="resend",
        graph=("throttle", "reject"),
        troubles=(Trouble(8, "fail"), Trouble(8, "stall", 3)),
    ),
}


@pytest.mark.parametrize("plan", FOUND.values(), ids=FOUND)
def test_what_the_search_has_found_once_stays_mended(plan: Plan) -> None:
    assert broken_promises(plan) == []


@pytest.mark.proof
@pytest.mark.parametrize("parts", [False, True], ids=["one request", "by draft"])
@pytest.mark.parametrize("start", ["direct", "accept", "queue"])
def test_every_acknowledged_mail_ends_and_is_sent_once_in_many_more_worlds(start: Start, *, parts: bool) -> None:
    @settings(SEARCH, max_examples=20_000)
    @given(PLANS)
    def search(plan: Plan) -> None:
        assert broken_promises(replace(plan, start=start, parts=parts)) == []

    search()
