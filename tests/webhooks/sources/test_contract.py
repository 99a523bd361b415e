"""What holds for every source: its answers, and that whatever is sent is an event or malformed."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.webhooks.sources
from sandbox.examples import Example
from shared.errors import Malformed
from shared.webhooks.sources.source import SOURCES, RawRequest, Result, TokenRule, source_named
from tests.webhooks.sources.anything import any_json, damage, events_or_malformed
from tests.webhooks.sources.signers import source_of

ROUTES = Path(__file__).parents[3] / "shared/webhooks/routes"
# Without these there is no event.
NAMED_BY = {
    "slack": ("text", "attachments", "blocks"),
    **dict.fromkeys(("cloudevents", "stripe"), ("id", "source", "type", "specversion")),
}
FOLDERS = {"key": "generic", "hmac": "generic"}  # others have the source's name
ONE_EACH = {
    *("alertmanager", "grafana", "azure-monitor", "azure-devops", "github"),
    *("gitlab", "jira", "pagerduty", "sentry", "teams"),
}  # one event of any object
every = pytest.mark.parametrize("name", SOURCES)


@cache
def requests_of(name: str) -> list[RawRequest]:
    """The examples of the ready route of this source."""
    files = sorted((ROUTES / FOLDERS.get(name, name) / "examples").glob("*.json"))
    extra = {"webhook-id": "msg_1", "x-signature": "00"}
    requests = [Example(file).request() for file in files]
    found = [RawRequest(one.body, {**extra, **one.headers}, one.query) for one in requests]
    return sorted(found, key=lambda request: len(request.body))


# When it is done, when storage cannot be written, without a valid proof.
ANSWERS = {
    **dict.fromkeys(("azure-devops", "azure-monitor", "eventgrid", "jira", "teams"), (200, 503, 401)),
    **dict.fromkeys(("alertmanager", "grafana"), (200, 503, 401)),  # any 4xx would end the flush, 429 too
    **dict.fromkeys(("github", "gitlab", "hmac", "key"), (202, 503, 401)),
    **dict.fromkeys(("pagerduty", "sentry", "standard-webhooks"), (202, 503, 401)),
    "cloudevents": (202, 429, 401),
    "slack": (200, 503, 403),  # as Slack itself answers
    "stripe": (202, 503, 400),
}


@every
def test_the_answers_are_those_that_the_sender_documents(name: str) -> None:
    """Never 410, which switches a webhook off, nor 3xx, which few follow, nor 409 or 422, which concern keys."""
    source = source_of(name)
    replies = {result: source.reply(result, "why") for result in Result}
    done, overloaded, unverified = ANSWERS[name]
    assert {result: reply.status for result, reply in replies.items()} == {
        Result.DONE: done,
        Result.OVERLOADED: overloaded,
        Result.UNAVAILABLE: 503,
        Result.UNVERIFIED: unverified,
        Result.MALFORMED: 400,
        Result.TOO_LARGE: 413,
        Result.UNSUPPORTED: 415,
    }
    retried = {Result.OVERLOADED, Result.UNAVAILABLE}
    assert {result for result, reply in replies.items() if reply.headers.get("Retry-After") == "30"} == retried
    if name != "slack":  # it says why in a word of Slack's
        assert all(reply.detail == "why" for result, reply in replies.items() if result is not Result.DONE)


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b'{"text": "a"}', "application/json", None),
        (b"payload=%7B%22text%22%3A+%22a%22%7D", "application/x-www-form-urlencoded", None),
        (b'{"text": "a"}', "application/x-www-form-urlencoded", None),  # as curl --data sends it
        (b'{"attachments": [{}]}', "application/json", None),
        (b'{"text": "", "blocks": []}', "application/json", "no_text"),
        (b"payload=%7B", "application/x-www-form-urlencoded", "invalid_payload"),
        (b"a=b", "application/x-www-form-urlencoded", "invalid_payload"),
        (b"[]", "application/json", "invalid_payload"),
    ],
)
def test_slacks_senders_are_read_and_answered_as_by_slack(body: bytes, kind: str, word: str | None) -> None:
    source = source_of("slack")
    try:
        assert source.events(RawRequest(body, {"content-type": kind}))
        reply = source.reply(Result.DONE)
    except Malformed as error:
        reply = source.reply(Result.MALFORMED, str(error))
    assert (reply.status, reply.body) == ((400, word.encode()) if word else (200, b"ok"))
    assert (reply.headers["Content-Type"], reply.detail) == ("text/plain", "")
    assert source_of("teams").reply(Result.DONE).body == b"1"


def test_only_some_sources_have_a_handshake_or_a_window() -> None:
    request = RawRequest(b"{}", {"x-github-event": "push"}, method="OPTIONS")
    sources = [source_of(name) for name in SOURCES]
    assert all(source.handshake(request) is None for source in sources)
    assert [source.name for source in sources if source.preflight(request)] == ["cloudevents", "eventgrid"]
    assert {source.name: source.repeat_window for source in sources if source.repeat_window} == {
        "alertmanager": 1800,
        "grafana": 1800,
    }


@every
@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"[]", b"null", b'"x"'])
def test_what_is_no_json_or_no_object_is_malformed(name: str, body: bytes) -> None:
    is_json = body in (b"[]", b"null", b'"x"')
    if is_json and (name in ("key", "hmac") or (name, body) == ("eventgrid", b"[]")):
        return
    headers = {"x-github-event": "push", "webhook-id": "1", "content-type": "application/cloudevents+json"}
    with pytest.raises(Malformed) as error:
        source_of(name).events(RawRequest(body, headers))
    assert error.value.status == 400


@every
def test_a_payload_without_any_one_field_is_an_event_unless_it_names_the_event(name: str) -> None:
    source = source_of(name)
    for request in requests_of(name):
        body = json.loads(request.body)
        for field in body if isinstance(body, dict) else ():
            rest = {key: value for key, value in body.items() if key != field}
            events = events_or_malformed(source, rest, request.headers)
            named_by = NAMED_BY.get("cloudevents" if "specversion" in body else name, ())
            ping = request.headers.get("x-github-event") == "ping" or "aeg-event-type" in request.headers
            assert events or field in named_by or ping, field
            if name in ("alertmanager", "grafana", "azure-monitor"):
                assert events[0].type.startswith(name)


@given(value=any_json | st.just(...), which=st.integers(0, 8), where=st.integers(0, 100_000), whole=st.booleans())
def test_whatever_is_sent_is_an_event_or_malformed(value: Any, which: int, where: int, *, whole: bool) -> None:
    """Any JSON, alone or at any one place of an example, or the example without it."""
    for name in SOURCES:
        requests = requests_of(name)[:9]
        request = requests[which % len(requests)]
        body = value if whole and value is not ... else damage(json.loads(request.body), where, value)
        events = events_or_malformed(source_of(name), body, request.headers)
        if name in ONE_EACH and request.headers.get("x-github-event") != "ping":
            assert len(events) == isinstance(body, dict), name


def test_sources_load_nothing_large_and_jmespath_only_for_a_route_that_uses_it() -> None:
    modules = ", ".join(f"shared.webhooks.sources.{one.name}" for one in iter_modules(shared.webhooks.sources.__path__))
    code = f"""
