"""The real Azurite and MailDev, started as the supervisor starts them."""

import asyncio
import os
import smtplib
from pathlib import Path

import httpx
from azure.storage.queue.aio import QueueClient

from sandbox.environment import for_part
from sandbox.options import parse
from sandbox.parts import COMMANDS, mail, storage
from sandbox.ports import free
from sandbox.process import Process
from sandbox.watchdog import Watchdog


async def test_azurite_serves_its_connection_string_and_keeps_data_where_it_is_told(tmp_path: Path) -> None:
    folder, data = tmp_path / "folder", tmp_path / "data"
    folder.mkdir()
    options = parse(["--storage-port", "0", "--data", str(data)])
    part = storage(options, COMMANDS["storage"], for_part(os.environ | {"AZURITE_ACCOUNTS": "another:a2V5"}), folder)
    with Watchdog(folder) as watchdog:
        process = await Process.start(part, folder, watchdog)
        facts = await process.ready()
        async with QueueClient.from_connection_string(facts.connection_string, "mail-outbox") as queue:
            await queue.create_queue()
            await queue.send_message("hello")
            assert [message.content async for message in queue.receive_messages()] == ["hello"]
        await process.stop(asyncio.Event())
        assert await process.ended() == "exit status 0"
    assert list(data.iterdir())
    assert not folder.exists()


async def test_maildev_shows_in_the_browser_what_came_by_smtp(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    web = free()
    part = mail((web, free({web})), COMMANDS["mail"], for_part(os.environ | {"MAILDEV_HTTPS": "true"}), folder)
    with Watchdog(folder) as watchdog:
        process = await Process.start(part, folder, watchdog)
        facts = await process.ready()
        await asyncio.to_thread(_send, facts.smtp)
        async with httpx.AsyncClient(base_url=facts.web) as browser, asyncio.timeout(10):
            while not (mails := (await browser.get("/email")).json()):  # noqa: ASYNC110 - another process has the event
                await asyncio.sleep(0.05)
        assert [found["subject"] for found in mails] == ["Meet for lunch?"]
        await _answers_its_own_pages_only(web)
        await process.stop(asyncio.Event())
        assert await process.ended() == "exit status 0"


async def _answers_its_own_pages_only(port: int) -> None:
    """MailDev itself lets pages of every origin read all mails, and delete them."""
    own = f"127.0.0.1:{port}"
    asked = [
        ({}, 200, 101),
        ({"Host": f"localhost:{port}"}, 200, 101),
        ({"Origin": f"http://{own}"}, 200, 101),
        ({"Host": f"LOCALHOST:{port}", "Origin": f"http://localhost:{port}"}, 200, 101),
        ({"Host": "rebound.example"}, 421, 421),
        ({"Host": f"127.0.0.1.rebound.example:{port}"}, 421, 421),
        ({"Host": f"rebound.example:{port}", "Origin": f"http://rebound.example:{port}"}, 421, 421),
        ({"Origin": "https://page.example"}, 403, 403),
        ({"Origin": f"http://page.example/{own}"}, 403, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403, 403),
        ({"Origin": "null"}, 403, 403),
    ]
    for headers, status, upgraded in asked:
        for path in ("/", "/email", "/socket.io/?EIO=4&transport=polling"):
            assert await _status(port, path, {"Host": own, "Connection": "close", **headers}) == status, (path, headers)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
        path = "/socket.io/?EIO=4&transport=websocket"
        assert await _status(port, path, {"Host": own, **upgrade, **headers}) == upgraded, headers


async def _status(port: int, path: str, headers: dict[str, str]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


def _send(address: str) -> None:
    host, _, port = address.rpartition(":")
    with smtplib.SMTP(host, int(port)) as smtp:
        smtp.sendmail("from@sandbox.example", ["to@sandbox.example"], "Subject: Meet for lunch?\r\n\r\nThe cafeteria.")
