"""When an event is a copy of one that came before: what its key may be made of (docs/decisions/0013-copies.md).

An event that is taken for a copy is answered as done and lost, so a key joins only what the sender itself repeats.
Every source says with the key what it is made of (`KnownBy`, in mail/outgoing.py). Where there is nothing to know an
event by, the same bytes are the same event for as long as its sender tries again by its documentation, `RETRIES`; for
senders that document no such time they never are, and the event gets a key that nothing else has. Two mails are better
than none.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["RETRIES", "Retries", "canonical", "fresh", "same_bytes"]

HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How a sender tries again, by its own documentation.

    within: seconds from the first try to the last one; None: it never tries again by itself, or says no time. page: of
    the documentation that says so, or says nothing of it, if any. why: what it says, for those without a time.
    """

    within: float | None
    page: str
    why: str = ""


# The one table of this; docs/sources/*.md and docs/decisions/0013-copies.md repeat it, and a test holds them to it.
RETRIES: Final[Mapping[str, Retries]] = {
    "alertmanager": Retries(
        None,
        "https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
        "It tries again until its own group_interval ends, which no request tells.",
    ),
    # 1, 2, 4, 8, 16, 32, 60 and 60 seconds.
    "azure-devops": Retries(183.0, "https://learn.microsoft.com/azure/devops/service-hooks/troubleshoot"),
    # 5, 20, 5, 40 and 5 seconds.
    "azure-monitor": Retries(75.0, "https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups"),
    "cloudevents": Retries(
        None,
        "https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md",
        "The specification leaves it to the sender.",
    ),
    "eventgrid": Retries(24 * HOUR, "https://learn.microsoft.com/azure/event-grid/delivery-and-retry"),
    "github": Retries(
        None,
        "https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries",
        "It never tries again by itself.",
    ),
    "grafana": Retries(
        None,
        "https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/"
        "webhook-notifier/",
        "It says nothing of a second try.",
    ),
    "hmac": Retries(None, "", "Any sender: nothing is known of it."),
    "key": Retries(None, "", "Any sender: nothing is known of it. Uptime Kuma, by this source, never tries again."),
    # The schedule that the specification recommends: ten tries, the last after 75 hours, 35 minutes and 5 seconds.
    "standard-webhooks": Retries(
        75 * HOUR + 2105, "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"
    ),
    "stripe": Retries(72 * HOUR, "https://docs.stripe.com/webhooks"),
}


def fresh() -> str:
    """A key that no other event has, so that this one is a copy of none. Made once, when the event comes in."""
    return str(uuid.uuid4())


def canonical(value: Any) -> str:
    """A JSON value as one text: equal for equal values, whatever the order of their names.

    Of an event, never of a request: senders put events together anew when they try again.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def same_bytes(body: bytes) -> str:
    """A short name for these bytes: 32 hex digits of their SHA-256."""
    return hashlib.sha256(body).hexdigest()[:32]
