"""What of Mailroom is in a resource group: found by the tags that its template gives, read from Resource Manager."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote

from deployment import DeploymentError
from deployment.azure import API_VERSION, FunctionApp, ResourceGroup, items, read, read_if_any

DEPLOYMENTS: Final = "2024-03-01"
RESOURCES: Final = "2021-04-01"
VAULTS: Final = "2023-07-01"
ENVIRONMENT, SERVICE = "azd-env-name", "azd-service-name"


@dataclass(frozen=True, slots=True)
class LastDeployment:
    """The last deployment of main.bicep that succeeded: its parameters, and its template."""

    values: Mapping[str, Any]
    template: Mapping[str, Any]


def is_there(group: ResourceGroup) -> bool:
    """Whether the resource group exists. Raises DeploymentError."""
    url = f"{group.group_url}?api-version={RESOURCES}"
    return read_if_any(group, url, f"the resource group {group.resource_group}") is not None


def app_in(group: ResourceGroup, environment: str) -> FunctionApp | None:
    """The function app of an environment. Raises DeploymentError."""
    found = _tagged(group, "Microsoft.Web/sites", API_VERSION, environment)
    names = [str(site["name"]) for site in found if (site.get("tags") or {}).get(SERVICE)]
    if len(names) > 1:
        raise DeploymentError(f"{group.resource_group} has several apps of {environment}: {', '.join(sorted(names))}.")
    if not names:
        return None
    return FunctionApp(**asdict(group), name=names[0])


def vault_in(group: ResourceGroup, environment: str) -> str | None:
    """The URL of an environment's vault. Raises DeploymentError."""
    found = _tagged(group, "Microsoft.KeyVault/vaults", VAULTS, environment)
    return next((str(vault["properties"]["vaultUri"]).rstrip("/") for vault in found), None)


def settings_of(app: FunctionApp) -> Mapping[str, str]:
    """The app's settings as Azure has them now. Raises DeploymentError."""
    url = f"{app.url}/config/appsettings/list?api-version={API_VERSION}"
    return dict(read(app, url, f"the settings of {app.name}", "POST").get("properties") or {})


def last_deployment(group: ResourceGroup, environment: str) -> LastDeployment | None:
    """None when Azure remembers no deployment. Raises DeploymentError."""
    base = f"{group.group_url}/providers/Microsoft.Resources/deployments"
    url = f"{base}?api-version={DEPLOYMENTS}&$filter=provisioningState%20eq%20'Succeeded'"
    ours = [one for one in items(group, url, f"the deployments of {group.resource_group}") if _is_of(one, environment)]
    if not ours:
        return None
    last = max(ours, key=lambda one: str(one["properties"]["timestamp"]))
    name = quote(str(last["name"]), safe="")
    template = read(group, f"{base}/{name}/exportTemplate?api-version={DEPLOYMENTS}", f"the deployment {name}", "POST")
    return LastDeployment(_values(last), template.get("template") or {"parameters": {}})


def groups_of(group: ResourceGroup, environment: str) -> list[str]:
    """The resource groups of the subscription that hold something of an environment. Raises DeploymentError."""
    condition = quote(f"tagName eq '{ENVIRONMENT}' and tagValue eq '{environment.replace("'", "''")}'")
    url = f"{group.subscription_url}/resources?api-version={RESOURCES}&$filter={condition}"
    found = items(group, url, f"the resources of {environment}")
    return sorted({str(one["id"]).split("/")[4] for one in found})


def _tagged(group: ResourceGroup, kind: str, version: str, environment: str) -> list[Mapping[str, Any]]:
    url = f"{group.group_url}/providers/{kind}?api-version={version}"
    found = items(group, url, f"the {kind} of {group.resource_group}")
    return [one for one in found if (one.get("tags") or {}).get(ENVIRONMENT) == environment]


def _is_of(deployment: Mapping[str, Any], environment: str) -> bool:
    """Whether it is a deployment of main.bicep, rather than of one of its modules or of something else."""
    values = _values(deployment)
    return values.get("environmentName") == environment and "mailSender" in values


def _values(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    given = deployment["properties"].get("parameters") or {}
    return {name: one["value"] for name, one in given.items() if "value" in one}
