"""Exactly once: whatever goes wrong, a mail that was acknowledged ends, and Graph accepts it once.

Chance draws plans of a small world (world.py): who asks for the mail and how often, what Graph and the mailbox
answer, where operations fail or lose their answers, processes die or stand still, and messages come twice. What was
promised (docs/architecture.md) is checked when nothing moves any more.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from copy import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from unittest.mock import patch

import pytest
from azure.core.exceptions import AzureError

from shared.delivery import engine, large, request, retries, transitions, verification
from shared.delivery.attempt import RunResult
from shared.delivery.cancel_replay_retry import Cannot, Control
from shared.delivery.engine import Engine
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
    most: int, change: Callable[[Plan], Plan], *, only_calm: bool = False, seed: str | int | None = 4
) -> tuple[Plan, list[str]] | None:
    """The first of so many plans that breaks a promise, and which; None: none does. seed: None is another each time."""
    chance = Random(seed)
    for _ in range(most):
        plan = change(calm(chance) if only_calm else any_plan(chance))
        if broken := broken_promises(plan):
            return plan, broken
    return None


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


DECIDE, ASSESS, RUN, RETRY = transitions.decide, verification.assess, Engine.run, Control.retry
SEND_AT_ONCE, STORE, WRITE, FILL = AtOnce.send, MemoryLedger._store, large._write, large.LargeMails._fill


def decides(
    *,
    of: Callable[[Row | None, Work], tuple[Row | None, Work]] = lambda row, work: (row, work),
    as_if: Callable[[Decision, Row | None], Decision] = lambda decision, _: decision,
) -> Any:
    """A worker that decides of another row or message, or something else."""

    def decide(row: Row | None, work: Work, *given: Any) -> Decision:
        return as_if(DECIDE(*of(row, work), *given), row)

    return patch.object(transitions, "decide", decide)


def assesses(change: Callable[[Any, Finding | None], Any]) -> Any:
    """A verification after which something else follows: `change` of what does, and what was found."""

    def assess(row: Row, finding: Finding | None, *given: Any, **named: Any) -> Any:
        return change(ASSESS(row, finding, *given, **named), finding)

    return patch.object(verification, "assess", assess)


def retries_after(change: Callable[[Row], Row]) -> Any:
    """An operator's retry of a row that was changed like this before."""

    async def retry(self: Control, row: Row) -> Row | Cannot:
        with suppress(Conflict):
            row = await self.engine.ledger.write(replace(change(row), token="retried"))
        return await RETRY(self, row)

    return patch.object(Control, "retry", retry)


def refused(seen: Finding | None) -> bool:
    return isinstance(seen, Unanswered) and isinstance(seen.outcome, Rejected) and seen.outcome.status == 403


async def settle_before_the_message_is_put(
    self: Requests, mail: OutgoingMail, work: Work, row: Row, due: datetime | None
) -> Answer | None:
    try:
        row = await self.engine.ledger.write(replace(row, queued=True))
    except Conflict:
        return None
    await self.engine.outbox.put(replace(work, known=True), self.engine.now(), due, mail)
    return Done(row.id, "accepted")


async def write_unconditionally(self: MemoryLedger, row: Row) -> Row:
    return self._put(row) if row.etag else await STORE(self, row)


async def count_what_is_not_there_yet(self: Control, row: Row) -> Row:
    seen = ASSESS(row, await self.engine.verify(None, row), self.engine.now(), self.engine.settings)
    counted = seen if isinstance(seen, Row) else seen.row
    with suppress(Conflict):
        await self.engine.ledger.write(replace(counted, state="unknown", token="early"))
    return row


async def abandon_unseen(self: Maintenance, row: Row, now: datetime) -> bool:
    return await self._end(row, "failed", now, "Abandoned")


async def delete_the_message_that_waits(self: AtOnce, put: Put, heard: Callable[[], bool]) -> None:
    await SEND_AT_ONCE(self, put, heard)
    assert put.receipt is not None
    with suppress(AzureError):
        await self.engine.outbox.take_back(put.receipt.message)


