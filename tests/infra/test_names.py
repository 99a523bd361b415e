"""Whatever azd takes as the name of an environment, each resource gets a name that Azure takes, and no other's.

Rules: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
"""

import random
import re
from typing import Any, Final

import pytest

from tests.infra.compiled import evaluated, needs_bicep
from tests.infra.deployed import SETS, deployed, resolved

SIGNS: Final = "ABCXYZabcxyz0123456789-._()"  # azd: letters, digits, hyphens, parentheses, underscores, full stops
SOLID: Final = r"[a-z0-9]{3,24}"
VAULT: Final = r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]"
SITE: Final = r"[a-zA-Z0-9][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]"  # 60, and 32 as the host makes its id of the first 32
NETWORK: Final = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]"
GUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CONTAINER: Final = r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
ANY: Final = r"[^%&\\?/]{1,260}"
# By the kind of resource; of a child the last part of its name.
RULES: Final = {
    "Microsoft.Authorization/locks": r"[\w.()-]{1,90}",
    "Microsoft.Authorization/roleAssignments": GUID,
    "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{1,259}[^:<>+/&%\\?|. ]",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,259}[^%&\\?/. ]",
    "Microsoft.Insights/diagnosticSettings": ANY,
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%:{}&#?/+\\]{1,259}[^*<>%:{}&#?/+\\. ]",
    "Microsoft.Insights/workbooks": GUID,
    "Microsoft.KeyVault/vaults": VAULT,
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    "Microsoft.Network/networkSecurityGroups": NETWORK,
    "Microsoft.Network/privateDnsZones": r"privatelink\.[a-z.]+",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": NETWORK,
    "Microsoft.Network/privateEndpoints": NETWORK,
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": NETWORK,
    "Microsoft.Network/virtualNetworks": NETWORK,
    "Microsoft.Network/virtualNetworks/subnets": r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,78}[a-zA-Z0-9]",  # Flex: no underscore
    "Microsoft.OperationalInsights/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "Microsoft.Storage/storageAccounts": SOLID,
    "Microsoft.Storage/storageAccounts/blobServices": "default",
    "Microsoft.Storage/storageAccounts/blobServices/containers": CONTAINER,
    "Microsoft.Storage/storageAccounts/managementPolicies": "default",
    "Microsoft.Storage/storageAccounts/queueServices": "default",
    "Microsoft.Storage/storageAccounts/queueServices/queues": CONTAINER,
    "Microsoft.Storage/storageAccounts/tableServices": "default",
    "Microsoft.Storage/storageAccounts/tableServices/tables": r"[a-zA-Z][a-zA-Z0-9]{2,62}",
    "Microsoft.Web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "Microsoft.Web/sites": SITE,
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "ftp|scm",
    "Microsoft.Web/sites/config": "appsettings",
}
ENVIRONMENTS: Final = [
    "my_env.prod",
    "my-env-prod",
    "Prod",
    "prod",
    "-",
    "(.)",
    "a" * 64,
    "a" * 63 + "b",
    "0" * 64,
    "-" * 64,
    "1",
    "9-lives",
    "ends-after-13-",
    "twelve-signs-",
    "a--b..c__d",
    *(f"{'x' * length}-y" for length in range(9, 16)),
]


def hostile() -> list[str]:
    chosen = random.Random(16)
    return [*ENVIRONMENTS, *("".join(chosen.choices(SIGNS, k=chosen.randint(1, 64))) for _ in range(200))]


@pytest.mark.parametrize("name", SETS)
def test_every_resource_has_a_name_that_azure_takes(name: str) -> None:
    """Of the parameter files, `everything` has an environment with each sign that azd takes."""
    resources = [one for one in deployed(name).resources if "apiVersion" in one]
    wrong = {
        one["type"]: found for one in resources if not re.fullmatch(RULES[one["type"]], found := last(one["name"]))
    }
    assert wrong == {}


def last(name: str) -> str:
    """The last part of a name. That of a DNS zone depends on the cloud, so it is an expression."""
    if name.startswith("[format('{0}/{1}'"):
        return name.removesuffix("')]").rpartition("'")[2]
    return resolved(name).rpartition("/")[2] if name.startswith("[") else name.rpartition("/")[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    template = """
import { dashed, solid, vaultOf } from 'modules/names.bicep'
param environments string[]
output made object[] = [
  for one in environments: {
    solid: solid('st', one, uniqueString(subscription().id, resourceGroup().id, one))
    vault: vaultOf(one, uniqueString(subscription().id, resourceGroup().id, one))
    dashed: dashed(one, uniqueString(subscription().id, resourceGroup().id, one))
  }
]
"""
    names = "\n".join(f"  '{name}'" for name in hostile())
    folder = tmp_path_factory.mktemp("names")
    return list(evaluated(folder, template, f"param environments = [\n{names}\n]\n")["made"])


def named_after_the_environment() -> list[tuple[str, str, str]]:
    """Type, what its name begins with, and which function made the rest: each resource of `everything` but children."""
    names = {"dashed": "mailroom-prod-", "solid": "mailroomp", "vault": "mailroom"}
    here = deployed("everything")
    ending = here.one("Microsoft.Web/sites")["name"][-13:]
    found = []
    for one in here.resources:
        name = one.get("name", "")
        if name.endswith(ending):
            made_by = next(made for made, readable in names.items() if name.endswith(f"{readable}{ending}"))
            found.append((one["type"], name.removesuffix(f"{names[made_by]}{ending}"), made_by))
    return found


@needs_bicep
def test_any_environment_that_azd_takes_gives_names_that_azure_takes(made: list[dict[str, Any]]) -> None:
    resources = named_after_the_environment()
    assert {made_by for _, _, made_by in resources} == {"dashed", "solid", "vault"}
    assert len({kind for kind, _, _ in resources}) >= 12
    for environment, names in zip(hostile(), made, strict=True):
        for kind, prefix, made_by in resources:
            tail = names[made_by] if made_by == "dashed" else names[made_by][len(prefix) :]
            assert re.fullmatch(RULES[kind], prefix + tail), (environment, kind, prefix + tail)


@needs_bicep
@pytest.mark.parametrize("kind", ["solid", "vault", "dashed"])
def test_two_environments_share_no_name(made: list[dict[str, Any]], kind: str) -> None:
    assert len({names[kind] for names in made}) == len(set(hostile())) == len(hostile())
