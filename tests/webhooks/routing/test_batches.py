"""Requests that ask for many mails: accepted as one, expanded by the queue, each event once."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from shared.delivery.cancel_replay_retry import Control
from shared.delivery.ledger import partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.queue import Receipt
from shared.delivery.queue_messages import Batch, parse_work
from shared.delivery.worker import Worker
from shared.mail.outgoing import OutgoingMail
from shared.webhooks.routing import intake as intake_module
from shared.webhooks.routing.batches import GROUP, LATER, SOON, TIME, Expander, packed, unpacked
from shared.webhooks.routing.catalog import Catalog, load
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.source import SourceEvent, WebhookReply
from tests.delivery.memory import MemoryOutbox
from tests.delivery.samples import outgoing_mail, work
from tests.webhooks.routing.samples import NOW, event
from tests.webhooks.routing.test_intake import Counter, Rated, rated
from tests.webhooks.sources.anything import any_json

ROUTES = {"cloudevents": 'source = "cloudevents"\n'}


def batch_of(count: int, **data: Any) -> list[dict[str, Any]]:
    return [
        {"specversion": "1.0", "id": str(n), "source": "/a", "type": "a.b", "data": {"n": n, **data}}
        for n in range(count)
    ]


async def post(counter: Counter, events: Sequence[dict[str, Any]]) -> WebhookReply:
    headers = {"authorization": "Bearer secret", "content_type": "application/cloudevents-batch+json"}
    return await counter.post(list(events), "cloudevents", **headers)


def counter(folder: Path, text: str = "", **options: Any) -> Counter:
    return Counter(folder, routes={"cloudevents": ROUTES["cloudevents"] + text}, **options)


async def expand_all(at: Counter, most: int = 100) -> None:
    """Bring every batch to its end, as the queue does."""
    for _ in range(most):
        if not at.outbox.batches:
            return
        _, batch = at.outbox.batches.pop(0)
        await at.intake.expand(batch)
    raise AssertionError("batches go round and round")


def ids(at: Counter) -> list[str]:
    return [work.id for _, work in at.outbox.messages]


@pytest.mark.parametrize(("count", "singly"), [(1, True), (4, True), (5, False), (200, False)])
async def test_up_to_four_mails_are_put_one_by_one_and_more_as_one(tmp_path: Path, count: int, singly: bool) -> None:  # noqa: FBT001
    at = counter(tmp_path)
    assert (await post(at, batch_of(count))).status == 202
    if singly:
        assert (len(at.outbox.messages), at.outbox.batches) == (count, [])
        return
    assert at.outbox.messages == []
    ((after, batch),) = at.outbox.batches
    assert (after, batch.count, batch.accepted_at, batch.left) == (timedelta(0), count, NOW, None)
    assert parse_work(msgspec.json.encode(batch)) == batch
    assert list(at.outbox.payloads) == [batch.payload]
    at.outbox.payloads.clear()  # somebody removes them
    await at.intake.expand(batch)
    assert (await at.office.row(batch.id)).code == "PayloadMissing"


async def test_a_batch_at_the_limit_succeeds_and_one_above_it_is_refused(tmp_path: Path) -> None:
    at = counter(tmp_path)
    assert (await post(at, batch_of(5_000))).status == 202
    assert len(msgspec.json.encode(at.outbox.batches[0][1])) < 1_000
    reply = await post(at, batch_of(5_001))
    assert (reply.status, len(at.outbox.batches)) == (413, 1)
    assert "$[5000]" in reply.detail
    left = msgspec.structs.replace(at.outbox.batches[0][1], left=tuple(range(5_000)))
    assert len(msgspec.json.encode(left)) < 48 * 1024  # fits into a message however much is left


async def test_slow_storage_does_not_keep_a_batch_from_being_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes some time for each mail would take longer than the sender waits, at every try."""

    class Slow(MemoryOutbox):
        async def put(self, *rest: Any, **options: Any) -> Receipt:
            await asyncio.sleep(0.5)
            return await super().put(*rest, **options)

        async def put_batch(self, *rest: Any, **options: Any) -> None:
            await asyncio.sleep(0.5)
            await super().put_batch(*rest, **options)

    monkeypatch.setattr(intake_module, "PATIENCE", 2.0)
    at = counter(tmp_path, outbox=Slow())
    assert (await post(at, batch_of(600))).status == 202
    assert len(at.outbox.batches) == 1


