"""A mail as MIME through the real SDK: written as Graph wants it, and found again by its Message-ID."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandbox.cloud.state import Cloud
from shared.app import App
from shared.delivery.row import Row
from shared.graph.client import GraphConnection, open_client
from shared.graph.outcome import Accepted, Outcome, Rejected, Throttled, Unknown
from shared.graph.send import send_mail
from shared.mail.graph_types import EmailAddress, Recipient
from shared.mail.model import Message, SendMail
from shared.settings.config import Settings
from tests.delivery.samples import Office, outgoing_mail
from tests.graph.service import Service
from tests.sandbox.cloud.served import served

if TYPE_CHECKING:
    from shared.graph.find import Found

# The SDK's modules warn of their own deprecated classes when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BOX = "mailroom@sandbox.example"
ID = "<0197c1b2d3e4f5a6b7c8d9e0f1a2b3c4@sandbox.example>"
MARKER = "String {502bbd30-de57-442a-aa11-c718c124b3ff} Name MailroomId"
MAIL = (
    f"From: {BOX}\r\nTo: frannis@contoso.example\r\nBcc: hidden@contoso.example\r\nSubject: x\r\n"
    f"Message-ID: {ID}\r\nIn-Reply-To: <root@threads.example>\r\n\r\n" + "The new cafeteria is open.\r\n" * 100
).encode()


async def send(connection: GraphConnection, mail: bytes = MAIL, deadline: float = 5.0, **options: Any) -> Outcome:
    return await send_mail(connection, BOX, mail, client_request_id="a-1", deadline=deadline, **options)


async def found(connection: GraphConnection, message_id: str = ID, deadline: float = 5.0) -> "Found":
    from shared.graph.find import MessageId, find_copy

    return await find_copy(connection, BOX, MessageId(message_id), deadline)


async def test_mime_goes_as_one_base64_text(service: Service, connection: GraphConnection) -> None:
    """The request is the one that Graph documents for MIME, with the same headers otherwise."""
    service.say(202, headers={"request-id": "r-1", "client-request-id": "a-1"})
    assert await send(connection) == Accepted("r-1", "a-1")
    (request,) = service.requests
    assert request.line == "POST /v1.0/users/mailroom%40sandbox.example/sendMail HTTP/1.1"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["client-request-id"] == "a-1"
    assert base64.b64decode(request.body, validate=True) == MAIL


async def test_a_mail_whose_headers_cannot_be_written_is_rejected_and_graph_is_not_asked() -> None:
    """As it would be where a rule has put in a recipient that MIME has no place for."""
    mime = b"To: a@contoso.example\r\n\r\nx"
    moved = Message(to_recipients=(Recipient(email_address=EmailAddress(address="ü@contoso.example")),))
    made = replace(outgoing_mail(), mime=mime, request=SendMail(message=moved))
    row = Row(
        id=made.id, state="sending", scope="", fingerprint="", mailbox=BOX, accepted_at=made.accepted_at, mime=True
    )
    office = Office()
    outcome = await App(Settings()).mailer.send(made, await office.engine.claim(row))
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.code, outcome.kind) == (400, "ErrorInvalidRecipients", "permanent")


@dataclass(frozen=True)
class Graph:
    """The emulator over HTTP."""

    cloud: Cloud
    connection: GraphConnection
    control: httpx.AsyncClient

    async def fault(self, **fault: Any) -> None:
        answer = await self.control.post("faults", content=json.dumps(fault))
        assert answer.status_code == 200, answer.text

    @property
    def accepted(self) -> int:
        return len(self.cloud.accepted)


@pytest.fixture
async def graph(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Graph]:
    async with served(monkeypatch) as (cloud, root):
        connection = open_client(f"{root}/v1.0", None)
        async with httpx.AsyncClient(base_url=f"{root}/_control/", trust_env=False) as control:
            yield Graph(cloud, connection, control)
        await connection.close()


@pytest.mark.parametrize(
    ("kind", "outcome", "taken"),
    [("throttle", Throttled, 0), ("dropped", Unknown, 0), ("gateway_timeout", Unknown, 1), ("lost", Unknown, 1)],
)
async def test_the_mailbox_says_what_graph_took_and_what_it_did_not(
    graph: Graph, kind: str, outcome: type[Outcome], taken: int
) -> None:
    """Also without saying so: a 504 after it was accepted, and an answer that was lost, need not go again."""
    assert await found(graph.connection) == "absent"
    await graph.fault(kind=kind)
    assert isinstance(await send(graph.connection), outcome)
    assert (graph.accepted, await found(graph.connection)) == (taken, "sent" if taken else "absent")
    if not taken:
        assert isinstance(await send(graph.connection), Accepted)
    assert (graph.accepted, await found(graph.connection)) == (1, "sent")
    assert await found(graph.connection, ID.replace("0197", "0198")) == "absent"
    [mail] = graph.cloud.accepted
    assert (mail["via"], mail["mime"].encode()) == ("mime", MAIL)
