"""Alerts and the workbook ask for what Mailroom really says, in a language that Azure really reads."""

import ast
import json
import logging
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from shared.telemetry import LEVELS, Event
from tests.infra.deployed import ROOT, SETS, deployed, functions

LANGUAGE: Final = ROOT / "sandbox/node_modules/@kusto/language-service-next"
RULES: Final = "Microsoft.Insights/scheduledQueryRules"
# Said at level ERROR and no reason to wake anyone.
QUIET: Final[frozenset[Event]] = frozenset()


def alerts(name: str = "default") -> dict[str, dict[str, Any]]:
    """The rules' properties, by what stands before the deployment's name."""
    suffix = deployed(name).one("Microsoft.Insights/components")["name"].removeprefix("appi")
    return {one["name"].removesuffix(suffix): one["properties"] for one in deployed(name).all(RULES)}


def alert_queries() -> dict[str, str]:
    return {name: rule["criteria"]["allOf"][0]["query"] for name, rule in alerts().items()}


def workbook_queries() -> dict[str, str]:
    data = json.loads(deployed("default").one("Microsoft.Insights/workbooks")["properties"]["serializedData"])
    return {item["name"]: item["content"]["query"] for item in data["items"] if "query" in item["content"]}


QUERIES: Final = alert_queries() | {f"workbook {name}": query for name, query in workbook_queries().items()}


@cache
def read_by_kusto() -> dict[str, dict[str, Any]]:
    node = shutil.which("node")
    assert node
    said = subprocess.run(
        [node, str(Path(__file__).with_name("kql.cjs")), str(LANGUAGE)],
        input=json.dumps([*QUERIES.values(), "AppTraces | where Nope == 1"]),
        capture_output=True,
        text=True,
        check=True,
    )
    *answers, control = json.loads(said.stdout)
    assert control["faults"]  # a query that is wrong is found to be
    return dict(zip(QUERIES, answers, strict=True))


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
                    fields.setdefault(Event[event.attr].value, set()).update(names)
                else:  # chosen at run time: it may be any of them
                    fields.setdefault("", set()).update(names)
    return fields


@pytest.mark.parametrize("name", QUERIES)
def test_kusto_reads_every_query(name: str) -> None:
    assert read_by_kusto()[name]["faults"] == []


@pytest.mark.parametrize("name", alert_queries())
def test_an_alert_measures_a_number(name: str) -> None:
    assert read_by_kusto()[name]["columns"]["value"] in {"long", "int", "real"}
    (condition,) = alerts()[name]["criteria"]["allOf"]
    assert condition["metricMeasureColumn"] == "value"


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_names_events_that_the_code_knows(name: str) -> None:
    assert named_events(QUERIES[name])
    assert named_events(QUERIES[name]) <= set(Event)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_fields_that_its_events_have(name: str) -> None:
    said = fields_of_events()
    asked = set(re.findall(r"said\.(\w+)", QUERIES[name].partition("| extend event")[2].partition("\n")[2]))
    named = set.union(*(said.get(event, set()) for event in named_events(QUERIES[name])), said[""])
    assert asked <= named


def test_every_event_is_emitted_somewhere() -> None:
    """Otherwise an alert would wait for what nobody says."""
    code = "\n".join(path.read_text() for path in (ROOT / "shared").rglob("*.py") if path.name != "telemetry.py")
    unused = [event for event in Event if not re.search(rf"\bEvent\.{event.name}\b|\bSaid\.{event.name}\b", code)]
    assert unused == []


def test_every_event_at_level_error_is_in_an_alert() -> None:
    asked = set().union(*map(named_events, alert_queries().values()))
    errors = {event.value for event, level in LEVELS.items() if level >= logging.ERROR}
    assert errors - asked == {event.value for event in QUIET}


def test_copies_that_were_dropped_are_counted_by_route_and_reason() -> None:
    query = workbook_queries()["copies"]
    assert named_events(query) == {"mail.duplicate", "event.signed-again"}
    assert "count()" in query
    assert "reason" in fields_of_events()["mail.duplicate"]
    assert {"route", "said.reason"} <= set(re.findall(r"[\w.]+", query.rpartition("summarize")[2]))


def test_functions_that_a_query_names_exist() -> None:
    for query in QUERIES.values():
        for group in re.findall(r"OperationName in \(([^)]*)\)", query):
            assert set(re.findall(r"'([^']+)'", group)) <= functions().keys()


def test_what_must_not_go_unnoticed_is_watched() -> None:
    assert alerts().keys() >= {
        "dead-mail",
        "held-mail",
        "throttled",
        "intake-5xx",
        "setting-refused",
        "silent",
        "nothing-sent",
        "producers-wait",
        "mailbox-full",
        "permission",
    }


def test_no_stranger_wakes_the_operator_with_one_request() -> None:
    """The host itself fails a request over 100 MB, or one that breaks off: a worker's exception or many of them count.

    What the host does is shown in tests/sandbox/host/test_http.py; of 16 in flight when an instance is lost none wakes.
    """
    query = alert_queries()["intake-5xx"]
    assert "InnermostType endswith 'RpcException'" in query
    (counted,) = re.findall(r"\| where thrown > 0 or broken >= (\d+)\n", query)
    assert 16 < int(counted) <= 100
    assert alerts()["intake-5xx"]["criteria"]["allOf"][0]["threshold"] == 0


@pytest.mark.parametrize("name", SETS)
def test_alerts_go_where_the_parameters_say(name: str) -> None:
    here = deployed(name)
    groups = {group for rule in alerts(name).values() for group in rule["actions"]["actionGroups"]}
    made = {one["id"] for one in here.all("Microsoft.Insights/actionGroups")}
    assert len(made) == (name == "everything")
    assert {group.rpartition("/")[2] for group in groups - made} == ({"oncall"} if name == "everything" else set())
    assert made <= groups
    assert all(rule["enabled"] for rule in alerts(name).values())


@pytest.mark.parametrize("name", alert_queries())
def test_every_alert_has_its_page_for_the_operator(name: str) -> None:
    assert f"\n### {name}\n" in (ROOT / "docs" / "operations.md").read_text()


def test_no_event_is_lost_to_sampling_and_no_address_is_in_a_request() -> None:
    """host.json: traces are never sampled, and requests are told without their URL, which names the mailbox."""
    logging_ = json.loads((ROOT / "host.json").read_text())["logging"]
    insights = logging_["applicationInsights"]
    assert "Trace" in insights["samplingSettings"]["excludedTypes"].split(";")
    assert insights["httpAutoCollectionOptions"]["enableHttpTriggerExtendedInfoCollection"] is False
    assert insights["enableDependencyTracking"] is False
