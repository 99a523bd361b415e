"""Which events are copies: through source, route and courier, as many mails as things have happened."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.delivery.queue_messages import work_of
from shared.delivery.worker import Worker
from shared.mail.outgoing import Signed
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.compose import Composer
from shared.webhooks.routing.event_messages import events_of, parse_event
from shared.webhooks.routing.route import Route
from shared.webhooks.routing.signed_bodies import REMEMBERED
from shared.webhooks.sources.source import RawRequest, SourceEvent
from tests.delivery.samples import THROTTLED, Office
from tests.webhooks.routing.samples import NOW, settings

RENDERER = Renderer(BUILT_IN / "_layout")
CATALOG = load()
HOUR = 60.0  # minutes
Request = Mapping[str, Any] | list[Any]


@dataclass
class Memory:
    """A day's memory of what was signed."""

    kept: dict[str, tuple[str, tuple[str, Any]]] = field(default_factory=dict)

    async def earlier(self, signed: Signed, mail: str, at: Any) -> tuple[str, Any] | None:
        event, found = self.kept.setdefault(signed.body, (signed.event, (mail, at)))
        return None if event == signed.event or found[1] + REMEMBERED <= at else found


@dataclass
class Post:
    """Takes events of one route and sends what they ask for."""

    route: Route
    office: Office = field(default_factory=lambda: Office(settings=settings()))
    memory: Memory = field(default_factory=Memory)

    async def take(self, events: Iterable[SourceEvent], minutes: float) -> None:
        """What came so many minutes after noon."""
        now = self.office.clock.at = NOW + timedelta(minutes=minutes)
        courier = Worker(self.office.engine, self.memory.earlier)
        for event in events:
            for mail in Composer(self.office.settings, RENDERER).mails(self.route, event, now):
                await courier.deliver(work_of(mail), mail)

    async def post(self, body: Request, minutes: float, **headers: str) -> None:
        plain = {"content-type": "application/json"}
        request = RawRequest(json.dumps(body).encode(), plain | {n.replace("_", "-"): v for n, v in headers.items()})
        await self.take(self.route.source.events(request), minutes)

    @property
    def mails(self) -> int:
        return len(self.office.graph.sent)


def at(route: str) -> Post:
    return Post(CATALOG.routes[route])


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "mailroom"]
    return [line for line in lines if line["event"] == event]


@pytest.fixture(autouse=True)
def everything_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mailroom")


LEGACY = {"ruleId": 4, "ruleName": "Backlog of jobs", "ruleUrl": "https://grafana.example.com/d/x", "evalMatches": []}
GRAFANA = {**LEGACY, "state": "alerting"}, {**LEGACY, "state": "ok"}
GROUPED = (
    {"groupKey": '{}:{alertname="Down"}', "text": "web-2 is down"},
    {"groupKey": '{}:{alertname="Down"}', "text": "web-2 is up"},
)
HALF = {"groupKey": "{}:{}", "status": "firing"}
NAMELESS = {**HALF, "alerts": [{"text": "web-2"}]}, {**HALF, "alerts": [{"text": "web-3"}]}
SILENT = {"service": "shop", "now": "down"}, {"service": "shop", "now": "up"}


@pytest.mark.parametrize(
    ("route", "down", "up"),
    [
        ("grafana", *GRAFANA),
        ("grafana", *SILENT),
        ("grafana", *GROUPED),
        ("alertmanager", *SILENT),
        ("alertmanager", *GROUPED),
        ("alertmanager", *NAMELESS),
        ("alertmanager", {**HALF, "alerts": []}, {**HALF, "alerts": [], "status": "resolved"}),
        ("generic", *SILENT),
        ("uptime-kuma", {"msg": "[shop] down"}, {"msg": "[shop] up"}),
        ("uptime-kuma", {"heartbeat": None, "msg": "[shop] certificate will expire in 7 days"}, {"msg": "renewed"}),
        ("uptime-kuma", {"heartbeat": {"status": 0, "time": "t"}}, {"heartbeat": {"status": 1, "time": "t"}}),
    ],
)
async def test_down_up_and_down_again_within_half_an_hour_are_three_mails(
    route: str, down: Request, up: Request, caplog: pytest.LogCaptureFixture
) -> None:
    """Senders without a documented time in which they try again: equal bytes are never a copy."""
    post = at(route)
    for minutes, body in ((0, down), (2, up), (4, down)):
        await post.post(body, minutes)
    assert post.mails == 3
    assert said(caplog, "mail.duplicate") == []


