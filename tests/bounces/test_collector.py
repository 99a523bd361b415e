"""What reports in a mailbox do to the rows of mails: each bounce is on its row once, and nothing else changes any."""

import json
import logging
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sandbox.cloud.faults import Fault
from sandbox.cloud.mailboxes import Item
from shared.bounces import collector, report_search, search_progress
from shared.bounces.delivery_report import LARGEST, DeliveryReport, FailedRecipient
from shared.delivery.row import Row, State
from shared.graph import transport
from shared.mail.addresses import address_hash
from shared.mail.marker import message_id
from shared.settings.address_patterns import Patterns
from shared.settings.config import Settings
from tests.bounces.post_office import PostOffice, bounced
from tests.sandbox.cloud.emulator import BOX

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK's modules, about their own classes
OTHER = "alerts@sandbox.example"
LATER: datetime = datetime(2026, 11, 30, 12, tzinfo=UTC)


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "mailroom"]
    return [line for line in lines if line["event"] == name]


def reports(post: PostOffice) -> list[Item]:
    """In the inbox, the oldest first."""
    return [*reversed(post.cloud.mailboxes.list(BOX, "inbox"))]


async def have_bounced(post: PostOffice, rows: list[Row]) -> list[bool]:
    return [bool(await post.bounces(row)) for row in rows]


