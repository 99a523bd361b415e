"""Whatever is sent, it is answered in time, below 500, with a status that is described, and the refusal names a place.

Two ways: `schemathesis` makes requests of the OpenAPI document, right ones and wrong ones; and a corpus of hostile
requests (hostile.py). Short here; the long run is under `make proof`, which measures the host's memory as well.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.hostile import BODIES, HEADERS, RAW
from tests.e2e.running import ROOT, Sandbox, eventually, running

SCHEMA = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.json")
OPERATIONS: dict[str, Any] = {
    operation.label: operation
    for found in SCHEMA.get_all_operations()
    if (operation := found.ok() if isinstance(found, Ok) else None)
}
CHECKS: list[Any] = [status_code_conformance, content_type_conformance, response_schema_conformance]
PATIENCE = 30.0  # seconds for an answer
PLATFORM = {400, 401, 404, 405, 413}  # answered before any function runs: without a body
PLACE = re.compile(r"\$|line \d|[A-Z][a-z]+-[A-Z][a-z]+|/me request|token|Authorization")
# Nothing that could be wrong goes into these.
ALWAYS_RIGHT = {
    "GET /events/{route}",
    "HEAD /events/{route}",
    "OPTIONS /events/{route}",
    "GET /health",
    "GET /openapi.json",
}
CASES = [
    pytest.param(label, mode, id=f"{label} {mode.value}")
    for label in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or label not in ALWAYS_RIGHT
]
SHORT, LONG = 6, 300
GROWTH = 32 * 1024 * 1024  # bytes; Python keeps some of what it had at its peak


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Sandbox]:
    """One of its own: what is put into its queues stays there."""
    with running("--without", "mail") as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between: schemathesis reads the environment."""
    monkeypatch.setenv("NO_PROXY", "*")


def _fuzz(sandbox: Sandbox, label: str, mode: GenerationMode, examples: int) -> None:
    operation = OPERATIONS[label]
    token, key = sandbox.token(), sandbox.facts["keys"]["default"]
    proofs = [
        {},
        {"Authorization": f"Bearer {token}", "x-functions-key": key},
        {"Authorization": "Bearer sandbox-secret"},
    ]
    host = f"{sandbox.facts['host']}/api"

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(proofs), st.booleans())
    def one(case: Any, proof: dict[str, str], ours: bool) -> None:  # noqa: FBT001
        if ours and "id" in case.path_parameters:
            case.path_parameters["id"] = sandbox.sender
        if ours and "route" in case.path_parameters:
            case.path_parameters["route"] = "generic"
        try:
            answer = case.call(base_url=host, headers=proof, timeout=PATIENCE)
        except ValueError:
            return  # the client cannot write it: a header that is none
        assert answer.status_code < 500, answer.text
        if answer.status_code in PLATFORM and not answer.content:
            return
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code == 400:
            assert PLACE.search(answer.text) or "detail" in answer.json(), answer.text

    one()


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_what_is_made_of_the_document_is_answered_as_the_document_says(
    fuzzed: Sandbox, label: str, mode: GenerationMode
) -> None:
    _fuzz(fuzzed, label, mode, SHORT)


def _sent(sandbox: Sandbox) -> Iterator[tuple[str, Callable[[], httpx.Response]]]:
    """The corpus, as bodies and headers of the three kinds of request that take a body."""
    token = sandbox.token()
    mail = {"message": {"subject": "a mail", "toRecipients": [{"emailAddress": {"address": "a@b.test"}}]}}
    url = f"{sandbox.facts['host']}/api/events/"
    secret = {"Authorization": "Bearer sandbox-secret", "Content-Type": "application/json"}

    def post(route: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in (secret | headers).items()]
        return sandbox.http.post(url + route, content=content, headers=raw)

    for name, body in BODIES.items():
        yield f"mail: {name}", partial(sandbox.send, body, token=token)
        for route in ("generic", "alertmanager", "cloudevents", "eventgrid", "azure-monitor"):
            yield f"{route}: {name}", partial(post, route, body, {})
    for name, headers in HEADERS.items():
        if all(value.isascii() for value in headers.values()):
            yield f"mail with {name}", partial(sandbox.send, mail, token=token, **headers)
        for route in ("generic", "github", "cloudevents"):
            yield f"{route} with {name}", partial(post, route, b'{"a": 1}', headers)


def _round(sandbox: Sandbox) -> int:
    count = 0
    for name, send in _sent(sandbox):
        began = time.monotonic()
        answer = send()
        assert time.monotonic() - began < PATIENCE, name
        assert answer.status_code < 500, f"{name}: {answer.status_code} {answer.text[:300]}"
        if name.startswith("mail: "):
            assert answer.status_code in (400, 413), name
        if answer.status_code >= 400:
            said = answer.json()
            assert PLACE.search(said["error"]["message"]) if "error" in said else said["detail"], f"{name}: {said}"
        count += 1
    return count


def test_hostile_bodies_and_headers_are_answered_in_time_and_below_500(fuzzed: Sandbox) -> None:
    assert _round(fuzzed) > 200


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("path", ["/api/v1.0/users/a@b.test/sendMail", "/api/events/generic"])
def test_bytes_that_are_hardly_http_do_no_harm(fuzzed: Sandbox, name: str, path: str) -> None:
    """They are refused, or the connection ends; and the next request is answered."""
    url = httpx.URL(fuzzed.facts["host"])
    request = RAW[name].replace(b"PATH", path.encode()).replace(b"TOKEN", fuzzed.token().encode())
    with socket.create_connection((url.host, url.port or 80), timeout=PATIENCE) as connection:
        connection.settimeout(2)
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:
            pass
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    assert status < 500, answer
    assert fuzzed.http.get(f"{fuzzed.facts['host']}/api/health").status_code == 200


@pytest.mark.parametrize("queue", ["mail-outbox", "mail-events"])
def test_hostile_messages_are_set_aside(fuzzed: Sandbox, queue: str) -> None:
    """Nothing of them is tried again and again, and each is kept with its reason."""
    known = set(fuzzed.dead())
    texts = [
        body.decode() for body in BODIES.values() if body and len(body) < 40_000 and body.isascii() and 0 not in body
    ]
    for text in texts:
        fuzzed.put(queue, text)
    eventually(lambda: len(set(fuzzed.dead()) - known) == len(texts), 60)
    assert all(metadata["reason"] for mail, (metadata, _) in fuzzed.dead().items() if mail not in known)


def _memory(sandbox: Sandbox) -> int:
    """Resident bytes of the functions host."""
    status = Path(f"/proc/{sandbox.facts['pids']['host']}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.proof
@pytest.mark.parametrize(("label", "mode"), CASES)
def test_the_same_for_long(fuzzed: Sandbox, label: str, mode: GenerationMode) -> None:
    _fuzz(fuzzed, label, mode, LONG)


@pytest.mark.proof
def test_hostile_requests_leave_no_memory_behind(fuzzed: Sandbox) -> None:
    """The first rounds fill caches and pools; those after them may not add to it."""
    for _ in range(3):
        _round(fuzzed)
    before = _memory(fuzzed)
    sent = sum(_round(fuzzed) for _ in range(10))
    after = _memory(fuzzed)
    print(f"{sent} hostile requests: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    assert after - before < GROWTH