def by_id(mails: list[OutgoingMail]) -> list[OutgoingMail]:
    """Events of a batch are put in no order of their own."""
    return sorted(mails, key=lambda mail: mail.id)


async def test_expanding_makes_the_mails_that_single_requests_would_have_made(tmp_path: Path) -> None:
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    single, many = counter(tmp_path / "one"), counter(tmp_path / "many")
    events = batch_of(9)
    for one in events:
        await post(single, [one])
    await post(many, events)
    (_, batch) = many.outbox.batches[0]
    await expand_all(many)
    assert by_id(await many.mails()) == by_id(await single.mails())
    assert set(many.outbox.payloads.values()) == {b""}  # nothing of the events is kept longer than needed
    before = ids(many)
    await many.intake.expand(batch)  # a late copy
    assert (ids(many), many.outbox.batches, many.outbox.dead) == (before, [], {})


async def test_expanding_later_or_again_repeats_the_ids(tmp_path: Path) -> None:
    """Also where the id holds a stretch of time, and where the sender has named no event."""
    at = counter(tmp_path, "repeat_window_minutes = 30\n")
    await post(at, batch_of(9))
    (_, batch) = at.outbox.batches[0]
    content = at.outbox.payloads[batch.payload]
    await expand_all(at)
    first = by_id(await at.mails())
    at.outbox.messages.clear()
    at.outbox.payloads[batch.payload] = content
    at.intake = replace(at.intake, mails=replace(at.intake.mails, now=lambda: NOW + timedelta(days=3)))
    await at.intake.expand(batch)
    assert by_id(await at.mails()) == first
    assert {mail.accepted_at for mail in first} == {NOW}


async def test_a_mail_that_is_split_counts_by_its_parts(tmp_path: Path) -> None:
    text = 'recipients_from = "data.to"\nallow = ["*@fabrikam.com"]\nsplit_recipients = true\n'
    """And an event that the route does not want is no mail."""
    (tmp_path / "wanted").mkdir()
    wanted = counter(tmp_path / "wanted", "when = 'data.n < `4`'\n")
    assert (await post(wanted, batch_of(500))).status == 202
    assert (len(wanted.outbox.messages), wanted.outbox.batches) == (4, [])
    at = counter(tmp_path, text)
    people = [f"someone{number}@fabrikam.com" for number in range(2_100)]
    assert (await post(at, batch_of(1, to=people[:2_000]))).status == 202
    assert (len(at.outbox.messages), at.outbox.batches) == (4, [])
    at.outbox.messages.clear()
    assert (await post(at, batch_of(1, to=people))).status == 202
    assert (len(at.outbox.messages), [batch.count for _, batch in at.outbox.batches]) == (0, [1])
    await expand_all(at)
    assert len(set(ids(at))) == 5


async def test_recipients_that_may_not_be_mailed_are_set_aside_one_by_one(tmp_path: Path) -> None:
    at = counter(tmp_path, 'recipients_from = "data.to"\nallow = ["*@contoso.com"]\n')
    events = [
        {**one, "data": {"to": f"a@{'evil.example' if n % 3 else 'contoso.com'}"}} for n, one in enumerate(batch_of(9))
    ]
    assert (await post(at, events)).status == 202
    await expand_all(at)
    assert (len(at.outbox.messages), len(at.outbox.dead)) == (3, 6)
    assert {(kept.reason, kept.queue) for kept in at.outbox.dead.values()} == {("ErrorAccessDenied", "mail-events")}


