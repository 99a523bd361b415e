"""What the mail of a group of alerts gets to know: counts of all, the worst first, and what differs."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.sources.alert_groups import LEAST, SHOWN, grouped, is_internal
from shared.webhooks.sources.source import SourceEvent


def alert(status: Any = "firing", **labels: Any) -> dict[str, Any]:
    return {"status": status, "labels": labels}


def group(alerts: Any, kind: str = "alertmanager.firing", **data: Any) -> SourceEvent:
    return grouped(SourceEvent(id="1", source="/a", type=kind, key="1", data={"alerts": alerts, **data}))


def found(alerts: Iterable[Any], kind: str = "alertmanager.firing", **data: Any) -> dict[str, Any]:
    return dict(group(list(alerts), kind, **data).extensions)


STATUSES = st.sampled_from(["firing", "resolved", "odd", None])


@given(st.lists(STATUSES, max_size=60), st.sampled_from(["firing", "resolved"]))
def test_every_alert_is_counted_once_and_only_so_many_are_shown(statuses: list[Any], kind: str) -> None:
    event = group([alert(status) for status in statuses], f"grafana.{kind}")
    firing, resolved, unclear = (event.extensions[name] for name in ("firing", "resolved", "unclear"))
    assert firing + resolved + unclear == len(statuses)
    assert firing == (statuses.count("firing") if kind == "firing" else 0)
    shown = [one["status"] for one in event.data["alerts"]]
    assert len(shown) == min(SHOWN, len(statuses))
    if kind == "firing":
        assert shown.count("firing") >= min(firing, SHOWN - LEAST)
        assert shown.count("resolved") >= min(resolved, LEAST)


def test_the_worst_alerts_are_shown_first_whatever_their_place() -> None:
    severities = ["info", "warning", "page", "odd", "P1", None, "none"]
    alerts = [alert(severity=severity) for severity in severities for _ in range(9)]
    event = group(alerts)
    shown = [one["labels"]["severity"] for one in event.data["alerts"]]
    assert shown == ["page"] * 9 + ["P1"] * 9 + ["odd"] * 2
    assert event.extensions["severity"] == "page"


@pytest.mark.parametrize(
    ("severity", "rank"), [("Critical", 0), ("error", 1), ("odd", 1), (None, 1), ("WARN", 2), ("info", 3), ("none", 3)]
)
def test_a_severity_that_nobody_knows_is_worse_than_a_warning(severity: str | None, rank: int) -> None:
    assert found([alert(severity=severity)])["rank"] == rank
    assert found([], commonLabels={"severity": severity})["rank"] == rank


def test_the_severity_is_that_of_what_still_fires() -> None:
    assert found([alert("resolved", severity="page"), alert(severity="info")])["severity"] == "info"


def test_what_differs_is_named_and_nothing_internal() -> None:
    alerts = [
        {**alert(instance=f"web-{n % 2}", job="web", __uid__=n, PanelId=n, team="blue"), "values": {"A": n, "C": 1}}
        for n in range(3)
    ]
    assert found(alerts)["differ"] == ["instance"]
    assert found(alerts)["differ_values"] == ["A"]
    assert found([*alerts, alert(job="web")])["differ"] == ["instance", "team"]
    assert found(alerts[:1])["differ"] == []


@pytest.mark.parametrize("name", ["__alert_rule_uid__", "PanelId", "panel_id", "__value_string__", "datasource_uid"])
def test_names_that_only_grafana_needs_are_internal(name: str) -> None:
    assert is_internal(name)
    assert not is_internal(name.strip("_") + "x")


def test_times_are_those_of_all_alerts_and_year_1_is_none() -> None:
    def lasting(begin: str, end: str, status: str = "resolved") -> dict[str, Any]:
        return {"status": status, "startsAt": f"{begin}T09:00:00Z", "endsAt": f"{end}T10:00:00Z"}

    over = [lasting(f"2026-11-{n:02}", f"2026-12-{n:02}") for n in range(28, 0, -1)]
    result = found(over, "grafana.resolved")
    assert (f"{result['began']:%d}", f"{result['ended']:%d}", result["starts"]) == ("01", "28", 28)
    assert found([*over, lasting("2026-11-30", "0001-01-01")], "grafana.resolved")["ended"] is None
    assert f"{found([*over, lasting('2026-11-30', '0001-01-01', 'firing')])['began']:%d}" == "30"
    assert found([lasting("0001-01-01", "odd")])["began"] is None


@pytest.mark.parametrize(
    "data", [None, "text", [], 7, {}, {"alerts": None}, {"alerts": {"a": 1}}, {"alerts": [1, None]}]
)
def test_an_event_of_another_shape_has_no_alerts(data: Any) -> None:
    event = SourceEvent(id="1", source="/a", type="alertmanager.firing", key="1", data=data)
    assert {grouped(event).extensions[name] for name in ("firing", "resolved", "unclear", "hidden")} == {0}


@pytest.mark.parametrize(("hidden", "counted"), [(3, 3), (0, 0), (-1, 0), (True, 0), ("3", 0), (None, 0)])
def test_alerts_that_were_not_sent_along_are_counted(hidden: Any, counted: int) -> None:
    assert found([], truncatedAlerts=hidden)["hidden"] == counted
