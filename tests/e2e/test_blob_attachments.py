"""Attachments by reference: files in blobs of the app's own storage account, by queue and over HTTP."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from sandbox.cloud.directory import CALLER_CLIENT_ID, SENDER
from tests.e2e.running import EXAMPLE, Sandbox, eventually, running, titled

CONTENT = bytes(range(256)) * 40
REFERENCE = "#mailroom.blobAttachment"


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    """With large attachments off: what is small needs nothing but to be read."""
    callers = {CALLER_CLIENT_ID: {"senders": [SENDER], "attachments": ["reports/2026"]}}
    settings = {"MAIL_CALLERS": json.dumps(callers), "MAIL_RATE_PER_MINUTE": "100000"}
    with running("--without", "mail", **settings) as sandbox:
        for container in ("reports", "mail-attachments", "mail-dead", "secrets"):
            for name in ("2026/July report.pdf", "x.pdf"):
                put(sandbox, f"{container}/{name}", CONTENT)
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    started.reset()
    return started


def put(sandbox: Sandbox, blob: str, data: bytes) -> None:
    container, _, name = blob.partition("/")
    with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        there = service.get_container_client(container)
        if not there.exists():
            there.create_container()
        there.upload_blob(name, data, overwrite=True)


def reference(blob: str = "reports/2026/July%20report.pdf", **more: Any) -> dict[str, Any]:
    return {"@odata.type": REFERENCE, "name": "report.pdf", "contentType": "application/pdf", "blob": blob, **more}


def attached(sandbox: Sandbox, subject: str) -> list[dict[str, Any]]:
    [mail] = [mail["message"] for mail in sandbox.accepted() if mail["message"]["subject"] == subject]
    return [{name: one[name] for name in one if name != "id"} for one in mail["attachments"]]


def as_file(**more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "report.pdf",
        "contentType": "application/pdf",
        "contentBytes": base64.b64encode(CONTENT).decode(),
        **more,
    }


def test_a_small_file_by_reference_is_sent_while_the_caller_waits(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("small", attachments=[reference(isInline=True, contentId="c")]))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "sent")
    assert attached(sandbox, "small") == [as_file(isInline=True, contentId="c")]


def test_the_outer_names_may_be_the_sdks(sandbox: Sandbox) -> None:
    message = {**EXAMPLE["message"], "subject": "SDK", "attachments": [reference()]}
    assert sandbox.send({"Message": message, "SaveToSentItems": True}).status_code == 202
    assert attached(sandbox, "SDK") == [as_file()]


def test_by_queue_from_the_containers_of_queues(sandbox: Sandbox) -> None:
    body = {"sender": sandbox.sender, **titled("queue", attachments=[reference("mail-attachments/x.pdf")])}
    sandbox.put("mail-outbox", json.dumps(body))
    sandbox.arrives("queue")
    assert attached(sandbox, "queue") == [as_file()]


NOT_HERE = {
    "not there": "reports/2026/none.pdf",
    "outside the folder": "reports/x.pdf",
    "of queues only": "mail-attachments/x.pdf",
    "of nobody": "secrets/x.pdf",
    "Mailroom's own": "mail-dead/x.pdf",
    "a container that is none": "nothing-here/x.pdf",
}


def test_what_may_not_be_attached_and_what_is_not_there_look_the_same(sandbox: Sandbox) -> None:
    answers = [sandbox.send(titled("no", attachments=[reference(blob)])) for blob in NOT_HERE.values()]

    def seen(answer: httpx.Response) -> tuple[int, str, str]:
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    assert {seen(answer) for answer in answers} == {
        (
            400,
            "ErrorItemNotFound",
            "There is no such blob, or it may not be attached here. - at `$.message.attachments[0].blob`",
        )
    }
    assert sandbox.requests() == 0


@pytest.mark.parametrize("blob", ["reports/2026/../x.pdf", "reports/2026/%252e%252e/x.pdf", "reports/2026/x?sv=1"])
def test_a_name_that_could_mean_another_blob_is_refused_with_its_place(sandbox: Sandbox, blob: str) -> None:
    answer = sandbox.send(titled("no", attachments=[reference(blob)]))
    assert answer.status_code == 400
    assert "$.message.attachments[0].blob" in answer.json()["error"]["message"]


@pytest.mark.parametrize("property_", [{"size": 1}, {"etag": "x"}, {"contentBytes": "QQ=="}])
def test_what_mailroom_finds_out_itself_cannot_be_said(sandbox: Sandbox, property_: dict[str, Any]) -> None:
    answer = sandbox.send(titled("no", attachments=[reference(**property_)]))
    assert answer.status_code == 400
    assert f"$.message.attachments[0].{next(iter(property_))}" in answer.json()["error"]["message"]


def test_an_attached_message_has_its_files_with_it(sandbox: Sandbox) -> None:
    item = {"@odata.type": "microsoft.graph.message", "subject": "x", "attachments": [reference()]}
    body = titled("no", attachments=[{"@odata.type": "#microsoft.graph.itemAttachment", "name": "m", "item": item}])
    answer = sandbox.send(body)
    assert answer.status_code == 400
    assert "$.message.attachments[0].item.attachments[0]" in answer.json()["error"]["message"]


@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_a_file_that_is_no_longer_what_it_was_fails_the_mail_and_is_not_left_out(sandbox: Sandbox, change: str) -> None:
    put(sandbox, f"reports/2026/{change}", CONTENT)
    sandbox.fault(kind="throttle", count=1, retry_after="3")
    answer = sandbox.send(titled(change, attachments=[reference(f"reports/2026/{change}")]))
    assert answer.headers["mailroom-state"] == "accepted"
    if change == "changed":
        put(sandbox, "reports/2026/changed", CONTENT[::-1])
    else:
        with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
            service.get_blob_client("reports", "2026/deleted").delete_blob()
    found = eventually(lambda: (said := sandbox.message(answer).json())["state"] == "failed" and said)
    assert found["code"] == "AttachmentChanged"
    assert change not in sandbox.subjects()
    metadata, kept = sandbox.dead()[found["id"]]
    assert metadata["kind"] == "mail"
    assert json.loads(kept)["request"]["message"]["subject"] == change


def test_a_repeated_key_is_answered_as_before_after_its_file_was_cleared_away(sandbox: Sandbox) -> None:
    put(sandbox, "reports/2026/once", CONTENT)
    body = titled("once", attachments=[reference("reports/2026/once")])
    assert sandbox.send(body, Idempotency_Key="a file").status_code == 202
    with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        service.get_blob_client("reports", "2026/once").delete_blob()
    again = sandbox.send(body, Idempotency_Key="a file")
    assert (again.status_code, again.headers["mailroom-state"]) == (202, "sent")
    assert sandbox.subjects().count("once") == 1


@pytest.mark.parametrize("way", ["HTTP", "queue"])
def test_what_is_too_large_for_a_request_names_the_setting_and_the_permission(sandbox: Sandbox, way: str) -> None:
    """MAIL_LARGE_ATTACHMENTS is off; nothing is sent without its file."""
    put(sandbox, "reports/2026/large", bytes(5_000_000))
    put(sandbox, "mail-attachments/large", bytes(5_000_000))
    if way == "HTTP":
        answer = sandbox.send(titled("large", attachments=[reference("reports/2026/large")]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestEntityTooLarge")
        assert "MAIL_LARGE_ATTACHMENTS" in answer.json()["error"]["message"]
        assert "Mail.ReadWrite" in answer.json()["error"]["message"]
    else:
        body = {"sender": sandbox.sender, **titled("large", attachments=[reference("mail-attachments/large")])}
        before = set(sandbox.dead())
        sandbox.put("mail-outbox", json.dumps(body))
        eventually(lambda: set(sandbox.dead()) - before)
        [mail] = set(sandbox.dead()) - before
        assert sandbox.dead()[mail][0]["reason"] == "RequestEntityTooLarge"
    assert "large" not in sandbox.subjects()


def test_a_body_above_4_mb_names_them_too(sandbox: Sandbox) -> None:
    content = base64.b64encode(bytes(4_000_000)).decode()
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentBytes": content}
    answer = sandbox.send(titled("large", attachments=[file]))
    assert answer.status_code == 413
    assert "MAIL_LARGE_ATTACHMENTS" in answer.json()["error"]["message"]
