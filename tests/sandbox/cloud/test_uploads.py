"""Large attachments through an upload session, with Outlook's ranges."""

from typing import Any

import httpx
import pytest

from tests.sandbox.cloud.emulator import FILE, MESSAGES, Emulator, error_code

MB = 1024 * 1024
CONTENT = bytes(range(256)) * (5 * MB // 256)


async def session(emulator: Emulator, **changes: Any) -> tuple[str, httpx.Response]:
    """The draft's path and the answer of createUploadSession."""
    path = f"{MESSAGES}/{(await emulator.draft())['id']}"
    item = {"attachmentType": "file", "name": "big.bin", "size": len(CONTENT), "contentType": "x/y"} | changes
    answer = await emulator.graph("POST", f"{path}/attachments/createUploadSession", json={"AttachmentItem": item})
    return path, answer


async def put(emulator: Emulator, url: str, start: int, end: int, total: int = len(CONTENT)) -> httpx.Response:
    """The bytes from start to before end."""
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}"}
    return await emulator.client.put(url, content=CONTENT[start:end], headers=headers)


async def test_the_upload_url_takes_no_token(emulator: Emulator) -> None:
    _, opened = await session(emulator)
    headers = {"Authorization": f"Bearer {emulator.token()}", "Content-Range": f"bytes 0-{MB - 1}/{len(CONTENT)}"}
    answer = await emulator.client.put(opened.json()["uploadUrl"], content=CONTENT[:MB], headers=headers)
    assert answer.status_code == 401
    assert (await put(emulator, opened.json()["uploadUrl"], 0, MB)).status_code == 200


async def test_chunks_come_in_order_and_fit(emulator: Emulator) -> None:
    _, opened = await session(emulator)
    url = opened.json()["uploadUrl"]
    assert (await put(emulator, url, MB, 2 * MB)).status_code == 416
    assert (await put(emulator, url, 0, MB, total=4 * MB)).status_code == 400
    assert (await put(emulator, url, 0, 4 * MB + 1)).status_code == 413
    assert (await emulator.client.put(url, content=b"x")).status_code == 400
    short = await emulator.client.put(url, content=b"x", headers={"Content-Range": f"bytes 0-9/{len(CONTENT)}"})
    assert short.status_code == 400
    assert (await put(emulator, url, 0, 4 * MB)).status_code == 200
    assert (await put(emulator, url, 0, 4 * MB)).status_code == 416


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": 3 * MB - 1}, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"),
        ({"size": 150 * MB + 1}, "ErrorAttachmentSizeLimitExceeded"),
        ({"attachmentType": "item"}, "BadRequest"),
        ({"attachmentType": "folder"}, "RequestBodyRead"),
        ({"size": "5"}, "RequestBodyRead"),
        ({"other": 1}, "RequestBodyRead"),
    ],
)
async def test_a_session_is_for_files_of_3_to_150_mb(emulator: Emulator, changes: dict[str, Any], code: str) -> None:
    _, answer = await session(emulator, **changes)
    assert error_code(answer) == (400, code)


async def test_a_file_is_among_the_attachments_once_it_is_whole(emulator: Emulator) -> None:
    path, opened = await session(emulator)
    await emulator.graph("POST", f"{path}/attachments", json=FILE)
    url = opened.json()["uploadUrl"]
    await put(emulator, url, 0, 4 * MB)

    async def names(query: str = "") -> list[tuple[str, int]]:
        answer = await emulator.graph("GET", f"{path}/attachments{query}")
        return [(one["name"], one["size"]) for one in answer.json()["value"]]

    assert await names() == [("a.txt", 5)]
    await put(emulator, url, 4 * MB, len(CONTENT))
    assert await names("?$select=name,size") == [("a.txt", 5), ("big.bin", len(CONTENT))]
    for query in ("?$select=contentBytes", "?$filter=x"):
        assert error_code(await emulator.graph("GET", f"{path}/attachments{query}")) == (400, "BadRequest")
    answer = await emulator.graph("GET", f"{path}/attachments?$select=name")
    assert "contentBytes" not in answer.json()["value"][0]


@pytest.mark.parametrize("end", ["send", "delete"])
async def test_a_session_ends_with_its_draft(emulator: Emulator, end: str) -> None:
    path, opened = await session(emulator)
    await (emulator.graph("POST", f"{path}/send") if end == "send" else emulator.graph("DELETE", path))
    assert (await emulator.client.get(opened.json()["uploadUrl"])).status_code == 404
    assert await emulator.control("GET", "drafts") == {"drafts": [], "uploads": 0}


async def test_a_session_can_be_made_to_expire_at_any_chunk(emulator: Emulator) -> None:
    _, opened = await session(emulator)
    await emulator.control("POST", "faults", {"kind": "expired", "on": "upload", "skip": 1})
    url = opened.json()["uploadUrl"]
    assert (await put(emulator, url, 0, 2 * MB)).status_code == 200
    assert error_code(await put(emulator, url, 2 * MB, 4 * MB)) == (404, "ErrorItemNotFound")
    assert (await emulator.client.get(url)).status_code == 404
