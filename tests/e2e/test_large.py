"""Mails larger than one request to Graph: whole, or not at all, and nothing left behind, whatever goes wrong."""

import base64
import hashlib
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from tests.e2e.running import QUICK, Sandbox, eventually, running, titled

MB = 1_000_000
CHUNK = 12 * 320 * 1024  # bytes that Mailroom uploads at once
CONTAINER = "mail-attachments"
FILE = "#microsoft.graph.fileAttachment"
REFERENCE = "#mailroom.blobAttachment"
SETTINGS = {
    **QUICK,
    "MAIL_LARGE_ATTACHMENTS": "true",
    "MAIL_SEND_TIMEOUT": "5",
    "MAIL_LEASE_MARGIN": "2",
}


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with running("--without", "mail", "--queue-lease", "5", **SETTINGS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    assert started.http.post(f"{started.facts['control']}/reset", json={"all": True}).status_code < 300
    return started


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same nowhere: a chunk too many, too few or in the wrong place shows."""
    return Random(seed).randbytes(size)


def inline(name: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"@odata.type": FILE, "name": name, "contentBytes": base64.b64encode(data).decode(), **more}


def stored(sandbox: Sandbox, name: str, data: bytes, container: str = CONTAINER, **more: Any) -> dict[str, Any]:
    """Put a file into a blob; the attachment that names it."""
    with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        there = service.get_container_client(container)
        if not there.exists():
            there.create_container()
        there.upload_blob(name, data, overwrite=True)
    return {"@odata.type": REFERENCE, "name": name.rpartition("/")[2], "blob": f"{container}/{name}", **more}


def files(sandbox: Sandbox, subject: str) -> list[list[tuple[str, int, str]]]:
    """Name, size and SHA-256 of the files of each mail that was accepted under this subject."""
    answer = sandbox.http.get(f"{sandbox.facts['control']}/accepted", params={"digests": "true"}).json()
    return [
        [(one["name"], one["size"], one["sha256"]) for one in mail["message"]["attachments"]]
        for mail in answer
        if mail["message"]["subject"] == subject
    ]


def expected(*pairs: tuple[str, bytes]) -> list[tuple[str, int, str]]:
    return [(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in pairs]


def left(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.http.get(f"{sandbox.facts['control']}/drafts").json()
    return found


NOTHING = {"drafts": [], "uploads": 0}


def payloads(sandbox: Sandbox, answer: httpx.Response) -> list[str]:
    mail = answer.headers["location"].rpartition("/")[2]
    with BlobServiceClient.from_connection_string(sandbox.facts["storage"]) as service:
        container = service.get_container_client("mail-payloads")
        return [name for name in container.list_blob_names() if mail in name] if container.exists() else []


def large(sandbox: Sandbox, subject: str, *attachments: dict[str, Any], **headers: str) -> httpx.Response:
    """Send a mail that Mailroom accepts and then uploads."""
    answer = sandbox.send(titled(subject, attachments=list(attachments)), **headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["mailroom-state"] == "accepted"
    return answer


def test_small_large_inline_and_attached_items_go_together(sandbox: Sandbox) -> None:
    small, picture, many, archive = content(1000), content(5000, 1), content(2_900_000, 2), content(3_500_000, 3)
    item = {
        "@odata.type": "#microsoft.graph.itemAttachment",
        "name": "Lunch",
        "item": {"@odata.type": "microsoft.graph.event", "subject": "Lunch"},
    }
    attachments = [
        inline("small.txt", small),
        stored(sandbox, "large.bin", archive, contentType="application/zip"),
        inline("logo.png", picture, isInline=True, contentId="logo", contentType="image/png"),
        item,
        stored(sandbox, "a.bin", many),
        inline("b.bin", many),
    ]
    answer = large(sandbox, "together", *attachments)
    sandbox.ends(answer)
    [mail] = [mail["message"] for mail in sandbox.accepted()]
    by_name = {one["name"]: one for one in mail["attachments"]}
    for name, data in {
        "small.txt": small, "large.bin": archive, "logo.png": picture, "a.bin": many, "b.bin": many,
    }.items():  # fmt: skip
        assert base64.b64decode(by_name[name]["contentBytes"]) == data
    assert len(mail["attachments"]) == len(attachments)
    assert by_name["large.bin"]["contentType"] == "application/zip"
    assert by_name["logo.png"]["contentId"] == "logo"
    assert by_name["logo.png"]["isInline"] is True
    assert by_name["Lunch"]["item"]["subject"] == "Lunch"
    assert left(sandbox) == NOTHING
    eventually(lambda: not payloads(sandbox, answer))


@pytest.mark.parametrize(("kind", "chunk"), [("lost", 0), ("expired", 1)])
def test_after_a_fault_in_any_chunk_the_upload_is_resumed(sandbox: Sandbox, kind: str, chunk: int) -> None:
    """Whether the session is still there or not. Every answer to a chunk: tests/graph."""
    data = content(max(chunk, 1) * CHUNK + 1, chunk)
    sandbox.fault(kind=kind, on="upload", count=1, skip=chunk)
    answer = large(sandbox, f"{kind} {chunk}", stored(sandbox, "chunks.bin", data))
    assert sandbox.ends(answer)["attempts"] == 1
    assert files(sandbox, f"{kind} {chunk}") == [expected(("chunks.bin", data))]
    assert left(sandbox) == NOTHING


def test_an_unknown_send_is_decided_by_the_draft(sandbox: Sandbox) -> None:
    """Still a draft: it was not sent, and the same draft goes. Gone: its marker is in Sent Items."""
    data = content(3_500_000)
    kinds = ["lost", "throttle"]
    answers = []
    for kind in kinds:
        sandbox.fault(count=1, retry_after="1", kind=kind, on="send")
        answers.append(sandbox.send(titled(kind, attachments=[stored(sandbox, "sent.bin", data)])))
        faults = f"{sandbox.facts['control']}/faults"
        eventually(lambda: not any(one["count"] for one in sandbox.http.get(faults).json()), 30)  # noqa: B023
    for answer in answers:  # they have backed off together
        sandbox.ends(answer)
    assert {kind: files(sandbox, kind) for kind in kinds} == {kind: [expected(("sent.bin", data))] for kind in kinds}
    assert left(sandbox) == NOTHING
