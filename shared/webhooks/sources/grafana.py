"""Grafana Alerting: its webhook contact point, version 1.

Grafana does not try again within a notification.
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources import signatures
from shared.webhooks.sources.alerts import REPEAT_WINDOW, notification, proved
from shared.webhooks.sources.copies import same_bytes
from shared.webhooks.sources.source import Event, RawRequest, Source

__all__ = ["Grafana"]


class Grafana(Source, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Grafana, with a signature, bearer or basic. An event's type is `grafana.firing` or `grafana.resolved`.

    signature_header, timestamp_header: as in the contact point; with the second one, which Grafana leaves empty by
    default, a signature holds for tolerance seconds. A signature that is there decides alone.
    """

    name: ClassVar[str] = "grafana"
    repeat_window: ClassVar[float | None] = REPEAT_WINDOW
    done: ClassVar[int] = 200

    signature_header: str = "X-Grafana-Alerting-Signature"
    timestamp_header: str | None = None
    tolerance: float = 300

    def __post_init__(self) -> None:
        if not self.timestamp_header and self.given("tolerance"):
            raise ValueError("tolerance: nothing uses this without timestamp_header")

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        if self.signature_header.lower() not in request.headers:
            proved(request, secrets)
            return
        signature = signatures.unhex(signatures.header(request, self.signature_header))
        message = request.body
        if self.timestamp_header:
            timestamp = signatures.header(request, self.timestamp_header)
            signatures.fresh(timestamp, now, self.tolerance)
            message = timestamp.encode("ascii") + b":" + message
        signatures.one_of([signature], (signatures.mac(secret, message) for secret in secrets))

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002
        event = notification(self.name, request.body, request.charset)
        if event.known_by == "nothing" and self.signature_header.lower() in request.headers:
            event = replace(event, signed=same_bytes(request.body))
        return [event]
