"""Azure Monitor: alerts that an action group sends to a webhook.

An action group retries only after 408, 429, 503 and 504.
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
"""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final

from shared.errors import Malformed
from shared.webhooks.sources.azure import AzureService
from shared.webhooks.sources.azure_legacy import older_alert
from shared.webhooks.sources.json_values import digest, first_text, moment, pick, read_json, read_object, text
from shared.webhooks.sources.source import MEGABYTE, RawRequest, SourceEvent

# By `monitoringService`, where alerts have a context of their own; all others go by `signalType`. Both without anything
# but letters and digits: Azure itself writes "Resource Health" and "ResourceHealth", "Activity Log" and "ActivityLog".
SERVICES: Final = {
    **{service: service for service in ("servicehealth", "resourcehealth", "smartdetector", "prometheus", "autoscale")},
    "costalerts": "cost",
}
SIGNALS: Final = {"metric": "metric", "log": "log", "activitylog": "activity"}
LONGEST_JSON: Final = 20_000  # characters of JSON in a text that is read
CONDITIONS: Final = ("fired", "resolved")


class AzureMonitor(AzureService, frozen=True, kw_only=True):
    """Azure Monitor. An event's type is `azure-monitor.<kind>.<fired or resolved>`.

    Kinds: metric, log, activity, servicehealth, resourcehealth, smartdetector, prometheus, cost, autoscale, other. An
    alert in an older schema has the parts of the common one beside what was sent. A payload that names no alert is an
    `azure-monitor.own`.

    With Entra tokens, a "secure webhook", application and role are those of Microsoft's instructions:
    https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups#configure-authentication-for-secure-webhook
    """

    name: ClassVar[str] = "azure-monitor"
    largest: ClassVar[int] = 10 * MEGABYTE
    retries_for: ClassVar[float | None] = 75.0  # after 5, 20, 5, 40 and 5 seconds

    allowed_apps: tuple[str, ...] = ("461e8683-5575-4561-ac7f-899cc907d62a",)
    app_role: str | None = "ActionGroupsSecureWebhook"

    def event(self, request: RawRequest) -> SourceEvent:
        value = read_object(request.body, request.charset)
        essentials = pick(value, "data", "essentials")
        if isinstance(essentials, dict) and essentials:
            return self._alert(value, essentials, request)
        older = older_alert(value)
        essentials = older.essentials if older else {}
        return SourceEvent(
            **self.known(None, request),
            source=text(essentials, "alertTargetIDs", 0) or self.name,
            type=self._type(essentials) if older else f"{self.name}.own",
            data=older.beside(value) if older else value,
            subject=text(essentials, "alertRule") or (text(older.context, "operationName") if older else None),
            time=moment(first_text(essentials, "resolvedDateTime", "firedDateTime")),
            thread=older.thread if older else None,
        )

    def for_mail(self, event: SourceEvent) -> SourceEvent:
        """With the values in the context's properties that are JSON in a text, such as lists of steps to take."""
        context = pick(event.data, "data", "alertContext")
        properties = pick(context, "properties")
        if not isinstance(properties, dict):
            return event
        read = {name: _unwrapped(one) for name, one in properties.items()}
        data = {**event.data["data"], "alertContext": {**context, "properties": read}}
        return replace(event, data={**event.data, "data": data})

    def _alert(self, value: Any, essentials: dict[str, Any], request: RawRequest) -> SourceEvent:
        alert = text(essentials, "alertId")
        condition = _word(essentials.get("monitorCondition"))
        when = text(essentials, "resolvedDateTime" if condition == "resolved" else "firedDateTime")
        # Without one of the three, two alerts could have one key, and the second would be lost.
        key = digest(alert, condition, when) if alert and condition and when else None
        return SourceEvent(
            **self.known(key, request, "identity"),
            source=text(essentials, "alertTargetIDs", 0) or self.name,
            type=self._type(essentials),
            data=value,
            subject=text(essentials, "alertRule"),
            time=moment(when),
            thread=alert,
        )

    def _type(self, essentials: dict[str, Any]) -> str:
        condition = _word(essentials.get("monitorCondition"))
        return ".".join([self.name, _kind(essentials), *([condition] if condition in CONDITIONS else [])])


def _unwrapped(value: Any) -> Any:
    """The list or object in a text; everything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{") and len(value) <= LONGEST_JSON:
        with suppress(Malformed):
            return read_json(value.encode("utf-8", "surrogatepass"))
    return value


def _kind(essentials: dict[str, Any]) -> str:
    service, signal = _word(essentials.get("monitoringService")), _word(essentials.get("signalType"))
    activity = "activity" if service.startswith("activitylog") else "other"
    return SERVICES.get(service) or SIGNALS.get(signal) or activity


def _word(value: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", value.lower()) if isinstance(value, str) else ""
