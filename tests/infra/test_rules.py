"""Alert rules take the durations that Azure Monitor takes: the compiler knows none of these rules, a deployment fails.

Sources: azure-rest-api-specs issue 21258 (the service's own answer: "Supported granularities are …"), and the values
and notes of Terraform's azurerm_monitor_scheduled_query_rules_alert_v2, which were tried against the service.
"""

from typing import Any, Final

import pytest

from tests.infra.deployed import deployed
from tests.infra.watching import minutes

HOURS: Final = (1, 2, 3, 4, 5, 6)
SHORT: Final = (5, 10, 15, 30, 45, *(hours * 60 for hours in HOURS))
DAY: Final = 24 * 60
FREQUENCIES: Final = {1, *SHORT, DAY}
WINDOWS: Final = {*SHORT, DAY, 2 * DAY}
OVERRIDES: Final = {*WINDOWS, 20}
MUTED: Final = WINDOWS
MUTE: Final = "muteActionsDuration"
# Asked every minute, a rule looks back six hours at most, and a minute at least.
WINDOWS_OF_A_MINUTE: Final = {1, *SHORT}


def faults(rule: dict[str, Any]) -> list[str]:
    """What Azure Monitor would refuse in the properties of a log alert rule."""
    frequency, window = minutes(rule["evaluationFrequency"]), minutes(rule["windowSize"])
    (condition,) = rule["criteria"]["allOf"]
    failing = condition["failingPeriods"]
    periods, needed = failing["numberOfEvaluationPeriods"], failing["minFailingPeriodsToAlert"]
    looked_at = window * periods
    override, mute = (minutes(rule[key]) if key in rule else None for key in ("overrideQueryTimeRange", MUTE))
    refused = {
        f"evaluationFrequency {rule['evaluationFrequency']}": frequency not in FREQUENCIES,
        f"windowSize {rule['windowSize']}": window not in (WINDOWS_OF_A_MINUTE if frequency == 1 else WINDOWS),
        "failingPeriods are 1 to 6, and no more are needed than there are": not 1 <= needed <= periods <= 6,
        "several periods of rows without a time": periods > 1 and "TimeGenerated" not in last_step(condition),
        "looks back further than two days": looked_at > 2 * DAY,
        "moments between two evaluations are never looked at": frequency > looked_at,
        "overrideQueryTimeRange": override is not None and override not in OVERRIDES,
        "overrideQueryTimeRange is shorter than the window": override is not None and override < looked_at,
        MUTE: mute is not None and mute not in MUTED,
        "muteActionsDuration is shorter than the frequency": mute is not None and mute < frequency,
        "autoMitigate and muteActionsDuration exclude each other": mute is not None and rule.get("autoMitigate"),
        "severity is 0 to 4": not 0 <= rule["severity"] <= 4,
        "a rule has one scope": len(rule["scopes"]) != 1,
        "all aggregations but Count measure a column": (condition["timeAggregation"] == "Count")
        == ("metricMeasureColumn" in condition),
    }
    return [fault for fault, found in refused.items() if found]


def last_step(condition: dict[str, Any]) -> str:
    return str(condition["query"].rpartition("| ")[2])


def rules(name: str) -> dict[str, dict[str, Any]]:
    kind = "Microsoft.Insights/scheduledQueryRules"
    return {one["name"]: one["properties"] for one in deployed(name).all(kind)}


def test_azure_monitor_takes_every_rule(name: str) -> None:
    assert rules(name)
    assert {rule: found for rule, one in rules(name).items() if (found := faults(one))} == {}


@pytest.mark.parametrize(
    "change",
    [
        {"windowSize": "PT20M"},
        {"windowSize": "PT1M"},
        {"windowSize": "P3D"},
        {"evaluationFrequency": "PT20M"},
        {"evaluationFrequency": "PT1M", "windowSize": "P1D"},
        {"evaluationFrequency": "PT1H", "windowSize": "PT30M"},
        {"overrideQueryTimeRange": "PT25M"},
        {"overrideQueryTimeRange": "PT5M"},
        {"muteActionsDuration": "PT30M"},
        {"muteActionsDuration": "PT5M", "autoMitigate": False},
        {"muteActionsDuration": "PT12H", "autoMitigate": False},
        {"severity": 5},
        {"scopes": ["one", "two"]},
    ],
)
def test_what_azure_monitor_refuses_is_found(change: dict[str, Any]) -> None:
    rule = rules("default").popitem()[1] | {"evaluationFrequency": "PT15M", "windowSize": "PT15M"}
    assert faults(rule) == []
    assert faults(rule | change)


def test_what_azure_monitor_takes_is_not_refused() -> None:
    rule = rules("default").popitem()[1] | {"evaluationFrequency": "PT1M", "windowSize": "PT1M"}
    assert faults(rule) == []
    assert faults(rule | {"windowSize": "PT15M", "overrideQueryTimeRange": "PT20M"}) == []
    assert faults(rule | {"autoMitigate": False, "muteActionsDuration": "PT5M"}) == []
