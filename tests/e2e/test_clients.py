"""The official Graph clients, unmodified, with nothing but their base URL changed."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, Sandbox, running

CLIENTS = Path(__file__).parent / "clients"
CONTENT = b"%PDF-1.7 \x00\xff" * 100


def send(sandbox: Sandbox, base_url: str, *command: str, **environment: str) -> None:
    settings = {
        "BASE_URL": sandbox.facts["host"] + base_url,
        "TOKEN": sandbox.token(),
        "SENDER": sandbox.sender,
        "CONTENT": base64.b64encode(CONTENT).decode(),
        **environment,
    }
    result = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_official_python_sdk_sends_a_mail_with_an_attachment(sandbox: Sandbox) -> None:
    send(sandbox, "/api/v1.0", sys.executable, str(CLIENTS / "send.py"))
    [mail] = sandbox.accepted()
    assert mail["message"]["subject"] == "Grüße from Python"
    assert mail["message"]["body"] == {"contentType": "html", "content": "<p>2026-07-01T12:00:00Z</p>"}
    assert base64.b64decode(mail["message"]["attachments"][0]["contentBytes"]) == CONTENT


def mime(sandbox: Sandbox, subject: str) -> str:
    mail = EmailMessage(SMTP)
    mail["From"], mail["To"], mail["Subject"] = sandbox.sender, "fannyd@sandbox.example", subject
    mail.set_content("The new cafeteria is open.")
    mail.add_attachment(CONTENT, maintype="application", subtype="pdf", filename="menu.pdf")
    return base64.b64encode(mail.as_bytes()).decode()


def test_the_official_python_sdk_sends_mime(sandbox: Sandbox) -> None:
    content = mime(sandbox, "MIME from Python")
    send(sandbox, "/api/v1.0", sys.executable, str(CLIENTS / "send_mime.py"), CONTENT=content)
    [mail] = sandbox.accepted()
    assert (mail["via"], "Subject: MIME from Python" in mail["mime"]) == ("mime", True)
    assert mail["mime"].endswith(base64.b64decode(content).decode().partition("\r\n\r\n")[2])


@pytest.fixture(scope="module")
def secure() -> Iterator[Sandbox]:
    """A sandbox over https: the JavaScript client gives its token to no other host."""
    with running("--without", "mail", "--tls") as sandbox:
        yield sandbox


def test_the_official_javascript_client_sends_a_mail_with_an_attachment(secure: Sandbox) -> None:
    modules = {"NODE_PATH": str(ROOT / "sandbox" / "node_modules"), "NODE_EXTRA_CA_CERTS": secure.facts["ca"]}
    send(secure, "/api/", "node", str(CLIENTS / "send.cjs"), **modules)
    mail = secure.accepted()[-1]
    assert mail["message"]["subject"] == "Grüße from JavaScript"
    assert base64.b64decode(mail["message"]["attachments"][0]["contentBytes"]) == CONTENT


def test_the_official_javascript_client_sends_mime(secure: Sandbox) -> None:
    modules = {"NODE_PATH": str(ROOT / "sandbox" / "node_modules"), "NODE_EXTRA_CA_CERTS": secure.facts["ca"]}
    content = mime(secure, "MIME from JavaScript")
    send(secure, "/api/", "node", str(CLIENTS / "send_mime.cjs"), **modules, CONTENT=content)
    mail = secure.accepted()[-1]
    assert (mail["via"], "Subject: MIME from JavaScript" in mail["mime"]) == ("mime", True)
