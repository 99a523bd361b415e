"""Exactly once: whatever goes wrong, a mail that was acknowledged ends, and Graph accepts it once.

Hypothesis draws plans of a small world (world.py): who asks for the mail and how often, what Graph and the mailbox
answer, where operations fail or lose their answers, processes die or stand still, and messages come twice. What was
promised (docs/architecture.md) is checked when nothing moves any more.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from unittest.mock import patch

import msgspec
import pytest
from azure.core.exceptions import AzureError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.delivery import engine, large, request, retries, transitions, verification
from shared.delivery.cancel_replay_retry import Cannot, Control
from shared.delivery.engine import Engine, Ready, RunResult
from shared.delivery.lease import Lease
from shared.delivery.ledger import Conflict
from shared.delivery.maintenance import Maintenance
from shared.delivery.queue_messages import Work
from shared.delivery.request import Answer, Done, Rejection, Requests, Spent, Unavailable
from shared.delivery.row import ENDED, Row
from shared.delivery.transitions import Decision, Drop, Mismatch, PutAgain
from shared.delivery.verification import Finding
from shared.graph.outcome import Accepted, Rejected, Stopped, Unanswered
from shared.mail.outgoing import OutgoingMail
from shared.webhooks.routing.at_once import AtOnce, Put
from tests.delivery.drafts import Drafts
from tests.delivery.memory import MemoryLedger
from tests.delivery.plan import HARMLESS, LOST, Asked, GraphDoes, Kind, Plan, Says, Start, Trouble
from tests.delivery.remote import Pace, StorageLedger
from tests.delivery.samples import BAD_RECIPIENT, NO_LONGER_ALLOWED, NOON
from tests.delivery.world import MAIL, World

KINDS: Final[list[Kind]] = [
    *("fail", "lose", "late", "repeat", "crash", "crash", "stall", "stall", "slow", "slow", "yield", "yield"),
    *("redeliver", "jump", "request", "request", "cancel", "retry", "replay", "force", "maintenance"),
]
ANSWERS: Final[list[GraphDoes]] = [
    *("accept", "accept slowly", "throttle", "not connected", "reject", "no permission"),
    *("lose", "lose accepted", "hang"),
]
ASKED: Final[list[Asked]] = ["answers", "429", "503", "time-out", "401", "403"]
SAYS: Final[list[Says]] = ["go", "go", "suppressed", "captured", "refused"]
CHANCE: Final = st.randoms(use_true_random=False)  # whose every choice is Hypothesis's
SEARCH: Final = settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
STARTS: Final[list[Start]] = ["direct", "accept", "queue", "hook"]
BOTH: Final = (False, True)


def calm(chance: Random) -> Plan:
    """A plan whose mail is only in trouble."""
    return Plan(
        start=chance.choice(STARTS),
        policy=chance.choice(["verify", "verify-review", "resend", "review"]),
        large=chance.choice(BOTH),
        mime=chance.choice(BOTH),
        retries=chance.randint(0, 3),
        patience=chance.choice([1.0, 100.0]),
        skews=chance.choice([(0.0, 0.0, 0.0), (2.5, -2.5, 0.0), (-2.5, 2.5, -2.5)]),
        copy=chance.choice([0.0, 30.0, 150.0]),
        draft=chance.choice(BOTH),
        troubles=some(chance, trouble, 4, fewest=1),
    )


def wild(chance: Random) -> Plan:
    """A plan in which Graph, the mailbox and its limits do not answer as one wishes either."""
    return replace(
        calm(chance),
        wait=chance.choice([0.0, 0.0, 100.0, 8 * 86_400.0]),
        graph=some(chance, ANSWERS, 4),
        times=some(chance, ("now", "soon", "late"), 3),
        flights=some(chance, BOTH, 3),
        void=some(chance, BOTH, 3),
        uploads=some(chance, BOTH, 2),
        spent=some(chance, BOTH, 3),
        policy_says=some(chance, SAYS, 3),
        verifications=some(chance, ASKED, 6),
        silence=chance.choice([0.0, 0.0, 0.0, 0.0, 200.0, 1_000.0, 5_000.0, 80 * 3600.0]),
        silent=chance.choice(ASKED[1:]),
        token_age=chance.choice([0.0, 0.0, 40.0, 10_000.0]),
        gap=chance.choice([0.0, 20.0]),
        troubles=some(chance, trouble, 7),
    )


def any_plan(chance: Random) -> Plan:
    return calm(chance) if chance.choice(BOTH) else wild(chance)


def trouble(chance: Random) -> Trouble:
    return Trouble(chance.randint(0, 8), chance.choice(KINDS), chance.choice([0, 1, 2, 3, 3]))


def some[T](chance: Random, of: Sequence[T] | Callable[[Random], T], most: int, *, fewest: int = 0) -> tuple[T, ...]:
    number = chance.randint(fewest, most)
    return tuple(of(chance) if callable(of) else chance.choice(of) for _ in range(number))


def search(
    most: int, change: Callable[[Plan], Plan], *, only_calm: bool = False, seed: int | None = 4
) -> tuple[Plan, list[str]] | None:
    """The first of so many plans that breaks a promise, and which; None: none does. seed: None is another each time."""
    chance = Random(seed)
    for _ in range(most):
        plan = change(calm(chance) if only_calm else any_plan(chance))
        if broken := broken_promises(plan):
            return plan, broken
    return None


DECIDE = transitions.decide
LOOK_OVER = verification.assess
WRITE = large._write
FILL = large.LargeMails._fill
RUN = Engine.run
MEMORY_STORE = MemoryLedger._store
SEND_AT_ONCE = AtOnce.send
RETRY = Control.retry


def broken_promises(plan: Plan) -> list[str]:
    """What went wrong in the world of this plan, and what happened in it; empty: nothing."""
    world = World(plan)
    world.run()
    broken = [*_sent(world), *_ended(world), *_told(world), *_left(world)]
    return [*broken, *world.trail] if broken else []


def _sent(world: World) -> list[str]:
    """How often Graph has accepted it."""
    row, times = world.row, len(world.taken)
    sure = world.settings.on_unknown == "review" or (world.plan.policy == "verify" and not world.cannot_be_asked)
    # Each time an operator has it sent by force, it may go again.
    rounds = 1 + sum(seen.may_have_gone for seen in world.forced)
    most = rounds * (1 if sure else 2)
    return [
        *([f"accepted {times} times"] if times > most else []),
        *(["sent without a file"] if world.drafts.sent_incomplete else []),
        *(["two mails under one key"] if len({taken.fingerprint for taken in world.taken}) > 1 else []),
        *(["sent twice silently"] if times > 1 and row and not row.may_have_gone_twice else []),
        *(["in doubt, although it is known to be sent"] if row and row.state == "sent" and row.may_have_gone else []),
        *(["sent, although cancelled"] if times and row and row.state == "cancelled" else []),
        *(["sent before its time"] if _too_soon(world) else []),
        *(["cancelled, and then not"] if world.cancelled and row and row.state != "cancelled" else []),
    ]


def _too_soon(world: World) -> bool:
    """Whether it was sent before the time that everyone who asked for it wanted."""
    plan = world.plan
    wanted = plan.start in ("accept", "queue") and not any(trouble.kind == "request" for trouble in plan.troubles)
    return wanted and any(taken.at < plan.wait - max(plan.skews) for taken in world.taken)


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
    asked = world.plan.policy in ("verify", "verify-review")
    if row.state == "failed" and times and (row.code != "Abandoned" or (asked and not world.cannot_be_asked)):
        wrong.append(f"failed for {row.code}, says the row, and was sent")
    if row.state in ("suppressed", "captured") and times and not row.may_have_gone and not row.replays:
        wrong.append(f"{row.state}, says the row, and was sent")
    refusals = (BAD_RECIPIENT.code, NO_LONGER_ALLOWED.code)
    if row.state == "failed" and acknowledged and not times and row.code not in refusals:
        wrong.append(f"acknowledged and lost: {row.code}")
    if row.state == "review" and not world.doubt:
        wrong.append("held, although nothing was in doubt")
    if row.state in ("suppressed", "captured") or (row.state in ("failed", "review") and row.queued):
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
        *(["a reservation left"] if _kept_for_nothing(world) else []),
        *(["a draft left"] if world.drafts.left() and world.row and world.row.state != "review" else []),
    ]


def _kept_for_nothing(world: World) -> bool:
    """Whether a time and recipients stay reserved that no mail uses and no message carries; a crash may leave some."""
    crashed = any(trouble.kind == "crash" for trouble in world.plan.troubles)
    return not crashed and any(not reservation.carried for reservation in world.pace.open)


class Broken:
    """Mailroom without one of its safeguards, each by its name."""

    @staticmethod
    def the_lease_is_not_checked_before_the_request() -> Any:
        return patch.object(Lease, "may_start", lambda _: True)

    @staticmethod
    def the_row_is_settled_before_the_message_is_put() -> Any:
        async def queue(
            self: Requests, mail: OutgoingMail, work: Work, row: Row, due: datetime | None
        ) -> Answer | None:
            try:
                row = await self.engine.ledger.write(replace(row, queued=True))
            except Conflict:
                return None
            known = msgspec.structs.replace(work, known=True)
            await self.engine.outbox.put(known, self.engine.now(), due, mail)
            return Done(row.id, "accepted")

        return patch.object(Requests, "_queue", queue)

    @staticmethod
    def a_message_of_a_busy_mail_is_dropped() -> Any:
        def decide(row: Row | None, *given: Any) -> Decision:
            decision = DECIDE(row, *given)
            busy = isinstance(decision, PutAgain) and row is not None and row.state == "sending"
            return Drop("ended") if busy else decision

        return patch.object(transitions, "decide", decide)

    @staticmethod
    def a_write_that_meets_itself_counts_as_lost() -> Any:
        return patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: False))

    @staticmethod
    def a_write_that_meets_another_counts_as_its_own() -> Any:
        return patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: True))

    @staticmethod
    def claims_are_not_conditional() -> Any:
        async def write(self: MemoryLedger, row: Row) -> Row:
            return self._put(row) if row.etag else await MEMORY_STORE(self, row)

        return patch.object(MemoryLedger, "_store", write)

    @staticmethod
    def others_look_before_the_lease_is_over() -> Any:
        def decide(row: Row | None, *given: Any) -> Decision:
            return DECIDE(
                replace(row, lease_until=NOON - timedelta(minutes=1)) if row and row.state == "sending" else row, *given
            )

        return patch.object(transitions, "decide", decide)

    @staticmethod
    def a_claim_that_may_have_sent_is_named_as_given_up() -> Any:
        return patch.object(request, "Unknown", Accepted)

    @staticmethod
    def a_verification_after_which_there_is_no_time_is_forgotten() -> Any:
        give_back = retries.give_back
        return patch.object(retries, "give_back", lambda row, due, **_: give_back(row, due, verify=False))

    @staticmethod
    def a_look_without_an_answer_counts_as_one_that_found_nothing() -> Any:
        def looked(row: Row, finding: Finding, *given: Any, **named: Any) -> Any:
            return LOOK_OVER(row, "absent" if isinstance(finding, Unanswered) else finding, *given, **named)

        return patch.object(verification, "assess", looked)

    @staticmethod
    def what_was_not_answered_is_for_the_policy() -> Any:
        return patch.object(verification, "cannot_be_asked", lambda *_: True)

    @staticmethod
    def one_refusal_is_enough() -> Any:
        return patch.object(verification, "cannot_be_asked", lambda _, seen: _refused(seen))

    @staticmethod
    def a_refusal_counts_twice_with_the_same_token() -> Any:
        def cannot(row: Row, seen: Finding) -> bool:
            return _refused(seen) and row.new_token_from is not None

        return patch.object(verification, "cannot_be_asked", cannot)

    @staticmethod
    def what_has_left_the_outbox_is_sent_again_at_once() -> Any:
        def looked(row: Row, finding: Finding, *given: Any, **named: Any) -> Any:
            seen = LOOK_OVER(row, finding, *given, **named)
            if finding != "waiting" or isinstance(seen, Row):
                return seen
            return replace(seen, row=replace(seen.row, verifications=9))

        return patch.object(verification, "assess", looked)

    @staticmethod
    def an_operators_replay_is_not_looked_for_first() -> Any:
        def decide(row: Row | None, work: Work, *given: Any) -> Decision:
            return DECIDE(row, msgspec.structs.replace(work, force=True) if work.replay else work, *given)

        return patch.object(transitions, "decide", decide)

    @staticmethod
    def an_operators_retry_takes_what_is_being_sent() -> Any:
        return _retry_after(lambda row: replace(row, state="accepted") if row.state == "sending" else row)

    @staticmethod
    def an_operators_retry_does_not_wait_for_the_senders_time() -> Any:
        return _retry_after(lambda row: replace(row, state="accepted") if row.state == "scheduled" else row)

    @staticmethod
    def an_operators_retry_counts_what_is_not_there_yet() -> Any:
        async def asked(self: Control, row: Row) -> Row:
            finding = await self.engine.verify(None, row)
            seen = LOOK_OVER(row, finding, self.engine.now(), self.engine.settings)
            counted = seen if isinstance(seen, Row) else seen.row
            with suppress(Conflict):
                await self.engine.ledger.write(replace(counted, state="unknown", token="early"))
            return row

        return patch.object(Control, "_asked", asked)

    @staticmethod
    def what_was_sent_twice_by_force_is_forgotten() -> Any:
        def decide(row: Row | None, *given: Any) -> Decision:
            decision = DECIDE(row, *given)
            if isinstance(decision, transitions.Claim):
                return replace(decision, row=replace(decision.row, may_have_gone_twice=False))
            return decision

        return patch.object(transitions, "decide", decide)

    @staticmethod
    def maintenance_abandons_what_its_mailbox_does_not_answer_for() -> Any:
        async def abandon(self: Maintenance, row: Row, now: datetime) -> bool:
            return await self._end(row, "failed", now, "Abandoned")

        return patch.object(Maintenance, "_abandon", abandon)

    @staticmethod
    def what_ends_unsent_is_not_kept() -> Any:
        return patch.object(engine, "REPLAYABLE", frozenset())

    @staticmethod
    def the_message_of_a_webhook_is_deleted_although_its_mail_waits() -> Any:
        async def send(self: AtOnce, put: Put, heard: Callable[[], bool]) -> None:
            await SEND_AT_ONCE(self, put, heard)
            assert put.receipt is not None
            with suppress(AzureError):
                await self.engine.outbox.take_back(put.receipt.message)

        return patch.object(AtOnce, "send", send)

    @staticmethod
    def a_webhook_is_sent_although_its_row_is_there() -> Any:
        async def run(
            self: Engine, mail: OutgoingMail, row: Row, *, ready: Ready | None = None, **given: Any
        ) -> RunResult:
            if ready is not None and (found := await self.ledger.read(mail.id)) is not None:
                row = replace(row, etag=found.etag)
            return await RUN(self, mail, row, ready=ready, **given)

        return patch.object(Engine, "run", run)

    @staticmethod
    def what_is_reserved_is_not_given_back() -> Any:
        return patch.object(Pace, "give_back", lambda *_: None)


def _retry_after(change: Callable[[Row], Row]) -> Any:
    """An operator's retry of a row that was changed like this before."""

    async def retry(self: Control, row: Row) -> Row | Cannot:
        with suppress(Conflict):
            row = await self.engine.ledger.write(replace(change(row), token="retried"))
        return await RETRY(self, row)

    return patch.object(Control, "retry", retry)