async def test_a_route_that_has_become_unusable_makes_the_batch_wait_and_keeps_its_events(tmp_path: Path) -> None:
    at = counter(tmp_path)
    await post(at, batch_of(9))
    good = at.intake.catalog
    at.intake = replace(at.intake, catalog=replace(good, routes={}, problems={"cloudevents": "broken"}))
    (_, batch) = at.outbox.batches.pop()
    at.outbox.payloads[batch.payload] += b" "  # what is put again is what was read
    await at.intake.expand(batch)
    assert (at.outbox.batches, at.outbox.messages) == ([(LATER, batch)], [])
    at.intake = replace(at.intake, catalog=good)
    await expand_all(at)
    assert len(at.outbox.messages) == 9


async def test_only_the_events_that_cannot_be_mailed_wait_for_their_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The route names recipients for one type; the others need MAIL_TO. Of each group of events."""
    monkeypatch.setattr("shared.webhooks.routing.batches.GROUP", 3)
    environ = {"MAIL_SECRET_CLOUDEVENTS": "secret", "MAIL_TO": ""}
    at = counter(tmp_path, '[events."a.ok"]\nrecipients = ["a@contoso.com"]\n', environ=environ)
    events = [{**one, "type": "a.b" if n % 3 else "a.ok"} for n, one in enumerate(batch_of(9))]
    assert (await post(at, events)).status == 202
    (_, batch) = at.outbox.batches.pop()
    await at.intake.expand(batch)
    ((after, left),) = at.outbox.batches
    assert (after, left.left, len(at.outbox.messages)) == (LATER, (1, 2, 4, 5, 7, 8), 3)
    assert at.outbox.payloads[batch.payload]
    composer = at.intake.mails.composer
    other = replace(composer, settings=replace(composer.settings, to=("b@contoso.com",)))
    at.intake = replace(at.intake, mails=replace(at.intake.mails, composer=other))
    await expand_all(at)
    assert len(set(ids(at))) == len(ids(at)) == 9


async def test_a_batch_of_a_route_that_is_gone_is_set_aside_whole_and_can_be_put_back(tmp_path: Path) -> None:
    at = counter(tmp_path)
    await post(at, batch_of(9))
    (_, batch) = at.outbox.batches.pop()
    good = at.intake.catalog
    at.office.clock.at = NOW
    at.intake = replace(at.intake, catalog=replace(good, routes={}))
    await at.intake.expand(batch)
    row = await at.office.row(batch.id)
    assert (row.state, row.code) == ("failed", "UnknownRoute")
    assert at.outbox.payloads[batch.payload]
    at.outbox.put_at[batch.payload] = NOW
    at.office.clock.at = NOW + timedelta(days=13)  # for as long as its row, an operator can put it back
    await Maintenance(at.office.engine).run(range(256))
    await Control(at.office.engine).replay(row)
    ((queue, content, _),) = at.outbox.returned
    at.intake = replace(at.intake, catalog=good)
    again = parse_work(content)
    assert (queue, again) == ("mail-work", batch)
    assert isinstance(again, Batch)
    await at.intake.expand(again)
    assert len(at.outbox.messages) == 9


async def test_upkeep_removes_what_no_message_can_name_any_more(tmp_path: Path) -> None:
    at = counter(tmp_path)
    await post(at, batch_of(9))
    (_, batch) = at.outbox.batches.pop()
    at.outbox.put_at[batch.payload] = NOW
    number = int(partition(batch.id), 16)
    for days, kept in ((9, True), (11, True), (22, False)):  # marked first, and gone as long after that
        at.office.clock.at = NOW + timedelta(days=days)
        await Maintenance(at.office.engine).run(range(number, number + 1))
        assert (batch.payload in at.outbox.payloads) is kept


async def test_an_event_that_makes_mailroom_fail_holds_up_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at = counter(tmp_path)
    await post(at, batch_of(9))
    renderer = type(at.intake.mails.composer.renderer)
    render = renderer.render

    def failing(self: Any, event: Any, *rest: Any, **options: Any) -> Any:
        if event.id == "4":
            raise MemoryError("hush")
        return render(self, event, *rest, **options)

    monkeypatch.setattr(renderer, "render", failing)
    await expand_all(at)
    assert len(at.outbox.messages) == 8
    (kept,) = at.outbox.dead.values()
    assert (kept.reason, json.loads(kept.content)["data"]) == ("Crashed", {"n": 4})
    assert '"event":"event.crashed"' in caplog.text
    assert "hush" not in caplog.text


async def test_events_of_the_queue_are_expanded_the_same_way_and_get_their_times(tmp_path: Path) -> None:
    at = rated(tmp_path, Rated(0), '[options]\nkey = "data.k"')
    (at.folder / "clouds").mkdir()
    (at.folder / "clouds" / "route.toml").write_text('source = "eventgrid"\nrate_per_minute = 3\n')
    pacing = Rated(0)
    pacing.route = "route clouds"
    at.office.pace = pacing
    paced = replace(at.intake.mails, worker=Worker(at.office.engine))
    at.intake = replace(at.intake, catalog=load(at.folder), mails=paced)
    events = [{"id": str(n), "topic": "/t", "eventType": "a", "subject": "s", "data": {}} for n in range(7)]
    await at.intake.take_message("m" * 32, json.dumps({"route": "clouds", "data": events}).encode())
    assert [batch.paced for _, batch in at.outbox.batches] == [True]
    await expand_all(at)
    assert [due for due, _ in at.outbox.messages] == [NOW + timedelta(minutes=n + 1) for n in range(7)]


# What goes wrong on the way.


class Died(BaseException):
    """The end of a process."""


class Troubled(MemoryOutbox):
    """Does as it is told at each operation: "fail" before or "lose" after its effect, "die" before or "dies" after."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: list[str] = []
        self.steps = 0

    async def _step(self, effect: Callable[[], Any]) -> Any:
        self.steps += 1
        does = self.plan.pop(0) if self.plan else ""
        if does == "fail":
            raise ServiceRequestError("away")
        if does == "die":
            raise Died
        result = await effect()
        if does == "lose":
            raise ServiceRequestError("answer lost")
        if does == "dies":
            raise Died
        return result

    async def put(self, *rest: Any, **options: Any) -> Receipt:
        found: Receipt = await self._step(lambda: super(Troubled, self).put(*rest, **options))
        return found

    async def put_batch(self, *rest: Any, **options: Any) -> None:
        await self._step(lambda: super(Troubled, self).put_batch(*rest, **options))

    async def content_of(self, batch: Batch) -> bytes | None:
        found: bytes | None = await self._step(lambda: super(Troubled, self).content_of(batch))
        return found

    async def finish(self, batch: Batch) -> None:
        await self._step(lambda: super(Troubled, self).finish(batch))


