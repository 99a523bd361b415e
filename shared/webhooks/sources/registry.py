"""The kinds of source by the name that route.toml gives them. A module is loaded when a route needs it."""

from importlib import import_module
from typing import Final

from shared.webhooks.sources.source import Source

__all__ = ["SOURCES", "source_named"]

SOURCES: Final = {
    "alertmanager": "alertmanager:Alertmanager",
    "azure-devops": "azure_devops:AzureDevOps",
    "azure-monitor": "azure_monitor:AzureMonitor",
    "cloudevents": "cloudevents:CloudEvents",
    "eventgrid": "eventgrid:EventGrid",
    "github": "github:GitHub",
    "grafana": "grafana:Grafana",
    "hmac": "hmac_signed:Hmac",
    "key": "key:Key",
    "standard-webhooks": "standard_webhooks:StandardWebhooks",
    "stripe": "stripe:Stripe",
}


def source_named(name: str) -> type[Source]:
    """The class of a source; its fields are the table `[options]`. Raises KeyError."""
    module, _, kind = SOURCES[name].partition(":")
    found: type[Source] = getattr(import_module(f"shared.webhooks.sources.{module}"), kind)
    return found
