"""What the OpenAPI document says of each operation is what the sandbox answers: every status, and every shape."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from deployment.openapi.document import text
from deployment.openapi.surface import OPERATIONS, Operation
from sandbox.cloud.directory import SENDER
from tests.e2e.running import EXAMPLE, NOBODY, ROOT, Sandbox, titled

DOCUMENT: dict[str, Any] = json.loads(text())
Act = Callable[[Sandbox], httpx.Response]
UNKNOWN = "0" * 32
OPERATE = "Mailroom.Operate"


def api(
    path: str,
    method: str = "GET",
    roles: str | None = OPERATE,
    *,
    key: bool = False,
    content: bytes | Iterator[bytes] = b"",
    **headers: str,
) -> Act:
    """A request with a token of these roles (None: no token), or with the function key."""

    def act(sandbox: Sandbox) -> httpx.Response:
        proof = {}
        if key:
            proof["x-functions-key"] = sandbox.facts["keys"]["default"]
        elif roles is not None:
            proof["Authorization"] = f"Bearer {sandbox.mint(claims={'roles': [roles]})}"
        given = {name.replace("_", "-"): value for name, value in headers.items()} | proof
        return sandbox.http.request(method, f"{sandbox.facts['host']}/api/{path}", headers=given, content=content)

    return act


def event(route: str, body: bytes, **headers: str) -> Act:
    known: dict[str, Any] = {"Authorization": "Bearer sandbox-secret", "Content_Type": "application/json"}
    return api(f"events/{route}", "POST", None, content=body, **known | headers)


def sending(path: str, delegated: bool) -> dict[int, Act]:  # noqa: FBT001 - which of the functions
    """Each status of sendMail, for any of its functions."""
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.bin"}
    huge = titled("huge", attachments=[{**file, "contentBytes": base64.b64encode(bytes(5_000_000)).decode()}])

    def by(body: Any = EXAMPLE, **headers: str) -> Act:
        return lambda sandbox: sandbox.send(
            body, path=path, **({"token": sandbox.delegated()} if delegated else {}), **headers
        )

    def twice(sandbox: Sandbox) -> httpx.Response:
        by(Idempotency_Key="openapi-twice")(sandbox)
        return by(titled("not the same"), Idempotency_Key="openapi-twice")(sandbox)

    return {202: by(), 400: by(b"{"), 413: by(huge), 415: by(Content_Type="text/html"), 422: twice}


def operating(prefix: str, *, key: bool) -> dict[tuple[str, str, int], Act]:
    """By token, or by function key under /operator."""
    path, message = prefix.replace("_", "/"), f"{prefix}message"

    def ask(rest: str, method: str = "GET", **options: Any) -> Act:
        return api(f"{path}{rest}", method, key=key, **options)

    def of_a_mail(rest: str, method: str, **headers: str) -> Act:
        """A request about a mail that was sent, or as the headers say."""

        def act(sandbox: Sandbox) -> httpx.Response:
            mail = sandbox.send(EXAMPLE, **headers).headers["location"].rpartition("/")[2]
            return ask(f"messages/{mail}{rest}", method)(sandbox)

        return act

    scheduled = {"Mailroom_Not_Before": f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%dT%H:%M:%SZ}"}

    def put_back(sandbox: Sandbox) -> httpx.Response:
        """A mail that Graph has refused."""
        answer = sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail", Prefer="respond-async")
        return ask(f"messages/{sandbox.ends(answer, 'failed')['id']}/replay", "POST")(sandbox)

    def still_wrong(sandbox: Sandbox) -> httpx.Response:
        with sandbox.dead() as found:
            sandbox.put("mail-outbox", '{"sender": "nobody@elsewhere.example", "message": {}}')
        [mail] = found
        return ask(f"messages/{mail}/replay", "POST")(sandbox)

    def at_once(sandbox: Sandbox) -> httpx.Response:
        """A mail that waits since Graph has refused it for a while."""
        sandbox.fault(kind="quota", count=1)
        return of_a_mail("/retry", "POST")(sandbox)

    def add(name: str) -> Act:
        return ask("suppressions", "POST", content=json.dumps({"address": f"{name}{key}@contoso.example"}).encode())

    def again(sandbox: Sandbox) -> httpx.Response:
        add("again")(sandbox)
        return add("again")(sandbox)

    def of_an_entry(method: str) -> Act:
        return lambda sandbox: ask(f"suppressions/{add(method.lower())(sandbox).json()['id']}", method)(sandbox)

    return {
        (message, "GET", 200): of_a_mail("", "GET"),
        (message, "DELETE", 200): of_a_mail("", "DELETE", **scheduled),
        (message, "DELETE", 409): of_a_mail("", "DELETE"),
        (f"{message}_replay", "POST", 202): put_back,
        (f"{message}_replay", "POST", 422): still_wrong,
        (f"{message}_replay", "POST", 400): of_a_mail("/replay?force=maybe", "POST"),
        (f"{message}_replay", "POST", 409): of_a_mail("/replay", "POST"),
        (f"{message}_retry", "POST", 202): at_once,
        (f"{message}_retry", "POST", 409): of_a_mail("/retry", "POST", **scheduled),
        (f"{message}s", "GET", 200): ask("messages?top=3"),
        (f"{message}s", "GET", 400): ask("messages?state=lost"),
        (f"{message}_replays", "POST", 200): ask("messages/replay?state=failed&dryRun=true", "POST"),
        (f"{message}_replays", "POST", 400): ask("messages/replay", "POST"),
        (f"{prefix}attention", "GET", 200): ask("attention"),
        (f"{prefix}attention", "GET", 400): ask("attention?state=failed"),
        (f"{prefix}summary", "GET", 200): ask("summary"),
        (f"{prefix}summary", "GET", 400): ask("summary?top=1"),
        (f"{prefix}suppressions", "GET", 200): ask("suppressions?top=3"),
        (f"{prefix}suppressions", "GET", 400): ask("suppressions?top=none"),
        (f"{prefix}suppressions", "POST", 201): add("new"),
        (f"{prefix}suppressions", "POST", 200): again,
        (f"{prefix}suppressions", "POST", 400): ask("suppressions", "POST", content=b'{"address": "nobody"}'),
        (f"{prefix}suppressions", "POST", 413): ask("suppressions", "POST", content=b" " * 9000),
        (f"{prefix}suppression", "GET", 200): of_an_entry("GET"),
        (f"{prefix}suppression", "DELETE", 204): of_an_entry("DELETE"),
    }


QUALIFIED = "microsoft.graph.sendMail"
# Each function that sends, by its path, and whether a user's token comes with it.
SENDING = {
    "send_mail": (f"users/{SENDER}/sendMail", False),
    "send_my_mail": ("me/sendMail", True),
    "send_mail_qualified": (f"users/{SENDER}/{QUALIFIED}", False),
    "send_my_mail_qualified": (f"me/{QUALIFIED}", True),
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


def same_for_all(row: Operation, status: int) -> Act:
    """What any operation answers: without a proof, without the role, of what is unknown, and to a body in pieces."""
    ask = partial(api, row.path.replace("{id}", UNKNOWN).replace("{route}", "generic"), row.method)
    key = row.access == "key"
    return {401: ask(None), 403: ask("Mail.Read"), 404: ask(key=key), 411: ask(key=key, content=iter([b"{}"]))}[status]


PROVOKED: dict[tuple[str, str, int], Act] = {
    **{
        place: same_for_all(row, place[2])
        for row in OPERATIONS
        for place in ((row.function, row.method, status) for status in row.answers)
        if place[2] in (401, 403, 404, 411) and place not in ELSEWHERE
    },
    **{(name, "POST", status): act for name, how in SENDING.items() for status, act in sending(*how).items()},
    ("send_mail", "POST", 404): lambda sandbox: sandbox.send(EXAMPLE, path=f"users/{NOBODY}/sendMail"),
    ("send_mail_qualified", "POST", 404): lambda sandbox: sandbox.send(EXAMPLE, path=f"users/{NOBODY}/{QUALIFIED}"),
    ("events", "POST", 200): event(
        "alertmanager", b'{"version": "4", "groupKey": "{}", "status": "firing", "alerts": [{"status": "firing"}]}'
    ),
    ("events", "POST", 202): event("generic", b'{"a": 1}'),
    ("events", "POST", 400): event("generic", b"{"),
    ("events", "POST", 404): event("nowhere", b"{}"),
    ("events", "POST", 413): event("generic", b" " * (2 * 1024 * 1024 + 1)),
    ("events", "POST", 415): event("generic", b"{}", Content_Encoding="gzip"),
    ("events", "GET", 405): api("events/generic", roles=None),
    ("events", "HEAD", 405): api("events/generic", "HEAD", None),
    ("events", "OPTIONS", 200): api("events/cloudevents", "OPTIONS", None, WebHook_Request_Origin="a.b"),
    **operating("", key=False),
    **operating("operator_", key=True),
    ("health", "GET", 200): api("health", roles=None),
    ("health_ready", "GET", 200): api("health/ready", key=True),
    ("openapi", "GET", 200): api("openapi.json", roles=None),
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
