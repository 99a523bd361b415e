"""Prometheus Alertmanager: which notifications are new mails, and which are the same again."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.sources.alertmanager import Alertmanager
from shared.webhooks.sources.source import Event, RawRequest, Result, Unverified
from tests.webhooks.sources.anything import any_json, damaged, events_or_malformed
from tests.webhooks.sources.moments import NOW

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


def read(value: Any) -> Event:
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


def test_without_a_reason_the_same_again_is_left_to_the_routes_repeat_window_of_half_an_hour() -> None:
    """Alertmanager before 0.32 has none: only time tells a second try from a reminder."""
    first, again = read(payload()), read(payload())
    assert first.key == again.key
    assert first.window is None
    assert SOURCE.repeat_window == 1800


@pytest.mark.parametrize("reason", ["unknown", "none", "", None, 7.5, {}, []])
def test_a_reason_that_says_nothing_is_none(reason: Any) -> None:
    event = read(payload(notification_reason=reason))
    if reason != 7.5:  # a number is a text of its own, whatever it means
        assert (event.key, event.window) == (read(payload()).key, None)


def test_a_reminder_is_a_new_mail_although_it_shows_the_same_alerts() -> None:
    first = read(payload(notification_reason="first notification"))
    reminder = read(payload(notification_reason="repeat interval elapsed"))
    assert first.key != reminder.key
    assert first.thread == reminder.thread


@pytest.mark.parametrize(
    "reason",
    [
        "first notification",
        "new alerts added",
        "some alerts resolved",
        "all alerts resolved",
        "repeat interval elapsed",
    ],
)
def test_with_a_reason_only_tries_of_one_flush_are_the_same_mail(reason: str) -> None:
    """A flush ends with group_interval, 5 minutes by default; the next reminder has the same reason, and is no copy."""
    first, again = read(payload(notification_reason=reason)), read(payload(notification_reason=reason))
    assert first.key == again.key
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


@pytest.mark.parametrize("name", sorted(payload()))
def test_a_payload_without_any_one_field_is_an_event(name: str) -> None:
    event = read({key: value for key, value in payload().items() if key != name})
    assert event.type.startswith("alertmanager")


def test_a_payload_of_ones_own_making_is_an_event_of_its_own_each_time() -> None:
    """The second outage within half an hour looks like the first."""
    down, up, again = read({"text": "a"}), read({"text": "b"}), read({"text": "a"})
    assert (down.type, down.source, down.thread, down.window) == ("alertmanager", "alertmanager", None, None)
    assert {event.known_by for event in (down, up, again)} == {"nothing"}
    assert len({down.key, up.key, again.key}) == 3
    assert read(payload(status="../x")).type == "alertmanager"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as error:
        SOURCE.events(RawRequest(body))
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", True),
        ("Basic " + base64.b64encode(b"mail:s3cret").decode(), True),
        ("Basic " + base64.b64encode(b"mail:wrong").decode(), False),
        ("Basic " + base64.b64encode(b"s3cret").decode(), False),
        ("Basic s3cret", False),
        ("Bearer wrong", False),
        ("Digest s3cret", False),
        ("s3cret", False),
        (None, False),
    ],
)
def test_bearer_and_basic_prove_a_request_and_a_query_never_does(authorization: str | None, right: bool) -> None:  # noqa: FBT001 - a value of the table
    headers = {} if authorization is None else {"authorization": authorization}
    request = RawRequest(b"{}", headers, {"secret": "s3cret", "access_token": "s3cret"})
    secrets = ["mail:s3cret", "s3cret"]
    if right:
        SOURCE.authenticate(request, secrets, NOW)
    else:
        with pytest.raises(Unverified):
            SOURCE.authenticate(request, secrets, NOW)


def test_answers_are_200_503_and_401_and_never_429_which_would_end_the_flush() -> None:
    assert SOURCE.reply(Result.DONE).status == 200
    assert SOURCE.reply(Result.OVERLOADED).status == 503
    assert SOURCE.reply(Result.UNVERIFIED).status == 401
    assert 429 not in {SOURCE.reply(result).status for result in Result}


@given(value=any_json | damaged(payload(notification_reason="new alerts added", truncatedAlerts=3)))
def test_any_json_gives_one_event_or_malformed(value: Any) -> None:
    assert len(events_or_malformed(SOURCE, value)) == isinstance(value, dict)


@given(order=st.permutations(range(6)))
def test_the_order_of_alerts_changes_nothing(order: list[int]) -> None:
    assert read(payload(*map(alert, order))).key == read(payload(*map(alert, range(6)))).key
