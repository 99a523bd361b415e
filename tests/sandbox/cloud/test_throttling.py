"""Outlook's limits: each application has its own at each mailbox."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from sandbox.cloud import graph
from sandbox.cloud.directory import SENDER_OID
from tests.sandbox.cloud.emulator import BOX, MESSAGES, Emulator, error_code, mail

OTHER_BOX = "orders@sandbox.example"
OTHER_APP = "11111111-2222-3333-4444-555555555555"
MB = 1024 * 1024


def refused(answer: httpx.Response, limit: str, retry_after: str) -> bool:
    """By this limit, in Graph's words."""
    words = answer.json()["error"]["message"] == f"Application is over its {limit} limit."
    throttled = error_code(answer) == (429, "ApplicationThrottled")
    return throttled and words and answer.headers["retry-after"] == retry_after


async def stats(emulator: Emulator) -> dict[str, Any]:
    found: dict[str, Any] = await emulator.control("GET", "stats")
    return found


class Together:
    """Requests that are let in stay in flight until all are there; in the place of asyncio, for the latency."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._go = asyncio.Event()
        self._go.set()

    async def sleep(self, _: float) -> None:
        self._in_flight += 1
        await self._go.wait()

    async def ask(self, *requests: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
        self._in_flight = 0
        self._go.clear()
        asked = [asyncio.create_task(request) for request in requests]
        while self._in_flight + sum(one.done() for one in asked) < len(asked):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
        self._go.set()
        return await asyncio.gather(*asked)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Together:
    together = Together()
    monkeypatch.setattr(graph, "asyncio", together)
    return together


async def test_four_requests_at_a_time_are_taken_of_one_application_at_one_mailbox(
    emulator: Emulator, together: Together
) -> None:
    answers = await together.ask(*(emulator.send() for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202] * 4 + [429] * 2
    assert all(refused(answer, "MailboxConcurrency", "2.128") for answer in answers if answer.status_code == 429)
    found = await stats(emulator)
    assert (found["in_flight_max"], found["throttled"], found["accepted"]) == (4, 2, 4)
    assert found["by_status"] == {"202": 4, "429": 2}
    assert found["over_limits"] == {"MailboxConcurrency": 2}
    assert (await emulator.send()).status_code == 202


async def test_what_is_too_much_for_one_mailbox_is_nothing_to_another(emulator: Emulator, together: Together) -> None:
    boxes = [BOX] * 5 + [OTHER_BOX] * 4
    answers = await together.ask(*(emulator.send(box=box) for box in boxes))
    assert [answer.status_code for answer in answers[5:]] == [202] * 4
    assert sorted(answer.status_code for answer in answers[:5]) == [202] * 4 + [429]
    found = await stats(emulator)
    assert (found["in_flight_max"], found["in_flight_max_in_all"]) == (4, 8)


async def test_one_mailbox_has_one_limit_by_whatever_name_it_is_asked_for(
    emulator: Emulator, together: Together
) -> None:
    """By address in any case, by object id, and as the user's own."""
    await emulator.control("POST", "settings", {"concurrency": 1})
    answers = await together.ask(*(emulator.send(box=box) for box in (BOX, BOX.upper(), SENDER_OID)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429]
    user = emulator.token(user=BOX)
    own = [emulator.graph("GET", path, token=user) for path in ("me/messages", MESSAGES)]
    assert sorted(answer.status_code for answer in await together.ask(*own)) == [200, 429]


async def test_each_application_has_its_own_limits(emulator: Emulator, together: Together) -> None:
    await emulator.control("POST", "settings", {"concurrency": 1})
    other = emulator.token(client_id=OTHER_APP)
    answers = await together.ask(emulator.send(), emulator.send(token=other))
    assert [answer.status_code for answer in answers] == [202, 202]


async def test_so_many_requests_are_taken_in_ten_minutes(emulator: Emulator) -> None:
    """What is refused counts as well, so that who goes on asking is not let in."""
    assert (await emulator.control("GET", "settings"))["requests"] == 10_000
    await emulator.control("POST", "settings", {"requests": 3})
    for _ in range(3):
        assert (await emulator.send()).status_code == 202
        emulator.clock.now += 10
    assert refused(await emulator.send(), "MailboxRequests", "570")
    assert (await emulator.send(box=OTHER_BOX)).status_code == 202
    emulator.clock.now += 570  # the first is ten minutes old, the refused one is not
    assert refused(await emulator.send(), "MailboxRequests", "10")
    emulator.clock.now += 600
    assert (await emulator.send()).status_code == 202


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_so_many_bytes_are_taken_in_five_minutes(emulator: Emulator, method: str) -> None:
    assert (await emulator.control("GET", "settings"))["upload_bytes"] == 150 * MB
    made = await emulator.draft()
    await emulator.control("POST", "settings", {"upload_bytes": 3000})
    emulator.clock.now += 10
    large = {"subject": "x" * 2000}
    path = MESSAGES + (f"/{made['id']}" if method == "PATCH" else "")
    assert (await emulator.graph(method, path, json=large)).is_success
    assert refused(await emulator.graph(method, path, json=large), "IncomingBytes", "300")
    assert (await emulator.graph("GET", path)).status_code == 200, "reading uploads nothing"
    assert (await emulator.send(box=OTHER_BOX, message=mail(subject="x" * 2000))).status_code == 202
    emulator.clock.now += 299
    assert (await emulator.graph(method, path, json=large)).status_code == 429
    emulator.clock.now += 1
    assert (await emulator.graph(method, path, json=large)).is_success


async def test_pieces_put_to_an_upload_url_count_for_its_mailbox(emulator: Emulator) -> None:
    """And for the application that has opened it, though no token is there to say so."""
    made = await emulator.draft()
    item = {"AttachmentItem": {"attachmentType": "file", "name": "a", "size": 4 * MB}}
    path = f"{MESSAGES}/{made['id']}/attachments/createUploadSession"
    url = (await emulator.graph("POST", path, json=item)).json()["uploadUrl"]
    await emulator.control("POST", "settings", {"upload_bytes": 3 * MB})

    async def put(start: int, end: int) -> httpx.Response:
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{4 * MB}"}
        return await emulator.client.put(url, content=bytes(end - start), headers=headers)

    assert (await put(0, 2 * MB)).status_code == 200
    assert refused(await put(2 * MB, 4 * MB), "IncomingBytes", "300")
    assert refused(await emulator.send(mail(subject="x" * MB)), "IncomingBytes", "300"), "one window for both"
    emulator.clock.now += 300
    assert (await put(2 * MB, 4 * MB)).status_code == 201
