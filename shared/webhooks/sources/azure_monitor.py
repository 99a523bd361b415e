"""Azure Monitor: alerts that an action group sends to a webhook.

An action group retries only after 408, 429, 503 and 504.
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
"""

import re
from typing import Any, ClassVar, Final

from shared.webhooks.sources.azure import AzureService
from shared.webhooks.sources.json_values import digest, first_text, moment, pick, read_object, same_bytes, text
from shared.webhooks.sources.source import MEGABYTE, RawRequest, SourceEvent

# By `monitoringService`, where alerts have a context of their own; all others go by `signalType`. Both without anything
# but letters and digits: Azure itself writes "Resource Health" and "ResourceHealth", "Activity Log" and "ActivityLog".
SERVICES: Final = {
    "servicehealth": "servicehealth",
    "resourcehealth": "resourcehealth",
    "smartdetector": "smartdetector",
    "prometheus": "prometheus",
    "costalerts": "cost",
}
SIGNALS: Final = {"metric": "metric", "log": "log", "activitylog": "activity"}
# Where the older schemas, and custom payloads of an alert rule, have what they are about.
LEGACY_NAMES: Final = (
    "data.context.name", "context.name", "data.AlertRuleName", "AlertRuleName", "data.BudgetName",
    "data.context.activityLog.operationName",
)  # fmt: skip
CONDITIONS: Final = ("fired", "resolved")


class AzureMonitor(AzureService, frozen=True, kw_only=True):
    """Azure Monitor. An event's type is `azure-monitor.<kind>.<fired or resolved>`.

    Kinds: metric, log, activity, servicehealth, resourcehealth, smartdetector, prometheus, cost, other. A payload that
    is not in the common alert schema is an `azure-monitor-legacy`, which matches no template for `azure-monitor`.

    With Entra tokens, a "secure webhook", application and role are those of Microsoft's instructions:
    https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups#configure-authentication-for-secure-webhook
    """

    name: ClassVar[str] = "azure-monitor"
    largest: ClassVar[int] = 10 * MEGABYTE
    retries_for: ClassVar[float | None] = 75.0  # after 5, 20, 5, 40 and 5 seconds

    allowed_apps: tuple[str, ...] = ("461e8683-5575-4561-ac7f-899cc907d62a",)
    app_role: str | None = "ActionGroupsSecureWebhook"

    def events(self, request: RawRequest) -> list[SourceEvent]:
        value = read_object(request.body, request.charset)
        essentials = pick(value, "data", "essentials")
        if isinstance(essentials, dict) and essentials:
            return [self._alert(value, essentials, request.body)]
        key = same_bytes(request.body)
        context = pick(value, "data", "context") or value.get("context")
        return [
            SourceEvent(
                id=key,
                source=self.name,
                type="azure-monitor-legacy",
                key=key,
                known_by="same-bytes",
                window=self.retries_for,
                data=value,
                subject=first_text(value, *LEGACY_NAMES),
                time=moment(pick(context, "timestamp")),
            )
        ]

    def _alert(self, value: Any, essentials: dict[str, Any], body: bytes) -> SourceEvent:
        alert = text(essentials, "alertId")
        condition = _word(essentials.get("monitorCondition"))
        when = text(essentials, "resolvedDateTime" if condition == "resolved" else "firedDateTime")
        # Without one of the three, two alerts could have one key, and the second would be lost.
        known = digest(alert, condition, when) if alert and condition and when else None
        key = known or same_bytes(body)
        return SourceEvent(
            id=key,
            source=text(essentials, "alertTargetIDs", 0) or self.name,
            type=".".join([self.name, _kind(essentials), *([condition] if condition in CONDITIONS else [])]),
            key=key,
            known_by="identity" if known else "same-bytes",
            window=None if known else self.retries_for,
            data=value,
            subject=text(essentials, "alertRule"),
            time=moment(when),
            thread=alert,
        )


def _kind(essentials: dict[str, Any]) -> str:
    service, signal = _word(essentials.get("monitoringService")), _word(essentials.get("signalType"))
    activity = "activity" if service.startswith("activitylog") else "other"
    return SERVICES.get(service) or SIGNALS.get(signal) or activity


def _word(value: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", value.lower()) if isinstance(value, str) else ""
