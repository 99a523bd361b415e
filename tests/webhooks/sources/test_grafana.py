"""Grafana Alerting's webhook contact point."""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given

from shared.errors import Malformed
from shared.webhooks.sources.grafana import Grafana
from shared.webhooks.sources.source import Event, RawRequest, Result, Unverified
from tests.webhooks.sources.anything import any_json, damaged, events_or_malformed
from tests.webhooks.sources.moments import NOW

SOURCE = Grafana()
STAMPED = Grafana(timestamp_header="X-Grafana-Alerting-Timestamp")
BODY = b'{"groupKey": "x"}'
ALERT = {
    "status": "firing",
    "labels": {"alertname": "High memory usage", "team": "blue", "zone": "us-1"},
    "annotations": {"summary": "The system has high memory usage"},
    "startsAt": "2026-11-22T09:53:01.123456789+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "https://grafana.example.com/alerting/grafana/1afz29v7z/view",
    "fingerprint": "c6eadffa33fcdf37",
    "silenceURL": "https://grafana.example.com/alerting/silence/new",
    "dashboardURL": "https://grafana.example.com/d/lTQl0jl7z",
    "panelURL": "https://grafana.example.com/d/lTQl0jl7z?viewPanel=2",
    "values": {"B": 44.23943737541908, "C": 1},
    "valueString": "[ var='B' value=44.2 ]",
    "imageURL": "https://grafana.example.com/render/1.png",
}
PAYLOAD = {
    "receiver": "mailroom",
    "status": "firing",
    "alerts": [ALERT, {**ALERT, "fingerprint": "2", "labels": {"alertname": "High CPU usage"}}],
    "groupLabels": {"grafana_folder": "Shop"},
    "commonLabels": {"team": "blue"},
    "commonAnnotations": {},
    "externalURL": "https://grafana.example.com/",
    "version": "1",
    "groupKey": '{}:{grafana_folder="Shop"}',
    "truncatedAlerts": 0,
    "orgId": 1,
    "title": "[FIRING:2]  (blue)",
    "state": "alerting",
    "message": "**Firing**\n\nLabels:\n - alertname = High memory usage",
}
TEST_BUTTON = {
    **PAYLOAD,
    "receiver": "test",
    "alerts": [
        {
            **ALERT,
            "labels": {"alertname": "TestAlert", "instance": "Grafana"},
            "annotations": {"summary": "Notification test"},
            "startsAt": "2026-11-22T09:59:59Z",
            "fingerprint": "57c6d9296de2ad39",
            "dashboardURL": "",
            "panelURL": "",
            "values": None,
        }
    ],
    "groupLabels": {"alertname": "TestAlert", "instance": "Grafana"},
    "commonLabels": {"alertname": "TestAlert", "instance": "Grafana"},
    "commonAnnotations": {"summary": "Notification test"},
    "groupKey": "test-57c6d9296de2ad39-1795341599",
    "title": "[FIRING:1] TestAlert Grafana ",
}


def read(value: Any) -> Event:
    (event,) = SOURCE.events(RawRequest(json.dumps(value).encode()))
    return event


def signature(body: bytes, key: bytes = b"s3cret", algorithm: str = "sha256") -> str:
    return hmac.new(key, body, algorithm).hexdigest()


def proves(source: Grafana, headers: Mapping[str, str], body: bytes = BODY, now: datetime = NOW) -> bool:
    request = RawRequest(body, headers, {"secret": "s3cret", "access_token": "s3cret"})
    try:
        source.authenticate(request, ["old", "s3cret", "mail:s3cret"], now)
    except Unverified:
        return False
    return True


def test_a_notification_is_one_event_with_all_that_grafana_adds() -> None:
    event = read(PAYLOAD)
    assert event.type == "grafana.firing"
    assert event.source == "https://grafana.example.com/"
    assert event.subject is None  # the alerts have no name in common
    assert event.time == datetime(2026, 11, 22, 8, 53, 1, 123456, UTC)
    assert event.thread == '{}:{grafana_folder="Shop"}'
    assert event.data == PAYLOAD


def test_firing_and_resolved_are_two_mails_of_one_conversation() -> None:
    ended = {**ALERT, "status": "resolved", "endsAt": "2026-11-22T09:59:00Z"}
    resolved = read({**PAYLOAD, "status": "resolved", "state": "ok", "alerts": [ended]})
    assert resolved.type == "grafana.resolved"
    assert resolved.key != read(PAYLOAD).key
    assert resolved.thread == read(PAYLOAD).thread