async def run_over_a_row(self: Engine, mail: OutgoingMail, row: Row, *, ready: Any = None, **given: Any) -> RunResult:
    if ready is not None and (found := await self.ledger.read(mail.id)) is not None:
        row = replace(row, etag=found.etag)
    return await RUN(self, mail, row, ready=ready, **given)


async def fill_uncounted(self: large.LargeMails, *given: Any) -> None:
    with suppress(Stopped):
        await FILL(self, *given)


def always(found: Any) -> Callable[..., Any]:
    async def always(*_: Any) -> Any:
        return found

    return always


def doubted_by(found: Any, finding: Finding | None) -> Any:
    """What has left the outbox may be nowhere for a moment."""
    if finding != "waiting" or isinstance(found, Row):
        return found
    return replace(found, row=replace(found.row, verifications=9))


def early(row: Row | None, work: Work) -> tuple[Row | None, Work]:
    over = NOON - timedelta(minutes=1)
    return (replace(row, lease_until=over) if row and row.state == "sending" else row), work


def busy_dropped(found: Decision, row: Row | None) -> Decision:
    return Drop("ended") if isinstance(found, PutAgain) and row is not None and row.state == "sending" else found


def silent_twice(found: Decision, _: Row | None) -> Decision:
    if isinstance(found, transitions.Claim):
        return replace(found, row=replace(found.row, may_have_gone_twice=False))
    return found


def absent_unanswered(row: Row, finding: Finding | None, *given: Any, **named: Any) -> Any:
    return ASSESS(row, "absent" if isinstance(finding, Unanswered) else finding, *given, **named)


