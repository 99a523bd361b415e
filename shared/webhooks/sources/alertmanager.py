"""Prometheus Alertmanager: groups of alerts, its webhook in version 4.

Alertmanager tries again after 5xx and lost connections while a flush lasts. Any 4xx ends the flush, 429 too, and when
no notification of a group that fires was accepted, none is sent when it is resolved.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from shared.webhooks.sources.alerts import REPEAT_WINDOW, notification, proved
from shared.webhooks.sources.source import Event, RawRequest, Source

__all__ = ["Alertmanager"]


class Alertmanager(Source, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alertmanager, with bearer or basic. An event's type is `alertmanager.firing` or `alertmanager.resolved`."""

    name: ClassVar[str] = "alertmanager"
    repeat_window: ClassVar[float | None] = REPEAT_WINDOW
    done: ClassVar[int] = 200

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        proved(request, secrets)

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002
        return [notification(self.name, request.body, request.charset)]
