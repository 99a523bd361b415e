"""Azure Monitor's alerts: the common schema, and what came before it."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.sources.azure_monitor import AzureMonitor
from tests.webhooks.sources.anything import event_of

SOURCE = AzureMonitor()
read = partial(event_of, SOURCE)
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
NAMES = st.sampled_from(
    ["context", "activityLog", "properties", "name", "condition", "allOf", "eventSource", "severity"]
)


def payload(**essentials: Any) -> dict[str, Any]:
    whole = {name: value for name, value in {**ESSENTIALS, **essentials}.items() if value is not ...}
    data = {"essentials": whole, "alertContext": CONTEXT, "customProperties": {"team": "shop"}}
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": data}


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


@pytest.mark.parametrize("value", [{}, {"text": "hello"}, {"data": {"essentials": {}}}, {"data": []}, {"context": {}}])
def test_a_payload_that_names_no_alert_is_an_event_for_the_general_table(value: dict[str, Any]) -> None:
    event = read(value)
    assert (event.type, event.data, event.thread) == ("azure-monitor.own", value, None)


ACTIVITY = {
    "operationName": "Microsoft.Compute/virtualMachines/restart/action",
    "eventTimestamp": "2026-11-22T09:58:00Z",
}
METRIC = {"timestamp": "2026-11-22T09:58:00Z", "id": "/rules/cpu", "name": "cpu", "severity": "3", "resourceId": "/vm"}


def older(**data: Any) -> dict[str, Any]:
    return {"schemaId": "any", "data": data}


def log_of(source: str) -> dict[str, Any]:
    return older(status="Activated", context={"activityLog": {**ACTIVITY, "eventSource": source}})


@pytest.mark.parametrize(
    ("value", "kind", "subject"),
    [
        (older(status="Activated", context=METRIC), "metric.fired", "cpu"),
        (older(status="Deactivated", context=METRIC), "metric.resolved", "cpu"),
        (older(status="odd", context=METRIC), "metric", "cpu"),
        ({"status": "Activated", "context": METRIC}, "metric.fired", "cpu"),
        ({"status": "Resolved", "context": METRIC}, "metric.resolved", "cpu"),
        ({"schemaId": "SmartAlert", "data": {"status": "Activated", "context": METRIC}}, "smartdetector.fired", "cpu"),
        ({"status": "Activated", "operation": "Scale In", "context": METRIC}, "autoscale.fired", "cpu"),
        (log_of("Administrative"), "activity.fired", ACTIVITY["operationName"]),
        (log_of("Security"), "activity.fired", ACTIVITY["operationName"]),
        (log_of("ServiceHealth"), "servicehealth.fired", ACTIVITY["operationName"]),
        (log_of("ResourceHealth"), "resourcehealth.fired", ACTIVITY["operationName"]),
        (older(AlertRuleName="errors", ResultCount=3), "log.fired", "errors"),
        ({"AlertRuleName": "errors", "SearchQuery": "Heartbeat"}, "log.fired", "errors"),
        ({"alert_rule_name": "errors", "resultCount": "3", "Status": "Resolved"}, "log.resolved", "errors"),
        ({"alertRule": "errors", "state": "firing"}, "other.fired", "errors"),
        ({"AlertName": "errors"}, "other", "errors"),
        (older(BudgetName="monthly", Budget="50"), "cost.fired", "monthly"),
    ],
)
def test_an_alert_in_an_older_schema_has_the_type_and_name_that_it_would_have_in_the_common_one(
    value: dict[str, Any], kind: str, subject: str
) -> None:
    event = read(value)
    assert (event.type, event.subject) == (f"azure-monitor.{kind}", subject)
    sent = value.get("data", value)
    assert {name: event.data["data"].get(name, event.data.get(name)) for name in sent} == sent, "nothing is lost"
    assert event.known_by == "same-bytes"
    assert event.key == read(value).key != read({**value, "more": 1}).key


@pytest.mark.parametrize(
    ("severity", "common"),
    [("0", "Sev0"), (3, "Sev3"), ("Sev1", "Sev1"), ("Warning", "Warning"), ("9", "9"), (None, None)],
)
def test_a_severity_is_written_as_in_the_common_schema(severity: Any, common: str | None) -> None:
    event = read(older(AlertRuleName="a", Severity=severity))
    assert event.data["data"]["essentials"].get("severity") == common


def test_an_older_metric_alert_that_fires_and_is_resolved_is_one_conversation() -> None:
    fired, over = (read(older(status=status, context=METRIC)) for status in ("Activated", "Deactivated"))
    assert fired.thread == over.thread == "/rules/cpu /vm"
    assert fired.time == over.time == datetime(2026, 11, 22, 9, 58, tzinfo=UTC)
    assert read(older(context={**METRIC, "resourceId": None})).thread is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [("0.8", "80%"), ("1.1", "110%"), ("8000.0", "USD 8,000.00"), ("odd", "USD odd"), ("1e999", "USD 1e999")],
)
def test_a_budgets_threshold_is_a_share_or_an_amount(written: str, shown: str) -> None:
    """Azure sends both: https://learn.microsoft.com/azure/cost-management-billing/manage/cost-management-budget-scenario"""
    data = {"BudgetName": "a", "Unit": "USD", "Budget": "10000", "BudgetStartDate": "11/1/2026"}
    budget = read(older(**data, NotificationThresholdAmount=written)).data["data"]["alertContext"]["AlertData"]
    assert (budget["NotificationThresholdAmount"], budget["BudgetStartDate"]) == (shown, "2026-11-01")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=15,
    )
)
def test_whatever_is_in_an_older_payload_is_an_event(value: Any) -> None:
    event = read({"data": value, "context": value, "AlertRuleName": "a"})
    assert event.type.startswith("azure-monitor.")
    assert SOURCE.for_mail(event).data.keys() >= event.data.keys()


def test_lists_that_are_json_in_a_text_are_read_for_the_mail_and_filters_see_what_was_sent() -> None:
    written = {"steps": '["a", "b"]', "text": "[no JSON", "one": "a"}
    event = read(older(status="Activated", context={"activityLog": {**ACTIVITY, "properties": written}}))
    assert event.data["data"]["alertContext"]["properties"] == written
    read_now = SOURCE.for_mail(event).data["data"]["alertContext"]["properties"]
    assert read_now == {**written, "steps": ["a", "b"]}
