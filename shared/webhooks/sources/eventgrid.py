"""Azure Event Grid: events of Azure's services and of custom topics, in either of its schemas.

Event Grid never retries after 400, 401, 403 or 413, and what it cannot deliver is lost unless the subscription has
dead-lettering, so a missing field is no reason to refuse an event.
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""

import json
from dataclasses import replace
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources import cloudevents
from shared.webhooks.sources.azure import AzureService
from shared.webhooks.sources.json_values import canonical, counted, digest, moment, pick, read_json, text
from shared.webhooks.sources.source import RawRequest, SourceEvent, WebhookReply

SUBSCRIPTION: Final = "aeg-subscription-name"
_PLACED: Final = ("id", "topic", "eventType", "subject", "eventTime", "data")


class EventGrid(AzureService, frozen=True, kw_only=True):
    """Azure Event Grid.

    With Entra tokens: https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery names the application and
    the role; sovereign clouds have other application ids. A header is documented for events, not for the validation of
    a subscription; the query works for both. allowed_rate: requests per minute that the handshake of the CloudEvents
    schema grants; None: any number.
    """

    name: ClassVar[str] = "eventgrid"
    retries_for: ClassVar[float | None] = 24 * 3600.0

    allowed_apps: tuple[str, ...] = ("4962773b-9cdb-44cf-a8bf-237846a00ab7",)
    app_role: str | None = "AzureEventGridSecureWebhookSubscriber"
    allowed_rate: cloudevents.Rate | None = None

    def preflight(self, request: RawRequest) -> WebhookReply:
        return cloudevents.allow(request, self.allowed_rate)

    def handshake(self, request: RawRequest) -> WebhookReply | None:
        """Echo the code that validates a subscription. Event Grid accepts only 200 and the unchanged code."""
        if request.headers.get("aeg-event-type", "").strip().lower() != "subscriptionvalidation":
            return None
        value = read_json(request.body, request.charset)
        code = pick(value[0] if isinstance(value, list) and value else value, "data", "validationCode")
        if not isinstance(code, str) or not code:
            raise Malformed(400, "BadRequest", "Expected the code of a validation.", "$[0].data.validationCode")
        answer = json.dumps({"validationResponse": code}).encode()
        return WebhookReply(200, {"Content-Type": "application/json"}, answer)

    def events(self, request: RawRequest) -> list[SourceEvent]:
        if cloudevents.is_binary(request):
            found = cloudevents.read(request)
        else:
            value = read_json(request.body, request.charset)
            items = counted(value if isinstance(value, list) else [value])
            found = [self._event(item, f"$[{index}]") for index, item in enumerate(items)]
        name = request.headers.get(SUBSCRIPTION)
        given = {SUBSCRIPTION: name} if name else {}
        return [replace(event, extensions={**event.extensions, **given}) for event in found]

    def _event(self, value: Any, path: str) -> SourceEvent:
        """One event. Its own fields tell the schema, whatever the content type says."""
        if not isinstance(value, dict):
            raise Malformed(400, "BadRequest", "Expected an event, a JSON object.", path)
        if "specversion" in value:
            return cloudevents.from_json(value, path)
        topic, name = text(value, "topic") or "", text(value, "id")
        own = "eventType" in value  # else a topic with a custom schema: the whole value is the data
        known = own and name is not None
        # With the whole event, since a batch may have two of one id: see cloudevents.event_of.
        key = digest(topic, name or "", text(value, "eventType") or "", canonical(value))
        return SourceEvent(
            id=name or key,
            source=topic or self.name,
            type=text(value, "eventType") or self.name,
            key=key,
            known_by="sender-id" if known else "same-bytes",
            window=None if known else self.retries_for,
            data=value.get("data") if own else value,
            subject=text(value, "subject"),
            time=moment(value.get("eventTime")),
            extensions={key: other for key, other in value.items() if key not in _PLACED} if own else {},
        )
