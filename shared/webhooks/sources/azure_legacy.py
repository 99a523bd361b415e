"""Converts alerts of Azure Monitor that do not use the common alert schema into that schema.

So templates and filters need only one schema. These kinds are read:

    AzureMonitorMetricAlert            metric alerts; smart detection, by its schemaId
    {status, context, properties}      classic metric alerts; with an operation, notifications of autoscale
    Microsoft.Insights/activityLogs    activity log, service health and resource health
    Microsoft.Insights/LogAlert        log search alerts, also without schemaId, and their custom payloads
    AIP Budget Notification            budgets
    anything else that names a rule    a payload of your own, such as that of a logic app

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-non-common-schema-definitions
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-log-webhook
https://learn.microsoft.com/azure/azure-monitor/alerts/activity-log-alerts-webhook
https://learn.microsoft.com/azure/azure-monitor/autoscale/autoscale-webhook-email
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shared.webhooks.sources.json_values import first_text, pick, text

FIRED: Final = ("fired", "activated", "firing", "alerting", "active")
RESOLVED: Final = ("resolved", "deactivated", "ok", "closed")
SERVICES: Final = {"servicehealth": "ServiceHealth", "resourcehealth": "Resource Health"}  # by eventSource
# What a payload of one's own may call the same, in the letters and digits of its names.
NAMES: Final = ("alertrulename", "alertrule", "alertname", "rulename")
STATES: Final = ("monitorcondition", "alertstate", "status", "state")
# The names of a log alert's values in the common schema, by those of the older ones.
OF_LOGS: Final = {
    "alertthresholdoperator": "Operator",
    "alertthresholdvalue": "Threshold",
    "alerttype": "AlertType",
    "dimensions": "Dimensions",
    "linktofilteredsearchresultsui": "LinkToFilteredSearchResultsUI",
    "linktosearchresults": "LinkToSearchResults",
    "resultcount": "ResultCount",
    "searchquery": "SearchQuery",
    "searchresult": "SearchResults",
    "searchresults": "SearchResults",
}
# What tells a reader nothing, or stands in another place.
NOT_TOLD: Final = frozenset({
    "affectedconfigurationitems", "applicationid", "description", "includedimensions", "includesearchresults",
    "linktofilteredsearchresultsapi", "linktosearchresultsapi", "resourceid", "schemaid", "searchintervalinseconds",
    "searchintervalendtimeutc", "searchintervalstarttimeutc", "severity", "subscriptionid", "workspaceid",
})  # fmt: skip
MOST_PERCENT: Final = 10  # 1,000 %, the highest threshold of a budget


@dataclass(frozen=True, slots=True)
class OlderAlert:
    """The parts of the common alert schema. thread: what the mails of one incident have in common."""

    essentials: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)
    properties: Any = None
    thread: str | None = None

    def beside(self, value: dict[str, Any]) -> dict[str, Any]:
        """The payload as it was sent, with these parts in the places of the common schema."""
        data = value.get("data")
        common = {"essentials": self.essentials, "alertContext": self.context, "customProperties": self.properties}
        return {**value, "data": {**(data if isinstance(data, dict) else {}), **common}}


def older_alert(value: dict[str, Any]) -> OlderAlert | None:
    """The alert in a payload; None where nothing names a rule, a resource or a budget."""
    found = value.get("data")
    data: dict[str, Any] = found if isinstance(found, dict) else value
    context = data.get("context")
    log = pick(context, "activityLog")
    if isinstance(log, dict) and log:
        return _activity(data, context, log)
    if isinstance(context, dict) and first_text(context, "name", "resourceName", "resourceId"):
        return _autoscale(data, context) if text(data, "operation") else _metric(value, data, context)
    if text(data, "BudgetName"):
        return _budget(data)
    return _log(data) if any(_letters(name) in NAMES for name in data) else None


def _essentials(  # noqa: PLR0913
    service: str,
    *,
    rule: str | None,
    state: Any,
    when: str | None,
    targets: Iterable[str | None] = (),
    items: Iterable[str | None] = (),
    severity: str | None = None,
    description: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    word = _letters(state) if isinstance(state, str) else ""
    condition = "Fired" if word in FIRED else "Resolved" if word in RESOLVED else text({"": state}, "")
    given = {
        "alertRule": rule,
        "severity": f"Sev{severity}" if severity in ("0", "1", "2", "3", "4") else severity,
        "monitoringService": service,
        "monitorCondition": condition,
        "alertTargetIDs": [one for one in targets if one],
        "configurationItems": [one for one in items if one],
        "resolvedDateTime" if condition == "Resolved" else "firedDateTime": when,
        "description": description,
        **others,
    }
    return {name: one for name, one in given.items() if one not in (None, [])}


def _metric(value: dict[str, Any], data: dict[str, Any], context: dict[str, Any]) -> OlderAlert:
    condition = context.get("condition")
    if isinstance(condition, dict) and not isinstance(condition.get("allOf"), list):
        minutes = text(condition, "windowSize") or ""
        condition = {"windowSize": f"PT{minutes}M" if minutes.isdecimal() else minutes, "allOf": [condition]}
    rule, resource = text(context, "id"), text(context, "resourceId")
    smart = "smart" in _letters(text(value, "schemaId") or "") or text(context, "SmartDetectorName")
    essentials = _essentials(
        "Smart Detector" if smart else "Platform",
        rule=text(context, "name"),
        state=data.get("status"),
        when=text(context, "timestamp"),
        targets=[resource],
        items=[text(context, "resourceName")],
        severity=text(context, "severity"),
        description=text(context, "description"),
        signalType="Metric",
        alertRuleId=rule,
        investigationLink=text(context, "portalLink"),
    )
    thread = f"{rule} {resource}" if rule and resource else None
    return OlderAlert(essentials, {**context, "condition": condition}, data.get("properties"), thread)


def _autoscale(data: dict[str, Any], context: dict[str, Any]) -> OlderAlert:
    essentials = _essentials(
        "Autoscale",
        rule=text(context, "name"),
        state=data.get("status"),
        when=text(context, "timestamp"),
        targets=[text(context, "resourceId")],
        items=[text(context, "resourceName")],
        alertRuleId=text(context, "id"),
        investigationLink=text(context, "portalLink"),
    )
    told = {name: context.get(name) for name in ("details", "oldCapacity", "newCapacity")}
    return OlderAlert(essentials, {"operation": data.get("operation"), **told}, data.get("properties"))


def _activity(data: dict[str, Any], context: Any, log: dict[str, Any]) -> OlderAlert:
    source = _letters(text(log, "eventSource") or "")
    resource, properties = text(log, "resourceId"), log.get("properties")
    essentials = _essentials(
        SERVICES.get(source) or f"Activity Log - {text(log, 'eventSource') or 'Administrative'}",
        rule=text(context, "name"),
        state=data.get("status"),
        when=text(log, "eventTimestamp"),
        targets=[resource],
        items=[text(properties, "compromisedEntity") or (resource or "").strip("/").rpartition("/")[2]],
        description=text(log, "description"),
        signalType="Activity Log",
    )
    thread = text(properties, "trackingId") if source == "servicehealth" else None
    return OlderAlert(essentials, log, data.get("properties"), thread)


def _budget(data: dict[str, Any]) -> OlderAlert:
    unit, limit, threshold = text(data, "Unit"), _number(data, "Budget"), _number(data, "NotificationThresholdAmount")
    share = threshold is not None and threshold <= MOST_PERCENT and (limit or 0) > MOST_PERCENT
    budget = {
        "BudgetName": text(data, "BudgetName"),
        "SpentAmount": _amount(data, "SpendingAmount", unit),
        "BudgetThreshold": _amount(data, "Budget", unit),
        "NotificationThresholdAmount": f"{threshold:.0%}"
        if share and threshold is not None
        else _amount(data, "NotificationThresholdAmount", unit),
        "BudgetStartDate": _date(text(data, "BudgetStartDate")),
        "Subscription": text(data, "SubscriptionName"),
        "ResourceGroup": text(data, "ResourceGroup"),
    }
    # Only what exceeds its threshold is notified, and nothing when it no longer does.
    essentials = _essentials("CostAlerts", rule=text(data, "BudgetName"), state="Fired", when=None)
    return OlderAlert(essentials, {"AlertCategory": "Budgets", "AlertData": budget})


def _log(data: dict[str, Any]) -> OlderAlert:
    """Of an own payload, what is not known by its name comes along as properties."""
    by_letters = {_letters(name): one for name, one in data.items()}
    context = {OF_LOGS[name]: one for name, one in by_letters.items() if name in OF_LOGS}
    searched = bool({"searchquery", "resultcount", "alertthresholdvalue"} & by_letters.keys())
    if isinstance(seconds := by_letters.get("searchintervalinseconds"), int):
        context["SearchIntervalInMinutes"] = seconds // 60
    items = by_letters.get("affectedconfigurationitems")
    essentials = _essentials(
        "Log Alerts" if searched else "",
        rule=next((found for name in NAMES if (found := text(by_letters, name))), None),
        # A log alert without the common schema is sent when it fires only.
        state=next((found for name in STATES if (found := text(by_letters, name))), "Fired" if searched else None),
        when=text(by_letters, "searchintervalendtimeutc"),
        targets=[text(by_letters, "resourceid")],
        items=items if isinstance(items, list) else (),
        severity=text(by_letters, "severity"),
        description=text(by_letters, "description"),
        signalType="Log" if searched else None,
    )
    known = NOT_TOLD | OF_LOGS.keys() | {*NAMES, *STATES}
    return OlderAlert(essentials, context, {name: one for name, one in data.items() if _letters(name) not in known})


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _number(data: dict[str, Any], name: str) -> float | None:
    try:
        number = float(text(data, name) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _amount(data: dict[str, Any], name: str, unit: str | None) -> str | None:
    """As the common schema writes it, with the currency: "USD 111.00"."""
    number = _number(data, name)
    return " ".join(filter(None, (unit, text(data, name) if number is None else f"{number:,.2f}"))) or None


def _date(written: str | None) -> str | None:
    """A date of the United States, "11/1/2026", as RFC 3339 has it; everything else as it is."""
    try:
        return datetime.strptime(written or "", "%m/%d/%Y").date().isoformat()  # noqa: DTZ007
    except ValueError:
        return written