def _refused(seen: Finding) -> bool:
    return isinstance(seen, Unanswered) and isinstance(seen.outcome, Rejected) and seen.outcome.status == 403


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
        async def verify(*_: Any) -> str:
            return "unsent"

        return patch.object(large.LargeMails, "verify", verify)


UNANSWERED: Final[dict[str, Any]] = {"start": "queue", "policy": "verify", "graph": ("lose accepted",)}
# In which worlds it shows soonest, so that the search takes seconds: what the plan says, and the kinds of trouble.
WHERE: Final[dict[str, dict[str, Any]]] = {
    "the_lease_is_not_checked_before_the_request": {"start": "queue", "policy": "verify"},
    "a_write_that_meets_itself_counts_as_lost": {
        "start": "queue",
        "policy": "review",
        "troubles": (Trouble(3, "repeat"),),
    },
    "others_look_before_the_lease_is_over": {"policy": "review", "kinds": HARMLESS},
    "a_claim_that_may_have_sent_is_named_as_given_up": {
        "start": "direct",
        "policy": "review",
        "graph": ("lose accepted",),
    },
    "a_verification_after_which_there_is_no_time_is_forgotten": {
        "start": "queue",
        "policy": "resend",
        "graph": ("lose accepted",),
        "times": ("now", "late"),
    },
    "a_look_without_an_answer_counts_as_one_that_found_nothing": UNANSWERED
    | {"verifications": ("503", "429", "time-out")},
    "what_was_not_answered_is_for_the_policy": UNANSWERED | {"verifications": ("401",)},
    "one_refusal_is_enough": UNANSWERED | {"verifications": ("403",)},
    "a_refusal_counts_twice_with_the_same_token": UNANSWERED | {"verifications": ("403", "403"), "token_age": 10_000.0},
    "what_has_left_the_outbox_is_sent_again_at_once": UNANSWERED | {"copy": 200.0, "draft": True, "gap": 110.0},
    "an_operators_replay_is_not_looked_for_first": UNANSWERED
    | {"policy": "verify-review", "verifications": ("403", "403", "503"), "troubles": (Trouble(99, "replay"),)},
    "an_operators_retry_takes_what_is_being_sent": {"policy": "verify", "graph": ("accept slowly",)},
    "an_operators_retry_does_not_wait_for_the_senders_time": {
        "start": "accept",
        "wait": 100.0,
        "kinds": frozenset[Kind]({"retry"}),
    },
    # Its mailbox answers again just after the fourth verification, and is asked then, before the fifth is due.
    "an_operators_retry_counts_what_is_not_there_yet": UNANSWERED
    | {
        "large": False,
        "skews": (0.0, 0.0, 0.0),
        "silence": 116.5,
        "copy": 465.0,
        "draft": False,
        "troubles": (Trouble(39, "slow", 0), Trouble(0, "retry")),
    },
    "what_was_sent_twice_by_force_is_forgotten": UNANSWERED | {"policy": "review", "troubles": (Trouble(99, "force"),)},
    "maintenance_abandons_what_its_mailbox_does_not_answer_for": {
        "start": "direct",
        "policy": "verify",
        "retries": 0,
        "kinds": frozenset({"crash"}),
    },
    "the_message_of_a_webhook_is_deleted_although_its_mail_waits": {"start": "hook", "policy": "verify"},
    "what_is_reserved_is_not_given_back": {"kinds": HARMLESS},
}