async def deliver_all(outbox: MemoryOutbox, expand: Callable[[Batch], Awaitable[None]], most: int = 200) -> None:
    """As the platform does: a message whose receiver has died or failed is there again."""
    for _ in range(most):
        if not outbox.batches:
            return
        one = outbox.batches[0]
        try:
            await expand(one[1])
        except (Died, ServiceRequestError):
            continue
        outbox.batches.remove(one)
    raise AssertionError("batches go round and round")


@cache
def catalog() -> Catalog:
    return load()


def expander(outbox: MemoryOutbox, **options: Any) -> Expander:
    """One that puts a mail for each event, named by its key."""

    async def take(_route: Route, event: SourceEvent, now: datetime, _paced: bool) -> None:  # noqa: FBT001 - as intake has it
        await outbox.put(work(MAIL, id=event.key), now)

    async def never(*_: Any) -> None:
        raise AssertionError

    return Expander(outbox, catalog().routes.__getitem__, **{"take": take, "crashed": never, **options})


MAIL = outgoing_mail()
TROUBLES = st.lists(st.sampled_from(["", "", "", "fail", "lose", "die", "dies"]), max_size=60)


@configured(max_examples=60, deadline=None)
@given(plan=TROUBLES, count=st.sampled_from([5, 20, 2 * GROUP + 5]), copies=st.integers(0, 2))
def test_whatever_fails_or_dies_on_the_way_each_event_has_its_mail_and_no_other(
    plan: list[str], count: int, copies: int
) -> None:
    async def run() -> None:
        outbox = Troubled()
        events = [event(key=str(number)) for number in range(count)]
        batch = Batch(v=1, id="b", route="generic", accepted_at=NOW, payload="p", count=count)
        await outbox.put_batch(batch, packed(events))
        outbox.batches *= copies + 1  # the queue delivers at least once
        outbox.plan = list(plan)
        await deliver_all(outbox, expander(outbox).expand)
        assert {work.id for _, work in outbox.messages} == {one.key for one in events}
        assert outbox.payloads == {"p": b""}

    asyncio.run(run())