GIVE_BACK: Final = retries.give_back
DRAFT: Final[dict[str, Any]] = {"start": "queue", "policy": "verify", "parts": True}
LOST_ONCE: Final[dict[str, Any]] = {"start": "queue", "policy": "verify", "graph": ("lose accepted",)}
# Mailroom without one of its safeguards, and in which worlds that shows soonest, so that the search takes seconds: what
# the plan says, and the kinds of trouble.
BROKEN: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "the lease is not checked before the request": (
        patch.object(Lease, "may_start", lambda _: True),
        {"start": "queue", "policy": "verify"},
    ),
    "the row is settled before the message is put": (
        patch.object(Requests, "_queue", settle_before_the_message_is_put),
        {},
    ),
    "a message of a busy mail is dropped": (decides(as_if=busy_dropped), {}),
    "a write that meets itself counts as lost": (
        patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: False)),
        {"start": "queue", "policy": "review", "troubles": (Trouble(3, "repeat"),)},
    ),
    "a write that meets another counts as its own": (
        patch.object(StorageLedger, "own", staticmethod(lambda _row, _found: True)),
        {},
    ),
    "claims are not conditional": (patch.object(MemoryLedger, "_store", write_unconditionally), {}),
    "others look before the lease is over": (decides(of=early), {"policy": "review", "kinds": HARMLESS}),
    "a claim that may have sent is named as given up": (
        patch.object(request, "Unknown", Accepted),
        {"start": "direct", "policy": "review", "graph": ("lose accepted",)},
    ),
    "a verification after which there is no time is forgotten": (
        patch.object(retries, "give_back", lambda row, due, **_: GIVE_BACK(row, due, verify=False)),
        LOST_ONCE | {"policy": "resend", "times": ("now", "late")},
    ),
    "a look without an answer counts as one that found nothing": (
        patch.object(verification, "assess", absent_unanswered),
        LOST_ONCE | {"verifications": ("503", "429", "time-out")},
    ),
    "what was not answered is for the policy": (
        patch.object(verification, "cannot_be_asked", lambda *_: True),
        LOST_ONCE | {"verifications": ("401",)},
    ),
    "one refusal is enough": (
        patch.object(verification, "cannot_be_asked", lambda _, seen: refused(seen)),
        LOST_ONCE | {"verifications": ("403",)},
    ),
    "a refusal counts twice with the same token": (
        patch.object(
            verification, "cannot_be_asked", lambda row, seen: refused(seen) and row.new_token_from is not None
        ),
        LOST_ONCE | {"verifications": ("403", "403"), "token_age": 10_000.0},
    ),
    "what has left the outbox is sent again at once": (
        assesses(doubted_by),
        LOST_ONCE | {"copy": 200.0, "draft": True, "gap": 110.0},
    ),
    "an operator's replay is not looked for first": (
        decides(of=lambda row, work: (row, replace(work, force=True) if work.replay else work)),
        LOST_ONCE
        | {"policy": "verify-review", "verifications": ("403", "403", "503"), "troubles": (Trouble(99, "replay"),)},
    ),
    "an operator's retry takes what is being sent": (
        retries_after(lambda row: replace(row, state="accepted") if row.state == "sending" else row),
        {"policy": "verify", "graph": ("accept slowly",)},
    ),
    "an operator's retry does not wait for the sender's time": (
        retries_after(lambda row: replace(row, state="accepted") if row.state == "scheduled" else row),
        {"start": "accept", "wait": 100.0, "kinds": {"retry"}},
    ),
    # Its mailbox answers again just after the fourth verification, and is asked then, before the fifth is due.
    "an operator's retry counts what is not there yet": (
        patch.object(Control, "_asked", count_what_is_not_there_yet),
        LOST_ONCE
        | {"large": False, "skews": (0.0, 0.0, 0.0), "silence": 116.5, "copy": 465.0, "draft": False}
        | {"troubles": (Trouble(39, "slow", 0), Trouble(0, "retry"))},
    ),
    "what was sent twice by force is forgotten": (
        decides(as_if=silent_twice),
        LOST_ONCE | {"policy": "review", "troubles": (Trouble(99, "force"),)},
    ),
    "maintenance abandons what its mailbox does not answer for": (
        patch.object(Maintenance, "_abandon", abandon_unseen),
        {"start": "direct", "policy": "verify", "retries": 0, "kinds": {"crash"}},
    ),
    "what ends unsent is not kept": (patch.object(engine, "REPLAYABLE", frozenset()), {}),
    "the message of a webhook is deleted although its mail waits": (
        patch.object(AtOnce, "send", delete_the_message_that_waits),
        {"start": "hook", "policy": "verify"},
    ),
    "a webhook is sent although its row is there": (patch.object(Engine, "run", run_over_a_row), {}),
    "what is reserved is not given back": (patch.object(Pace, "give_back", lambda *_: None), {"kinds": HARMLESS}),
    # Of mails that go by way of a draft.
    "a draft whose answer was lost is not looked for": (patch.object(Drafts, "find", always([])), DRAFT),
    "it is not written down before sending is asked for": (
        patch.object(large, "_write", lambda progress: WRITE(replace(progress, asked=False))),
        DRAFT,
    ),
    "what the draft holds is not counted before it is sent": (
        patch.object(large.LargeMails, "_fill", fill_uncounted),
        DRAFT,
    ),
    "the draft of a mail that ended is not deleted": (patch.object(large.LargeMails, "discard", always(None)), DRAFT),
    "a draft that is still there counts as sent no more": (
        patch.object(large.LargeMails, "verify", always("unsent")),
        DRAFT,
    ),
}


def there(plan: Plan, kinds: Collection[Kind] | None = None, **where: Any) -> Plan:
    troubles = tuple(trouble for trouble in plan.troubles if kinds is None or trouble.kind in kinds)
    return replace(plan, **({"troubles": troubles} | where))


@pytest.mark.parametrize(("broken", "where"), BROKEN.values(), ids=BROKEN)
def test_without_any_one_of_its_safeguards_the_search_finds_a_broken_promise(
    broken: Any, where: dict[str, Any]
) -> None:
    with broken:
        assert search(1000, lambda plan: there(plan, **where), only_calm="parts" not in where)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("parts", "worlds"), [(False, 450), (True, 300)], ids=["one request", "by draft"])
def test_every_acknowledged_mail_ends_and_is_sent_once_whatever_goes_wrong(
    start: Start,
    parts: bool,  # noqa: FBT001
    worlds: int,
) -> None:
    """A large mail with its files; and it leaves no draft."""
    assert search(worlds, lambda plan: replace(plan, start=start, parts=parts), seed=f"{start} {parts}") is None


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
