"""How each kind of sender proves its requests: what the tests of all sources need to know of it.

One Signer for each way in which a source can be proved: a source that takes bearer and basic has two. test_security.py
runs all of them through the same cases, and fails for a source that has none.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from standardwebhooks.webhooks import Webhook

from shared.webhooks.sources.source import RawRequest, Source, source_named

NOW: Final = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECONDS: Final = int(NOW.timestamp())
Sign = Callable[[bytes, str, datetime], RawRequest]
USERS: Final = ("mail:first", "mail:second:with-a-colon", "mail:stranger")
STRANGE_USER: Final = "läden:grüße-Ω-秘密"


@dataclass(frozen=True, slots=True)
class Signer:
    """One way for one kind of sender to prove a request.

    sign(body, secret, now): the whole request, as that sender makes it. payload: one that gives an event. headers,
    query: in lower case, everything that `authenticate` reads. forged: of a signature, over the body: the same request
    with the right secret but another algorithm; None: the secret itself is sent. secrets: three of the form that this
    way needs. strange: one with characters outside ASCII, if there can be one. tolerance: seconds that a timestamp may
    be old; None: there is no timestamp. many: the header is a list of signatures, of which any may match.
    """

    name: str
    source: Source
    sign: Sign
    payload: Any
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    forged: Sign | None = None
    secrets: tuple[str, str, str] = ("the-first-secret", "the-second-secret", "a-stranger's-secret")
    strange: str | None = "grüße-Ω-秘密-🔑"
    tolerance: float | None = None
    many: bool = False

    @property
    def body(self) -> bytes:
        """As most senders write it, and not as Python's json would: a body that is serialised anew differs."""
        return json.dumps(self.payload, indent=2, ensure_ascii=False).encode()


def source_of(name: str, **options: Any) -> Source:
    """As a route has it, with its options; those that a source must have are given."""
    given = {"header": "X-Signature", **options} if name == "hmac" else options
    return msgspec.convert(given, source_named(name))


def digest_of(secret: str, message: bytes, algorithm: str = "sha256") -> bytes:
    """Made by the standard library alone, so that a fault of signatures.py does not judge itself."""
    return hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).digest()


def bearer_header(secret: str) -> str:
    return f"Bearer {secret}"


def basic_header(secret: str) -> str:
    return "Basic " + base64.b64encode(secret.encode()).decode()


def seconds(now: datetime) -> str:
    return str(int(now.timestamp()))


def in_header(name: str, value: Callable[[str], str] = str, **others: str) -> Sign:
    return lambda body, secret, now: RawRequest(body, {**others, name: value(secret)})


def in_query(name: str, **headers: str) -> Sign:
    return lambda body, secret, now: RawRequest(body, headers, {name: secret})


def github(body: bytes, secret: str, now: datetime, header: str = "x-hub-signature-256") -> RawRequest:
    algorithm = "sha256" if header.endswith("256") else "sha1"
    headers = {"x-github-event": "push", "x-github-delivery": "72d3162e", "content-type": "application/json"}
    return RawRequest(body, {**headers, header: f"{algorithm}={digest_of(secret, body, algorithm).hex()}"})


def stripe(body: bytes, secret: str, now: datetime, scheme: str = "v1") -> RawRequest:
    signature = digest_of(secret, f"{seconds(now)}.".encode() + body).hex()
    return RawRequest(body, {"stripe-signature": f"t={seconds(now)},{scheme}={signature}"})


def standard(body: bytes, secret: str, now: datetime) -> RawRequest:
    """Signed by the library of the specification's authors."""
    signature = Webhook(secret).sign("msg_1", now, body.decode("utf-8", "surrogateescape"))
    return RawRequest(body, {"webhook-id": "msg_1", "webhook-timestamp": seconds(now), "webhook-signature": signature})


def standard_sha512(body: bytes, secret: str, now: datetime) -> RawRequest:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, f"msg_1.{seconds(now)}.".encode() + body, "sha512")
    headers = dict(standard(body, secret, now).headers)
    return RawRequest(body, {**headers, "webhook-signature": "v1," + base64.b64encode(signature).decode()})


