"""What of Mailroom is in a resource group: found by the tags that its template gives, told by Resource Manager."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from deployment.azure import API_VERSION, App, Group, items, read, read_if_any
from deployment.errors import DeploymentError

__all__ = ["RESOURCES", "Recorded", "app_in", "groups_of", "is_there", "recorded", "settings_of", "vault_in"]

DEPLOYMENTS: Final = "2024-03-01"
RESOURCES: Final = "2021-04-01"
VAULTS: Final = "2023-07-01"
ENVIRONMENT, SERVICE = "azd-env-name", "azd-service-name"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The last deployment of main.bicep that succeeded: its parameters, and its template."""

    values: Mapping[str, Any]
    template: Mapping[str, Any]


def is_there(group: Group) -> bool:
    """Whether there is this resource group. Raises DeploymentError."""
    url = f"{group.group_url}?api-version={RESOURCES}"
    return read_if_any(group, url, f"the resource group {group.resource_group}") is not None


def app_in(group: Group, environment: str) -> App | None:
    """The function app of an environment. Raises DeploymentError."""
    found = _tagged(group, "Microsoft.Web/sites", API_VERSION, environment)
    names = [str(site["name"]) for site in found if (site.get("tags") or {}).get(SERVICE)]
    if len(names) > 1:
        raise DeploymentError(f"{group.resource_group} has several apps of {environment}: {', '.join(sorted(names))}.")
    more = {"subscription": group.subscription, "resource_group": group.resource_group, "manager": group.manager}
    return App(**more, patience=group.patience, name=names[0]) if names else None


def vault_in(group: Group, environment: str) -> str | None:
    """The URL of an environment's vault. Raises DeploymentError."""
    found = _tagged(group, "Microsoft.KeyVault/vaults", VAULTS, environment)
    return next((str(vault["properties"]["vaultUri"]).rstrip("/") for vault in found), None)


def settings_of(app: App) -> Mapping[str, str]:
    """The app's settings, as Azure has them now. Raises DeploymentError."""
    url = f"{app.url}/config/appsettings/list?api-version={API_VERSION}"
    return dict(read(app, url, f"the settings of {app.name}", "POST").get("properties") or {})


def recorded(group: Group, environment: str) -> Recorded | None:
    """What was deployed last, whoever did it; None where Azure remembers nothing. Raises DeploymentError."""
    base = f"{group.group_url}/providers/Microsoft.Resources/deployments"
    url = f"{base}?api-version={DEPLOYMENTS}&$filter=provisioningState%20eq%20'Succeeded'"
    ours = [one for one in items(group, url, f"the deployments of {group.resource_group}") if _is_of(one, environment)]
    if not ours:
        return None
    last = max(ours, key=lambda one: str(one["properties"]["timestamp"]))
    name = quote(str(last["name"]), safe="")
    template = read(group, f"{base}/{name}/exportTemplate?api-version={DEPLOYMENTS}", f"the deployment {name}", "POST")
    return Recorded(_values(last), template.get("template") or {"parameters": {}})


def groups_of(group: Group, environment: str) -> list[str]:
    """The resource groups of the subscription that have something of an environment. Raises DeploymentError."""
    condition = quote(f"tagName eq '{ENVIRONMENT}' and tagValue eq '{environment.replace(chr(39), chr(39) * 2)}'")
    url = f"{group.subscription_url}/resources?api-version={RESOURCES}&$filter={condition}"
    found = items(group, url, f"what the subscription has of {environment}")
    return sorted({str(one["id"]).split("/")[4] for one in found})


def _tagged(group: Group, kind: str, version: str, environment: str) -> list[Mapping[str, Any]]:
    url = f"{group.group_url}/providers/{kind}?api-version={version}"
    found = items(group, url, f"what {group.resource_group} has of {kind}")
    return [one for one in found if (one.get("tags") or {}).get(ENVIRONMENT) == environment]


def _is_of(deployment: Mapping[str, Any], environment: str) -> bool:
    """Whether it is one of main.bicep, not of a module of it or of somebody else's."""
    values = _values(deployment)
    return values.get("environmentName") == environment and "mailSender" in values


def _values(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    given = deployment["properties"].get("parameters") or {}
    return {name: one["value"] for name, one in given.items() if "value" in one}
