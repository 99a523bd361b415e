"""Reduces a group of alerts to what its mail shows: how many fire, the few that are listed, and how they differ.

A notification may have thousands of alerts. They are counted here, once; templates get only those that are shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shared.webhooks.sources.json_values import moment, pick, text
from shared.webhooks.sources.source import SourceEvent

SHOWN: Final = 20  # alerts in a mail
LEAST: Final = 5  # of these, for alerts that are resolved while others fire
MOST_NAMES: Final = 50  # names of labels that differ
# How bad, by what people call it.
RANKS: Final = {
    name: rank
    for rank, names in enumerate((
        ("disaster", "emergency", "critical", "fatal", "page", "p1"),
        ("error", "high", "major", "p2"),
        ("warning", "warn", "average", "medium", "minor", "p3"),
        ("low", "p4", "info", "information", "informational", "notice", "p5", "debug", "none", "ok"),
    ))
    for name in names
}  # fmt: skip
UNRATED: Final = 1  # the rank of any other word, and of none
# Labels and annotations that Grafana needs for itself, in any spelling.
INTERNAL: Final = frozenset({"dashboarduid", "datasourceuid", "orgid", "panelid", "ruleuid"})


def grouped(event: SourceEvent) -> SourceEvent:
    """The event with at most SHOWN alerts, the worst of those that fire first, and these extensions.

    firing, resolved, unclear: how many alerts, with those that the source has cut off. hidden: how many more the sender
    did not send along. differ: names of the labels that are not the same in all alerts; differ_values: those of
    Grafana's values. severity: the worst of those that fire, as written; rank: how bad that is, 0 to 3. began: when the
    first of those that fire began, or of all; starts: how many such times there are. ended: when the last one ended,
    where all say so.
    """
    found = pick(event.data, "alerts")
    alerts = [alert for alert in found if isinstance(alert, Mapping)] if isinstance(found, list) else []
    over = event.type.endswith(".resolved")
    states: dict[str, list[Mapping[str, Any]]] = {"firing": [], "unclear": [], "resolved": []}
    for alert in alerts:
        states[_state(alert.get("status"), over)].append(alert)
    states["firing"].sort(key=lambda alert: _rank(_severity(alert)))
    named = [*map(_severity, states["firing"] or alerts), text(event.data, "commonLabels", "severity")]
    severity = min(filter(None, named), key=_rank, default=None)
    counts = {state: len(those) for state, those in states.items()}
    hidden, cut = _count(event.data, "truncatedAlerts"), event.extensions.get("cut")
    for status in cut if isinstance(cut, Mapping) else ():
        counts[_state(status, over)] += _count(cut, status)
        hidden -= _count(cut, status)
    starts = _times(states["firing"] or alerts, "startsAt")
    ends = _times(alerts, "endsAt")
    first = [*states["firing"], *states["unclear"]][: SHOWN - min(len(states["resolved"]), LEAST)]
    extensions = {
        **event.extensions,
        **counts,
        "hidden": max(0, hidden),
        "differ": _differing(alerts, "labels"),
        "differ_values": _differing(alerts, "values"),
        "severity": severity,
        "rank": _rank(severity),
        "began": min(starts, default=None),
        "starts": len(set(starts)),
        "ended": max(ends, default=None) if len(ends) == sum(counts.values()) else None,
    }
    shown = [*first, *states["resolved"][: SHOWN - len(first)]]
    data = {**event.data, "alerts": shown} if isinstance(found, list) else event.data
    return replace(event, data=data, extensions=extensions)


def is_internal(name: str) -> bool:
    """Whether a label or annotation says something to Prometheus or Grafana only."""
    return name.startswith("__") or name[:40].replace("_", "").lower() in INTERNAL


def _state(status: Any, over: bool) -> str:  # noqa: FBT001
    """Of a group that is over, every alert is; one that says otherwise, or nothing in one that fires, is unclear."""
    if over:
        return "unclear" if status == "firing" else "resolved"
    return status if status in ("firing", "resolved") else "unclear"


def _count(value: Any, name: str) -> int:
    found = pick(value, name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def _times(alerts: Iterable[Mapping[str, Any]], name: str) -> list[datetime]:
    """Year 1 is the zero of Go's clock, and no time."""
    found = (moment(alert.get(name)) for alert in alerts)
    return [time for time in found if time is not None and time.year > 1]


def _severity(alert: Mapping[str, Any]) -> str | None:
    return text(alert, "labels", "severity")


def _rank(severity: str | None) -> int:
    return RANKS.get((severity or "").lower(), UNRATED)


def _differing(alerts: Iterable[Mapping[str, Any]], part: str) -> list[str]:
    """Names within this part of the alerts that not all have, or not all with the same value."""
    total, differs = 0, object()
    values: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for total, alert in enumerate(alerts, 1):  # noqa: B007
        own = alert.get(part)
        for name, value in own.items() if isinstance(own, Mapping) else ():
            counts[name] = counts.get(name, 0) + 1
            if values.setdefault(name, value) != value:
                values[name] = differs
    names = [name for name, count in counts.items() if values[name] is differs or count < total]
    return sorted(name for name in names if not is_internal(name))[:MOST_NAMES]
