"""What the OpenAPI document says of each operation is what the sandbox answers: every status, and every shape."""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from deployment.openapi.document import text
from deployment.openapi.surface import OPERATIONS
from sandbox.cloud.directory import SENDER
from tests.e2e.running import EXAMPLE, NOBODY, ROOT, Sandbox, titled

DOCUMENT: dict[str, Any] = json.loads(text())
Act = Callable[[Sandbox], httpx.Response]
UNKNOWN = "0" * 32
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.bin"}


def api(path: str, method: str = "GET", roles: str | None = "", *, key: bool = False, **options: Any) -> Act:
    """A request with a token of these roles ("": the caller's own; None: none), or with the function key."""

    def act(sandbox: Sandbox) -> httpx.Response:
        headers = dict(options.get("headers", {}))
        if key:
            headers["x-functions-key"] = sandbox.facts["keys"]["default"]
        elif roles is not None:
            token = sandbox.token() if not roles else sandbox.mint(claims={"roles": [roles]})
            headers["Authorization"] = f"Bearer {token}"
        content = options.get("content", b"")
        return sandbox.http.request(method, f"{sandbox.facts['host']}/api/{path}", headers=headers, content=content)

    return act


def in_pieces(path: str) -> Act:
    """A request in pieces, of which the platform hands on none."""
    return api(path, "POST", None, content=iter([b"{}"]))


def event(route: str, body: bytes, **headers: str) -> Act:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    secret = {"Authorization": "Bearer sandbox-secret", "Content-Type": "application/json"}
    return api(f"events/{route}", "POST", None, content=body, headers=secret | names)


def of_a_mail(rest: str, method: str, roles: str = "", *, scheduled: bool = False, key: bool = False) -> Act:
    """A request about a mail that was sent, or waits for its time."""
    when = {"Mailroom_Not_Before": "2026-12-24T08:00:00Z"} if scheduled else {}

    def act(sandbox: Sandbox) -> httpx.Response:
        mail = sandbox.send(EXAMPLE, **when).headers["location"].rpartition("/")[2]
        return api(f"{'operator/' if key else ''}messages/{mail}{rest}", method, roles, key=key)(sandbox)

    return act


def put_back(*, key: bool) -> Act:
    """A mail that Graph has refused."""

    def act(sandbox: Sandbox) -> httpx.Response:
        answer = sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail", Prefer="respond-async")
        path = f"{'operator/' if key else ''}messages/{sandbox.ends(answer, 'failed')['id']}/replay"
        return api(path, "POST", "Mailroom.Operate", key=key)(sandbox)

    return act


def still_wrong(*, key: bool) -> Act:
    def act(sandbox: Sandbox) -> httpx.Response:
        with sandbox.dead() as found:
            sandbox.put("mail-outbox", '{"sender": "nobody@elsewhere.example", "message": {}}')
        [mail] = found
        path = f"{'operator/' if key else ''}messages/{mail}/replay"
        return api(path, "POST", "Mailroom.Operate", key=key)(sandbox)

    return act


def try_at_once(*, key: bool) -> Act:
    """Of a mail that waits since Graph has refused it for a while."""

    def act(sandbox: Sandbox) -> httpx.Response:
        sandbox.fault(kind="quota", count=1)
        return of_a_mail("/retry", "POST", "Mailroom.Operate", key=key)(sandbox)

    return act


def twice(sandbox: Sandbox, **options: Any) -> httpx.Response:
    sandbox.send(EXAMPLE, Idempotency_Key="openapi-twice", **options)
    return sandbox.send(titled("not the same"), Idempotency_Key="openapi-twice", **options)


def sending(path: str, delegated: bool) -> dict[int, Act]:  # noqa: FBT001 - which of the functions
    """Each status of sendMail, for any of its functions."""
    huge = copy.deepcopy(EXAMPLE)
    huge["message"]["attachments"] = [{**FILE, "contentBytes": base64.b64encode(bytes(5_000_000)).decode()}]

    def by(body: Any = EXAMPLE, at: str | None = path, **headers: str) -> Act:
        return lambda sandbox: sandbox.send(
            body, path=at, **{**({"token": sandbox.delegated()} if delegated else {}), **headers}
        )

    def denied(sandbox: Sandbox) -> httpx.Response:
        return sandbox.send(EXAMPLE, path=path, token=sandbox.mint(claims={"roles": ["Mail.Read"]}))

    return {
        202: by(),
        400: by(b"{"),
        401: by(token=""),
        403: denied,
        411: in_pieces(f"v1.0/{path or f'users/{NOBODY}/sendMail'}"),
        413: by(huge),
        415: by(Content_Type="text/html"),
        422: lambda sandbox: twice(sandbox, path=path, **({"token": sandbox.delegated()} if delegated else {})),
    }


