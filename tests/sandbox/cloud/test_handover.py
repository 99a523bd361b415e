"""Accepted mails arrive at the mail catcher by SMTP, in order, with Bcc in the envelope only."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from sandbox.cloud.app import Options, create_app
from sandbox.cloud.handover import Handover
from sandbox.cloud.tokens import Issuer
from tests.sandbox.cloud.emulator import BOX, Clock, Emulator, mail, recipient


@dataclass
class Catcher:
    """An SMTP server (RFC 5321) of a few lines. busy: so many connections are turned away first."""

    busy: int = 0
    port: int = 0
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.busy:
            self.busy -= 1
            writer.write(b"421 busy\r\n")
            writer.close()
            return
        writer.write(b"220 catcher\r\n")
        sender, recipients = "", list[str]()
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    writer.write(b"250-catcher\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n")
                    continue
                case "MAIL":
                    sender = rest[rest.index("<") + 1 : rest.index(">")]
                case "RCPT":
                    recipients.append(rest[rest.index("<") + 1 : rest.index(">")])
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append((sender, recipients, await reader.readuntil(b"\r\n.\r\n")))
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
            writer.write(b"250 ok\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def catching(issuer: Issuer, catcher: Catcher) -> AsyncIterator[tuple[Emulator, Handover]]:
    server = await asyncio.start_server(catcher.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    app = create_app(Options(smtp=("127.0.0.1", port)), issuer=issuer)
    handover = Handover("127.0.0.1", port, delays=(0.01, 0.01))
    app.state.cloud.handover = handover
    async with server, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1") as client:
        yield Emulator(app, client, Clock()), handover
        await handover.close()


async def test_mails_arrive_in_order_with_bcc_in_the_envelope_only(issuer: Issuer) -> None:
    catcher = Catcher()
    async with catching(issuer, catcher) as (emulator, handover):
        for number in range(3):
            message = mail(subject=f"number {number}", bccRecipients=[recipient("b@bücher.example")])
            assert (await emulator.send(message)).status_code == 202
        await handover.drained()
    assert all(f"Subject: number {number}".encode() in catcher.mails[number][2] for number in range(3))
    sender, recipients, data = catcher.mails[0]
    assert (sender, recipients) == (BOX, ["ada@example.com", "b@xn--bcher-kva.example"])
    assert b"bcher" not in data


async def test_a_failure_that_lasts_is_a_warning_and_never_a_failed_request(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    catcher = Catcher(busy=3)
    async with catching(issuer, catcher) as (emulator, handover):
        first = await emulator.send(mail(subject="first"))
        assert first.status_code == 202
        await emulator.send(mail(subject="second"))
        await handover.drained()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert first.headers["request-id"] in caplog.text
    assert "example" not in caplog.text
    assert [b"Subject: second" in data for _, _, data in catcher.mails] == [True]
