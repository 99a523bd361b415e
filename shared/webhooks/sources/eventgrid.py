"""Azure Event Grid: events of Azure's services and of custom topics, in either of its schemas.

Event Grid never tries again after 400, 401, 403 or 413, and what it cannot deliver is lost unless the subscription has
dead-lettering: nothing that it sends is refused for a field that is missing.
https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources import cloudevents, cloudevents_json
from shared.webhooks.sources.azure import AzureService
from shared.webhooks.sources.copies import RETRIES, canonical
from shared.webhooks.sources.json_values import counted, digest, moment, pick, read_json, text
from shared.webhooks.sources.source import Event, RawRequest, Reply

__all__ = ["EventGrid"]

SUBSCRIPTION: Final = "aeg-subscription-name"
_PLACED: Final = ("id", "topic", "eventType", "subject", "eventTime", "data")


class EventGrid(AzureService, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Azure Event Grid.

    With Entra tokens: https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery names the application and
    the role; sovereign clouds have other application ids. A header is documented for events, not for the validation of
    a subscription; the query comes with both. allowed_rate: requests per minute that the handshake of the CloudEvents
    schema grants, None: any.
    """

    name: ClassVar[str] = "eventgrid"

    allowed_apps: tuple[str, ...] = ("4962773b-9cdb-44cf-a8bf-237846a00ab7",)
    app_role: str | None = "AzureEventGridSecureWebhookSubscriber"
    allowed_rate: cloudevents.Rate | None = None

    def preflight(self, request: RawRequest) -> Reply:
        return cloudevents.allow(request, self.allowed_rate)

    def handshake(self, request: RawRequest) -> Reply | None:
        """Echo the code that validates a subscription. Only 200 counts, and only the code as it came."""
        if request.headers.get("aeg-event-type", "").strip().lower() != "subscriptionvalidation":
            return None
        value = read_json(request.body, request.charset)
        code = pick(value[0] if isinstance(value, list) and value else value, "data", "validationCode")
        if not isinstance(code, str) or not code:
            raise Malformed(400, "BadRequest", "Expected the code of a validation.", "$[0].data.validationCode")
        answer = json.dumps({"validationResponse": code}).encode()
        return Reply(200, {"Content-Type": "application/json"}, answer)

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002
        given = {SUBSCRIPTION: name} if (name := request.headers.get(SUBSCRIPTION)) else {}
        if cloudevents.is_binary(request):
            return [_with(event, given) for event in cloudevents.read(request)]
        value = read_json(request.body, request.charset)
        items = value if isinstance(value, list) else [value]
        return [_with(_event(item, f"$[{index}]"), given) for index, item in enumerate(counted(items))]


def _event(value: Any, path: str) -> Event:
    """One event. The schema shows in the event itself, whatever the content type says."""
    if not isinstance(value, dict):
        raise Malformed(400, "BadRequest", "Expected an event, a JSON object.", path)
    if "specversion" in value:
        return cloudevents_json.from_json(value, path)
    topic, name = text(value, "topic") or "", text(value, "id")
    own = "eventType" in value  # else a topic with a schema of one's own: the whole value is the data
    known = own and name is not None
    key = digest(topic, name or "", text(value, "eventType") or "", canonical(value))
    return Event(
        id=name or key,
        source=topic or "eventgrid",
        type=text(value, "eventType") or "eventgrid",
        key=key,  # with the whole event, of which a batch may have two of one id: see cloudevents_json.event_of
        known_by="sender-id" if known else "same-bytes",
        window=None if known else RETRIES["eventgrid"].within,
        data=value.get("data") if own else value,
        subject=text(value, "subject"),
        time=moment(value.get("eventTime")),
        extensions={key: other for key, other in value.items() if key not in _PLACED} if own else {},
    )


def _with(event: Event, given: dict[str, str]) -> Event:
    return replace(event, extensions={**event.extensions, **given}) if given else event
