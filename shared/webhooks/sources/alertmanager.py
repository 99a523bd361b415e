"""Prometheus Alertmanager: groups of alerts, in version 4 of its webhook. Grafana sends the same payload.

Alertmanager retries after 5xx and lost connections until its group_interval ends; no request says how long that is. Any
4xx, including 429, ends the flush. If no notification of a firing group was accepted, none is sent when it is resolved.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

One request is one notification about one group: many alerts, one mail. The same alerts are sent again for one of two
reasons: the answer to the first notification was lost, so Alertmanager retries; or repeat_interval (4 hours by default)
has passed and the alerts still fire, which deserves another mail. Unless the request says more, only the time tells
them apart: within the route's repeat window it is a copy, later a new notification. Two peers of a cluster send the
same notification in different bytes.

Alertmanager 0.32 and later gives the reason in `notification_reason`, which is part of the key, so that a reminder is
not a copy of the first notification. The window is then one flush: all reminders have the same reason, and each is a
new mail, however short repeat_interval is.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.alert_groups import grouped
from shared.webhooks.sources.json_values import canonical, digest, in_pieces, moment, pick, read_object, text
from shared.webhooks.sources.source import MEGABYTE, RawRequest, Source, SourceEvent

LARGEST: Final = 10 * MEGABYTE  # bytes of a notification: some ten thousand alerts
WHOLE: Final = MEGABYTE  # bytes up to which a notification is read as a whole
KEPT: Final = 100_000  # values of the alerts that fire, and as many of the others: some five thousand alerts
FLUSH: Final = 300.0  # seconds, group_interval by default
STATUSES: Final = ("firing", "resolved")
# Words that give no reason: "not known", and the one for a notification that is never sent.
# https://github.com/prometheus/alertmanager/blob/v0.34.0/notify/notify.go
NO_REASONS: Final = ("unknown", "none")


class Alertmanager(Source, frozen=True, kw_only=True):
    """Alertmanager, with bearer or basic. An event's type is `alertmanager.firing` or `alertmanager.resolved`."""

    name: ClassVar[str] = "alertmanager"
    repeat_window: ClassVar[float | None] = 1800.0
    done: ClassVar[int] = 200
    largest: ClassVar[int] = LARGEST

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        signatures.basic_or_bearer(request, secrets)

    def event(self, request: RawRequest) -> SourceEvent:
        """One notification.

        Custom payloads, and those of Grafana's legacy alerting, are events too. They do not identify the notification,
        and a second outage within half an hour has the same bytes as the first, so none is a copy of another.
        """
        value, shown, cut = _read(request)
        group, status, alerts = text(value, "groupKey"), text(value, "status"), _alerts(value)
        reason = text(value, "notification_reason")
        if reason in NO_REASONS:
            reason = None
        key = _key(value, group, status, reason, shown)  # before what was cut off is added to truncatedAlerts
        if cut:
            hidden = pick(value, "truncatedAlerts")
            value["truncatedAlerts"] = cut.total() + (hidden if isinstance(hidden, int) and hidden > 0 else 0)
        times = [moment(pick(alert, "endsAt" if status == "resolved" else "startsAt")) for alert in alerts]
        return SourceEvent(
            **self.known(key, request, "identity"),
            source=text(value, "externalURL") or self.name,
            type=f"{self.name}.{status}" if status in STATUSES else self.name,
            data=value,
            subject=text(value, "commonLabels", "alertname") or text(value, "groupLabels", "alertname"),
            time=max((time for time in times if time), default=None),
            thread=group,
            window=FLUSH if reason else None,
            extensions={"cut": dict(cut)} if cut else {},
        )

    def for_mail(self, event: SourceEvent) -> SourceEvent:
        return grouped(event)


def _read(request: RawRequest) -> tuple[dict[str, Any], list[tuple[str, ...] | None], Counter[str]]:
    """The notification, what each of its alerts is known by, and how many alerts of each status are cut off.

    Of a long one the first alerts are kept, those that fire before the others; a group has thousands when a network
    fails, and is told all the same.
    """
    pieces = in_pieces(request.body, "alerts") if len(request.body) > WHOLE else None
    if pieces is None:
        value = read_object(request.body, request.charset)
        return value, [_shown(alert) for alert in _alerts(value)], Counter()
    value, alerts = pieces
    shown, cut = [], Counter[str]()
    kept: dict[bool, list[Any]] = {True: [], False: []}
    room = {True: KEPT, False: KEPT}
    for values, alert in alerts:
        shown.append(_shown(alert))
        status = text(alert, "status") or ""
        fires = status == "firing"
        room[fires] -= values
        if room[fires] >= 0:
            kept[fires].append(alert)
        else:
            cut[status if status in STATUSES else ""] += 1
    value["alerts"] = kept[True] + kept[False]
    return value, shown, cut


def _alerts(value: dict[str, Any]) -> list[Any]:
    found = value.get("alerts")
    return found if isinstance(found, list) else []


def _key(
    value: Any, group: str | None, status: str | None, reason: str | None, shown: list[tuple[str, ...] | None]
) -> str | None:
    """What two copies of a notification have in common; None where the payload does not say. Alerts are in any order.

    truncatedAlerts counts those that are not shown: a group that grows beyond the limit shows the same ones.
    """
    if not group or status not in STATUSES or not shown or not all(shown):
        return None
    hidden = text(value, "truncatedAlerts") or "0"
    return digest(
        group, status, reason or "", hidden, *(part for alert in sorted(filter(None, shown)) for part in alert)
    )


def _shown(alert: Any) -> tuple[str, ...] | None:
    """An alert, by its fingerprint or labels, and its times; None where one of the two is missing."""
    labels, since = pick(alert, "labels"), text(alert, "startsAt")
    name = text(alert, "fingerprint") or (canonical(labels) if isinstance(labels, dict) and labels else None)
    if name is None or since is None:
        return None
    return name, text(alert, "status") or "", since, text(alert, "endsAt") or ""
