"""Alerts and the workbook ask for what Mailroom really says, in a language that Azure really reads."""

import ast
import json
import logging
import re
from functools import cache
from typing import Final

import pytest

from shared.telemetry import LogEvent
from tests.infra.deployed import ROOT, deployed, functions, snapshot
from tests.infra.kusto.language import SCHEMAS, read
from tests.infra.kusto.tables import run
from tests.infra.watching import NOON, Log, alerts, minutes

# Said at level ERROR and no reason to wake anyone.
QUIET: Final[frozenset[LogEvent]] = frozenset()


def alert_queries() -> dict[str, str]:
    return {name: rule["criteria"]["allOf"][0]["query"] for name, rule in alerts().items()}


def workbook_queries() -> dict[str, str]:
    data = json.loads(deployed("default").one("Microsoft.Insights/workbooks")["properties"]["serializedData"])
    return {item["name"]: item["content"]["query"] for item in data["items"] if "query" in item["content"]}


QUERIES: Final = alert_queries() | {f"workbook {name}": query for name, query in workbook_queries().items()}


def named_events(query: str) -> set[str]:
    """What a query compares `event` with."""
    compared = re.findall(r"event (?:==|!=) '([^']+)'", query)
    for group in re.findall(r"event in \(([^)]*)\)", query):
        compared += re.findall(r"'([^']+)'", group)
    return set(compared)


@cache
def fields_of_events() -> dict[str, set[str]]:
    """Which fields the code gives each event: read from its calls of `emit`."""
    fields: dict[str, set[str]] = {}
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "emit":
                names = {keyword.arg for keyword in node.keywords if keyword.arg}
                (event,) = node.args
                if isinstance(event, ast.Attribute):
                    fields.setdefault(LogEvent[event.attr].value, set()).update(names)
                else:  # chosen at run time: it may be any of them
                    fields.setdefault("", set()).update(names)
    return fields


@pytest.mark.parametrize("name", QUERIES)
def test_kusto_reads_every_query_and_its_events_and_their_fields_exist(name: str) -> None:
    query = QUERIES[name]
    assert read(query).faults == ()
    events = named_events(query)
    assert events
    assert events <= set(LogEvent)
    said = fields_of_events()
    asked = set(re.findall(r"said\.(\w+)", query.partition("| extend event")[2].partition("\n")[2]))
    assert asked <= set.union(*(said.get(event, set()) for event in events), said[""])
    for group in re.findall(r"OperationName in \(([^)]*)\)", query):
        assert set(re.findall(r"'([^']+)'", group)) <= functions().keys()


def test_every_event_is_emitted_somewhere() -> None:
    """Otherwise an alert would wait for what nobody says."""
    code = "\n".join(path.read_text() for path in (ROOT / "shared").rglob("*.py") if path.name != "telemetry.py")
    unused = [event for event in LogEvent if not re.search(rf"\bLogEvent\.{event.name}\b", code)]
    assert unused == []


def test_every_event_at_level_error_is_in_an_alert() -> None:
    asked = set().union(*map(named_events, alert_queries().values()))
    errors = {event.value for event in LogEvent if event.level >= logging.ERROR}
    assert errors - asked == {event.value for event in QUIET}


def test_copies_that_were_dropped_are_counted_by_route_and_reason() -> None:
    query = workbook_queries()["copies"]
    assert named_events(query) == {"mail.duplicate", "event.signed-again"}
    assert "count()" in query
    assert "reason" in fields_of_events()["mail.duplicate"]
    assert {"route", "said.reason"} <= set(re.findall(r"[\w.]+", query.rpartition("summarize")[2]))


def test_what_must_not_go_unnoticed_is_watched() -> None:
    assert alerts().keys() >= {
        "dead-mail", "mails-needing-review", "throttled", "intake-5xx", "setting-refused", "silent", "nothing-sent",
        "producers-wait", "mailbox-full", "permission", "poison-stays", "table-replaced", "turned-away",
    }  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_a_line_that_stands_for_several_is_counted_as_several(name: str) -> None:
    """What strangers can cause is said once a second, with how often it was."""
    log = Log()
    for event in named_events(QUERIES[name]):
        log.said(-1, LogEvent(event), count=7)
    rows = run(QUERIES[name], log.tables, NOON).rows
    for row in rows:
        if row.get("event") in ("caller.refused", "event.unverified", "event.malformed", "event.deferred", "route.off"):
            assert 7 in row.values()


@pytest.mark.parametrize("name", alert_queries())
def test_an_alert_measures_a_number_looks_back_far_enough_and_has_its_page(name: str) -> None:
    """Azure Monitor needs minutes until a line can be found, and switches off a rule that fails for a week.

    So a rule must work without tables that do not exist yet; test_alerts_on_rows.py runs each without its tables.
    """
    rule = alerts()[name]
    (condition,) = rule["criteria"]["allOf"]
    assert read(condition["query"]).columns["value"] in {"long", "int", "real"}
    assert condition["metricMeasureColumn"] == "value"
    assert minutes(rule["windowSize"]) >= minutes(rule["evaluationFrequency"]) + 5
    assert rule["autoMitigate"] is True
    for table in SCHEMAS:
        for before in re.findall(rf"(.*)\b{table}\b", condition["query"]):
            assert "union isfuzzy=true (datatable(" in before
    assert f"\n### {name}\n" in (ROOT / "docs" / "operations.md").read_text()


def test_alerts_go_where_the_parameters_say(name: str) -> None:
    here = deployed(name)
    groups = {group for rule in alerts(name).values() for group in rule["actions"]["actionGroups"]}
    made = {one["id"] for one in here.all("Microsoft.Insights/actionGroups")}
    assert len(made) == (name == "everything")
    assert {group.rpartition("/")[2] for group in groups - made} == ({"oncall"} if name == "everything" else set())
    assert made <= groups
    assert all(rule["enabled"] for rule in alerts(name).values())


def test_a_deployment_says_whom_it_tells_and_that_it_tells_nobody(name: str) -> None:
    told = snapshot(name)["outputs"]["MAILROOM_ALERTS"]
    groups = {group for rule in alerts(name).values() for group in rule["actions"]["actionGroups"]}
    assert told.startswith("NOBODY IS TOLD") == (not groups)
    assert name != "everything" or told == "mailed to alertEmail, and to 1 action groups"


def test_no_event_is_lost_to_sampling_and_no_address_is_in_a_request() -> None:
    """host.json: traces are never sampled, and requests are told without their URL, which names the mailbox."""
    logging_ = json.loads((ROOT / "host.json").read_text())["logging"]
    insights = logging_["applicationInsights"]
    # And nothing else: requests, and the host's exceptions about them, anybody can cause without end.
    assert insights["samplingSettings"]["excludedTypes"].split(";") == ["Trace"]
    assert insights["httpAutoCollectionOptions"]["enableHttpTriggerExtendedInfoCollection"] is False
    assert insights["enableDependencyTracking"] is False
