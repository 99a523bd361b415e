"""A mail too large for a queue message: its mail waits in a blob, which goes with it."""

import base64
import os

import httpx
import pytest
from azure.storage.blob import ContainerClient

from tests.e2e.running import Sandbox, eventually, titled

CONTENT = base64.b64encode(os.urandom(1_850_000)).decode()
"""With it a request has 2.5 MB."""
OTHER = base64.b64encode(bytes(1_850_000)).decode()


def large(subject: str, content: str = CONTENT) -> dict[str, object]:
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "menu.pdf", "contentBytes": content}
    return titled(subject, attachments=[file])


def payloads(sandbox: Sandbox, answer: httpx.Response) -> list[str]:
    """The blobs of the mail that an answer is about."""
    mail = answer.headers["location"].rpartition("/")[2]
    with ContainerClient.from_connection_string(sandbox.facts["storage"], "mail-payloads") as container:
        return [name for name in container.list_blob_names() if mail in name]


def received(sandbox: Sandbox, subject: str) -> list[str]:
    """The attachment of each mail with this subject."""
    mails = [mail["message"] for mail in sandbox.accepted() if mail["message"]["subject"] == subject]
    return [mail["attachments"][0]["contentBytes"] for mail in mails]


@pytest.mark.parametrize("why", ["respond-async", "throttled"])
def test_a_mail_of_two_and_a_half_megabytes_waits_in_a_blob_and_arrives_whole(sandbox: Sandbox, why: str) -> None:
    if why == "throttled":
        sandbox.fault(kind="throttle", count=1, retry_after="1")
    answer = sandbox.send(large(why), **({"Prefer": why} if why == "respond-async" else {}))
    assert (answer.status_code, answer.headers["mailroom-state"]) == (202, "accepted")
    eventually(lambda: sandbox.message(answer).json()["state"] == "sent")
    assert received(sandbox, why) == [CONTENT]
    eventually(lambda: not payloads(sandbox, answer))


def test_the_same_key_with_another_large_body_changes_nothing_of_the_first(sandbox: Sandbox) -> None:
    sandbox.fault(kind="throttle", count=1, retry_after="3")
    first = sandbox.send(large("first"), Idempotency_Key="large order")
    [waiting] = payloads(sandbox, first)
    for headers in ({}, {"Prefer": "respond-async"}):
        other = sandbox.send(large("first", OTHER), Idempotency_Key="large order", **headers)
        assert other.status_code == 422
    assert payloads(sandbox, first) == [waiting]
    eventually(lambda: sandbox.message(first).json()["state"] == "sent")
    assert received(sandbox, "first") == [CONTENT]
    eventually(lambda: not payloads(sandbox, first))