def hex_signed(header: str, algorithm: str = "sha256", prefix: str = "") -> Sign:
    return lambda body, secret, now: RawRequest(body, {header: prefix + digest_of(secret, body, algorithm).hex()})


def timed_hmac(algorithm: str) -> Sign:
    def sign(body: bytes, secret: str, now: datetime) -> RawRequest:
        signature = base64.b64encode(digest_of(secret, f"v0:{seconds(now)}:".encode() + body, algorithm)).decode()
        return RawRequest(body, {"x-signature": f"v0={signature}", "x-timestamp": seconds(now)})

    return sign


def timed_grafana(algorithm: str) -> Sign:
    def sign(body: bytes, secret: str, now: datetime) -> RawRequest:
        signature = digest_of(secret, seconds(now).encode() + b":" + body, algorithm).hex()
        return RawRequest(body, {"x-signed": signature, "x-signed-at": seconds(now)})

    return sign


PUSH = {"ref": "refs/heads/main", "repository": {"full_name": "contoso/shop"}, "note": "für 5 €"}
PAID = {"id": "evt_1", "object": "event", "type": "charge.failed", "data": {"object": {"id": "ch_1"}}, "note": "5 €"}
HIRED = {"type": "user.created", "timestamp": "2026-11-22T10:00:00Z", "data": {"name": "Zoë"}}
ORDER = {"order": 4711, "total": 12.50, "customer": "Zoë"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {"note": "für 5 €"}}
BLOB = [{"topic": "/t", "id": "1", "eventType": "Microsoft.Storage.BlobCreated", "data": {"url": "für 5 €"}}]
ALERT = {"data": {"essentials": {"alertId": "/a/1", "monitorCondition": "Fired", "description": "über 80 %"}}}
GROUP = {"groupKey": "{}:{}", "status": "firing", "alerts": [{"fingerprint": "1", "labels": {"name": "über 80 %"}}]}
MESSAGE = {"text": "für 5 €"}
INCIDENT = {"event": {"id": "01E", "event_type": "incident.triggered", "data": {"id": "PGR", "title": "für 5 €"}}}
FAULT = {"action": "triggered", "data": {"event": {"event_id": "e4", "title": "für 5 €"}, "triggered_rule": "r"}}
ISSUE = {"webhookEvent": "jira:issue_created", "issue": {"key": "SHOP-1", "fields": {"summary": "für 5 €"}}}
WORK_ITEM = {"id": "1", "eventType": "workitem.created", "resource": {"id": 5, "title": "für 5 €"}}

AUTHORIZATION = ("authorization",)
STRUCTURED = {"content-type": "application/cloudevents+json"}
WHSEC: dict[str, Any] = {
    "forged": standard_sha512,
    "secrets": ("whsec_Zmlyc3Qtc2VjcmV0", "whsec_c2Vjb25kLXNlY3JldA==", "whsec_c3RyYW5nZXI="),
    "strange": None,  # base64 has none
    "tolerance": 300,
}
WEBHOOK = ("webhook-id", "webhook-timestamp", "webhook-signature")
TIMED = source_of(
    "hmac",
    algorithm="sha512",
    encoding="base64",
    prefix="v0=",
    timestamp_header="X-Timestamp",
    tolerance=60,
    signed="v0:{timestamp}:{body}",
)


def by_hex(name: str, payload: Any, header: str, prefix: str = "", other: str = "sha512", **more: Any) -> Signer:
    """Whoever signs the body with HMAC-SHA256, in hex."""
    forged = hex_signed(header, other, prefix)
    source = source_of(name.partition("-")[0])
    return Signer(name, source, hex_signed(header, "sha256", prefix), payload, (header,), forged=forged, **more)


