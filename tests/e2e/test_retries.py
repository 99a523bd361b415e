"""Clients that repeat what they got no answer to, or a bad one: one mail each.

The official clients, unmodified, with their own retries on; between them and Mailroom a gateway that loses answers to
what was carried out, as gateways and networks do.
"""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.certificate import Certificate, issue
from tests.e2e.running import ROOT, Sandbox, eventually, running
from tests.sandbox.host.running import Gate

CLIENTS = Path(__file__).parent / "clients"
PYTHON = (sys.executable, str(CLIENTS / "repeat.py"))
JAVASCRIPT = ("node", str(CLIENTS / "repeat.cjs"))

Loss = Literal["broken", "504"]


@dataclass
class Gateway:
    """Hands requests on. The first answers are lost: the connection breaks, or the client is told 504."""

    behind: str
    losses: list[Loss] = field(default_factory=list)
    url: str = ""
    answers: list[int] = field(default_factory=list)  # statuses of Mailroom's
    keys: list[tuple[str | None, str | None]] = field(default_factory=list)  # Idempotency-Key and client-request-id

    def carry_out(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
        answer = httpx.post(self.behind + handler.path, content=body, headers=headers, timeout=60, trust_env=False)
        self.answers.append(answer.status_code)
        self.keys.append((handler.headers["idempotency-key"], handler.headers["client-request-id"]))
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


def program(command: tuple[str, ...], sandbox: Sandbox, base_url: str, **environment: str) -> subprocess.Popen[str]:
    settings = {"BASE_URL": base_url, "TOKEN": sandbox.token(), "SENDER": sandbox.sender, **environment}
    return subprocess.Popen(command, env=os.environ | settings, text=True, stderr=subprocess.PIPE)


def succeed(started: subprocess.Popen[str]) -> None:
    with started:
        _, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors


@pytest.mark.parametrize("loss", ["broken", "504"])
def test_the_python_sdk_with_a_key_repeats_a_lost_answer_and_sends_one_mail(sandbox: Sandbox, loss: Loss) -> None:
    """Repeated by the program when the connection breaks, and by the SDK itself when a gateway says 504."""
    subject = f"Python, {loss}"
    with gateway(sandbox.facts["host"], loss) as between:
        succeed(program(PYTHON, sandbox, f"{between.url}/api/v1.0", SUBJECT=subject, KEY=f"order {loss}"))
    assert between.answers == [202, 202]
    sandbox.arrives(subject)
    assert sandbox.subjects().count(subject) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return issue(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("loss", ["broken", "504"])
def test_the_javascript_client_repeats_a_lost_answer_and_sends_one_mail(
    sandbox: Sandbox, certificate: Certificate, loss: Loss
) -> None:
    """Repeated by the program when the connection breaks, and by the client itself when a gateway says 504."""
    subject = f"JavaScript, {loss}"
    settings = {
        "NODE_PATH": str(ROOT / "sandbox" / "node_modules"),
        "NODE_EXTRA_CA_CERTS": str(certificate.ca),
        "KEY": f"JavaScript {loss}",
    }
    with gateway(sandbox.facts["host"], loss, certificate=certificate) as between:
        succeed(program(JAVASCRIPT, sandbox, f"{between.url}/api/", SUBJECT=subject, **settings))
    assert between.answers == [202, 202]
    assert [key for key, _ in between.keys] == [f"JavaScript {loss}"] * 2
    sandbox.arrives(subject)
    assert sandbox.subjects().count(subject) == 1


@contextmanager
def before_storage(sandbox: Sandbox) -> Iterator[tuple[str, list[Gate]]]:
    """The sandbox's connection string with a gate before each service."""
    settings = dict(part.partition("=")[::2] for part in sandbox.facts["storage"].rstrip(";").split(";"))
    with ExitStack() as stack:
        gates = []
        for service in ("BlobEndpoint", "QueueEndpoint", "TableEndpoint"):
            endpoint = urlsplit(settings[service])
            assert endpoint.port
            gates.append(Gate(endpoint.port))
            stack.callback(gates[-1].shut)
            settings[service] = endpoint._replace(netloc=f"127.0.0.1:{gates[-1].port}").geturl()
        yield ";".join(f"{name}={value}" for name, value in settings.items()), gates


def test_the_python_sdk_repeats_a_503_before_anything_was_stored_and_sends_one_mail(sandbox: Sandbox) -> None:
    """Without a key: Mailroom says 503 only when it has stored nothing and sent nothing, so nobody needs one."""
    subject = "storage was away"
    with before_storage(sandbox) as (storage, gates):
        # The rate is the sandbox's own: hosts over one storage share what is left of it.
        own = {"AzureWebJobsStorage": storage, "MAIL_RATE_PER_MINUTE": "100000"}
        environment = sandbox.facts["environment"] | own
        with running("--only", "host", **environment) as host, gateway(host.facts["host"]) as between:
            for gate in gates:
                gate.shut()
            client = program(PYTHON, sandbox, f"{between.url}/api/v1.0", SUBJECT=subject)
            eventually(lambda: between.answers)
            for gate in gates:
                gate.open()
            succeed(client)
    assert between.answers == [503, 202]
    sandbox.arrives(subject)
    assert sandbox.subjects().count(subject) == 1
