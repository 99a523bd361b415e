"""One request through the real SDK and the real credential, against a server that misbehaves on purpose."""

import asyncio
import gc
import json
import logging
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.graph import transport
from shared.graph.client import GraphConnection, open_client
from shared.graph.outcome import Accepted, NotConnected, Outcome, Rejected, Throttled, Unknown
from shared.graph.send import send_mail
from tests.graph.service import Service
from tests.serving import serving, silent

MAILBOX = "mailroom@contoso.example"
RECIPIENT = "frannis@contoso.example"
MESSAGE = {"code": "ErrorInvalidRecipients", "message": f"{RECIPIENT} is none."}


def outgoing_mail(**properties: Any) -> SendMailPostRequestBody:
    message = Message(
        subject="Meet for lunch?",
        body=ItemBody(content_type=BodyType.Text, content="The new cafeteria is open."),
        to_recipients=[Recipient(email_address=EmailAddress(address=RECIPIENT))],
        **properties,
    )
    return SendMailPostRequestBody(message=message, save_to_sent_items=True)


async def send(connection: GraphConnection, deadline: float = 5.0, **options: Any) -> Outcome:
    return await send_mail(connection, MAILBOX, outgoing_mail(), client_request_id="a-1", deadline=deadline, **options)


def error(code: str, **headers: str) -> dict[str, Any]:
    body = {"error": {"code": code, "message": "Said Graph.", "innerError": {"request-id": "r-2"}}}
    return {"headers": {"Content-Type": "application/json", **headers}, "body": json.dumps(body).encode()}


async def test_a_202_is_accepted(service: Service, connection: GraphConnection) -> None:
    service.say(202, headers={"request-id": "r-1", "client-request-id": "a-1"})
    assert await send(connection) == Accepted("r-1", "a-1")
    (request,) = service.requests
    assert request.line == "POST /v1.0/users/mailroom%40contoso.example/sendMail HTTP/1.1"
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["client-request-id"] == "a-1"
    assert request.headers["return-client-request-id"] == "true"
    assert request.headers["content-type"] == "application/json"
    sent = json.loads(request.body)
    assert sent["Message"]["toRecipients"] == [{"emailAddress": {"address": RECIPIENT}}]
    assert sent["SaveToSentItems"] is True
    (identity,) = service.identity_requests
    assert "resource=https://graph.microsoft.com" in unquote(identity.line)
    assert identity.headers["x-identity-header"] == "secret-of-the-platform"


async def test_a_trailing_slash_of_the_base_url_is_not_doubled(service: Service) -> None:
    """GRAPH_BASE_URL may end with a slash; Graph answers 404 to two in a row."""
    connection = open_client(service.base_url + "/", "11111111-2222-3333-4444-555555555555")
    assert isinstance(await send(connection), Accepted)
    assert service.requests[0].line.startswith("POST /v1.0/users/")
    assert "client_id=11111111-2222-3333-4444-555555555555" in service.identity_requests[0].line
    await connection.close()
    await connection.close()


@pytest.mark.parametrize(
    ("status", "answered", "outcome"),
    [
        (202, {"headers": {"Retry-After": "120"}}, Accepted()),
        (302, {"headers": {"Location": "/v1.0/elsewhere"}}, Unknown("status", 302)),
        (307, {"headers": {"Location": "/v1.0/elsewhere"}}, Unknown("status", 307)),
        (
            429,
            error("ApplicationThrottled", **{"Retry-After": "2.128"}),
            Throttled(2.128, 429, "ApplicationThrottled", "r-2"),
        ),
        (503, {"headers": {"Retry-After": "1"}}, Unknown("status", 503, after=1.0)),
    ],
)
async def test_every_answer_has_its_outcome_and_is_asked_for_once(
    service: Service, connection: GraphConnection, status: int, answered: dict[str, Any], outcome: Outcome
) -> None:
    service.say(status, **answered)
    assert await send(connection) == outcome
    assert len(service.requests) == 1


async def test_a_claims_challenge_is_not_answered_by_a_second_request(
    service: Service, connection: GraphConnection
) -> None:
    """A 401 with claims is a refusal like any other; the next mail goes with a new token."""
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="eyJhIjoxfQ=="'}
    service.say(401, headers=challenge)
    assert await send(connection) == Rejected(401, None, "permission")
    assert len(service.requests) == 1
    assert await send(connection) == Accepted()
    assert service.requests[1].headers["authorization"] == "Bearer token-2"


async def test_a_token_serves_many_mails(service: Service, connection: GraphConnection) -> None:
    """The identity endpoint is asked once, and once more after Graph refused its token, but not for every refusal."""
    for _ in range(2):
        assert await send(connection) == Accepted()
    assert len(service.identity_requests) == 1
    for _ in range(3):
        service.say(403, **error("ErrorAccessDenied"))
        refused = await send(connection)
        assert isinstance(refused, Rejected)
        assert refused.kind == "permission"
    assert len(service.identity_requests) == 2


async def test_a_renewal_that_fails_leaves_the_old_token(service: Service, connection: GraphConnection) -> None:
    """One mailbox that refuses, and an identity endpoint that fails then, do not stop the others."""
    service.say(403)
    await send(connection)
    service.say_identity(400)
    assert await send(connection) == Accepted()
    assert service.requests[1].headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize("cut", [0, 9, -1])
async def test_a_connection_that_breaks_after_the_request_is_unknown(
    service: Service, connection: GraphConnection, cut: int
) -> None:
    """Nothing, half a status line, a body cut short: the mail may have gone, and is not sent again here."""
    service.say(202, body=b"{}", cut=cut)
    assert await send(connection) == Unknown("connection")
    assert len(service.requests) == 1


