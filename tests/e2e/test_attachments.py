"""Attachments by reference: files in blobs of the app's own account."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.storage.blob import BlobClient, BlobServiceClient

from tests.e2e.running import EXAMPLE, Sandbox, titled

CONTENT = bytes(range(256)) * 40
FILE = "#microsoft.graph.fileAttachment"


@contextmanager
def blob_of(sandbox: Sandbox, name: str) -> Iterator[BlobClient]:
    container, _, rest = name.partition("/")
    with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        if not service.get_container_client(container).exists():
            service.create_container(container)
        yield service.get_blob_client(container, rest)


def put(sandbox: Sandbox, name: str, data: bytes = CONTENT) -> dict[str, Any]:
    """Put a file into a blob; the attachment that names it."""
    with blob_of(sandbox, name) as blob:
        blob.upload_blob(data, overwrite=True)
    kind, path = "#mailroom.blobAttachment", name.replace(" ", "%20")
    return {"@odata.type": kind, "name": "report.pdf", "contentType": "application/pdf", "blob": path}


def attached(sandbox: Sandbox, subject: str) -> list[dict[str, Any]]:
    [mail] = [mail["message"] for mail in sandbox.accepted() if mail["message"]["subject"] == subject]
    return [{name: one[name] for name in one if name != "id"} for one in mail["attachments"]]


def as_file(**more: Any) -> dict[str, Any]:
    there = {"@odata.type": FILE, "name": "report.pdf", "contentType": "application/pdf"}
    return {**there, "contentBytes": base64.b64encode(CONTENT).decode(), **more}


def test_a_small_file_by_reference_is_sent_over_http_and_by_queue(sandbox: Sandbox) -> None:
    """While the caller waits; from the containers of each; and the outer names may be the SDK's."""
    attachment = put(sandbox, "reports/2026/July report.pdf") | {"isInline": True, "contentId": "c"}
    answer = sandbox.send(titled("small", attachments=[attachment]))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "sent")
    assert attached(sandbox, "small") == [as_file(isInline=True, contentId="c")]
    message = {**EXAMPLE["message"], "subject": "SDK", "attachments": [attachment]}
    assert sandbox.send({"Message": message, "SaveToSentItems": True}).status_code == 202
    sandbox.queue(titled("queue", attachments=[put(sandbox, "mail-attachments/x.pdf")]))
    sandbox.arrives("queue")
    assert attached(sandbox, "queue") == [as_file()]


@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_a_file_that_is_no_longer_what_it_was_fails_the_mail_and_is_not_left_out(sandbox: Sandbox, change: str) -> None:
    attachment = put(sandbox, f"reports/2026/{change}")
    sandbox.fault(kind="throttle", count=1, retry_after="2")
    with sandbox.dead() as found:
        answer = sandbox.send(titled(change, attachments=[attachment]))
        assert answer.headers["mailroom-state"] == "accepted"
        if change == "changed":
            put(sandbox, "reports/2026/changed", CONTENT[::-1])
        else:
            with blob_of(sandbox, "reports/2026/deleted") as blob:
                blob.delete_blob()
        said = sandbox.ends(answer, "failed")
    assert said["code"] == "AttachmentChanged"
    assert change not in sandbox.subjects()
    kept = found[said["id"]]
    assert (kept.kind, change.encode() in kept.content) == ("mail", True)