def messages(function: str, prefix: str, *, key: bool) -> dict[tuple[str, str, int], Act]:
    operate = "Mailroom.Operate"
    message, replay, listed = f"{function}message", f"{function}message_replay", f"{function}messages"
    retry, many = f"{function}message_retry", f"{function}message_replays"
    attention, summary = f"{function}attention", f"{function}summary"
    acts: dict[tuple[str, str, int], Act] = {
        (message, "GET", 200): of_a_mail("", "GET", key=key),
        (message, "GET", 404): api(f"{prefix}messages/{UNKNOWN}", key=key),
        (message, "DELETE", 200): of_a_mail("", "DELETE", scheduled=True, key=key),
        (message, "DELETE", 404): api(f"{prefix}messages/none", "DELETE", key=key),
        (message, "DELETE", 409): of_a_mail("", "DELETE", key=key),
        (replay, "POST", 202): put_back(key=key),
        (replay, "POST", 422): still_wrong(key=key),
        (replay, "POST", 404): api(f"{prefix}messages/{UNKNOWN}/replay", "POST", operate, key=key),
        (replay, "POST", 411): api(
            f"{prefix}messages/{UNKNOWN}/replay", "POST", operate, key=key, content=iter([b"{}"])
        ),
        (replay, "POST", 400): of_a_mail("/replay?force=maybe", "POST", operate, key=key),
        (replay, "POST", 409): of_a_mail("/replay", "POST", operate, key=key),
        (retry, "POST", 202): try_at_once(key=key),
        (retry, "POST", 404): api(f"{prefix}messages/{UNKNOWN}/retry", "POST", operate, key=key),
        (retry, "POST", 411): api(f"{prefix}messages/{UNKNOWN}/retry", "POST", operate, key=key, content=iter([b"{}"])),
        (retry, "POST", 409): of_a_mail("/retry", "POST", operate, scheduled=True, key=key),
        (listed, "GET", 200): api(f"{prefix}messages?top=3", roles=operate, key=key),
        (listed, "GET", 400): api(f"{prefix}messages?state=lost", roles=operate, key=key),
        (many, "POST", 200): api(f"{prefix}messages/replay?state=failed&dryRun=true", "POST", operate, key=key),
        (many, "POST", 400): api(f"{prefix}messages/replay", "POST", operate, key=key),
        (many, "POST", 411): api(f"{prefix}messages/replay", "POST", operate, key=key, content=iter([b"{}"])),
        (attention, "GET", 200): api(f"{prefix}attention", roles=operate, key=key),
        (attention, "GET", 400): api(f"{prefix}attention?state=failed", roles=operate, key=key),
        (summary, "GET", 200): api(f"{prefix}summary", roles=operate, key=key),
        (summary, "GET", 400): api(f"{prefix}summary?top=1", roles=operate, key=key),
    }
    places = ((message, "GET", ""), (message, "DELETE", ""), (replay, "POST", "/replay"), (retry, "POST", "/retry"))
    for name, method, rest in places:
        acts[name, method, 401] = api(f"{prefix}messages/{UNKNOWN}{rest}", method, None)
        if not key:
            acts[name, method, 403] = api(f"messages/{UNKNOWN}{rest}", method, "Mail.Read")
    for name, method, path in (
        (listed, "GET", "messages"),
        (many, "POST", "messages/replay"),
        (attention, "GET", "attention"),
        (summary, "GET", "summary"),
    ):
        acts[name, method, 401] = api(f"{prefix}{path}", method, None)
        if not key:
            acts[name, method, 403] = api(path, method)
    return acts


