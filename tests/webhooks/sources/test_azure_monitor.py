"""Azure Monitor's alerts: the common schema, and what came before it."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shared.webhooks.sources.azure_monitor import AzureMonitor
from shared.webhooks.sources.source import RawRequest, SourceEvent, TokenRule

SOURCE = AzureMonitor()
SUBSCRIPTION = "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001"
ALERT = f"{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts/b9569717-bc32-442f-add5-83a997729330"
MACHINE = f"{SUBSCRIPTION}/resourcegroups/rg-shop/providers/microsoft.compute/virtualmachines/web-1"
ESSENTIALS = {
    "alertId": ALERT,
    "alertRule": "CPU of the web servers",
    "severity": "Sev3",
    "signalType": "Metric",
    "monitorCondition": "Fired",
    "monitoringService": "Platform",
    "alertTargetIDs": [MACHINE],
    "configurationItems": ["web-1"],
    "originAlertId": "3f2d4487_rg-shop_microsoft.insights_metricAlerts_cpu_-117781227",
    "firedDateTime": "2026-11-22T09:58:24.3713213Z",
    "description": "Above 80 % for five minutes",
    "essentialsVersion": "1.0",
    "alertContextVersion": "1.0",
}
CONTEXT = {
    "conditionType": "SingleResourceMultipleMetricCriteria",
    "condition": {"windowSize": "PT5M", "allOf": [{"metricName": "Percentage CPU", "metricValue": 91.2}]},
}
RESOLVED = {"monitorCondition": "Resolved", "resolvedDateTime": "2026-11-22T10:03:16.2246313Z"}
LEGACY_METRIC = {
    "schemaId": "AzureMonitorMetricAlert",
    "data": {
        "version": "2.0",
        "status": "Activated",
        "context": {"timestamp": "2026-11-22T09:58:00Z", "id": "/…/metricAlerts/cpu", "name": "cpu", "severity": "3"},
    },
}
LEGACY_ACTIVITY = {
    "schemaId": "Microsoft.Insights/activityLogs",
    "data": {"status": "Activated", "context": {"activityLog": {"operationName": "Microsoft.Compute/restart/action"}}},
}
LEGACY_LOG = {"schemaId": "Microsoft.Insights/LogAlert", "data": {"AlertRuleName": "errors", "ResultCount": 3}}
LEGACY_CLASSIC = {"status": "Activated", "context": {"timestamp": "2026-11-22T09:58:00Z", "name": "cpu"}}


def payload(**essentials: Any) -> dict[str, Any]:
    whole = {name: value for name, value in {**ESSENTIALS, **essentials}.items() if value is not ...}
    data = {"essentials": whole, "alertContext": CONTEXT, "customProperties": {"team": "shop"}}
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": data}


def read(value: Any) -> SourceEvent:
    (event,) = SOURCE.events(RawRequest(json.dumps(value).encode(), {"content-type": "application/json"}))
    return event


def test_an_alert_in_the_common_schema_is_one_event_with_the_whole_payload() -> None:
    event = read(payload())
    assert event.type == "azure-monitor.metric.fired"
    assert event.source == MACHINE
    assert event.subject == "CPU of the web servers"
    assert event.time == datetime(2026, 11, 22, 9, 58, 24, 371321, UTC)
    assert event.thread == ALERT
    assert event.data == payload()


@pytest.mark.parametrize(
    ("service", "signal", "kind"),
    [
        ("Platform", "Metric", "metric"), ("Log Alerts V2", "Log", "log"), ("Log Analytics", "Log", "log"),
        ("Application Insights", "Log", "log"), ("Activity Log - Administrative", "Activity Log", "activity"),
        ("Activity Log - Security", "Activity Log", "activity"), ("Activity Log - Policy", None, "activity"),
        ("ServiceHealth", "ActivityLog", "servicehealth"), ("Service Health", "Activity Log", "servicehealth"),
        ("Resource Health", "Activity Log", "resourcehealth"), ("ResourceHealth", "Activity Log", "resourcehealth"),
        ("SmartDetector", "Log", "smartdetector"), ("Prometheus", "Metric", "prometheus"), ("CostAlerts", None, "cost"),
        ("Something new", "Metric", "metric"), ("Something new", "Something new", "other"), (None, None, "other"),
        (7, [], "other"),
    ],
)  # fmt: skip
def test_the_type_names_the_kind_of_alert_and_then_what_happened_to_it(service: Any, signal: Any, kind: str) -> None:
    event = read(payload(monitoringService=service, signalType=signal))
    assert event.type == f"azure-monitor.{kind}.fired"
    resolved = read(payload(monitoringService=service, signalType=signal, **RESOLVED))
    assert resolved.type == f"azure-monitor.{kind}.resolved"


@pytest.mark.parametrize("condition", [..., None, "", "Suspended", 1])
def test_an_alert_of_no_known_condition_has_a_type_without_one(condition: Any) -> None:
    assert read(payload(monitorCondition=condition)).type == "azure-monitor.metric"


def test_fired_and_resolved_are_two_mails_of_one_conversation() -> None:
    fired, resolved = read(payload()), read(payload(**RESOLVED))
    assert fired.key != resolved.key
    assert fired.thread == resolved.thread == ALERT
    assert resolved.time == datetime(2026, 11, 22, 10, 3, 16, 224631, UTC)


def test_the_key_is_alert_condition_and_its_time_and_nothing_else() -> None:
    def key(**changes: Any) -> str:
        return read(payload(**changes)).key

    assert key() == key(description="other", severity="Sev0", resolvedDateTime="2026-11-22T11:00:00Z")
    assert key(**RESOLVED) == key(**RESOLVED, firedDateTime="other")
    other = [key(alertId="/other"), key(firedDateTime="2026-11-22T11:00:00Z"), key(**RESOLVED)]
    other.append(key(**{**RESOLVED, "resolvedDateTime": "2026-11-22T11:00:00Z"}))
    assert len({key(), *other}) == 5


@pytest.mark.parametrize("name", ["alertId", "monitorCondition", "firedDateTime"])
def test_without_a_part_of_its_key_an_alert_is_known_by_its_whole_payload(name: str) -> None:
    """Two alerts with one key would be one mail."""
    first, second = read(payload(**{name: ...})), read(payload(**{name: ...}, description="another"))
    assert first.key != second.key
    assert first.key == read(payload(**{name: ...})).key


@pytest.mark.parametrize(
    "value", [LEGACY_METRIC, LEGACY_ACTIVITY, LEGACY_LOG, LEGACY_CLASSIC, {}, {"data": {"essentials": {}}}]
)
def test_what_is_not_in_the_common_schema_is_an_event_for_the_general_table(value: dict[str, Any]) -> None:
    event = read(value)
    assert event.type == "azure-monitor-legacy"
    assert event.data == value
    assert event.thread is None


def test_an_older_alert_has_its_name_and_time_and_a_key_of_its_own() -> None:
    metric, classic, log = read(LEGACY_METRIC), read(LEGACY_CLASSIC), read(LEGACY_LOG)
    assert (metric.subject, metric.time) == ("cpu", datetime(2026, 11, 22, 9, 58, tzinfo=UTC))
    assert (classic.subject, classic.time) == ("cpu", datetime(2026, 11, 22, 9, 58, tzinfo=UTC))
    assert log.subject == "errors"
    assert len({metric.key, classic.key, log.key}) == 3
    assert read(LEGACY_METRIC).key == metric.key


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        ({"AlertRuleName": "errors", "MyText": "x"}, "errors"),
        ({"schemaId": "AIP Budget Notification", "data": {"BudgetName": "monthly", "Budget": "50"}}, "monthly"),
        ({"data": {"status": "Activated", "context": {"activityLog": {"operationName": "a/delete"}}}}, "a/delete"),
        ({"text": "hello"}, None),
    ],
)
def test_what_an_older_schema_or_an_own_payload_is_about_is_its_subject(value: dict[str, Any], subject: str) -> None:
    assert read(value).subject == subject


def test_the_portals_test_gives_a_mail_each_time() -> None:
    """Its alert id is always the same; the time is that of the test."""
    sample = {
        "alertId": f"{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts/eeeeeeee-4444-5555-6666-ffffffffffff"
    }
    keys = {read(payload(**sample, firedDateTime=f"2026-11-22T09:5{minute}:00Z")).key for minute in range(3)}
    assert len(keys) == 3


def test_a_secure_webhook_takes_tokens_of_action_groups_with_the_registrations_role_and_no_secret() -> None:
    source = msgspec.convert({"audience": "0a1b2c3d-0000-4000-8000-00000000000b", "tenant": "t"}, AzureMonitor)
    assert source.token_rule == TokenRule(
        "0a1b2c3d-0000-4000-8000-00000000000b",
        frozenset({"461e8683-5575-4561-ac7f-899cc907d62a"}),
        "ActionGroupsSecureWebhook",
        "t",
    )
    assert SOURCE.token_rule is None
