"""The official Graph clients, unmodified, with nothing but their base URL changed; and where answers are lost.

For that, a gateway between them and Mailroom loses answers to what was carried out, as gateways and networks do.
"""

import base64
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal

import httpx
import pytest

from sandbox.certificate import Certificate, issue
from tests.e2e.running import ROOT, Sandbox, eventually

CLIENTS = Path(__file__).parent / "clients"
CONTENT = b"%PDF-1.7 \x00\xff" * 100
MODULES = str(ROOT / "sandbox" / "node_modules")

Loss = Literal["broken", "503", "504"]


@dataclass
class Gateway:
    """Hands requests on. The first answers are lost: the connection breaks, or the client is told 504.

    With 503 it answers in the place of a Mailroom whose storage is away, and hands nothing on.
    """

    behind: str
    losses: list[Loss] = field(default_factory=list)
    url: str = ""
    answers: list[int] = field(default_factory=list)  # statuses of Mailroom's
    keys: list[str | None] = field(default_factory=list)

    def carry_out(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if self.losses[:1] == ["503"]:
            self._reply(handler, int(self.losses.pop(0)), {"Retry-After": "1"}, b"")
            return
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
        answer = httpx.post(self.behind + handler.path, content=body, headers=headers, timeout=60, trust_env=False)
        self.answers.append(answer.status_code)
        self.keys.append(handler.headers["idempotency-key"])
        match self.losses.pop(0) if self.losses else None:
            case "broken":
                handler.close_connection = True
            case "504":
                self._reply(handler, 504, {"Retry-After": "1"}, b"")
            case None:
                self._reply(handler, answer.status_code, dict(answer.headers), answer.content)

    def _reply(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def gateway(behind: str, *losses: Loss, certificate: Certificate | None = None) -> Iterator[Gateway]:
    found = Gateway(behind, list(losses))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.carry_out(self)

        def log_message(self, *_: object) -> None:
            """Tests read what they need themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    serving = Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield found
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


# What each client does itself, and what the program around it repeats: both are in the long run.
@pytest.mark.parametrize(
    ("program", "losses"),
    [
        ("mail.py", ["503", "504"]),
        ("mail.cjs", ["broken"]),
        pytest.param("mail.py", ["broken"], marks=pytest.mark.proof),
        pytest.param("mail.cjs", ["504"], marks=pytest.mark.proof),
    ],
)
def test_an_official_client_sends_a_mail_once_although_answers_are_lost_and_then_mime(
    sandbox: Sandbox, tmp_path: Path, program: str, losses: list[Loss]
) -> None:
    """Repeated by the program when the connection breaks, and by the client itself when it is told 503 or 504."""
    certificate, path = (None, "/api/v1.0") if program.endswith(".py") else (issue(tmp_path), "/api/")
    message = EmailMessage(SMTP)
    message["From"], message["To"], message["Subject"] = sandbox.sender, "fannyd@sandbox.example", program
    message.set_content("The new cafeteria is open.")
    message.add_attachment(CONTENT, maintype="application", subtype="pdf", filename="menu.pdf")
    key = f"order {program} {losses}"
    subject = f"Grüße from {program}, {'+'.join(losses)}"
    with gateway(sandbox.facts["host"], *losses, certificate=certificate) as between:
        command = (sys.executable if program.endswith(".py") else "node", str(CLIENTS / program))
        settings = {
            "BASE_URL": between.url + path, "TOKEN": sandbox.token(), "SENDER": sandbox.sender, "SUBJECT": subject,
            "KEY": key, "CONTENT": base64.b64encode(CONTENT).decode(),
            "MIME": base64.b64encode(message.as_bytes()).decode(), "NODE_PATH": MODULES,
            "NODE_EXTRA_CA_CERTS": str(certificate.ca) if certificate else "",
        }  # fmt: skip
        done = subprocess.run(
            command, env=os.environ | settings, text=True, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    assert between.answers == [202] * 3
    assert between.keys == [key] * 2 + [None]
    sandbox.arrives(subject)
    eventually(lambda: len(sandbox.accepted()) == 2)
    [second] = [mail for mail in sandbox.accepted() if mail["via"] == "mime"]
    [first] = [mail for mail in sandbox.accepted() if mail["via"] != "mime"]
    assert first["message"]["subject"] == subject
    assert base64.b64decode(first["message"]["attachments"][0]["contentBytes"]) == CONTENT
    assert f"Subject: {program}" in second["mime"]
    assert second["mime"].endswith(message.as_bytes().decode().partition("\r\n\r\n")[2])