import sys, {modules}
from shared.webhooks.sources.key import Key
from shared.webhooks.sources.source import RawRequest
Key().events(RawRequest(b"{{}}"))
print(*sys.modules)
Key(key="data")
print("jmespath" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded, used = done.stdout.splitlines()
    large = {
        "azure",
        "css_inline",
        "httpx",
        "jinja2",
        "jmespath",
        "markdown_it",
        "msgraph",
        "nh3",
        "shared.webhooks.routing",
    }
    assert not set(loaded.split()) & {*large, "shared.webhooks.rendering"}
    assert used == "True"


@pytest.mark.parametrize(
    ("name", "options", "secret", "word"),
    [
        ("standard-webhooks", {}, "whsec_no-base64?", "whsec_ and the key in base64"),
        ("standard-webhooks", {}, "v1a,whpk_c2VjcmV0", "asymmetric"),
        ("stripe", {}, "sk_live_hush", "signing secret"),
        ("azure-devops", {}, "hush", "user:password"),
        ("azure-devops", {"header": "X-Own"}, "hush", None),
        ("key", {"accept": ["basic"]}, "hush", "user:password"),
        ("key", {}, "hush", None),
        ("key", {}, '"hush"', "in quotes"),
        ("key", {}, "\ufeffhush", "byte order mark"),
        ("key", {}, "hu\u200bsh", "invisible"),
        ("key", {}, "Bearer", "the scheme"),
        ("key", {}, "", "blank"),
    ],
)
def test_a_secret_that_can_prove_nothing_is_named_without_quoting_it(
    name: str, options: dict[str, Any], secret: str, word: str | None
) -> None:
    fault = source_of(name, **options).unusable(secret)
    assert (fault is None) == (word is None)
    assert (word or "") in (fault or "")
    assert "hush" not in (fault or "")


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        (
            "eventgrid",
            {"audience": "api://mailroom"},
            TokenRule(
                "api://mailroom",
                frozenset({"4962773b-9cdb-44cf-a8bf-237846a00ab7"}),
                "AzureEventGridSecureWebhookSubscriber",
            ),
        ),
        (
            "eventgrid",  # applications in any case, any role
            {"audience": "a", "allowed_apps": ["0A1B2C3D-0000-4000-8000-00000000000A"], "app_role": "", "tenant": "t"},
            TokenRule("a", frozenset({"0a1b2c3d-0000-4000-8000-00000000000a"}), None, "t"),
        ),
        (
            "azure-monitor",
            {"audience": "b", "tenant": "t"},
            TokenRule("b", frozenset({"461e8683-5575-4561-ac7f-899cc907d62a"}), "ActionGroupsSecureWebhook", "t"),
        ),
        *((name, {}, None) for name in SOURCES),
    ],
)
def test_with_an_audience_only_tokens_of_the_senders_own_application_count(
    name: str, options: dict[str, Any], rule: TokenRule | None
) -> None:
    assert source_of(name, **options).token_rule == rule


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("eventgrid", {"audience": "a", "allowed_apps": []}, "allowed_apps"),
        ("eventgrid", {"audience": "a", "header": "X-Secret"}, "header and audience"),
        ("eventgrid", {"secrets": "a"}, "secrets"),
        ("cloudevents", {"allowed_rate": 0}, "allowed_rate"),
        ("key", {"accept": []}, "accept"),
        ("key", {"accept": ["query"]}, "accept"),
        ("key", {"accept": "bearer"}, "accept"),
        ("key", {"header": "X Key"}, "header"),
        ("key", {"header": ""}, "header"),
        ("hmac", {"header": ""}, "header"),
        ("hmac", {"header": "X Signature"}, "header"),
        ("hmac", {"header": "X-Signature:"}, "header"),
        ("hmac", {"algorithm": "md5"}, "algorithm"),
        ("hmac", {"encoding": "base32"}, "encoding"),
        ("hmac", {"tolerance": 0}, "tolerance"),
        ("hmac", {"tolerance": -1}, "tolerance"),
        ("hmac", {"timestamp_header": "é"}, "timestamp_header"),
        *(
            ("hmac", {"signed": signed}, "signed: expected {body}, each once")
            for signed in ("body", "{timestamp}.{body}", "{id}.{body}", "{body}{body}", "")
        ),
        *(  # a timestamp that is not signed proves nothing: it could be replaced
            (
                "hmac",
                {"timestamp_header": "X-T", "signed": signed},
                "signed: expected {body} and {timestamp}, each once",
            )
            for signed in ("{body}", "{timestamp}{timestamp}{body}")
        ),
    ],
)
def test_options_that_cannot_be_are_an_error_when_the_route_is_read(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(message)):
        source_of(name, **options)
    with pytest.raises(msgspec.ValidationError, match="header"):
        msgspec.convert({}, source_named("hmac"))
