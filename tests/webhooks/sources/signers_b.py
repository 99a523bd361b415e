"""How senders of alerts, of CloudEvents and of Azure prove their requests; see signers.py."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.webhooks.sources.alertmanager import Alertmanager
from shared.webhooks.sources.azure_devops import AzureDevOps
from shared.webhooks.sources.azure_monitor import AzureMonitor
from shared.webhooks.sources.cloudevents import CloudEvents
from shared.webhooks.sources.eventgrid import EventGrid
from shared.webhooks.sources.grafana import Grafana
from shared.webhooks.sources.source import RawRequest
from tests.webhooks.sources.signers import Signer, basic_header, body_of, digest_of, seconds

__all__ = ["SIGNERS"]

Sign = Callable[[bytes, str, datetime], RawRequest]

CLOUD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {"note": "für 5 €"}}
BLOB = [{"topic": "/t", "id": "1", "eventType": "Microsoft.Storage.BlobCreated", "data": {"url": "für 5 €"}}]
ALERT = {"data": {"essentials": {"alertId": "/a/1", "monitorCondition": "Fired", "description": "über 80 %"}}}
GROUP = {"groupKey": "{}:{}", "status": "firing", "alerts": [{"fingerprint": "1", "labels": {"name": "über 80 %"}}]}
WORK_ITEM = {"id": "1", "eventType": "workitem.created", "resource": {"id": 5, "title": "für 5 €"}}

BASIC: dict[str, Any] = {
    "secrets": ("mail:first", "mail:second:with-a-colon", "mail:stranger"),
    "strange": "läden:grüße-Ω-秘密",
    "headers": ("authorization",),
}


def in_header(name: str, value: Callable[[str], str], **others: str) -> Sign:
    return lambda body, secret, now: RawRequest(body, {**others, name: value(secret)})


def in_query(name: str, **headers: str) -> Sign:
    return lambda body, secret, now: RawRequest(body, headers, {name: secret})


def grafana(algorithm: str = "sha256") -> Sign:
    def sign(body: bytes, secret: str, now: datetime) -> RawRequest:
        return RawRequest(body, {"x-grafana-alerting-signature": digest_of(secret, body, algorithm).hex()})

    return sign


def grafana_timed(algorithm: str = "sha256") -> Sign:
    def sign(body: bytes, secret: str, now: datetime) -> RawRequest:
        signature = digest_of(secret, seconds(now).encode() + b":" + body, algorithm).hex()
        return RawRequest(body, {"x-signed": signature, "x-signed-at": seconds(now)})

    return sign


SIGNERS = [
    Signer(
        name="cloudevents-bearer",
        source=CloudEvents(),
        kind="credential",
        sign=in_header("authorization", "Bearer {}".format, **{"content-type": "application/cloudevents+json"}),
        body=body_of(CLOUD),
        headers=("authorization",),
    ),
    Signer(
        name="cloudevents-query",
        source=CloudEvents(),
        kind="credential",
        sign=in_query("access_token", **{"content-type": "application/cloudevents+json"}),
        body=body_of(CLOUD),
        query=("access_token",),
    ),
    Signer(
        name="eventgrid-query",
        source=EventGrid(),
        kind="credential",
        sign=in_query("secret", **{"aeg-event-type": "Notification"}),
        body=body_of(BLOB),
        query=("secret",),
    ),
    Signer(
        name="eventgrid-header",
        source=EventGrid(header="X-Mailroom-Secret"),
        kind="credential",
        sign=in_header("x-mailroom-secret", str),
        body=body_of(BLOB),
        headers=("x-mailroom-secret",),
    ),
    Signer(
        name="azure-monitor-query",
        source=AzureMonitor(),
        kind="credential",
        sign=in_query("secret"),
        body=body_of(ALERT),
        query=("secret",),
    ),
    Signer(
        name="alertmanager-bearer",
        source=Alertmanager(),
        kind="credential",
        sign=in_header("authorization", "Bearer {}".format),
        body=body_of(GROUP),
        headers=("authorization",),
    ),
    Signer(
        name="alertmanager-basic",
        source=Alertmanager(),
        kind="credential",
        sign=in_header("authorization", basic_header),
        body=body_of(GROUP),
        **BASIC,
    ),
    Signer(
        name="grafana-bearer",
        source=Grafana(),
        kind="credential",
        sign=in_header("authorization", "Bearer {}".format),
        body=body_of(GROUP),
        headers=("authorization",),
    ),
    Signer(
        name="grafana-basic",
        source=Grafana(),
        kind="credential",
        sign=in_header("authorization", basic_header),
        body=body_of(GROUP),
        **BASIC,
    ),
    Signer(
        name="grafana-signature",
        source=Grafana(),
        kind="signature",
        sign=grafana(),
        body=body_of(GROUP),
        headers=("x-grafana-alerting-signature",),
        forged=grafana("sha512"),
    ),
    Signer(
        name="grafana-timed",
        source=Grafana(signature_header="X-Signed", timestamp_header="X-Signed-At"),
        kind="signature",
        sign=grafana_timed(),
        body=body_of(GROUP),
        headers=("x-signed", "x-signed-at"),
        tolerance=300,
        forged=grafana_timed("sha1"),
    ),
    Signer(
        name="azure-devops-basic",
        source=AzureDevOps(),
        kind="credential",
        sign=in_header("authorization", basic_header),
        body=body_of(WORK_ITEM),
        **BASIC,
    ),
    Signer(
        name="azure-devops-header",
        source=AzureDevOps(header="X-Hook-Secret"),
        kind="credential",
        sign=in_header("x-hook-secret", str),
        body=body_of(WORK_ITEM),
        headers=("x-hook-secret",),
    ),
    Signer(
        name="azure-devops-bearer",
        source=AzureDevOps(header="Authorization"),
        kind="credential",
        sign=in_header("authorization", "Bearer {}".format),
        body=body_of(WORK_ITEM),
        headers=("authorization",),
    ),
]