async def test_each_bounce_is_on_its_row_once(post: PostOffice, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailroom")
    people = (["5.1.10", "4.4.7+x", "anybody"], ["5.7.1-outside"], ["anybody"])
    rows = [await post.send(*every) for every in people]
    counts = await post.collect()
    assert (counts["reports"], counts["bounces"]) == (2, 3)
    for _ in range(2):
        assert [await post.bounces(row) for row in rows] == [
            [bounced("5.1.10"), bounced("4.4.7+x")],
            [bounced("5.7.1-outside")],
            [],
        ]
        assert (await post.collect())["reports"] == 0
    row = await post.office.row(rows[0].id)
    assert (row.state, row.bounced_at is not None, row.listed_at) == ("sent", True, row.bounced_at)
    assert row.token != rows[0].token, "by it a write whose answer was lost is known again"
    event = {"event": "mail.bounced", "id": rows[0].id, "code": "5.1.10", "kind": "permanent"}
    assert events(caplog, "mail.bounced")[0] == event
    assert "@" not in caplog.text


@pytest.mark.parametrize("kind", ["4.4.7-delayed", "delivered", "read", "absent", "forged", "anybody"])
async def test_what_is_no_bounce_of_ours_changes_nothing(post: PostOffice, kind: str) -> None:
    row = await post.send(kind)
    await post.collect()
    assert await post.office.row(row.id) == row


@pytest.mark.parametrize(
    "change",
    [{"mailbox": OTHER}, {"state": "review"}, {"recipients": address_hash("me@contoso.com")}, {"recipients": None}],
)
async def test_a_report_about_another_mailbox_or_recipient_or_what_was_not_sent_changes_nothing(
    post: PostOffice, change: dict[str, Any]
) -> None:
    row = await post.send("5.1.1", **change)
    await post.collect()
    assert await post.office.row(row.id) == row


async def test_a_report_about_a_mail_that_nobody_knows_changes_nothing(post: PostOffice) -> None:
    row = await post.send("5.1.1")
    await post.office.ledger.remove(row)
    assert (await post.collect())["bounces"] == 0


async def test_a_mail_is_known_by_its_own_message_id(post: PostOffice) -> None:
    """A report without the returned headers, of a mail that went as MIME: by In-Reply-To alone, no further request."""
    row = await post.send("5.1.1-bare")
    (report,) = (item for item in post.cloud.mailboxes.list(BOX, "inbox") if item.mime)
    sent = post.cloud.mailboxes.list(BOX, "sentitems")[0].message["internetMessageId"]
    report.mime = (report.mime or b"").replace(sent.encode(), message_id(row.id, BOX).encode())
    assert (await post.collect())["requests"] == 2
    assert await post.bounces(row) == [bounced("5.1.1-bare")]


async def test_a_mail_is_known_by_the_marker_of_the_message_with_its_message_id(post: PostOffice) -> None:
    """Where the returned headers are missing, or the sender has used up all that Graph takes."""
    rows = [await post.send("5.1.1-bare"), await post.send("5.1.1", header=False)]
    assert (await post.collect())["requests"] == 5
    assert [await post.bounces(row) for row in rows] == [[bounced("5.1.1-bare")], [bounced("5.1.1")]]


async def test_a_mail_that_is_still_being_sent_has_its_bounce_later(post: PostOffice) -> None:
    row = await post.send("5.1.1", state="unknown")
    await post.collect()
    assert await post.bounces(row) == []
    await post.office.ledger.write(replace(await post.office.row(row.id), state="sent"))
    await post.collect()
    assert await post.bounces(row) == [bounced("5.1.1")]


async def test_a_report_in_any_folder_counts(post: PostOffice) -> None:
    row = await post.send("5.1.1")
    for item in post.cloud.mailboxes.list(BOX, "inbox"):
        item.folder = "deleteditems"
    await post.collect()
    assert await post.bounces(row) == [bounced("5.1.1")]


async def test_where_the_tenant_does_not_take_the_search_all_messages_are_listed_and_that_is_remembered(
    post: PostOffice,
) -> None:
    post.cloud.settings.class_filters = False
    for expected in (4, 2):
        row = await post.send("5.1.1+a")
        await post.send("absent")
        assert (await post.collect())["requests"] == expected - (expected == 4)
        assert await post.bounces(row) == [bounced("5.1.1+a")]


async def test_a_report_that_appears_late_is_found(post: PostOffice) -> None:
    await post.collect()
    post.cloud.settings.report_lag = 0.05
    row = await post.send("5.1.1")
    post.late = timedelta(minutes=9)
    await post.collect()
    for item in post.cloud.mailboxes._items.values():
        item.due = 0.0
    await post.collect()
    assert await post.bounces(row) == [bounced("5.1.1")]


@pytest.mark.parametrize(("days", "found"), [(0.9, True), (1.1, False)])
async def test_without_state_the_last_day_is_searched(post: PostOffice, days: float, found: bool) -> None:  # noqa: FBT001
    row = await post.send("5.1.1")
    post.late = timedelta(days=days)
    await post.collect()
    assert bool(await post.bounces(row)) == found


async def test_a_run_does_bounded_work_and_the_next_ones_go_on(
    post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "MOST_READ", 3)
    rows = [await post.send(f"5.1.1+{number}") for number in range(8)]
    for number, item in enumerate(reports(post)):
        item.created -= timedelta(minutes=20 - number)
    read = [(await post.collect())["reports"] for _ in range(4)]
    assert read == [3, 3, 2, 0]
    assert await have_bounced(post, rows) == [True] * 8


async def test_a_mailbox_with_many_new_messages_costs_eight_requests_a_run(
    post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of 10,000, by pages of a tenth; and in the costliest case, without a search for reports alone."""
    monkeypatch.setattr(collector, "PAGE", 25)
    monkeypatch.setattr(report_search, "PAGE", 25)
    post.cloud.settings.class_filters = False
    begin = datetime.now(UTC) - timedelta(hours=4)
    for number in range(1000):
        message = {"subject": "News", "internetMessageId": f"<{number}@x>"}
        post.cloud.mailboxes.add(Item(BOX, "inbox", message, created=begin + timedelta(seconds=10 * number)))
    row = await post.send("5.1.1")
    requests = []
    while not await post.bounces(row):
        requests.append((await post.collect())["requests"])
    assert len(requests) <= 8
    assert max(requests) <= 1 + collector.MOST_PAGES


async def test_what_was_read_is_remembered_boundedly_and_not_read_again(
    post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_progress, "MOST_SEEN", 4)
    for number in range(7):
        await post.send(f"5.1.1+{number}")
    for number, item in enumerate(reports(post)):
        item.created -= timedelta(seconds=60 - number)
    assert [(await post.collect())["reports"] for _ in range(3)] == [7, 0, 0]
    (state,) = post.state.rows.values()
    assert len(json.loads(state["seen"])) == 4


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault("forbidden", "read", 1), "ErrorAccessDenied"), (Fault("unavailable", "read", 1), "ErrorServerBusy")],
)
async def test_a_mailbox_that_cannot_be_asked_is_told_of_and_asked_again(
    post: PostOffice, caplog: pytest.LogCaptureFixture, fault: Fault, code: str
) -> None:
    row = await post.send("5.1.1")
    post.cloud.faults.add(fault)
    await post.collect()
    (said,) = events(caplog, "bounces.unread")
    assert (said["code"], len(str(said["mailbox"])), await post.bounces(row)) == (code, 16, [])
    post.late = timedelta(hours=12)
    await post.collect()
    assert await post.bounces(row) == [bounced("5.1.1")]


async def test_a_429_blocks_the_mailbox_and_ends_its_run(post: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    await post.send("5.1.1+a")
    await post.send("5.1.1+b")
    pace, blocked = post.office.engine.pace, list[tuple[str, float | None]]()

    async def throttled(mailbox: str, after: float | None) -> datetime:
        blocked.append((mailbox, after))
        return LATER

    monkeypatch.setattr(pace, "throttled", throttled)
    post.office.pace = pace
    post.cloud.faults.add(Fault("throttle", "read", 1, skip=1, retry_after="7"))
    assert ((await post.collect())["requests"], blocked) == (2, [(BOX, 7.0)])


@pytest.mark.parametrize("why", ["blocked", "no time left"])
async def test_nothing_is_asked_of_a_mailbox_that_is_blocked_or_when_the_run_is_over(
    post: PostOffice, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    row = await post.send("5.1.1")
    pace = post.office.engine.pace
    if why == "blocked":
        monkeypatch.setattr(pace, "blocked_until", lambda _: datetime.now(UTC) + timedelta(hours=1))
    post.office.pace = pace
    assert (await post.collect(60.0 if why == "blocked" else 0.0))["requests"] == 0
    monkeypatch.undo()
    await post.collect()
    assert await post.bounces(row) == [bounced("5.1.1")]


async def test_one_report_that_cannot_be_read_keeps_no_other_from_being_read(
    post: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [await post.send(f"5.1.1+{number}") for number in range(4)]
    first, second, *_ = reports(post)
    first.mime = b"x" * (LARGEST + 1)
    second.mime = b"Subject: x\r\n\r\nnothing"
    post.cloud.faults.add(Fault("unavailable", "read", 1, skip=2))
    await post.collect()
    codes = [said["code"] for said in events(caplog, "bounces.unread")]
    assert codes == ["TooLarge", "another kind of message", "ErrorServerBusy"]
    assert await have_bounced(post, rows) == [False, False, False, True]
    post.cloud.mailboxes.remove(first)
    await post.collect()
    assert await have_bounced(post, rows) == [False, False, True, True]


async def test_a_message_that_is_larger_than_it_says_is_not_read_to_its_end(
    post: PostOffice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection ends, and the next request has another one."""
    monkeypatch.setattr(transport, "LONGEST", 20_000)
    rows = [await post.send(f"5.1.1+{number}") for number in range(2)]
    (first, _) = reports(post)
    first.mime = (first.mime or b"") + b"x" * 30_000
    await post.collect()
    assert [said["code"] for said in events(caplog, "bounces.unread")] == ["connection"]
    assert await have_bounced(post, rows) == [False, True]


async def test_after_three_failures_in_a_row_the_run_ends_and_goes_on_there(post: PostOffice) -> None:
    rows = [await post.send(f"5.1.1+{number}") for number in range(6)]
    post.cloud.faults.add(Fault("unavailable", "read", 9, skip=1))
    assert (await post.collect())["requests"] == 4
    post.cloud.faults.clear()
    await post.collect()
    assert await have_bounced(post, rows) == [True] * 6


async def test_others_may_write_the_row_meanwhile(post: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await post.send("5.1.1")
    ledger, read = post.office.ledger, post.office.ledger.read

    async def read_before_another_writes(mail: str) -> Row | None:
        monkeypatch.undo()
        found = await read(mail)
        await ledger.write(replace(row, code="Later"))
        return found

    monkeypatch.setattr(ledger, "read", read_before_another_writes)
    await post.collect()
    assert ((await post.office.row(row.id)).code, await post.bounces(row)) == ("Later", [bounced("5.1.1")])


def reported(*failed: FailedRecipient) -> DeliveryReport:
    return DeliveryReport(failed, None, (), by_exchange=False)


def sent(state: State = "sent", **changes: object) -> Row:
    people = "".join(address_hash(f"{number}@b.test") for number in range(500))
    row = Row(id="1", state=state, scope="", fingerprint="", mailbox=BOX, accepted_at=LATER, recipients=people)
    return replace(row, **changes)  # type: ignore[arg-type]


def test_the_bounces_of_500_recipients_fit_into_their_column() -> None:
    report = reported(*(FailedRecipient((f"{number}@b.test",), "5.1.10") for number in range(500)))
    found = [bounce for _, bounce in collector.bounces_in(report, sent(), BOX, "0" * 12, LATER)]
    assert len(found) == collector.MOST_BOUNCES
    text = msgspec.json.encode(found).decode()
    assert len(text) < 32_000
    assert collector.bounces_in(report, sent(bounces=text), BOX, "0" * 12, LATER) == []


@pytest.mark.parametrize(
    "local",
    # A full mailbox is there; the last two reports anybody may have written.
    ["5.1.1", "5.1.10", "5.2.2", "4.4.7", "5.1.1-outside", "forged"],
)
async def test_a_hard_bounce_by_the_tenants_own_exchange_is_suppressed(post: PostOffice, local: str) -> None:
    listed = local in ("5.1.1", "5.1.10")
    row = await post.send(local)
    await post.collect()
    assert post.suppressed.rows == {}, "only with MAIL_SUPPRESS_BOUNCED"
    post.settings = Settings(bounces=True, suppress_bounced=True)
    row = await post.send(local)
    assert (await post.collect())["suppressed"] == listed
    found = post.suppressed.rows.values()
    entries = [(entry["address"], entry["added_by"], row.id in entry["reason"]) for entry in found]
    assert entries == ([(f"{local}@bounce.example", "bounce", True)] if listed else [])


ADDRESS = "5.1.1@Bounce.Example"


@pytest.mark.parametrize(
    "settings",
    [
        {"to": (ADDRESS.lower(),)},
        {"sender": ADDRESS.lower()},
        {"redirect_to": ADDRESS},
        {"sender_pools": {"p": (ADDRESS.lower(),)}},
        {"allowed_senders": Patterns.parse(ADDRESS.lower())},
        {"allowed_recipients": Patterns.parse(f"* {ADDRESS.lower()}")},
    ],
)
async def test_an_address_that_stands_in_a_setting_is_never_suppressed(
    post: PostOffice, settings: dict[str, object]
) -> None:
    await is_not_suppressed(post, settings)


@pytest.mark.parametrize("routes", [frozenset({ADDRESS}), None])
async def test_an_address_that_stands_in_a_route_is_never_suppressed_nor_any_while_a_route_cannot_be_read(
    post: PostOffice, routes: frozenset[str] | None
) -> None:
    post.routes = routes
    await is_not_suppressed(post, {})


async def is_not_suppressed(post: PostOffice, settings: dict[str, Any]) -> None:
    post.settings = Settings(bounces=True, suppress_bounced=True, **settings)
    row = await post.send("5.1.1")
    await post.collect()
    assert (await post.bounces(row), post.suppressed.rows) == ([bounced("5.1.1")], {})


async def test_what_an_operator_took_off_the_list_stays_off_it(post: PostOffice) -> None:
    """State that is lost does not bring it back: the bounce is on its row already."""
    post.settings = Settings(bounces=True, suppress_bounced=True)
    await post.send("5.1.1")
    await post.collect()
    post.suppressed.rows.clear()
    post.state.rows.clear()
    assert (await post.collect())["reports"] == 1
    assert post.suppressed.rows == {}
