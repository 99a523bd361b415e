"""Azure Monitor: alerts that an action group sends to a webhook.

An action group tries again only after 408, 429, 503 and 504, five times within about a minute.
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
"""

import re
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources.azure import AzureService
from shared.webhooks.sources.copies import RETRIES, same_bytes
from shared.webhooks.sources.json_values import digest, moment, pick, read_object, text
from shared.webhooks.sources.source import Event, RawRequest

__all__ = ["AzureMonitor"]

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
# Where the older schemas, and payloads of an alert rule's own making, have what they are about.
LEGACY_NAMES: Final = (
    ("data", "context", "name"),
    ("context", "name"),
    ("data", "AlertRuleName"),
    ("AlertRuleName",),
    ("data", "BudgetName"),
    ("data", "context", "activityLog", "operationName"),
)
CONDITIONS: Final = ("fired", "resolved")


class AzureMonitor(AzureService, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Azure Monitor. An event's type is `azure-monitor.<kind>.<fired or resolved>`.

    Kinds: metric, log, activity, servicehealth, resourcehealth, smartdetector, prometheus, cost, other. What is not in
    the common alert schema is an `azure-monitor-legacy`, which no template for `azure-monitor` is taken for.

    With Entra tokens, a "secure webhook", application and role are those of Microsoft's instructions:
    https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups#configure-authentication-for-secure-webhook
    """

    name: ClassVar[str] = "azure-monitor"

    allowed_apps: tuple[str, ...] = ("461e8683-5575-4561-ac7f-899cc907d62a",)
    app_role: str | None = "ActionGroupsSecureWebhook"

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002
        value = read_object(request.body, request.charset)
        essentials = pick(value, "data", "essentials")
        raw = same_bytes(request.body)
        if not isinstance(essentials, dict) or not essentials:
            context = pick(value, "data", "context") or value.get("context")
            name = next((found for path in LEGACY_NAMES if (found := text(value, *path))), None)
            time = moment(pick(context, "timestamp"))
            return [
                Event(
                    id=raw,
                    source="azure-monitor",
                    type="azure-monitor-legacy",
                    key=raw,
                    known_by="same-bytes",
                    window=RETRIES[self.name].within,
                    data=value,
                    subject=name,
                    time=time,
                )
            ]
        return [_alert(value, essentials, raw)]


def _alert(value: Any, essentials: dict[str, Any], raw: str) -> Event:
    alert = text(essentials, "alertId")
    condition = _word(essentials.get("monitorCondition"))
    when = text(essentials, "resolvedDateTime" if condition == "resolved" else "firedDateTime")
    # Without one of the three, two alerts could have one key, and the second would be lost.
    known = digest(alert, condition, when) if alert and condition and when else None
    key = known or raw
    return Event(
        id=key,
        source=text(essentials, "alertTargetIDs", 0) or "azure-monitor",
        type=".".join(["azure-monitor", _kind(essentials), *([condition] if condition in CONDITIONS else [])]),
        key=key,
        known_by="identity" if known else "same-bytes",
        window=None if known else RETRIES[AzureMonitor.name].within,
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