async def test_no_server_is_not_connected(service: Service, unused_tcp_port: int) -> None:
    del service
    connection = open_client(f"http://127.0.0.1:{unused_tcp_port}/v1.0", None)
    assert await send(connection) == NotConnected("connect")
    await connection.close()


async def test_no_tls_is_not_connected(service: Service) -> None:

    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 no TLS here\r\n")
        writer.close()

    async with serving(plain) as port:
        connection = open_client(f"https://127.0.0.1:{port}/v1.0", None)
        assert await send(connection) == NotConnected("connect")
        assert service.requests == []
        await connection.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_deadline_while_connecting_is_not_connected(service: Service) -> None:
    """A handshake that hangs until the deadline carried no mail: it is not Unknown."""
    async with serving(silent) as port:
        connection = open_client(f"https://127.0.0.1:{port}/v1.0", None)
        assert await send(connection, deadline=0.5) == NotConnected("connect")
        assert service.requests == []
        await connection.close()
    gc.collect()  # httpcore leaves the socket of a cancelled handshake to the collector


@pytest.mark.parametrize(
    "answered",
    [
        {"status": 400, "body": b"wrong header"},
        {"status": 200, "body": b"<html>"},
        {"status": 200, "headers": {"Content-Type": "application/json"}, "body": b'{"error": "no identity"}'},
        {
            "status": 200,
            "headers": {"Content-Type": "application/json"},
            "body": b'{"access_token": "t", "expires_on": "9999999999"}',
        },
        {"status": 200, "delay": 10},
    ],
    ids=["400", "HTML", "no token", "no resource", "hangs"],
)
async def test_without_a_token_nothing_is_sent(
    service: Service, connection: GraphConnection, answered: dict[str, Any]
) -> None:
    service.say_identity(**answered)
    assert await send(connection, deadline=0.5) == NotConnected("identity")
    assert service.requests == []


async def test_a_lost_lease_stops_the_request(service: Service, connection: GraphConnection) -> None:
    """The lease is looked at after the token came and before anything leaves."""
    seen: list[int] = []

    def no_longer_ours() -> bool:
        seen.append(len(service.identity_requests))
        return False

    assert await send(connection, still_ours=no_longer_ours) == NotConnected("lease")
    assert seen == [1]
    assert service.requests == []


async def test_a_body_that_cannot_be_written_is_rejected(service: Service, connection: GraphConnection) -> None:
    """What fails while the request is written will always fail, and surely did not go."""
    body = outgoing_mail(additional_data={"unwritable": object()})
    outcome = await send_mail(connection, MAILBOX, body, client_request_id="a-1", deadline=5)
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.code, outcome.kind, outcome.body) == (400, "BadRequest", "permanent", None)
    assert service.requests == []


@pytest.mark.parametrize("client_request_id", ["", "two\r\nlines: 1", "é"])
async def test_an_id_that_is_no_header_is_left_out(
    service: Service, connection: GraphConnection, client_request_id: str
) -> None:
    """client-request-id is for diagnosis; a bad one costs no mail."""
    outcome = await send_mail(connection, MAILBOX, outgoing_mail(), client_request_id=client_request_id, deadline=5)
    assert outcome == Accepted()
    assert "client-request-id" not in service.requests[0].headers


async def test_a_mailbox_is_one_segment_of_the_path(service: Service, connection: GraphConnection) -> None:
    await send_mail(connection, "a/b?c#d é%@x.example", outgoing_mail(), client_request_id="a-1", deadline=5)
    assert service.requests[0].line.startswith("POST /v1.0/users/a%2Fb%3Fc%23d%20%C3%A9%25%40x.example/sendMail ")


async def test_connections_are_used_again(service: Service, connection: GraphConnection) -> None:
    await connection.ensure_token()
    for _ in range(2):
        for _ in range(4):
            service.say(202, delay=0.1)
        outcomes = await asyncio.gather(*(send(connection) for _ in range(4)))
        assert outcomes == [Accepted()] * 4
    assert service.connections <= 1 + 4  # the identity endpoint's, and Graph's


async def test_logs_and_spans_carry_no_personal_data(
    service: Service, connection: GraphConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """No address, subject, body or token in any log record, span name, attribute or event, whatever the outcome."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    caplog.set_level(logging.INFO)
    service.say(202)
    service.say(400, body=json.dumps({"error": MESSAGE}).encode())
    service.say(503)
    service.say(202, cut=0)
    for _ in range(4):
        logging.getLogger("test").info("%r", await send(connection))
    provider.shutdown()
    written = json.dumps([json.loads(span.to_json() or "") for span in spans.get_finished_spans()])
    assert "sendMail" in written
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for private in ("contoso", "mailroom", "frannis", "lunch", "cafeteria", "token-1", "secret-of"):
        assert private not in written.lower()
        assert private not in logged.lower()


def test_a_refusal_keeps_graphs_text_out_of_its_repr() -> None:
    """Graph's text and body may hold addresses; only the caller sees them."""
    refusal = Rejected(400, "ErrorInvalidRecipients", "permanent", "a@b.example is none", body=b"a@b.example")
    assert "a@b.example" not in repr(refusal)
    assert replace(refusal, body=None).message == "a@b.example is none"


def test_nothing_below_the_courier_retries_or_redirects() -> None:
    """The two handlers that double mail are not in the pipeline."""
    connection = open_client("http://127.0.0.1:1", None)
    http = connection.client.request_adapter._http_client  # type: ignore[attr-defined]
    names = []
    handler = http._transport.pipeline._first_middleware
    while handler:
        names.append(type(handler).__name__)
        handler = handler.next
    assert names == ["ParametersNameDecodingHandler", "GraphTelemetryHandler", "PhaseHandler"]
    assert http.follow_redirects is False
    assert transport.KEEP_ALIVE <= 5
