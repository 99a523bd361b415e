"""Alert rules asked as Azure Monitor asks them: each at its frequency, over its window, on what has arrived by then.

recorded.jsonl has Mailroom's own lines, from the log of a sandbox whose functions were called, whose Graph failed, and
whose queues filled and emptied. A scenario says when each was said; what it says of ages and routes is set there.
https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-types#log-alerts
"""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from shared.functions.triggers import QUEUES
from shared.telemetry import LogEvent
from tests.infra.deployed import ROOT, deployed
from tests.infra.kusto.tables import run

if TYPE_CHECKING:
    from tests.infra.kusto.expressions import Row

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
RECORDED: Final = ROOT / "tests" / "infra" / "recorded.jsonl"
COMPARED: Final = {"GreaterThan": float.__gt__, "LessThan": float.__lt__}
EVERY: Final = 5  # minutes between two runs of the timer


def alerts(name: str = "default") -> dict[str, dict[str, Any]]:
    """The rules' properties, by what stands before the deployment's name."""
    suffix = deployed(name).one("Microsoft.Insights/components")["name"].removeprefix("appi")
    rules = deployed(name).all("Microsoft.Insights/scheduledQueryRules")
    return {one["name"].removesuffix(suffix): one["properties"] for one in rules}


@cache
def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


def line(event: LogEvent, **fields: Any) -> str:
    """What Mailroom says: as recorded, where an event with such fields was, else as `emit` would write it."""
    like = (one for one in recorded() if one["event"] == event and fields.keys() <= one.keys())
    base = min(like, key=lambda one: (len(one), sum(one[name] != value for name, value in fields.items())), default={})
    return json.dumps({"event": event.value} | base | fields, separators=(",", ":"))


class Log:
    """The workspace's tables; one that nothing was written to does not exist. Times are minutes after noon."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self._requests = 0

    def said(self, minute: float, event: LogEvent, times: int = 1, **fields: Any) -> None:
        for _ in range(times):
            self._add("AppTraces", minute, Message=line(event, **fields), SeverityLevel=1, ItemCount=1)

    def host_said(self, minute: float, text: str) -> None:
        self._add("AppTraces", minute, Message=text, SeverityLevel=1, ItemCount=1)

    def timer(self, minute: float, oldest: dict[str, float] | None = None, backlog: float | None = None) -> None:
        """A run of maintenance, in place of one near it. oldest: ages in seconds by queue; backlog: of a mail."""
        self._forget_measurements(minute)
        for queue in QUEUES:
            self.said(minute, LogEvent.QUEUE_MEASURED, queue=queue, **_waiting("messages", (oldest or {}).get(queue)))
        self.said(minute + 0.1, LogEvent.BACKLOG_MEASURED, **_waiting("waiting", backlog))

    def timers(self, first: int, last: int, **measured: Any) -> None:
        for minute in range(first, last + 1, EVERY):
            self.timer(minute, **measured)

    def request(self, minute: float, function: str, status: int, exception: str | None = None, times: int = 1) -> None:
        """One that a function answered; `exception`: that failed, by the host's innermost exception."""
        for _ in range(times):
            self._requests += 1
            told = {"OperationId": f"{self._requests:032x}", "OperationName": function, "ItemCount": 1}
            self._add("AppRequests", minute, Name=function, ResultCode=str(status), Success=exception is None, **told)
            if exception:
                self._add("AppExceptions", minute, InnermostType=exception, **told)

    def _forget_measurements(self, minute: float) -> None:
        begin, end = (NOON + timedelta(minutes=minute + far) for far in (-EVERY / 2, EVERY / 2))
        self.tables["AppTraces"] = [
            row
            for row in self.tables.get("AppTraces", [])
            if not (begin < row["TimeGenerated"] < end and "measured" in row["Message"])
        ]

    def _add(self, table: str, minute: float, **columns: Any) -> None:
        row = {"TimeGenerated": NOON + timedelta(minutes=minute)} | columns
        self.tables.setdefault(table, []).append(row)

    def fired(self, rule: str, first: int, last: int, late: float = 2) -> list[int]:
        """The minutes, from `first` to `last`, at which the rule was asked and its condition met.

        late: minutes until a line can be found.
        """
        properties = alerts()[rule]
        every, window = (minutes(properties[key]) for key in ("evaluationFrequency", "windowSize"))
        asked = range(-(-first // every) * every, last + 1, every)
        return [minute for minute in asked if self._meets(properties, minute, window, late)]

    def fired_any(self, first: int, last: int, late: float = 2) -> dict[str, list[int]]:
        return {rule: minutes for rule in alerts() if (minutes := self.fired(rule, first, last, late))}

    def _meets(self, rule: dict[str, Any], minute: int, window: int, late: float) -> bool:
        now = NOON + timedelta(minutes=minute)
        begin, end = now - timedelta(minutes=window), now - timedelta(minutes=late)
        seen = {
            name: [row for row in rows if begin < row["TimeGenerated"] <= end]
            for name, rows in self.tables.items()
            if any(row["TimeGenerated"] <= end for row in rows)  # a table is made with its first row
        }
        (condition,) = rule["criteria"]["allOf"]
        assert condition["timeAggregation"] == "Maximum"
        measured = run(condition["query"], seen, now).rows
        values = [float(row["value"]) for row in measured if row["value"] is not None]
        return bool(values) and COMPARED[condition["operator"]](max(values), float(condition["threshold"]))


def _waiting(count: str, oldest: float | None) -> dict[str, Any]:
    return {} if oldest is None else {count: 3, "oldest": oldest}


def minutes(text: str) -> int:
    """Of PT5M, PT1H or P1D; Azure takes no other spelling, and PT60M is not one."""
    match = re.fullmatch(r"PT(\d+)M|PT(\d+)H|P(\d+)D", text)
    assert match, text
    by_minute, by_hour, by_day = (int(number or 0) for number in match.groups())
    assert by_minute < 60, text
    return by_minute + 60 * by_hour + 24 * 60 * by_day
