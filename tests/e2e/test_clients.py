"""The official Graph clients, unmodified, with nothing but their base URL changed."""

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_service_client import GraphServiceClient

from tests.e2e.running import ROOT, Sandbox, running

CONTENT = b"%PDF-1.7 \x00\xff" * 100


class SandboxCredential:
    """A credential as azure-identity has them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(self.sandbox.token(scope=scopes[0]), int(time.time()) + 3600)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own, as its parts are imported
async def test_the_official_python_sdk_sends_a_mail_with_an_attachment(sandbox: Sandbox) -> None:
    client = GraphServiceClient(SandboxCredential(sandbox), [f"api://{sandbox.facts['api_client_id']}/.default"])
    client.request_adapter.base_url = sandbox.api
    message = Message(
        subject="Grüße from Python",
        body=ItemBody(content="<p>2026-07-01T12:00:00Z</p>", content_type=BodyType.Html),
        to_recipients=[Recipient(email_address=EmailAddress(address="fannyd@sandbox.example", name="Fanny"))],
        attachments=[FileAttachment(name="menu.pdf", content_type="application/pdf", content_bytes=CONTENT)],
    )
    await client.users.by_user_id(sandbox.sender).send_mail.post(SendMailPostRequestBody(message=message))
    [mail] = sandbox.accepted()
    assert mail["message"]["subject"] == "Grüße from Python"
    assert mail["message"]["body"] == {"contentType": "html", "content": "<p>2026-07-01T12:00:00Z</p>"}
    assert base64.b64decode(mail["message"]["attachments"][0]["contentBytes"]) == CONTENT


@pytest.fixture(scope="module")
def secure() -> Iterator[Sandbox]:
    """A sandbox over https: the JavaScript client gives its token to no other host."""
    with running("--without", "mail", "--tls") as sandbox:
        yield sandbox


@pytest.mark.xdist_group("tls")
def test_the_official_javascript_client_sends_a_mail_with_an_attachment(secure: Sandbox) -> None:
    settings = {
        "NODE_PATH": str(ROOT / "sandbox" / "node_modules"),
        "NODE_EXTRA_CA_CERTS": secure.facts["ca"],
        "BASE_URL": secure.facts["host"] + "/api/",
        "TOKEN": secure.token(),
        "SENDER": secure.sender,
        "CONTENT": base64.b64encode(CONTENT).decode(),
    }
    script = ROOT / "tests" / "e2e" / "send.cjs"
    result = subprocess.run(
        ["node", str(script)], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    [mail] = secure.accepted()
    assert mail["message"]["subject"] == "Grüße from JavaScript"
    assert base64.b64decode(mail["message"]["attachments"][0]["contentBytes"]) == CONTENT