def test_the_same_again_has_the_same_key_and_half_an_hour_tells_a_reminder_from_a_copy() -> None:
    again = {**PAYLOAD, "alerts": PAYLOAD["alerts"][::-1], "title": "other", "message": ""}  # type: ignore[index]
    assert read(again).key == read(PAYLOAD).key
    assert read(PAYLOAD).window is None
    assert SOURCE.repeat_window == 1800


def test_the_test_button_gives_a_mail_each_time() -> None:
    event = read(TEST_BUTTON)
    assert (event.type, event.subject) == ("grafana.firing", "TestAlert")
    assert read({**TEST_BUTTON, "groupKey": "test-57c6d9296de2ad39-1795341600"}).key != event.key


def test_a_custom_payload_is_an_event() -> None:
    event = read({"text": "Something fires"})
    assert (event.type, event.source, event.thread) == ("grafana", "grafana", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as error:
        SOURCE.events(RawRequest(body))
    assert error.value.status == 400


def test_a_signature_over_the_body_proves_a_request() -> None:
    name = "x-grafana-alerting-signature"
    assert proves(SOURCE, {name: signature(BODY)})
    assert proves(SOURCE, {name: signature(BODY).upper()})
    assert proves(SOURCE, {name: signature(BODY, b"old")})
    assert not proves(SOURCE, {name: signature(BODY)}, BODY + b" ")
    assert not proves(SOURCE, {name: signature(BODY, b"wrong")})
    assert not proves(SOURCE, {name: signature(BODY, algorithm="sha1")})
    assert not proves(SOURCE, {name: signature(BODY)[:-2]})
    assert not proves(SOURCE, {name: "é"})
    assert not proves(SOURCE, {name: ""})


def test_a_known_hmac_is_accepted() -> None:
    """RFC 4231, test case 2: so that both sides of this test cannot be wrong together."""
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    request = RawRequest(b"what do ya want for nothing?", {"x-grafana-alerting-signature": known})
    SOURCE.authenticate(request, ["Jefe"], NOW)


def test_with_a_timestamp_header_the_signature_is_over_both_and_holds_for_five_minutes() -> None:
    def headers(age: float, separator: bytes = b":") -> dict[str, str]:
        marker = str(int((NOW - timedelta(seconds=age)).timestamp()))
        return {
            "x-grafana-alerting-timestamp": marker,
            "x-grafana-alerting-signature": signature(marker.encode() + separator + BODY),
        }

    assert proves(STAMPED, headers(0))
    assert proves(STAMPED, headers(300))
    assert proves(STAMPED, headers(-300))
    assert not proves(STAMPED, headers(301))
    assert not proves(STAMPED, headers(-301))
    assert not proves(STAMPED, headers(0, b"."))
    assert not proves(STAMPED, {**headers(0), "x-grafana-alerting-timestamp": str(int(NOW.timestamp()) - 1)})
    assert not proves(STAMPED, {"x-grafana-alerting-signature": signature(BODY)})
    assert not proves(STAMPED, {**headers(0), "x-grafana-alerting-timestamp": "now"})
    assert proves(Grafana(timestamp_header="X-Grafana-Alerting-Timestamp", tolerance=3600), headers(3000))


def test_both_header_names_are_options() -> None:
    source = msgspec.convert({"signature_header": "X-Signed", "timestamp_header": "X-At"}, Grafana)
    marker = str(int(NOW.timestamp()))
    signed = signature(marker.encode() + b":" + BODY)
    assert proves(source, {"x-at": marker, "x-signed": signed})
    assert not proves(source, {"x-at": marker, "x-grafana-alerting-signature": signed})


def test_basic_and_bearer_prove_a_request_and_a_query_never_does() -> None:
    assert proves(SOURCE, {"authorization": "Bearer s3cret"})
    assert proves(SOURCE, {"authorization": "Basic " + base64.b64encode(b"mail:s3cret").decode()})
    assert not proves(SOURCE, {"authorization": "Bearer wrong"})
    assert not proves(SOURCE, {})


def test_a_wrong_signature_is_not_made_good_by_a_right_password() -> None:
    headers = {"authorization": "Bearer s3cret", "x-grafana-alerting-signature": signature(BODY, b"wrong")}
    assert not proves(SOURCE, headers)


def test_answers_are_200_503_and_401() -> None:
    assert SOURCE.reply(Result.DONE).status == 200
    assert SOURCE.reply(Result.OVERLOADED).status == 503
    assert SOURCE.reply(Result.UNVERIFIED).status == 401


@given(value=any_json | damaged(PAYLOAD) | damaged(TEST_BUTTON))
def test_any_json_gives_one_event_or_malformed(value: Any) -> None:
    assert len(events_or_malformed(SOURCE, value)) == isinstance(value, dict)
