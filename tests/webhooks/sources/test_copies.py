"""What keys are made of, in all sources: different events never share one, and a sender's next try has the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.settings.config import read
from shared.webhooks.sources.json_values import canonical
from shared.webhooks.sources.source import SOURCES, RawRequest, SourceEvent, source_named

DOCS = Path(__file__).parents[3] / "docs"
DECISION = (DOCS / "decisions/0013-copies.md").read_text("utf-8")
JSON = {"content-type": "application/json"}
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
objects = st.dictionaries(st.text(max_size=5), values | st.lists(values, max_size=2), max_size=4)
names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
Made = tuple[dict[str, Any], dict[str, str]]

# By source, a request that says `told`: with `name` where its sender names events, and nothing else that differs.
SAYS: dict[str, Callable[[dict[str, Any], str], Made]] = {
    "alertmanager": lambda told, _: (told, {}),
    "azure-devops": lambda told, name: ({"eventType": "t", "resource": told, "id": name}, {}),
    "azure-monitor": lambda told, _: ({"schemaId": "x", "data": told}, {}),
    "cloudevents": lambda told, _: (
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": told},
        {"content-type": "application/cloudevents+json"},
    ),
    "eventgrid": lambda told, _: ({"id": "1", "topic": "/t", "eventType": "e", "data": told}, {}),
    "github": lambda told, name: (told, {"x-github-event": "push", "x-github-delivery": name}),
    "gitlab": lambda told, name: (told, {"x-gitlab-event": "Push Hook", "idempotency-key": name}),
    "grafana": lambda told, _: ({"groupKey": "{}:{}", **told}, {}),
    "hmac": lambda told, _: (told, {"x-signature": "s"}),
    "jira": lambda told, name: (told, {"x-atlassian-webhook-identifier": name}),
    "key": lambda told, _: (told, {}),
    "pagerduty": lambda told, name: ({"event": {"id": name, "data": told}}, {}),
    "sentry": lambda told, _: ({"action": "created", "data": {"issue": told}}, {}),
    "slack": lambda told, _: ({"text": "a", "attachments": [told]}, {}),
    "standard-webhooks": lambda told, name: (told, {"webhook-id": name}),
    "stripe": lambda told, name: ({"type": "t", "data": {"object": told}, "id": name}, {}),
    "teams": lambda told, _: (told, {}),
}
NAMED = ("azure-devops", "github", "gitlab", "jira", "pagerduty", "standard-webhooks", "stripe")  # by their senders
RETRIED = (*NAMED, "azure-monitor", "cloudevents", "eventgrid", "sentry")


def event_of(source: str, told: dict[str, Any], name: str) -> SourceEvent:
    body, headers = SAYS[source](told, name)
    options = {"header": "X-Signature"} if source == "hmac" else {}
    request = RawRequest(json.dumps(body).encode(), {**JSON, **headers})
    (event,) = source_named(source)(**options).events(request)
    return event


@given(one=objects, other=objects, name=names, next_name=names)
def test_two_events_of_different_content_never_share_a_key(
    one: dict[str, Any], other: dict[str, Any], name: str, next_name: str
) -> None:
    differ = canonical(_as_read(one)) != canonical(_as_read(other))
    compared = [source for source in SOURCES if (name != next_name if source in NAMED else differ)]
    shared = [it for it in compared if event_of(it, one, name).key == event_of(it, other, next_name).key]
    assume(compared)
    assert shared == []


@given(told=objects, name=names)
def test_the_next_try_of_a_sender_that_tries_again_has_the_same_key(told: dict[str, Any], name: str) -> None:
    for source in RETRIED:
        assert event_of(source, told, name).key == event_of(source, told, name).key, source


def test_events_of_one_job_of_gitlab_share_an_id_and_are_no_copies() -> None:
    """Of versions without `Idempotency-Key`: webhooks that trigger each other share `X-Gitlab-Event-UUID`."""
    gitlab, headers = source_named("gitlab")(), {**JSON, "x-gitlab-event-uuid": "1"}
    one, other, again = (gitlab.events(RawRequest(body, headers))[0] for body in (b'{"a":1}', b'{"a":2}', b'{"a":1}'))
    assert one.key == again.key != other.key


@given(told=objects, name=names)
def test_equal_bytes_of_all_others_are_two_events(told: dict[str, Any], name: str) -> None:
    for source in sorted(set(SOURCES) - set(RETRIED)):
        first, again = event_of(source, told, name), event_of(source, told, name)
        if first.known_by != "identity":
            assert (source, first.known_by, first.window) == (source, "nothing", None)
            assert first.key != again.key, source


@given(told=objects)
def test_the_same_bytes_count_for_as_long_as_the_sender_documents(told: dict[str, Any]) -> None:
    headers = {**JSON, "x-github-event": "push", "x-signature": "s", "webhook-id": "m"}
    request = RawRequest(json.dumps(told).encode(), headers)
    # Without the id of an event, or without a text, there is none of these three.
    for source in sorted(set(SOURCES) - {"cloudevents", "slack", "stripe"}):
        options = {"header": "X-Signature"} if source == "hmac" else {}
        for event in source_named(source)(**options).events(request):
            if event.known_by == "same-bytes":
                assert event.window == source_named(source).retries_for is not None, source


def _as_read(value: Any) -> Any:
    """Half a surrogate pair is U+FFFD, whichever half it was; what is no number is a text."""
    from shared.webhooks.sources.json_values import read_json

    return read_json(json.dumps(value).encode())


@pytest.mark.parametrize("source", SOURCES)
def test_the_documents_say_how_long_each_sender_retries(source: str) -> None:
    """With the page that says so, or why there is no time."""
    seconds = source_named(source).retries_for
    (row,) = (line for line in DECISION.splitlines() if line.startswith(f"| {source} |"))
    _, _, time, where, _ = (cell.strip() for cell in row.split("|"))
    assert time == ("none" if seconds is None else f"{seconds:,.0f} s")
    why, _, page = where.rstrip(">").partition("<")
    assert (seconds is None) == bool(why)
    assert page.startswith("https://") or source in ("hmac", "key")
    assert page in (DOCS / f"sources/{source}.md").read_text("utf-8")


def test_a_mail_is_remembered_for_longer_than_any_sender_tries_again() -> None:
    """MAIL_RETENTION_DAYS and keep_days have 8 days as their least."""
    problems = read({"AzureWebJobsStorage": "UseDevelopmentStorage=true", "MAIL_RETENTION_DAYS": "7"}).problems
    assert [problem.setting for problem in problems] == ["MAIL_RETENTION_DAYS"]
    assert all((source_named(name).retries_for or 0) < 8 * 86_400 for name in SOURCES)
