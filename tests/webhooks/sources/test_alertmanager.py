"""Prometheus Alertmanager, and Grafana, which sends the same: which notifications are new mails, and which are not."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.sources import alertmanager
from shared.webhooks.sources.alertmanager import WHOLE, Alertmanager
from shared.webhooks.sources.grafana import Grafana
from shared.webhooks.sources.source import RawRequest
from tests.webhooks.sources.anything import event_of

SOURCE = Alertmanager()
read = partial(event_of, SOURCE)
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


def test_a_group_of_alerts_is_one_event_with_the_whole_payload() -> None:
    event = read(payload())
    assert event.type == "alertmanager.firing"
    assert event.source == "https://alertmanager.example.com"
    assert event.subject == "DiskWillFill"
    assert event.time == datetime(2026, 11, 22, 9, 2, 17, 123456, UTC)  # the last one that began
    assert event.data == payload()
    assert read(payload(status="../x")).type == "alertmanager"
    many = payload(*map(alert, range(60)))
    assert read(many).data == many, "filters see all alerts, not only those that the mail shows"


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


@given(alerts=st.lists(st.builds(alert, st.integers(1, 60)), min_size=1, max_size=6), hidden=st.integers(0, 3))
def test_a_long_notification_is_read_as_a_short_one_is(alerts: list[dict[str, Any]], hidden: int) -> None:
    """With another key, a copy from another peer of about the limit's length would be a second mail."""
    short = read(payload(*alerts, truncatedAlerts=hidden))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alertmanager, "WHOLE", 0)
        long = read(payload(*alerts, truncatedAlerts=hidden))
    assert (long.data, long.key, long.time, long.type) == (short.data, short.key, short.time, short.type)


@pytest.mark.parametrize("body", [b"[]", b'{"alerts": {}}', b'{"alerts": [1]}', b'{"alerts": null}', b"{", b'{"a": 1}'])
def test_what_is_no_list_of_alerts_is_read_as_before_however_long_it_is(body: bytes) -> None:
    def data_of(body: bytes) -> Any:
        try:
            return SOURCE.events(RawRequest(body))[0].data
        except Malformed as refusal:
            return refusal.status

    assert data_of(body + b" " * WHOLE) == data_of(body)


def test_of_a_notification_that_is_too_long_all_that_fires_is_kept_before_anything_else_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alertmanager, "WHOLE", 0)
    monkeypatch.setattr(alertmanager, "KEPT", 15 * 10)  # values; an alert has 15 or so
    alerts = [alert(n, status="resolved" if n % 5 else "firing") for n in range(45)]
    event = read(payload(*alerts, truncatedAlerts=5))
    statuses = [one["status"] for one in event.data["alerts"]]
    assert statuses == ["firing"] * 9 + ["resolved"] * (len(statuses) - 9)
    assert 9 < len(statuses) < 45
    assert event.data["truncatedAlerts"] + len(statuses) == 45 + 5
    told = SOURCE.for_mail(event).extensions
    assert (told["firing"], told["resolved"], told["hidden"]) == (9, 36, 5)
    alerts[-1]["fingerprint"] = "another"
    assert read(payload(*alerts, truncatedAlerts=5)).key != event.key, "what is left out makes a difference"
    assert read(payload(*alerts[:-1], truncatedAlerts=6)).key != event.key


def test_grafanas_notifications_are_the_same_and_signed_bytes_of_a_custom_payload_are_named() -> None:
    grafana = partial(event_of, Grafana())
    event = grafana(payload(commonLabels={}, groupLabels={"grafana_folder": "Shop"}, title="[FIRING:2]"))
    assert (event.type, event.subject, event.thread, event.window) == ("grafana.firing", None, GROUP, None)
    assert event.key == read(payload()).key
    own, again = (grafana({"text": "Something fires"}, **{"x-grafana-alerting-signature": "00"}) for _ in range(2))
    assert (own.type, own.source, own.thread, own.known_by) == ("grafana", "grafana", None, "nothing")
    assert own.key != again.key
    assert own.signed == again.signed is not None
    assert grafana({"text": "Something fires"}).signed is None