def there(plan: Plan, kinds: frozenset[Kind] | None = None, **where: Any) -> Plan:
    troubles = tuple(trouble for trouble in plan.troubles if kinds is None or trouble.kind in kinds)
    return replace(plan, **({"troubles": troubles} | where))


@pytest.mark.parametrize("safeguard", [name for name in vars(Broken) if not name.startswith("_")])
def test_without_any_one_of_its_safeguards_the_search_finds_a_broken_promise(safeguard: str) -> None:
    with getattr(Broken, safeguard)():
        assert search(1000, lambda plan: there(plan, **WHERE.get(safeguard, {})), only_calm=True)


@pytest.mark.parametrize("safeguard", [name for name in vars(BrokenInParts) if not name.startswith("_")])
def test_without_any_safeguard_of_its_draft_the_search_finds_a_broken_promise(safeguard: str) -> None:
    with getattr(BrokenInParts, safeguard)():
        assert search(1000, lambda plan: there(plan, start="queue", policy="verify", parts=True))


@pytest.mark.parametrize("start", STARTS)
def test_every_large_mail_ends_and_is_sent_once_with_its_files_and_leaves_no_draft(start: Start) -> None:
    @settings(SEARCH, max_examples=300)
    @given(CHANCE)
    def promises_hold(chance: Random) -> None:
        assert broken_promises(replace(any_plan(chance), start=start, parts=True)) == []

    promises_hold()


@pytest.mark.parametrize("start", STARTS)
def test_every_acknowledged_mail_ends_and_is_sent_once_whatever_goes_wrong(start: Start) -> None:
    @settings(SEARCH, max_examples=450)
    @given(CHANCE)
    def promises_hold(chance: Random) -> None:
        assert broken_promises(replace(any_plan(chance), start=start)) == []

    promises_hold()


# Rare ones that the search has found once.
FOUND: Final[dict[str, Plan]] = {
    "captured, its row lost, and its caller told that nothing was stored; then an operator had it sent": Plan(
        policy="resend",
        policy_says=("captured",),
        spent=(True, True, True),
        troubles=(Trouble(3, "fail"), Trouble(8, "force")),
    ),
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
@pytest.mark.parametrize("parts", BOTH, ids=["one request", "by draft"])
@pytest.mark.parametrize("start", STARTS)
def test_every_acknowledged_mail_ends_and_is_sent_once_in_many_more_worlds(start: Start, *, parts: bool) -> None:
    assert search(20_000, lambda plan: replace(plan, start=start, parts=parts), seed=None) is None