async def test_events_of_one_batch_that_share_an_id_are_mails_of_their_own_and_a_retry_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Event Grid puts a batch together anew when it tries again: what the event says counts, not the request."""
    shared = {"id": "7d0", "topic": "/IOTHUBS/PLANT", "subject": "devices/v", "eventType": "Contoso.Telemetry"}
    batch = [
        {**shared, "eventTime": f"2026-11-22T09:5{minute}:00Z", "data": {"alarm": alarm}}
        for minute, alarm in enumerate(("low", "high", "low"))
    ]
    post = at("eventgrid")
    await post.post(batch, 0)
    assert post.mails == 3
    await post.post([batch[2], dict(reversed(batch[0].items()))], 23 * HOUR)
    await post.post(batch[1:2], 23.9 * HOUR)
    assert post.mails == 3
    assert [line["reason"] for line in said(caplog, "mail.duplicate")] == ["sender-id"] * 3


LOG_ALERT = {"AlertRuleName": "errors", "ResultCount": "4", "Note": "See the wiki"}
HALF_COMMON = {"data": {"essentials": {"alertId": "/a/1", "monitorCondition": "Fired"}}}
BUDGET = {"schemaId": "AIP Budget Notification", "data": {"BudgetName": "Monthly", "SpendingAmount": "111.00"}}


@pytest.mark.parametrize("body", [LOG_ALERT, HALF_COMMON, BUDGET])
async def test_an_alert_without_any_name_or_time_is_mailed_again_after_the_time_in_which_azure_monitor_tries_again(
    body: Request, caplog: pytest.LogCaptureFixture
) -> None:
    post = at("azure-monitor")
    for minutes in (0, 5 / 60, 74 / 60):
        await post.post(body, minutes)
    assert post.mails == 1
    assert [line["reason"] for line in said(caplog, "mail.duplicate")] == ["same-bytes"] * 2
    for minutes in (5, 10, 24 * HOUR):
        await post.post(body, minutes)
    assert post.mails == 4


@pytest.mark.parametrize(("route", "within"), [("azure-devops", 183), ("azure-monitor", 75), ("eventgrid", 86_400)])
@pytest.mark.parametrize("begin", [0.0, 0.3, 1.1])
async def test_the_same_bytes_are_a_copy_up_to_the_documented_second_and_not_at_it(
    route: str, within: int, begin: float
) -> None:
    """Wherever the first of them falls."""
    for after, mails in ((within - 1, 1), (within, 2)):
        post = at(route)
        for minutes in (begin, begin + after / 60):
            await post.post({"alarm": "pump"}, minutes)
        assert post.mails == mails


def firing(*, peer: str = "a", status: str = "firing", starts: str = "2026-11-22T09:58:00Z") -> dict[str, Any]:
    alert = {"status": status, "startsAt": starts, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f1"}
    return {
        "receiver": "mailroom",
        "status": status,
        "groupKey": "{}:{}",
        "externalURL": f"http://{peer}.example.com",
        "alerts": [{**alert, "labels": {"alertname": "Disk"}, "generatorURL": f"http://{peer}"}],
    }


@pytest.mark.parametrize("route", ["alertmanager", "grafana"])
async def test_a_second_outage_of_a_whole_notification_is_a_mail_and_so_is_a_reminder(
    route: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two peers of one cluster that send it in different bytes are one mail."""
    post = at(route)
    await post.post(firing(), 0)
    await post.post(firing(peer="b"), 0.1)
    (line,) = said(caplog, "mail.duplicate")
    assert (line["reason"], line["route"], post.mails) == ("identity", route, 1)
    await post.post(firing(status="resolved"), 5)
    await post.post(firing(starts="2026-11-22T10:04:00Z"), 10)
    assert post.mails == 3
    await post.post(firing(starts="2026-11-22T10:04:00Z"), 41)
    assert post.mails == 4


