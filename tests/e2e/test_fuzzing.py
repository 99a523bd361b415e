"""Whatever is sent, it is answered in time, below 500, with a status that is described, and the refusal names a place.

Two ways: `schemathesis` makes requests of the OpenAPI document, right ones and wrong ones; and a corpus of hostile
requests (hostile.py). Short here; the long run is under `make proof`, which measures the host's memory as well.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.hostile import BODIES, HEADERS
from tests.e2e.running import ROOT, Sandbox

DOCUMENT = ROOT / "docs" / "openapi.json"
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, methods in json.loads(DOCUMENT.read_text())["paths"].items()
    for method in methods
    if method != "parameters"
]
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
SAME_AGAIN = re.compile("/operator/|/microsoft")  # other names of the same functions
CASES = [
    pytest.param(label, mode, id=f"{label} {mode}")
    for label in OPERATIONS
    for mode in ("positive", "negative")
    if mode == "positive" or label not in ALWAYS_RIGHT
]
ROUTES = ("generic", "alertmanager", "cloudevents", "eventgrid", "azure-monitor", "github")
SHORT, LONG = 3, 300  # examples
GROWTH = 32 * 1024 * 1024  # bytes; Python keeps some of what it had at its peak


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between: schemathesis reads the environment."""
    monkeypatch.setenv("NO_PROXY", "*")


@cache
def _document() -> Any:
    import schemathesis

    return schemathesis.openapi.from_path(DOCUMENT)


def _fuzz(sandbox: Sandbox, label: str, mode: str, examples: int) -> None:
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks: list[Any] = [status_code_conformance, content_type_conformance, response_schema_conformance]
    method, path = label.split(" ")
    operation: Any = _document()[path][method]
    token, key = sandbox.token(), sandbox.facts["keys"]["default"]
    proofs = [
        {},
        {"Authorization": f"Bearer {token}", "x-functions-key": key},
        {"Authorization": "Bearer sandbox-secret"},
    ]
    host = f"{sandbox.facts['host']}/api"

    @settings(
        max_examples=examples,
        derandomize=examples == SHORT,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode(mode)), st.sampled_from(proofs), st.booleans())
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
        case.validate_response(answer, checks=checks)
        if answer.status_code == 400:
            assert PLACE.search(answer.text) or "detail" in answer.json(), answer.text

    one()


@pytest.mark.parametrize(
    "label", [label for label in OPERATIONS if label not in ALWAYS_RIGHT and not SAME_AGAIN.search(label)]
)
def test_what_is_made_of_the_document_is_answered_as_the_document_says(sandbox: Sandbox, label: str) -> None:
    """Wrong requests; test_openapi.py makes right ones."""
    _fuzz(sandbox, label, "negative", SHORT)


def _sent(sandbox: Sandbox, routes: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], httpx.Response]]]:
    """The corpus, as bodies and headers of mails and of events of these routes."""
    token = sandbox.token()
    mail = {"message": {"subject": "a mail", "toRecipients": [{"emailAddress": {"address": "a@b.test"}}]}}
    url = f"{sandbox.facts['host']}/api/events/"
    secret = {"Authorization": "Bearer sandbox-secret", "Content-Type": "application/json"}

    def post(route: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in (secret | headers).items()]
        return sandbox.http.post(url + route, content=content, headers=raw)

    for name, body in BODIES.items():
        yield f"mail: {name}", partial(sandbox.send, body, token=token)
        for route in routes:
            yield f"{route}: {name}", partial(post, route, body, {})
    for name, headers in HEADERS.items():
        if all(value.isascii() for value in headers.values()):
            yield f"mail with {name}", partial(sandbox.send, mail, token=token, **headers)
        for route in routes:
            yield f"{route} with {name}", partial(post, route, b'{"a": 1}', headers)


def _round(sandbox: Sandbox, routes: tuple[str, ...] = ROUTES) -> int:
    count = 0
    for name, send in _sent(sandbox, routes):
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


def test_hostile_bodies_and_headers_are_answered_in_time_and_below_500(sandbox: Sandbox) -> None:
    """Of routes one: what their readers make of it is in tests/readers."""
    assert _round(sandbox, ("generic",)) > 100


@pytest.mark.parametrize("queue", ["mail-outbox", "mail-events"])
def test_hostile_messages_are_set_aside(sandbox: Sandbox, queue: str) -> None:
    """Nothing of them is tried again and again, and each is kept with its reason."""
    texts = [
        body.decode() for body in BODIES.values() if body and len(body) < 40_000 and body.isascii() and 0 not in body
    ]
    with sandbox.dead(len(texts)) as found:
        for text in texts:
            sandbox.put(queue, text)
    assert all(kept.reason for kept in found.values())


def _memory(sandbox: Sandbox) -> int:
    """Resident bytes of the functions host."""
    status = Path(f"/proc/{sandbox.facts['pids']['host']}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.proof
@pytest.mark.parametrize(("label", "mode"), CASES)
def test_the_same_for_long(sandbox: Sandbox, label: str, mode: str) -> None:
    _fuzz(sandbox, label, mode, LONG)


@pytest.mark.proof
def test_hostile_requests_leave_no_memory_behind(sandbox: Sandbox) -> None:
    """The first rounds fill caches and pools; those after them may not add to it."""
    for _ in range(3):
        _round(sandbox)
    before = _memory(sandbox)
    sent = sum(_round(sandbox) for _ in range(10))
    after = _memory(sandbox)
    print(f"{sent} hostile requests: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    assert after - before < GROWTH
