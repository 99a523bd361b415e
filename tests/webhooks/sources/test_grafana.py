"""Grafana Alerting's webhook contact point. Its notifications are those of Alertmanager: see test_alertmanager.py."""

import json
from datetime import UTC, datetime
from typing import Any

from shared.webhooks.sources.grafana import Grafana
from shared.webhooks.sources.source import RawRequest, SourceEvent

ALERT = {
    "status": "firing",
    "labels": {"alertname": "High memory usage", "team": "blue", "zone": "us-1"},
    "startsAt": "2026-11-22T09:53:01.123456789+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "c6eadffa33fcdf37",
    "silenceURL": "https://grafana.example.com/alerting/silence/new",
    "values": {"B": 44.23943737541908, "C": 1},
}
ALERTS = [ALERT, {**ALERT, "fingerprint": "2", "labels": {"alertname": "High CPU usage"}}]
PAYLOAD = {
    "status": "firing",
    "alerts": ALERTS,
    "groupLabels": {"grafana_folder": "Shop"},
    "commonLabels": {"team": "blue"},
    "externalURL": "https://grafana.example.com/",
    "groupKey": '{}:{grafana_folder="Shop"}',
    "title": "[FIRING:2]  (blue)",
    "message": "**Firing**\n\nLabels:\n - alertname = High memory usage",
}


def read(value: Any, **headers: str) -> SourceEvent:
    (event,) = Grafana().events(RawRequest(json.dumps(value).encode(), headers))
    return event


def test_a_notification_is_one_event_with_all_that_grafana_adds() -> None:
    event = read(PAYLOAD)
    assert (event.type, event.source) == ("grafana.firing", "https://grafana.example.com/")
    assert event.subject is None  # the alerts have no name in common
    assert event.time == datetime(2026, 11, 22, 8, 53, 1, 123456, UTC)
    assert (event.thread, event.data, event.window) == ('{}:{grafana_folder="Shop"}', PAYLOAD, None)
    assert read({**PAYLOAD, "alerts": ALERTS[::-1], "title": "other", "message": ""}).key == event.key


def test_a_custom_payload_is_an_event_of_its_own_and_its_signed_bytes_are_named() -> None:
    event, again = (read({"text": "Something fires"}, **{"x-grafana-alerting-signature": "00"}) for _ in range(2))
    assert (event.type, event.source, event.thread, event.known_by) == ("grafana", "grafana", None, "nothing")
    assert event.key != again.key
    assert event.signed == again.signed is not None
    assert read({"text": "Something fires"}).signed is None
