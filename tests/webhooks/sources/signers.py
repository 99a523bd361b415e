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

from standardwebhooks.webhooks import Webhook

from shared.webhooks.sources.alertmanager import Alertmanager
from shared.webhooks.sources.azure_devops import AzureDevOps
from shared.webhooks.sources.azure_monitor import AzureMonitor
from shared.webhooks.sources.cloudevents import CloudEvents
from shared.webhooks.sources.eventgrid import EventGrid
from shared.webhooks.sources.github import GitHub
from shared.webhooks.sources.gitlab import GitLab
from shared.webhooks.sources.grafana import Grafana
from shared.webhooks.sources.hmac_signed import Hmac
from shared.webhooks.sources.jira import Jira
from shared.webhooks.sources.key import Key
from shared.webhooks.sources.pagerduty import PagerDuty
from shared.webhooks.sources.sentry import Sentry
from shared.webhooks.sources.slack import Slack
from shared.webhooks.sources.source import RawRequest, Source
from shared.webhooks.sources.standard_webhooks import StandardWebhooks
from shared.webhooks.sources.stripe import Stripe
from shared.webhooks.sources.teams import Teams

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
BEARER = in_header("authorization", bearer_header)
BASIC = in_header("authorization", basic_header)
STRUCTURED = {"content-type": "application/cloudevents+json"}
USER: dict[str, Any] = {"secrets": USERS, "strange": STRANGE_USER}
TIMED = Hmac(
    header="X-Signature",
    algorithm="sha512",
    encoding="base64",
    prefix="v0=",
    timestamp_header="X-Timestamp",
    tolerance=60,
    signed="v0:{timestamp}:{body}",
)
SIGNERS = [
    Signer(
        "github",
        GitHub(),
        github,
        PUSH,
        ("x-hub-signature-256",),
        forged=lambda body, secret, now: github(body, secret, now, "x-hub-signature"),
    ),
    Signer(
        "stripe",
        Stripe(),
        stripe,
        PAID,
        ("stripe-signature",),
        forged=lambda body, secret, now: stripe(body, secret, now, "v0"),
        secrets=("whsec_first", "whsec_second", "whsec_stranger"),
        tolerance=300,
    ),
    Signer(
        "standard-webhooks",
        StandardWebhooks(),
        standard,
        HIRED,
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        forged=standard_sha512,
        secrets=("whsec_Zmlyc3Qtc2VjcmV0", "whsec_c2Vjb25kLXNlY3JldA==", "whsec_c3RyYW5nZXI="),
        strange=None,  # base64 has none
        tolerance=300,
    ),
    Signer(
        "hmac",
        Hmac(header="X-Signature"),
        hex_signed("x-signature"),
        ORDER,
        ("x-signature",),
        forged=hex_signed("x-signature", "sha512"),
    ),
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
        "grafana-signature",
        Grafana(),
        hex_signed("x-grafana-alerting-signature"),
        GROUP,
        ("x-grafana-alerting-signature",),
        forged=hex_signed("x-grafana-alerting-signature", "sha512"),
    ),
    Signer(
        "grafana-timed",
        Grafana(signature_header="X-Signed", timestamp_header="X-Signed-At"),
        timed_grafana("sha256"),
        GROUP,
        ("x-signed", "x-signed-at"),
        forged=timed_grafana("sha1"),
        tolerance=300,
    ),
    Signer("key-bearer", Key(), BEARER, ORDER, AUTHORIZATION),
    Signer("key-header", Key(), in_header("x-api-key"), ORDER, ("x-api-key",)),
    Signer("key-basic", Key(), BASIC, ORDER, AUTHORIZATION, **USER),
    Signer(
        "cloudevents-bearer",
        CloudEvents(),
        in_header("authorization", bearer_header, **STRUCTURED),
        CLOUD,
        AUTHORIZATION,
    ),
    Signer("cloudevents-query", CloudEvents(), in_query("access_token", **STRUCTURED), CLOUD, query=("access_token",)),
    Signer("eventgrid-query", EventGrid(), in_query("secret"), BLOB, query=("secret",)),
    Signer("eventgrid-header", EventGrid(header="X-Own"), in_header("x-own"), BLOB, ("x-own",)),
    Signer("azure-monitor-query", AzureMonitor(), in_query("secret"), ALERT, query=("secret",)),
    Signer("alertmanager-bearer", Alertmanager(), BEARER, GROUP, AUTHORIZATION),
    Signer("alertmanager-basic", Alertmanager(), BASIC, GROUP, AUTHORIZATION, **USER),
    Signer("grafana-bearer", Grafana(), BEARER, GROUP, AUTHORIZATION),
    Signer("grafana-basic", Grafana(), BASIC, GROUP, AUTHORIZATION, **USER),
    Signer("azure-devops-basic", AzureDevOps(), BASIC, WORK_ITEM, AUTHORIZATION, **USER),
    Signer("azure-devops-header", AzureDevOps(header="X-Own"), in_header("x-own"), WORK_ITEM, ("x-own",)),
    Signer("gitlab-token", GitLab(), in_header("x-gitlab-token"), PUSH, ("x-gitlab-token",)),
    Signer(
        "gitlab-signed",
        GitLab(),
        standard,
        PUSH,
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        forged=standard_sha512,
        secrets=("whsec_Zmlyc3Qtc2VjcmV0", "whsec_c2Vjb25kLXNlY3JldA==", "whsec_c3RyYW5nZXI="),
        strange=None,
        tolerance=300,
    ),
    Signer(
        "sentry",
        Sentry(),
        hex_signed("sentry-hook-signature"),
        FAULT,
        ("sentry-hook-signature",),
        forged=hex_signed("sentry-hook-signature", "sha512"),
    ),
    Signer("sentry-plugin", Sentry(), in_query("secret"), FAULT, query=("secret",)),
    Signer(
        "jira",
        Jira(),
        hex_signed("x-hub-signature", prefix="sha256="),
        ISSUE,
        ("x-hub-signature",),
        forged=hex_signed("x-hub-signature", "sha1", "sha256="),
    ),
    Signer("jira-automation", Jira(), BEARER, ISSUE, AUTHORIZATION),
    Signer("jira-data-center", Jira(), in_query("secret"), ISSUE, query=("secret",)),
    Signer(
        "pagerduty",
        PagerDuty(),
        hex_signed("x-pagerduty-signature", prefix="v1="),
        INCIDENT,
        ("x-pagerduty-signature",),
        forged=hex_signed("x-pagerduty-signature", "sha512", "v1="),
        many=True,
    ),
    Signer("slack", Slack(), in_query("secret"), MESSAGE, query=("secret",)),
    Signer("teams", Teams(), in_query("secret"), MESSAGE, query=("secret",)),
    Signer("azure-devops-bearer", AzureDevOps(header="Authorization"), BEARER, WORK_ITEM, AUTHORIZATION),
]