def suppressions(function: str, prefix: str, *, key: bool) -> dict[tuple[str, str, int], Act]:
    entry, entries = f"{function}suppression", f"{function}suppressions"

    def ask(path: str = "", method: str = "GET", roles: str | None = "Mailroom.Operate", **options: Any) -> Act:
        return api(f"{prefix}suppressions{path}", method, roles, key=key and roles is not None, **options)

    def add(address: str) -> Act:
        return ask(method="POST", content=json.dumps({"address": address}).encode())

    def again(sandbox: Sandbox) -> httpx.Response:
        add(f"again{key}@contoso.example")(sandbox)
        return add(f"again{key}@contoso.example")(sandbox)

    def of_it(method: str) -> Act:
        def act(sandbox: Sandbox) -> httpx.Response:
            it = add(f"{method.lower()}{key}@contoso.example")(sandbox).json()["id"]
            return ask(f"/{it}", method)(sandbox)

        return act

    acts: dict[tuple[str, str, int], Act] = {
        (entries, "GET", 200): ask("?top=3"),
        (entries, "GET", 400): ask("?top=none"),
        (entries, "POST", 201): add(f"new{key}@contoso.example"),
        (entries, "POST", 200): again,
        (entries, "POST", 400): add("nobody"),
        (entries, "POST", 411): ask(method="POST", content=iter([b"{}"])),
        (entries, "POST", 413): ask(method="POST", content=b" " * 9000),
        (entry, "GET", 200): of_it("GET"),
        (entry, "DELETE", 204): of_it("DELETE"),
    }
    for method in ("GET", "DELETE"):
        acts[entry, method, 404] = ask(f"/{'0' * 64}", method)
    for name, method, path in (
        (entries, "GET", ""),
        (entries, "POST", ""),
        (entry, "GET", "/none"),
        (entry, "DELETE", "/none"),
    ):
        acts[name, method, 401] = ask(path, method, None)
        if not key:
            acts[name, method, 403] = ask(path, method, "Mail.Send")
    return acts


QUALIFIED = "microsoft.graph.sendMail"
# Each function that sends, by its path, and whether a user's token comes with it.
SENDING = {
    "send_mail": (f"users/{SENDER}/sendMail", False),
    "send_my_mail": ("me/sendMail", True),
    "send_mail_qualified": (f"users/{SENDER}/{QUALIFIED}", False),
    "send_my_mail_qualified": (f"me/{QUALIFIED}", True),
}
PROVOKED: dict[tuple[str, str, int], Act] = {
    **{(name, "POST", status): act for name, how in SENDING.items() for status, act in sending(*how).items()},
    ("send_mail", "POST", 404): lambda sandbox: sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail"),
    ("send_mail_qualified", "POST", 404): lambda sandbox: sandbox.send(EXAMPLE, path=f"users/{NOBODY}/{QUALIFIED}"),
    ("events", "POST", 200): event(
        "alertmanager", b'{"version": "4", "groupKey": "{}", "status": "firing", "alerts": [{"status": "firing"}]}'
    ),
    ("events", "POST", 202): event("generic", b'{"a": 1}'),
    ("events", "POST", 400): event("generic", b"{"),
    ("events", "POST", 401): event("generic", b"{}", Authorization="Bearer another"),
    ("events", "POST", 404): event("nowhere", b"{}"),
    ("events", "POST", 413): event("generic", b" " * (2 * 1024 * 1024 + 1)),
    ("events", "POST", 415): event("generic", b"{}", Content_Encoding="gzip"),
    ("events", "POST", 411): in_pieces("events/generic"),
    ("events", "GET", 405): api("events/generic", roles=None),
    ("events", "HEAD", 405): api("events/generic", "HEAD", None),
    ("events", "OPTIONS", 200): api("events/cloudevents", "OPTIONS", None, headers={"WebHook-Request-Origin": "a.b"}),
    **messages("", "", key=False),
    **messages("operator_", "operator/", key=True),
    **suppressions("", "", key=False),
    **suppressions("operator_", "operator/", key=True),
    ("health", "GET", 200): api("health", roles=None),
    ("health_ready", "GET", 200): api("health/ready", key=True),
    ("health_ready", "GET", 401): api("health/ready", roles=None),
    ("openapi", "GET", 200): api("openapi.json", roles=None),
}
# What no request alone brings about here, with the test that does.
BUSY = "tests/delivery/test_request.py::test_two_requests_with_one_key_at_once_send_one_mail"
RATED = (
    "tests/e2e/test_limits.py::test_a_caller_over_its_rate_is_told_when_to_come_again_and_a_repeated_key_costs_nothing"
)
PROBES = "tests/webhooks/routing/test_intake.py::test_a_route_with_probe_answers_get_and_head_and_delivers_nothing"
BY_KEY = "tests/functions/test_who.py::test_function_keys_open_the_operators_paths_unless_they_are_switched_off"
FOUND = "tests/functions/test_replay.py::test_a_mail_that_is_found_in_its_mailbox_is_told_as_sent"
FOUND_AT_ONCE = "tests/functions/test_replay.py::test_a_retried_mail_that_is_found_in_its_mailbox_is_told_as_sent"
ELSEWHERE = {
    **{(name, "POST", 200): FOUND for name in ("message_replay", "operator_message_replay")},
    **{(name, "POST", 200): FOUND_AT_ONCE for name in ("message_retry", "operator_message_retry")},
    **{
        (row.function, row.method, 403): BY_KEY
        for row in OPERATIONS
        if row.function.startswith("operator_") and 403 in row.answers
    },
    **{(name, "POST", 409): BUSY for name in SENDING},
    **{(name, "POST", 429): RATED for name in SENDING},
    **{
        (name, "POST", 404): f"{Path(__file__).relative_to(ROOT)}::test_an_operation_answers_as_it_is_described"
        for name in ("send_my_mail", "send_my_mail_qualified")
    },
    **{("events", method, 200): PROBES for method in ("GET", "HEAD")},
    ("events", "POST", 429): (
        "tests/webhooks/routing/test_intake.py::test_storage_that_is_away_is_told_in_each_senders_own_terms"
    ),
}
UNCONFIGURED = {(row.function, row.method, 503) for row in OPERATIONS if 503 in row.answers}