DEVOPS = {"id": "b1", "eventType": "build.complete", "resource": {"id": 3, "result": "failed"}}
STRIPE = {"id": "evt_1", "type": "payout.failed", "data": {"object": {"id": "po_1"}}, "pending_webhooks": 2}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}
COMMON = {
    "data": {"essentials": {"alertId": "/a/1", "monitorCondition": "Fired", "firedDateTime": "2026-11-22T09:58:00Z"}}
}
ISSUE = {"action": "opened", "issue": {"number": 7, "title": "It fails"}, "repository": {"full_name": "contoso/shop"}}
DELIVERY = {"x_github_event": "issues", "x_github_delivery": "d-1"}
STRUCTURED = {"content_type": "application/cloudevents+json"}


# Route, what comes, what comes again, with which headers, after how many minutes; and what it is known by.
SAID_AGAIN: Sequence[tuple[str, Request, Request, dict[str, str], float, str]] = (
    ("stripe", STRIPE, {**STRIPE, "pending_webhooks": 1}, {}, 71 * HOUR, "sender-id"),
    ("standard-webhooks", SILENT[0], SILENT[0], {"webhook_id": "msg_1"}, 75 * HOUR, "sender-id"),
    ("github", ISSUE, ISSUE, DELIVERY, 72 * HOUR, "sender-id"),
    ("azure-devops", DEVOPS, DEVOPS, {}, 3, "sender-id"),
    ("azure-monitor", COMMON, COMMON, {}, 1, "identity"),
    ("cloudevents", CLOUD, {**CLOUD, "traceparent": "00-1-2-01"}, STRUCTURED, 90 * HOUR, "sender-id"),
    ("alertmanager", firing(), firing(), {}, 4, "identity"),
    ("generic", SILENT[0], SILENT[1], {"idempotency_key": "k"}, 90 * HOUR, "route-key"),
    (
        "uptime-kuma",
        {"heartbeat": {"status": 0, "time": "2026-11-22 09:58:00.123"}, "monitor": {"id": 4}},
        {"heartbeat": {"status": 0, "time": "2026-11-22 09:58:00.123"}, "monitor": {"id": 4}, "msg": "x"},
        {},
        1,
        "route-key",
    ),
)


@pytest.mark.parametrize("case", SAID_AGAIN, ids=[case[0] for case in SAID_AGAIN])
async def test_what_its_sender_says_again_is_no_second_mail_and_the_drop_is_told_with_its_reason(
    case: tuple[str, Request, Request, dict[str, str], float, str], caplog: pytest.LogCaptureFixture
) -> None:
    route, body, again, headers, minutes, reason = case
    post = at(route)
    await post.post(body, 0, **headers)
    await post.post(again, minutes, **headers)
    assert post.mails == 1
    (line,) = said(caplog, "mail.duplicate")
    assert (line["reason"], line["route"], line["state"]) == (reason, route, "sent")


async def test_a_copy_that_comes_while_the_first_one_waits_is_told_once_however_often_it_comes_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    post = at("stripe")
    post.office.graph.outcomes = [THROTTLED]
    for minutes in (0, 0.01):
        await post.post(STRIPE, minutes)
    while post.office.outbox.messages:
        due, message = post.office.outbox.messages.pop(0)
        post.office.clock.at = max(post.office.clock.at, due)
        await Worker(post.office.engine).deliver(message)
    assert post.mails == 1
    assert [line["reason"] for line in said(caplog, "mail.duplicate")] == ["sender-id"]


