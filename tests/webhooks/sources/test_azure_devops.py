"""Azure DevOps' service hooks."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from shared.webhooks.sources.azure_devops import AzureDevOps
from tests.webhooks.sources.anything import event_of

SOURCE = AzureDevOps()
read = partial(event_of, SOURCE)
COLLECTION = "c12d0eb8-e382-443b-9f9c-c52cba5014c2"
NOBODY = "00000000-0000-0000-0000-000000000000"
PULL_REQUEST = {
    "repository": {"id": "4bc14d40-c903-45e2-872e-0462c7748079", "name": "shop"},
    "pullRequestId": 17,
    "status": "active",
    "title": "Round prices once",
    "sourceRefName": "refs/heads/rounding",
    "targetRefName": "refs/heads/main",
}
RELEASE = {"id": 4, "name": "Release-1", "status": "active"}


def payload(kind: str = "git.pullrequest.created", resource: Any = PULL_REQUEST, **changes: Any) -> dict[str, Any]:
    text = "Megan Bowen created pull request 17 in shop"
    whole = {
        "subscriptionId": "4f6e6328-0251-4814-a009-c01dfa368e3f",
        "notificationId": 3,
        "id": "2ab4e3d3-b7a6-425e-92b1-5a9982c1269e",
        "eventType": kind,
        "publisherId": "tfs",
        "message": {"text": text, "html": text, "markdown": text},
        "detailedMessage": {"text": text, "html": f"<b>{text}</b>", "markdown": f"**{text}**"},
        "resource": resource,
        "resourceVersion": "1.0",
        "resourceContainers": {"collection": {"id": COLLECTION, "baseUrl": "https://dev.azure.com/contoso/"}},
        "createdDate": "2026-11-22T09:59:28.9695265Z",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def test_a_notification_is_one_event_with_the_whole_payload() -> None:
    event = read(payload())
    assert (event.id, event.type) == ("2ab4e3d3-b7a6-425e-92b1-5a9982c1269e", "git.pullrequest.created")
    assert event.source == "https://dev.azure.com/contoso/"
    assert event.time == datetime(2026, 11, 22, 9, 59, 28, 969526, UTC)
    assert event.subject == "pullrequest/17"
    assert event.data == payload()


def test_the_key_is_the_id_and_the_kind_of_event() -> None:
    again = payload(resource={}, notificationId=9, createdDate="x", subscriptionId="y")
    assert read(payload()).key == read(again).key
    assert read(payload()).known_by == "sender-id"
    assert read(payload("git.pullrequest.updated")).key != read(payload("git.pullrequest.created")).key
    assert read(payload(id="other")).key != read(payload()).key


def test_test_gives_a_mail_each_time_although_its_sample_has_always_the_same_id() -> None:
    first, second = (read(payload(subscriptionId=NOBODY, notificationId=number)).key for number in (5, 6))
    assert first != second
    assert read(payload(subscriptionId=NOBODY, notificationId=5)).key == first
    uncounted = payload(subscriptionId=NOBODY, notificationId=None)
    assert read(uncounted).key != read(uncounted).key


@pytest.mark.parametrize(
    ("kind", "resource", "about"),
    [
        ("workitem.updated", {"id": 9, "workItemId": 5, "rev": 9, "revision": {"id": 5, "rev": 9}}, "workitem/5"),
        ("workitem.updated", {"id": 9, "workItemId": 0, "revision": {"id": 5}}, "workitem/5"),
        ("workitem.updated", {"id": 9, "workItemId": 5}, "workitem/5"),
        ("workitem.updated", {"id": 9, "url": "https://x/_apis/wit/workItems/5/updates/9"}, "workitem/5"),
        ("ms.vss-pipelines.stage-state-changed-event", {"stage": {"id": NOBODY}, "run": {"id": 11}}, "build/11"),
        (
            "ms.vss-pipelinechecks-events.approval-pending",
            {"approval": {"id": "0f027b05"}, "run": None, "id": 0},
            "approval/0f027b05",
        ),
        (
            "ms.vss-release.deployment-started-event",
            {"environment": {"id": 8, "releaseId": 4}, "release": {"id": 0}},
            "release/4",
        ),
        ("ms.vss-release.deployment-completed-event", {"deployment": {"id": 7, "release": RELEASE}}, "release/4"),
        (
            "ms.vss-release.deployment-approval-pending-event",
            {"approval": {"id": 3, "release": RELEASE}, "release": {"id": 0}},
            "release/4",
        ),
        ("tfvc.checkin", {"changesetId": 18}, "changeset/18"),
        ("contoso.something", {"id": "x1"}, "contoso.something/x1"),
    ],
)
def test_all_mails_on_one_resource_are_one_conversation(kind: str, resource: dict[str, Any], about: str) -> None:
    """Those of all other kinds of events are in the examples of the route."""
    event = read(payload(kind, resource))
    assert event.subject == about
    assert event.thread == f"{COLLECTION}/{about}"


@pytest.mark.parametrize(
    "resource", [{"id": 9}, {"id": 9, "url": "https://x/_apis/wit/workItems/odd/updates/9"}, {}, None, "odd"]
)
def test_an_update_that_does_not_name_its_work_item_is_of_none(resource: Any) -> None:
    """Its own id counts the changes of the item, and is another item's number."""
    event = read(payload("workitem.updated", resource))
    assert event.subject is None
    assert event.thread is None


@pytest.mark.parametrize(
    "resource", [{}, None, [], "x", {"id": 0}, {"id": NOBODY}, {"pullRequestId": None}, {"id": {}}]
)
def test_an_event_on_nothing_in_particular_has_no_conversation(resource: Any) -> None:
    assert read(payload("contoso.something", resource)).thread is None


def test_one_number_in_two_organisations_is_two_conversations() -> None:
    other = {"collection": {"id": "0a1b2c3d-0000-4000-8000-00000000000c"}}
    assert read(payload(resourceContainers=other)).thread != read(payload()).thread
    assert read(payload(resourceContainers=None)).thread == "pullrequest/17"