def described(function: str, method: str, status: int) -> dict[str, Any]:
    row = next(row for row in OPERATIONS if (row.function, row.method) == (function, method))
    answer: dict[str, Any] = DOCUMENT["paths"][f"/{row.path}"][method.lower()]["responses"][str(status)]
    return answer


def conforms(answer: httpx.Response, to: dict[str, Any]) -> None:
    """Media type, schema and headers are as described."""
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if "content" in to and answer.request.method != "HEAD":
        schema = to["content"][media_type]["schema"]
        jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, answer.json())
    if to.get("headers", {}).keys() >= {"Retry-After"} and answer.status_code in (409, 429):
        assert "retry-after" in answer.headers


def test_every_status_that_is_described_is_provoked_here_or_by_a_test_that_is_named() -> None:
    every = {(row.function, row.method, status) for row in OPERATIONS for status in row.answers}
    assert set(PROVOKED) | set(ELSEWHERE) | UNCONFIGURED == every
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in Path(ROOT, file).read_text(), test


@pytest.mark.parametrize("place", PROVOKED, ids=lambda place: "-".join(map(str, place)))
def test_an_operation_answers_as_it_is_described(sandbox: Sandbox, place: tuple[str, str, int]) -> None:
    answer = PROVOKED[place](sandbox)
    assert answer.status_code == place[2], answer.text
    conforms(answer, described(*place))


def test_with_a_wrong_setting_every_operation_answers_503_as_it_is_described(broken: Sandbox) -> None:
    """All but liveness and this document, which a setting does not touch."""
    with httpx.Client(base_url=broken.facts["host"], trust_env=False) as http:
        for function, method, status in sorted(UNCONFIGURED):
            row = next(row for row in OPERATIONS if (row.function, row.method) == (function, method))
            path = row.path.replace("{id}", UNKNOWN).replace("{route}", "generic")
            key = {"x-functions-key": broken.facts["keys"]["default"]}
            answer = http.request(method, f"/api/{path}", headers=key)
            assert answer.status_code == status, (function, method, answer.text)
            conforms(answer, described(function, method, status))


def test_the_document_is_served_as_it_is_committed_to_anyone(sandbox: Sandbox) -> None:
    answer = sandbox.http.get(f"{sandbox.facts['host']}/api/openapi.json")
    assert answer.text == (ROOT / "docs" / "openapi.json").read_text()
    assert answer.headers["content-type"].startswith("application/json")
