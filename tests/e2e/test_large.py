"""Mails larger than one request to Graph: whole, or not at all, and nothing left behind, whatever goes wrong."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from sandbox.cloud.directory import CALLER_CLIENT_ID
from tests.e2e.running import QUICK, ROOT, Sandbox, beside, command, environment, eventually, running, titled

MB = 1_000_000
MIB = 1024 * 1024
CHUNK = 12 * 320 * 1024  # bytes that Mailroom uploads at once
CONTAINER = "mail-attachments"
FILE = "#microsoft.graph.fileAttachment"
NO_MAILROOM = ROOT / "tests/sandbox/host/apps/http"
REFERENCE = "#mailroom.blobAttachment"
SETTINGS = {
    **QUICK,
    "MAIL_LARGE_ATTACHMENTS": "true",
    "MAIL_SEND_TIMEOUT": "5",
    "MAIL_LEASE_MARGIN": "2",
    "MAIL_ALLOWED_SENDERS": "*@sandbox.example",
    "MAIL_CALLERS": json.dumps({CALLER_CLIENT_ID: {"senders": ["*@sandbox.example"], "attachments": [CONTAINER]}}),
}
# Each test has a mailbox of its own: Graph, and so Mailroom, takes 150 MB of one in five minutes.
MAILBOXES = cycle(f"shared{number}@sandbox.example" for number in range(1, 21))


@pytest.fixture(scope="module")
def started() -> Iterator[Sandbox]:
    with running("--without", "mail", "--queue-lease", "5", **SETTINGS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: Sandbox) -> Sandbox:
    assert started.http.post(f"{started.facts['control']}/reset", json={"all": True}).status_code < 300
    return replace(started, facts=started.facts | {"sender": next(MAILBOXES)})


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same nowhere: a chunk too many, too few or in the wrong place shows."""
    block = hashlib.shake_256(seed.to_bytes(2)).digest(min(size, 1 << 16))
    whole = bytearray()
    while len(whole) < size:
        whole += block[: size - len(whole) - 8] if size - len(whole) > 8 else b""
        whole += len(whole).to_bytes(8)[: size - len(whole)]
    return bytes(whole)


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


@pytest.mark.proof
def test_a_file_of_35_mb_by_reference_arrives_as_it_was(sandbox: Sandbox) -> None:
    """As large as Exchange's default lets a mail be."""
    data = content(35 * MB)
    sandbox.ends(large(sandbox, "35 MB", stored(sandbox, "2026/report.bin", data)))
    assert files(sandbox, "35 MB") == [expected(("report.bin", data))]
    assert left(sandbox) == NOTHING


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


@pytest.mark.proof
def test_two_large_mails_at_once_keep_their_files_apart(sandbox: Sandbox) -> None:
    mails = {name: content(5 * MB, seed) for seed, name in enumerate(("first", "second"))}
    attachments = {name: stored(sandbox, f"{name}/same.bin", data) for name, data in mails.items()}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda name: large(sandbox, name, attachments[name]), mails))
    for answer in answers:
        sandbox.ends(answer)
    for name, data in mails.items():
        assert files(sandbox, name) == [expected(("same.bin", data))]
    assert left(sandbox) == NOTHING


CHUNKS = 4
QUICKLY = {("lost", 0), ("expired", 1)}  # the rest: make proof; every answer to a chunk: tests/graph
BROKEN = [
    pytest.param(kind, chunk, marks=() if (kind, chunk) in QUICKLY else pytest.mark.proof)
    for kind in ("dropped", "lost", "unavailable", "expired", "gateway_timeout", "html502", "throttle", "redirect")
    for chunk in range(CHUNKS)
]


@pytest.mark.parametrize(("kind", "chunk"), BROKEN)
def test_after_a_fault_in_any_chunk_the_upload_is_resumed(sandbox: Sandbox, kind: str, chunk: int) -> None:
    """Whether the chunk was taken or not, and whether the session is still there."""
    data = content(max(chunk, 1) * CHUNK + 1, chunk)
    sandbox.fault(kind=kind, on="upload", count=1, skip=chunk)
    answer = large(sandbox, f"{kind} {chunk}", stored(sandbox, "chunks.bin", data))
    assert sandbox.ends(answer)["attempts"] == 1
    assert files(sandbox, f"{kind} {chunk}") == [expected(("chunks.bin", data))]
    assert left(sandbox) == NOTHING


