"""Operators say who must not be mailed, and nobody who is on the list is. What an entry is: tests/policy."""

import base64
import hashlib
import json
import uuid
from typing import Any

import httpx

from tests.e2e.running import Sandbox, titled


def people(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


def someone() -> str:
    """An address that no other test has put on the list."""
    return f"{uuid.uuid4().hex}@fabrikam.example"


def ask(sandbox: Sandbox, method: str, path: str = "", body: Any = None, **headers: str) -> httpx.Response:
    """By function key, or with what else the headers say."""
    by_token = "Authorization" in headers
    whole = f"{sandbox.facts['host']}/api/{'' if by_token else 'operator/'}suppressions{path}"
    key = {} if by_token else {"x-functions-key": sandbox.facts["keys"]["default"]}
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return sandbox.http.request(method, whole, content=content, headers=key | headers)


def add(sandbox: Sandbox, address: str) -> str:
    answer = ask(sandbox, "POST", body={"address": address, "reason": "asked for it"})
    assert answer.status_code == 201
    return str(answer.json()["id"])


def test_whoever_is_on_the_list_is_on_it_in_every_spelling_and_by_every_way_in(sandbox: Sandbox) -> None:
    name = uuid.uuid4().hex
    entry = add(sandbox, f"{name}@b\u00fccher.example")
    assert entry == hashlib.sha256(f"{name}@xn--bcher-kva.example".encode()).hexdigest()
    spellings = [f"{name.upper()}@BU\u0308CHER.Example", f"{name}@XN--BCHER-KVA.example"]
    for spelling in spellings:
        answer = sandbox.send(titled("spelled", toRecipients=people(spelling), ccRecipients=[]))
        assert answer.headers["mailroom-state"] == "suppressed", spelling
    mime = base64.b64encode(f"To: {spellings[1]}\r\nSubject: as MIME\r\n\r\nx".encode())
    assert sandbox.send(mime, Content_Type="text/plain").headers["mailroom-state"] == "suppressed"
    with sandbox.dead() as found:
        sandbox.queue(titled("queued", toRecipients=people(spellings[0]), ccRecipients=[]))
    assert [kept.reason for kept in found.values()] == ["suppressed"]
    full_width = name + "@" + "".join(chr(ord(one) + 0xFEE0) for one in "fabrikam") + ".example"
    refused = sandbox.send(titled("full width", toRecipients=people(full_width), ccRecipients=[]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "ErrorInvalidRecipients")
    assert sandbox.requests() == 0


def test_an_entry_is_added_once_seen_listed_and_removed(sandbox: Sandbox) -> None:
    address = someone()
    added = ask(sandbox, "POST", body={"address": address.title(), "reason": "asked for it"})
    entry = hashlib.sha256(address.encode()).hexdigest()
    assert (added.status_code, added.headers["location"]) == (201, f"/api/operator/suppressions/{entry}")
    whole = added.json()
    again = ask(sandbox, "POST", body={"address": address, "reason": "another"})
    assert (again.status_code, again.json()) == (200, whole)
    assert ask(sandbox, "GET", f"/{entry}").json() == whole
    seen: list[Any] = []
    after = ""
    while whole not in seen:
        page = ask(sandbox, "GET", f"?top=1{after}").json()
        assert len(page["suppressions"]) <= 1
        seen += page["suppressions"]
        after = f"&after={page['next']}" if "next" in page else "&after=none"
    assert ask(sandbox, "DELETE", f"/{entry}").status_code == 204
    for method in ("GET", "DELETE"):
        gone = ask(sandbox, method, f"/{entry}")
        assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
