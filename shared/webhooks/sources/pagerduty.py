"""PagerDuty's webhooks, version 3.

PagerDuty waits five seconds for an answer. After 5xx, 429 and lost connections it retries four times within about
twenty minutes; after any other 4xx it gives up. Three events that it gave up disable a subscription for a day.
https://developer.pagerduty.com/docs/webhooks-overview
https://developer.pagerduty.com/docs/webhooks-behavior
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources.json_values import first_text, moment, pick, read_object, text
from shared.webhooks.sources.signatures import header, mac, one_of, unhex
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent


class PagerDuty(Source, frozen=True, kw_only=True):
    """Events of incidents and services. Types are PagerDuty's own: `incident.triggered`."""

    name: ClassVar[str] = "pagerduty"
    retries_for: ClassVar[float | None] = 1200.0

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        """`X-PagerDuty-Signature: v1=<hex>[,v1=<hex>]`, of which any may match; other versions are ignored."""
        pairs = [part.strip().partition("=") for part in header(request, "X-PagerDuty-Signature").split(",")]
        given = [unhex(value) for name, _, value in pairs if name == "v1"]
        one_of(given, [mac(secret, request.body) for secret in secrets])

    def event(self, request: RawRequest) -> SourceEvent:
        value = read_object(request.body, request.charset)
        event = pick(value, "event")
        incident = first_text(event, "data.incident.id", "data.id")
        return SourceEvent(
            **self.known(text(event, "id"), request),
            source=first_text(event, "data.service.html_url", "data.html_url") or self.name,
            type=text(event, "event_type") or self.name,
            data=value,
            subject=first_text(event, "data.title", "data.incident.summary", "data.summary"),
            time=moment(pick(event, "occurred_at")),
            thread=incident,
        )
