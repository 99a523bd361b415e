"""Prometheus Alertmanager: which notifications are new mails, and which are the same again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.webhooks.sources.alertmanager import Alertmanager
from shared.webhooks.sources.source import RawRequest, SourceEvent

SOURCE = Alertmanager()
NEVER = "0001-01-01T00:00:00Z"  # the end of an alert that fires
GROUP = '{}/{severity="page"}:{alertname="DiskWillFill", cluster="eu-1"}'


def alert(number: int = 1, **changes: Any) -> dict[str, Any]:
    labels = {"alertname": "DiskWillFill", "cluster": "eu-1", "instance": f"db-{number}:9100", "severity": "page"}
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"The disk of db-{number} is full in 4 hours"},
        "startsAt": f"2026-11-22T09:{number % 60:02}:17.123456789Z",
        "endsAt": NEVER,
        "generatorURL": "https://prometheus.example.com/graph?g0.expr=predict_linear",
        "fingerprint": f"{number:016x}",
        **changes,
    }


def payload(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "receiver": "mailroom",
        "status": "firing",
        "alerts": list(alerts or (alert(1), alert(2))),
        "groupLabels": {"alertname": "DiskWillFill", "cluster": "eu-1"},
        "commonLabels": {"alertname": "DiskWillFill", "cluster": "eu-1", "severity": "page"},
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.com",
        "version": "4",
        "groupKey": GROUP,
        "truncatedAlerts": 0,
        **changes,
    }


def read(value: Any) -> SourceEvent:
    (event,) = SOURCE.events(RawRequest(json.dumps(value).encode()))
    return event


def test_a_group_of_alerts_is_one_event_with_the_whole_payload() -> None:
    event = read(payload())
    assert event.type == "alertmanager.firing"
    assert event.source == "https://alertmanager.example.com"
    assert event.subject == "DiskWillFill"
    assert event.time == datetime(2026, 11, 22, 9, 2, 17, 123456, UTC)  # the last one that began
    assert event.data == payload()


def test_firing_and_resolved_are_two_mails_of_one_conversation() -> None:
    ended = alert(status="resolved", endsAt="2026-11-22T09:40:00Z")
    firing, resolved = read(payload(alert())), read(payload(ended, status="resolved"))
    assert resolved.type == "alertmanager.resolved"
    assert resolved.time == datetime(2026, 11, 22, 9, 40, tzinfo=UTC)
    assert firing.key != resolved.key
    assert firing.thread == resolved.thread == GROUP
    assert read(payload(groupKey="{}:{}")).thread != GROUP


def test_the_key_is_the_group_its_status_and_its_alerts_with_their_times_in_any_order() -> None:
    one, two = alert(1), alert(2)
    same = read(payload(one, two)).key
    assert read(payload(two, one)).key == same
    many = [alert(number) for number in range(6)]
    assert len({read(payload(*order)).key for order in (many, many[::-1], many[3:] + many[:3])}) == 1
    assert read(payload(alert(1, annotations={}, labels={}, generatorURL=""), two, externalURL="x")).key == same
    others = [
        payload(one, two, groupKey="{}:{}"),
        payload(one, two, status="resolved"),
        payload(one),
        payload(one, two, alert(3)),
        payload(one, alert(2, fingerprint="f")),
        payload(one, alert(2, status="resolved")),
        payload(one, alert(2, startsAt="2026-11-22T09:59:00Z")),
        payload(one, alert(2, endsAt="2026-11-22T09:59:00Z")),
    ]
    assert len({same, *(read(other).key for other in others)}) == len(others) + 1


@pytest.mark.parametrize("reason", ["unknown", "none", "", None, {}, []])
def test_without_a_reason_the_repeat_window_of_the_route_tells_a_retry_from_a_reminder(reason: Any) -> None:
    """Alertmanager before 0.32 has none, later ones sometimes a word for "not known"."""
    first, again = read(payload()), read(payload(notification_reason=reason))
    assert (first.key, first.window) == (again.key, again.window)
    assert first.window is None


@pytest.mark.parametrize(
    "reason", ["first notification", "new alerts added", "some alerts resolved", "repeat interval elapsed"]
)
def test_with_a_reason_only_retries_within_one_flush_are_the_same_mail(reason: str) -> None:
    """A flush ends with group_interval, 5 minutes by default; the next reminder has the same reason, and is no copy."""
    first, again = read(payload(notification_reason=reason)), read(payload(notification_reason=reason))
    other = read(payload(notification_reason="all alerts resolved"))
    assert first.key == again.key != other.key
    assert first.thread == other.thread
    assert first.window == 300


def test_many_alerts_at_once_are_one_mail() -> None:
    many = payload(*(alert(number) for number in range(2000)))
    event = read(many)
    assert len(event.data["alerts"]) == 2000
    assert read({**many, "alerts": many["alerts"][::-1]}).key == event.key
    assert len(json.dumps(many)) < SOURCE.largest


def test_the_number_of_alerts_that_are_not_shown_is_kept_and_counts() -> None:
    """With max_alerts, a group that grows shows the alerts that it showed before."""
    event = read(payload(truncatedAlerts=12))
    assert event.data["truncatedAlerts"] == 12
    assert event.key != read(payload(truncatedAlerts=13)).key
    without = {name: value for name, value in payload().items() if name != "truncatedAlerts"}
    assert read(without).key == read(payload()).key


def test_a_payload_of_ones_own_making_is_an_event_of_its_own_each_time() -> None:
    """The second outage within half an hour looks like the first."""
    down, up, again = read({"text": "a"}), read({"text": "b"}), read({"text": "a"})
    assert (down.type, down.source, down.thread, down.window) == ("alertmanager", "alertmanager", None, None)
    assert {event.known_by for event in (down, up, again)} == {"nothing"}
    assert len({down.key, up.key, again.key}) == 3
    assert read(payload(status="../x")).type == "alertmanager"
