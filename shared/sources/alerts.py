"""Groups of alerts, as Alertmanager sends them and Grafana after it.

One request is one notification of one group: many alerts, one mail. Whether a notification is a new one is said by what
it shows: the group, its status and its alerts with their times.

The same alerts come again for two reasons. The answer to the first was lost, and Alertmanager tries again until
group_interval (5 minutes by default) ends this flush; or repeat_interval (4 hours by default) has passed and the alerts
still fire, which deserves another mail. Without more in the request only time tells the two apart: within the route's
repeat window it is the first, later the second. Alertmanager 0.32 and later says why it notifies, in
`notification_reason`. That is part of the key then, so a reminder is no copy of the first notification, and the window
is one flush: each further reminder has the same reason, and is a new mail however short repeat_interval is.
"""

from collections.abc import Sequence
from typing import Any, Final

from shared.sources import proofs
from shared.sources.reading import digest, moment, pick, read_object, text
from shared.sources.source import Event, RawRequest

__all__ = ["FLUSH", "REPEAT_WINDOW", "notification", "proved"]

FLUSH: Final = 300.0  # seconds, group_interval by default
REPEAT_WINDOW: Final = 1800.0  # seconds
STATUSES: Final = ("firing", "resolved")
# What says nothing: the word for "not known", and the one for "no notification", which is never sent.
# https://github.com/prometheus/alertmanager/blob/v0.34.0/notify/notify.go
NO_REASONS: Final = ("unknown", "none")
_FIELDS: Final = ("fingerprint", "status", "startsAt", "endsAt")


def proved(request: RawRequest, secrets: Sequence[str]) -> None:
    """Return if `Authorization`, Basic or Bearer, carries one of the secrets; raise Unverified otherwise."""
    if proofs.header(request, "authorization").partition(" ")[0].lower() == "basic":
        proofs.basic(request, secrets)
    else:
        proofs.bearer(request, secrets)


def notification(name: str, body: bytes, charset: str = "") -> Event:
    """The one event of a request. Raises Malformed.

    A payload of the sender's own making, which both systems can send, is an event too: one without type and thread.
    """
    value = read_object(body, charset)
    group, status = text(value, "groupKey"), text(value, "status")
    reason = text(value, "notification_reason")
    if reason in NO_REASONS:
        reason = None
    found = pick(value, "alerts")
    alerts = found if isinstance(found, list) else []
    key = _key(value, group, status, reason, alerts) if group else digest(body.decode("latin-1"))
    times = [moment(pick(alert, "endsAt" if status == "resolved" else "startsAt")) for alert in alerts]
    return Event(
        id=key,
        source=text(value, "externalURL") or name,
        type=f"{name}.{status}" if status in STATUSES else name,
        key=key,
        data=value,
        subject=text(value, "commonLabels", "alertname") or text(value, "groupLabels", "alertname"),
        time=max((time for time in times if time), default=None),
        thread=group,
        window=FLUSH if reason else None,
    )


def _key(value: Any, group: str, status: str | None, reason: str | None, alerts: list[Any]) -> str:
    """What makes two notifications the same. Alerts come in any order.

    truncatedAlerts counts those that are not shown: a group that grows beyond the limit shows the same ones.
    """
    shown = sorted(tuple(text(alert, field) or "" for field in _FIELDS) for alert in alerts)
    hidden = text(value, "truncatedAlerts") or "0"
    return digest(group, status or "", reason or "", hidden, *(part for alert in shown for part in alert))
