"""What would be deployed with each parameter file, as the compiler's snapshots beside the files have it.

No compiler is needed to read them; test_compiler.py proves, if there is one, that they are what the files make.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.indexed import indexed

ROOT: Final = Path(__file__).parents[2]
PARAMETERS: Final = ROOT / "infra" / "parameters"
TEMPLATE: Final[dict[str, Any]] = json.loads((ROOT / "infra" / "azuredeploy.json").read_text())
SETS: Final = tuple(sorted(path.name.removesuffix(".bicepparam") for path in PARAMETERS.glob("*.bicepparam")))
PRIVATE: Final = ("everything", "existing-network", "private")
MADE_NETWORK: Final = ("everything", "private")  # a network of its own, of those
STORAGE: Final = "Microsoft.Storage/storageAccounts"
SUFFIXES: Final = {  # of the public cloud, which a snapshot leaves open
    "environment().suffixes.storage": "core.windows.net",
    "environment().suffixes.keyvaultDns": ".vault.azure.net",
    "environment().authentication.loginEndpoint": "https://login.microsoftonline.com/",
}


@dataclass(frozen=True, slots=True)
class Deployment:
    resources: tuple[dict[str, Any], ...]
    outputs: frozenset[str]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.resources if one["type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        (found,) = self.all(kind)
        return found

    def names(self, kind: str) -> set[str]:
        """The last part of each name."""
        return {one["name"].rpartition("/")[2] for one in self.all(kind)}

    def settings(self) -> dict[str, str]:
        """The app's settings; what is known at deployment only, identities' ids, as a GUID or text that looks alike."""
        settings: dict[str, str] = self.one("Microsoft.Web/sites/config")["properties"]
        return {name: resolved(value) for name, value in settings.items()}


@cache
def deployed(name: str) -> Deployment:
    found = snapshot(name)
    assert not found["diagnostics"]
    return Deployment(tuple(found["predictedResources"]), frozenset(found["outputs"]))


def snapshot(name: str) -> dict[str, Any]:
    """As the compiler has written it."""
    found: dict[str, Any] = json.loads((PARAMETERS / f"{name}.snapshot.json").read_text())
    return found


@cache
def functions() -> dict[str, dict[str, Any]]:
    """The trigger of each function, by the function's name."""
    return {name: function.get_trigger().get_dict_repr() for name, function in indexed().items()}


def resolved(value: str) -> str:
    """An expression with the public cloud's names in it, and stand-ins for what a deployment reads."""
    if not value.startswith("["):
        return value
    text = value
    for expression, name in SUFFIXES.items():
        text = text.replace(expression, f"'{name}'")
    text = re.sub(r"reference\(.*?\)\.outputs\.clientId\.value", "'00000000-0000-0000-0000-00000000c11e'", text)
    text = re.sub(r"reference\(.*?\)\.outputs\.connectionString\.value", "'InstrumentationKey=…'", text)
    text = re.sub(r"coalesce\(tryGet\(.*, environment\(\)\.name\), ('[^']*')\)", r"\1", text)
    inner = text.removeprefix("[").removesuffix("]")
    if match := re.fullmatch(r"format\((.*)\)", inner):
        template, *values = re.findall(r"'([^']*)'", match[1])
        return str(template).format(*values)
    (only,) = re.findall(r"'([^']*)'", inner)
    return str(only)


def package_account(name: str) -> dict[str, Any]:
    """The storage account that the platform takes the package from."""
    site = deployed(name).one("Microsoft.Web/sites")["properties"]
    (account,) = re.findall(r"'(\w+)', environment", site["functionAppConfig"]["deployment"]["storage"]["value"])
    (found,) = [one for one in deployed(name).all(STORAGE) if one["name"] == account]
    return found


def mail_account(name: str) -> dict[str, Any]:
    """The other one: queues, tables, payloads."""
    (found,) = [one for one in deployed(name).all(STORAGE) if one != package_account(name)]
    return found