def struck(sandbox: Sandbox, *faults: dict[str, Any], mails: list[dict[str, Any]]) -> list[httpx.Response]:
    """Send each mail into a fault of its own, and do not wait for what becomes of it: they all back off together."""
    answers = []
    for fault, mail in zip(faults, mails, strict=True):
        sandbox.fault(count=1, retry_after="1", **fault)
        answers.append(sandbox.send(mail))
        control = f"{sandbox.facts['control']}/faults"
        eventually(lambda: not any(one["count"] for one in sandbox.http.get(control).json()), 30)  # noqa: B023
    return answers


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["lost", "dropped", "unavailable", "throttle", "html502"])
def test_after_a_fault_around_the_upload_nothing_is_doubled_and_nothing_missing(sandbox: Sandbox, kind: str) -> None:
    """In making the draft, adding a file, opening a session."""
    one, two = content(3_500_000, 1), content(1_500_000, 2)
    attachments = [stored(sandbox, "one.bin", one), inline("two.bin", two)]
    mails = [titled(f"around {kind} {skip}", attachments=attachments) for skip in range(3)]
    faults = [{"kind": kind, "on": "write", "skip": skip} for skip in range(3)]
    for answer in struck(sandbox, *faults, mails=mails):
        sandbox.ends(answer, seconds=120)
    for skip in range(3):
        [found] = files(sandbox, f"around {kind} {skip}")
        assert sorted(found) == sorted(expected(("one.bin", one), ("two.bin", two)))
    assert left(sandbox) == NOTHING


def test_an_unknown_send_is_decided_by_the_draft(sandbox: Sandbox) -> None:
    """Still a draft: it was not sent, and the same draft goes. Gone: its marker is in Sent Items."""
    data = content(3_500_000)
    kinds = ["lost", "throttle"]
    mails = [titled(kind, attachments=[stored(sandbox, "sent.bin", data)]) for kind in kinds]
    for answer in struck(sandbox, *({"kind": kind, "on": "send"} for kind in kinds), mails=mails):
        sandbox.ends(answer)
    assert {kind: files(sandbox, kind) for kind in kinds} == {kind: [expected(("sent.bin", data))] for kind in kinds}
    assert left(sandbox) == NOTHING


@pytest.mark.proof
def test_a_host_killed_in_the_middle_of_an_upload_leaves_the_rest_to_the_next() -> None:
    """SIGKILL: the draft is found and gone on with; one mail, whole."""
    data, other = content(4 * MB, 1), content(12 * MB, 2)
    # A sandbox whose own host knows nothing of Mailroom, so that the mail can only go through the ones beside it.
    with running("--without", "mail", "--app", str(NO_MAILROOM), **SETTINGS) as cloud:
        settings = {**cloud.facts["environment"], **SETTINGS}
        with killed(settings) as first:
            mailroom = Sandbox({**cloud.facts, **{name: fact for name, fact in first.items() if fact}}, cloud.http)
            cloud.fault(kind="slow", on="upload", probability=1.0, seconds=1.0)
            attachments = [stored(cloud, "first.bin", data), stored(cloud, "second.bin", other)]
            answer = mailroom.send(titled("killed", attachments=attachments))
            assert answer.status_code == 202
            eventually(lambda: left(cloud)["uploads"] and left(cloud)["drafts"][0]["attachments"] == ["first.bin"], 60)
        [before] = left(cloud)["drafts"]
        assert before["attachments"] == ["first.bin"]
        cloud.http.delete(f"{cloud.facts['control']}/faults")
        with beside(cloud, "--queue-lease", "3", **SETTINGS) as second:
            eventually(lambda: second.state(answer) == "sent", 90)
        assert files(cloud, "killed") == [expected(("first.bin", data), ("second.bin", other))]
        assert left(cloud)["drafts"] == []


@contextmanager
def killed(settings: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A host that is killed in the end: the sandbox's watchdog does it when its supervisor dies."""
    process = subprocess.Popen(
        command("--only", "host", "--queue-lease", "3"),
        stdout=subprocess.PIPE, env=environment(**settings), cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    facts: dict[str, Any] = json.loads(process.stdout.readline())
    try:
        yield facts
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
        eventually(lambda: not _answers(facts["host"]))


def _answers(host: str) -> bool:
    try:
        httpx.get(f"{host}/api/health", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