async def test_storage_that_takes_some_mails_at_a_time_is_never_started_anew(tmp_path: Path) -> None:
    """Progress counts: what was put is not put again because the rest could not be."""
    outbox = Troubled()
    at = counter(tmp_path, outbox=outbox)
    await post(at, batch_of(500))
    outbox.plan = ["", *([""] * 150 + ["fail"] * 10) * 3]  # content, then puts
    (_, batch) = at.outbox.batches.pop()
    await at.intake.expand(batch)
    ((after, rest),) = at.outbox.batches
    assert after == SOON
    assert rest.left
    assert len(rest.left) == 500 - len(at.outbox.messages) < 500
    outbox.plan = []
    await deliver_all(outbox, at.intake.expand)
    assert len(ids(at)) == len(set(ids(at))) == 500


async def test_an_execution_ends_in_time_and_the_next_goes_on(tmp_path: Path) -> None:
    at = counter(tmp_path)
    await post(at, batch_of(3 * GROUP))
    time = 0.0

    async def take(*of: Any) -> None:
        nonlocal time
        time += TIME / GROUP * 0.9  # so that a group takes nine tenths of the time
        taken.append(of[1].id)

    taken: list[str] = []
    slow = expander(at.outbox, take=take, clock=lambda: time)
    runs = 0
    while at.outbox.batches:
        (_, batch) = at.outbox.batches.pop()
        await slow.expand(batch)
        runs += 1
    assert (runs, len(taken), len(set(taken))) == (2, 3 * GROUP, 3 * GROUP)


async def test_a_slow_execution_always_gets_on(tmp_path: Path) -> None:
    """However long a group takes, at least one is done before the rest is put off."""
    at = counter(tmp_path)
    await post(at, batch_of(3 * GROUP))
    clock = iter(range(0, 10**9, 1_000))

    async def take(*_: Any) -> None: ...

    slow = expander(at.outbox, take=take, clock=lambda: float(next(clock)))
    for _ in range(4):
        if at.outbox.batches:
            await slow.expand(at.outbox.batches.pop()[1])
    assert at.outbox.batches == []


async def test_nothing_is_done_where_nothing_could_be_put(tmp_path: Path) -> None:
    """Neither a batch whose blob or message was not stored, nor one whose mails were not."""
    outbox = Troubled()
    at = counter(tmp_path, outbox=outbox)
    outbox.plan = ["fail"]
    assert (await post(at, batch_of(9))).status == 429
    outbox.plan = ["die"]
    with pytest.raises(Died):
        await post(at, batch_of(9))
    assert at.outbox.batches == []
    await post(at, batch_of(9))
    outbox.plan = ["", *["fail"] * 9]
    with pytest.raises(ServiceRequestError):
        await at.intake.expand(at.outbox.batches[0][1])
    assert len(at.outbox.batches) == 1


# How events are kept.


@given(any_json.filter(lambda value: "NaN" not in json.dumps(value)))
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    some = event(data=value, extensions={"a": value}, time=None, window=1.5, thread="t\ud800")
    more = event(subject="s", signed="0" * 32, known_by="same-bytes")
    assert unpacked(packed([some, more])) == [some, more]
