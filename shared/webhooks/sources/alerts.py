"""Groups of alerts, as Alertmanager sends them and Grafana after it.

One request is one notification of one group: many alerts, one mail. Whether a notification is a new one is said by what
it shows: the group, its status and its alerts with their times.

The same alerts come again for two reasons. The answer to the first was lost, and Alertmanager tries again until
group_interval (5 minutes by default) ends this flush; or repeat_interval (4 hours by default) has passed and the alerts
still fire, which deserves another mail. Without more in the request only time tells the two apart: within the route's
repeat window it is the first, later the second. Two peers of one cluster send the same notification in different bytes.
Alertmanager 0.32 and later says why it notifies, in
`notification_reason`. That is part of the key then, so a reminder is no copy of the first notification, and the window
is one flush: each further reminder has the same reason, and is a new mail however short repeat_interval is.
"""

from collections.abc import Sequence
from typing import Any, Final

from shared.webhooks.sources import signatures
from shared.webhooks.sources.copies import canonical, fresh
from shared.webhooks.sources.json_values import digest, moment, pick, read_object, text
from shared.webhooks.sources.source import Event, RawRequest

__all__ = ["FLUSH", "REPEAT_WINDOW", "notification", "proved"]

FLUSH: Final = 300.0  # seconds, group_interval by default
REPEAT_WINDOW: Final = 1800.0  # seconds
STATUSES: Final = ("firing", "resolved")
# What says nothing: the word for "not known", and the one for "no notification", which is never sent.
# https://github.com/prometheus/alertmanager/blob/v0.34.0/notify/notify.go
NO_REASONS: Final = ("unknown", "none")


def proved(request: RawRequest, secrets: Sequence[str]) -> None:
    """Return if `Authorization`, Basic or Bearer, carries one of the secrets; raise Unverified otherwise."""
    if signatures.header(request, "authorization").partition(" ")[0].lower() == "basic":
        signatures.basic(request, secrets)
    else:
        signatures.bearer(request, secrets)


def notification(name: str, body: bytes, charset: str = "") -> Event:
    """The one event of a request. Raises Malformed.

    A payload of the sender's own making, and that of Grafana's legacy alerting, are events too. They do not say which
    notification they are: the second outage within half an hour looks like the first, so none is a copy of another.
    """
    value = read_object(body, charset)
    group, status = text(value, "groupKey"), text(value, "status")
    reason = text(value, "notification_reason")
    if reason in NO_REASONS:
        reason = None
    found = pick(value, "alerts")
    alerts = found if isinstance(found, list) else []
    known = _key(value, group, status, reason, alerts)
    key = known or fresh()
    times = [moment(pick(alert, "endsAt" if status == "resolved" else "startsAt")) for alert in alerts]
    return Event(
        id=key,
        source=text(value, "externalURL") or name,
        type=f"{name}.{status}" if status in STATUSES else name,
        key=key,
        known_by="identity" if known else "nothing",
        data=value,
        subject=text(value, "commonLabels", "alertname") or text(value, "groupLabels", "alertname"),
        time=max((time for time in times if time), default=None),
        thread=group,
        window=FLUSH if reason else None,
    )


def _key(value: Any, group: str | None, status: str | None, reason: str | None, alerts: list[Any]) -> str | None:
    """What makes two notifications the same; None where the payload does not say. Alerts come in any order.

    truncatedAlerts counts those that are not shown: a group that grows beyond the limit shows the same ones.
    """
    shown = [_shown(alert) for alert in alerts]
    if not group or status not in STATUSES or not shown or not all(shown):
        return None
    hidden = text(value, "truncatedAlerts") or "0"
    return digest(
        group, status, reason or "", hidden, *(part for alert in sorted(filter(None, shown)) for part in alert)
    )


def _shown(alert: Any) -> tuple[str, ...] | None:
    """An alert and its times; None where it does not say which one it is, or since when. Labels name it, as does their
    fingerprint.
    """
    labels, since = pick(alert, "labels"), text(alert, "startsAt")
    name = text(alert, "fingerprint") or (canonical(labels) if isinstance(labels, dict) and labels else None)
    if name is None or since is None:
        return None
    return name, text(alert, "status") or "", since, text(alert, "endsAt") or ""