def by_secret(source: Source, way: str, payload: Any, name: str | None = None, **headers: str) -> Signer:
    """Whoever sends the secret along: as "bearer", as "basic", in a query or in a header of that name."""
    of = f"{source.name}-{way}-{name}"
    match way:
        case "bearer":
            return Signer(of, source, in_header("authorization", bearer_header, **headers), payload, AUTHORIZATION)
        case "basic":
            sign = in_header("authorization", basic_header)
            return Signer(of, source, sign, payload, AUTHORIZATION, secrets=USERS, strange=STRANGE_USER)
        case "query":
            return Signer(of, source, in_query(name or "secret", **headers), payload, query=(name or "secret",))
    return Signer(of, source, in_header(name or ""), payload, (name or "",))


SIGNERS = [
    Signer(
        "github",
        source_of("github"),
        github,
        PUSH,
        ("x-hub-signature-256",),
        forged=lambda body, secret, now: github(body, secret, now, "x-hub-signature"),
    ),
    Signer(
        "stripe",
        source_of("stripe"),
        stripe,
        PAID,
        ("stripe-signature",),
        forged=lambda body, secret, now: stripe(body, secret, now, "v0"),
        secrets=("whsec_first", "whsec_second", "whsec_stranger"),
        tolerance=300,
    ),
    Signer("standard-webhooks", source_of("standard-webhooks"), standard, HIRED, WEBHOOK, **WHSEC),
    Signer("gitlab-signed", source_of("gitlab"), standard, PUSH, WEBHOOK, **WHSEC),
    Signer(
        "hmac-timed",
        TIMED,
        timed_hmac("sha512"),
        ORDER,
        ("x-signature", "x-timestamp"),
        forged=timed_hmac("sha256"),
        tolerance=60,
    ),
    Signer(
        "grafana-timed",
        source_of("grafana", signature_header="X-Signed", timestamp_header="X-Signed-At"),
        timed_grafana("sha256"),
        GROUP,
        ("x-signed", "x-signed-at"),
        forged=timed_grafana("sha1"),
        tolerance=300,
    ),
    by_hex("hmac", ORDER, "x-signature"),
    by_hex("grafana-signature", GROUP, "x-grafana-alerting-signature"),
    by_hex("sentry", FAULT, "sentry-hook-signature"),
    by_hex("jira", ISSUE, "x-hub-signature", "sha256=", "sha1"),
    by_hex("pagerduty", INCIDENT, "x-pagerduty-signature", "v1=", many=True),
    by_secret(source_of("key"), "bearer", ORDER),
    by_secret(source_of("key"), "header", ORDER, "x-api-key"),
    by_secret(source_of("key"), "basic", ORDER),
    by_secret(source_of("cloudevents"), "bearer", CLOUD, **STRUCTURED),
    by_secret(source_of("cloudevents"), "query", CLOUD, "access_token", **STRUCTURED),
    by_secret(source_of("eventgrid"), "query", BLOB),
    by_secret(source_of("eventgrid", header="X-Own"), "header", BLOB, "x-own"),
    by_secret(source_of("azure-monitor"), "query", ALERT),
    by_secret(source_of("alertmanager"), "bearer", GROUP),
    by_secret(source_of("alertmanager"), "basic", GROUP),
    by_secret(source_of("grafana"), "bearer", GROUP),
    by_secret(source_of("grafana"), "basic", GROUP),
    by_secret(source_of("azure-devops"), "basic", WORK_ITEM),
    by_secret(source_of("azure-devops", header="X-Own"), "header", WORK_ITEM, "x-own"),
    by_secret(source_of("azure-devops", header="Authorization"), "bearer", WORK_ITEM),
    by_secret(source_of("gitlab"), "header", PUSH, "x-gitlab-token"),
    by_secret(source_of("sentry"), "query", FAULT),
    by_secret(source_of("jira"), "bearer", ISSUE),
    by_secret(source_of("jira"), "query", ISSUE),
    by_secret(source_of("slack"), "query", MESSAGE),
    by_secret(source_of("teams"), "query", MESSAGE),
]
