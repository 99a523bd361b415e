"""GitHub's row of the table of senders, each cell; and every payload that GitHub's own collection of examples has."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.errors import Malformed
from shared.webhooks.sources.github import GitHub
from shared.webhooks.sources.source import RawRequest, SourceEvent, Unverified
from tests.webhooks.sources.signers import NOW, digest_of

SOURCE = GitHub()
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
REPOSITORY = {"full_name": "contoso/shop", "html_url": "https://github.com/contoso/shop"}
ISSUE = {"number": 42, "title": "Cannot pay", "updated_at": "2026-11-22T09:59:00Z"}
RUN = {"id": 7, "name": "CI", "head_branch": "main", "conclusion": "failure", "head_repository": REPOSITORY}
FORK = {"full_name": "zoe/shop", "html_url": "https://github.com/zoe/shop"}
JOB = {"name": "lint", "workflow_name": "CI", "head_branch": "main"}


def request_of(kind: str, payload: Any, **headers: str) -> RawRequest:
    sent = {"x-github-event": kind, "x-github-delivery": DELIVERY, "content-type": "application/json", **headers}
    return RawRequest(json.dumps(payload).encode(), sent)


def event_of(kind: str, **payload: Any) -> SourceEvent:
    (event,) = SOURCE.events(request_of(kind, {"repository": REPOSITORY, **payload}))
    return event


def test_the_vector_of_githubs_documentation_is_verified() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = RawRequest(b"Hello, World!", {"x-hub-signature-256": signature})
    SOURCE.authenticate(request, ["It's a Secret to Everybody"], NOW)
    with pytest.raises(Unverified):
        SOURCE.authenticate(request, ["It's a Secret to everybody"], NOW)


@pytest.mark.parametrize("prefix", ["", "sha1=", "SHA256=", "sha256:", "sha256=sha256=", "sha512="])
def test_a_signature_that_does_not_say_that_it_is_of_sha_256_proves_nothing(prefix: str) -> None:
    request = RawRequest(b"{}", {"x-hub-signature-256": prefix + digest_of("s3cret", b"{}").hex()})
    with pytest.raises(Unverified):
        SOURCE.authenticate(request, ["s3cret"], NOW)


def test_a_ping_is_answered_and_no_mail() -> None:
    reply = SOURCE.handshake(request_of("ping", {"zen": "Keep it logically awesome."}))
    assert reply is not None
    assert 200 <= reply.status < 300


def test_without_a_delivery_each_request_is_an_event_of_its_own() -> None:
    """GitHub never tries again by itself, and some events are the same bytes when they happen again."""
    first, again = (SOURCE.events(request_of("push", {"a": 1}, **{"x-github-delivery": " "}))[0] for _ in range(2))
    assert first.key != again.key
    assert (first.known_by, first.id) == ("nothing", first.key)


def test_the_delivery_is_the_key_and_the_signed_body_is_named_beside_it() -> None:
    """The delivery is not signed, the body is: the same one under another delivery is mailed, and told."""

    def read(delivery: str, payload: Any) -> SourceEvent:
        (event,) = SOURCE.events(request_of("push", payload, **{"x-github-delivery": delivery}))
        return event

    first, again, other = read("1", {"a": 1}), read("2", {"a": 1}), read("1", {"a": 2})
    assert (first.key, again.key, other.key) == ("1", "2", "1")
    assert first.signed == again.signed != other.signed
    assert (first.id, first.known_by) == ("1", "sender-id")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"]
)
def test_a_form_holds_the_same_json(content_type: str) -> None:
    payload = {"zen": "a+b & c=d; 100 % für 5 €\n", "repository": REPOSITORY}
    body = urlencode({"payload": json.dumps(payload, ensure_ascii=False)}).encode()
    headers = {"x-github-event": "push", "x-github-delivery": DELIVERY, "content-type": content_type}
    (event,) = SOURCE.events(RawRequest(body, headers))
    assert event.data == payload


@pytest.mark.parametrize(
    "body", [b"", b"payload=", b"other={}", b"payload={}&payload={}", b"&" * 100, b"payload=%7B", b"\xff"]
)
def test_a_form_without_one_payload_is_malformed(body: bytes) -> None:
    headers = {"x-github-event": "push", "content-type": "application/x-www-form-urlencoded"}
    with pytest.raises(Malformed) as caught:
        SOURCE.events(RawRequest(body, headers))
    assert caught.value.status == 400


def test_without_the_name_of_the_event_a_request_is_malformed() -> None:
    for call in (SOURCE.handshake, SOURCE.events):
        with pytest.raises(Malformed, match="X-GitHub-Event"):
            call(RawRequest(b"{}", {"x-github-event": " "}))


def completed(kind: str, conclusion: str) -> dict[str, Any]:
    return {"action": "completed", kind: {"conclusion": conclusion}}


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("push", {}, "push"),
        ("issues", {"action": "opened"}, "issues.opened"),
        ("pull_request", {"action": "closed", "pull_request": {"merged": True}}, "pull_request.closed"),
        ("workflow_run", {"action": "completed", "workflow_run": RUN}, "workflow_run.completed.failure"),
        ("workflow_run", {"action": "requested", "workflow_run": RUN}, "workflow_run.requested"),
        ("workflow_run", {"action": "completed", "workflow_run": {"conclusion": None}}, "workflow_run.completed"),
        ("workflow_job", completed("workflow_job", "success"), "workflow_job.completed.success"),
        ("check_run", completed("check_run", "timed_out"), "check_run.completed.timed_out"),
        ("check_run", {**completed("check_run", "neutral"), "action": "rerequested"}, "check_run.rerequested"),
        ("check_suite", completed("check_suite", "failure"), "check_suite.completed.failure"),
        ("deployment_status", {"action": "created", "deployment_status": {"state": "error"}},
         "deployment_status.created.error"),
        ("status", {"state": "pending"}, "status.pending"),
        ("of_tomorrow", {"action": "done"}, "of_tomorrow.done"),
        ("of_tomorrow", {"action": {"not": "text"}}, "of_tomorrow"),
    ],
)  # fmt: skip
def test_the_type_is_the_event_its_action_and_how_it_ended(kind: str, payload: Any, expected: str) -> None:
    assert event_of(kind, **payload).type == expected


@pytest.mark.parametrize(
    ("kind", "payload", "subject", "thread"),
    [
        ("pull_request", {"pull_request": ISSUE, "number": 42}, "#42 Cannot pay", "#42"),
        ("discussion_comment", {"discussion": {"number": 3}}, "#3", "#3"),
        ("workflow_run", {"workflow_run": RUN}, "CI", " CI main"),
        ("workflow_run", {"workflow_run": {**RUN, "head_repository": FORK}}, "CI", " CI zoe/shop:main"),
        ("workflow_run", {"workflow_run": {**RUN, "name": None}, "workflow": {"name": "Old"}}, "Old", " Old main"),
        ("workflow_run", {"workflow_run": {}}, None, None),
        ("workflow_job", {"workflow_job": JOB}, "lint", " CI main"),
        ("check_run", {"check_run": {"name": "lint", "check_suite": {"head_branch": "main"}}}, "lint", " lint main"),
        ("check_suite", {"check_suite": {"app": {"name": "Bot"}, "head_branch": "main"}}, "Bot", " Bot main"),
        ("status", {"context": "build", "branches": [{"name": "main"}], "sha": "abc"}, "build", " build main"),
        ("status", {"context": "build", "branches": [], "sha": "abc"}, "build", " build abc"),
        ("secret_scanning_alert_location", {"alert": {"number": 9, "secret_type": "key"}}, "key",
         " secret_scanning_alert 9"),
        ("push", {"ref": "refs/heads/feature/pay"}, "feature/pay", None),
        ("create", {"ref": "v1.0", "ref_type": "tag"}, "v1.0", None),
    ],
)  # fmt: skip
def test_subject_and_conversation_are_what_the_event_is_about(
    kind: str, payload: Any, subject: str | None, thread: str | None
) -> None:
    """A run that mends a branch joins the one that broke it. Other kinds of events: the examples of the route."""
    event = event_of(kind, **payload)
    assert (event.subject, event.thread) == (subject, thread and f"contoso/shop{thread}")


@pytest.mark.parametrize(
    ("payload", "source"),
    [
        ({"repository": REPOSITORY, "organization": {"login": "contoso"}}, "https://github.com/contoso/shop"),
        (
            {"organization": {"login": "contoso"}, "sender": {"html_url": "https://git.contoso.com/zoe"}},
            "https://git.contoso.com/contoso",
        ),
        ({"organization": {"login": "contoso"}}, "https://github.com/contoso"),
        ({"sender": {"html_url": "https://github.com/zoe"}}, "https://github.com/zoe"),
        ({}, "https://github.com"),
    ],
)
def test_the_source_is_the_page_of_the_repository_or_of_the_organisation(payload: Any, source: str) -> None:
    (event,) = SOURCE.events(request_of("member", payload))
    assert event.source == source


def test_the_time_is_that_of_what_happened_and_none_where_github_does_not_say() -> None:
    assert str(event_of("issues", issue=ISSUE).time) == "2026-11-22 09:59:00+00:00"
    comment = {"updated_at": "2026-11-22T10:00:00Z"}
    assert str(event_of("issue_comment", issue=ISSUE, comment=comment).time) == "2026-11-22 10:00:00+00:00"
    pushed = {**REPOSITORY, "pushed_at": 1795341600}
    assert str(event_of("push", repository=pushed).time) == "2026-11-22 10:00:00+00:00"
    assert event_of("star", repository=pushed).time is None
