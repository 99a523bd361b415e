"""Grafana Alerting: its webhook contact point, version 1, with the payload of Alertmanager.

Grafana documents no retry of a notification.
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources import signatures
from shared.webhooks.sources.alertmanager import Alertmanager
from shared.webhooks.sources.json_values import same_bytes
from shared.webhooks.sources.source import RawRequest, SourceEvent


class Grafana(Alertmanager, frozen=True, kw_only=True):
    """Grafana, with a signature, bearer or basic. An event's type is `grafana.firing` or `grafana.resolved`.

    signature_header, timestamp_header: as in the contact point. Grafana leaves the second one empty by default; with it
    a signature is valid for tolerance seconds. A request with a signature is judged by the signature alone.
    """

    name: ClassVar[str] = "grafana"

    signature_header: str = "X-Grafana-Alerting-Signature"
    timestamp_header: str | None = None
    tolerance: float = signatures.TOLERANCE

    def __post_init__(self) -> None:
        if not self.timestamp_header and self.given("tolerance"):
            raise ValueError("tolerance: nothing uses this without timestamp_header")

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        if not self._signed(request):
            return signatures.basic_or_bearer(request, secrets)
        signature = signatures.unhex(signatures.header(request, self.signature_header))
        message = request.body
        if self.timestamp_header:
            timestamp = signatures.header(request, self.timestamp_header)
            signatures.recent(timestamp, now, self.tolerance)
            message = timestamp.encode("ascii") + b":" + message
        return signatures.one_of([signature], (signatures.mac(secret, message) for secret in secrets))

    def event(self, request: RawRequest) -> SourceEvent:
        event = super().event(request)
        if event.known_by == "nothing" and self._signed(request):
            event = replace(event, signed=same_bytes(request.body))
        return event

    def _signed(self, request: RawRequest) -> bool:
        return self.signature_header.lower() in request.headers