# The queue mail-events.


def queued(message: dict[str, Any], place: str, route: str) -> list[SourceEvent]:
    _, read = parse_event(json.dumps(message).encode())
    return events_of(read, CATALOG.routes[route].source, place)


@pytest.mark.parametrize("route", ["generic", "alertmanager", "azure-monitor", "eventgrid", "github"])
@pytest.mark.parametrize("body", [SILENT[0], firing(), COMMON])
async def test_a_message_of_the_queue_is_one_mail_however_late_it_is_delivered_again_and_equal_messages_are_two(
    route: str, body: Request, caplog: pytest.LogCaptureFixture
) -> None:
    message = {"route": route, "data": body, "headers": {"X-GitHub-Event": "deploy_key"}}
    post = at(route)
    for minutes in (0, 40, 30 * HOUR):
        await post.take(queued(message, "place 1", route), minutes)
    assert post.mails == 1
    assert [line["reason"] for line in said(caplog, "mail.duplicate")] == ["message"] * 2
    await post.take(queued(message, "place 2", route), 30 * HOUR)
    assert post.mails == 2


async def test_two_messages_with_one_id_are_one_mail_whatever_the_window_of_the_source() -> None:
    post = at("alertmanager")
    for place, minutes in (("1", 0), ("2", 40)):
        await post.take(queued({"route": "alertmanager", "id": "9", "data": firing()}, place, "alertmanager"), minutes)
    assert post.mails == 1


# What is signed, under another id.


def github(delivery: str, body: Request = ISSUE) -> RawRequest:
    headers = {"x-github-event": "issues", "x-github-delivery": delivery}
    return RawRequest(json.dumps(body).encode(), headers)


async def test_a_signed_body_under_another_delivery_within_a_day_is_mailed_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    post = at("github")

    async def deliver(delivery: str, minutes: float, body: Request = ISSUE) -> None:
        await post.take(post.route.source.events(github(delivery, body)), minutes)

    await deliver("d-1", 0)
    first = post.office.graph.sent[0]
    await deliver("d-1", 10)
    await deliver("d-2", 20, {**ISSUE, "action": "closed"})
    assert said(caplog, "event.signed-again") == []
    await deliver("d-3", 60)
    assert post.mails == 3
    (line,) = said(caplog, "event.signed-again")
    assert (line["route"], line["earlier"], line["seconds"]) == ("github", first, 3600.0)
    assert line["id"] == post.office.graph.sent[-1]
    assert "fails" not in json.dumps(line)
    await deliver("d-4", 24 * HOUR)
    assert post.mails == 4
    assert len(said(caplog, "event.signed-again")) == 1


async def test_the_parts_of_a_split_mail_and_a_message_delivered_twice_are_no_copies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "github").mkdir()
    text = 'source = "github"\nsplit_recipients = true\nallow = ["*@contoso.com"]\nrecipients_from = "data.to"\n'
    (tmp_path / "github" / "route.toml").write_text(text)
    everyone = [f"{number}@contoso.com" for number in range(600)]
    post = Post(load(tmp_path).routes["github"])
    await post.take(post.route.source.events(github("d-1", {**ISSUE, "to": everyone})), 0)
    assert post.mails == 2
    assert said(caplog, "event.signed-again") == []
    (event,) = post.route.source.events(github("d-2", {**ISSUE, "to": everyone[:1]}))
    (mail,) = Composer(post.office.settings, RENDERER).mails(post.route, event, NOW)
    for _ in range(2):  # storage delivers a message of mail-work at least once
        await Worker(post.office.engine, post.memory.earlier).deliver(work_of(mail), mail)
    assert (post.mails, said(caplog, "mail.duplicate")) == (3, [])
