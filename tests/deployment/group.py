"""A resource group for the tests of deployment, and an az that compiles, previews and deploys into it."""

import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.deployment.cloud import ROOT, SITE, TOKEN

GROUP: Final = "/subscriptions/sub-1/resourceGroups/rg-mail"
PROVIDER: Final = "/subscriptions/sub-1/providers/Microsoft.App"
TEMPLATE: Final[Mapping[str, Any]] = json.loads((ROOT / "infra" / "azuredeploy.json").read_text())
Answered = tuple[int, Any]


@dataclass
class GroupOfResources:
    """there: whether the group is. settings: the app's, None: there is no app. deployments: name to parameters, oldest
    first. registered: how Microsoft.App is registered, at each question; the last one stays. vault: its URL.
    """

    there: bool = True
    environment: str = "prod"
    settings: dict[str, str] | None = None
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=lambda: TEMPLATE)
    registered: list[str] = field(default_factory=lambda: ["Registered"])
    may_register: bool = True
    vault: str | None = None

    def answer(self, method: str, path: str, body: bytes) -> Answered | None:
        at = urlsplit(path)
        below = at.path.removeprefix(f"{GROUP}/providers/")
        match method, at.path:
            case "GET", path_ if path_ == GROUP and self.there:
                return 200, {"name": "rg-mail"}
            case "PUT", path_ if path_ == GROUP:
                self.there = True
                return 201, {"name": "rg-mail"}
            case "GET", "/subscriptions/sub-1/resources":
                assert f"tagValue eq '{self.environment}'" in parse_qs(at.query)["$filter"][0]
                return 200, {"value": [{"id": SITE}] if self.settings is not None else []}
            case "GET", path_ if path_ == PROVIDER:
                state = self.registered.pop(0) if len(self.registered) > 1 else self.registered[0]
                return 200, {"registrationState": state}
            case "POST", path_ if path_ == f"{PROVIDER}/register":
                refused = {"error": {"code": "AuthorizationFailed", "message": "Not allowed to register."}}
                return (200, {}) if self.may_register else (403, refused)
        return self._of(method, below) if self.there and below != at.path else None

    def _of(self, method: str, below: str) -> Answered | None:
        tags = {"azd-env-name": self.environment}
        match method, below:
            case "GET", "Microsoft.Web/sites":
                other = {"name": "another", "tags": {"azd-env-name": "test", "azd-service-name": "api"}}
                mine = {"name": "mail-1", "tags": tags | {"azd-service-name": "api"}}
                return 200, {"value": [other, mine] if self.settings is not None else [other]}
            case "POST", "Microsoft.Web/sites/mail-1/config/appsettings/list":
                return 200, {"properties": self.settings}
            case "GET", "Microsoft.KeyVault/vaults":
                vault = {"name": "kv-1", "tags": tags, "properties": {"vaultUri": f"{self.vault}/"}}
                return 200, {"value": [vault] if self.vault else []}
            case "GET", "Microsoft.Resources/deployments":
                return 200, {"value": [self._deployment(number, name) for number, name in enumerate(self.deployments)]}
            case "POST", path if path.startswith("Microsoft.Resources/deployments/"):
                name = path.removesuffix("/exportTemplate").rpartition("/")[2]
                return (200, {"template": self.template}) if name in self.deployments else None
        return None

    def _deployment(self, number: int, name: str) -> dict[str, Any]:
        given = {parameter: {"type": "x", "value": value} for parameter, value in self.deployments[name].items()}
        time = f"2026-11-{number + 1:02}T09:00:00.0000000Z"
        return {"name": name, "properties": {"parameters": given, "timestamp": time}}


def recorded(values: Mapping[str, Any], environment: str = "prod") -> dict[str, Any]:
    """The parameters of a deployment as Resource Manager remembers them: with the template's defaults."""
    defaults = {name: one.get("defaultValue") for name, one in TEMPLATE["parameters"].items()}
    computed = {name for name, value in defaults.items() if isinstance(value, str) and value.startswith("[")}
    known = {name: value for name, value in defaults.items() if name not in computed}
    return {**known, "location": "westeurope", "environmentName": environment, **values}


OUTPUTS: Final = {
    "AZURE_FUNCTION_APP_NAME": {"type": "String", "value": "mail-1"},
    "MAILROOM_URL": {"type": "String", "value": "https://mail-1.example"},
}
AZ = """#!{python}
import json, sys
said = sys.argv[1:]
open({log!r}, "a").write(" ".join(said) + "\\n")
def fail(why):
    sys.exit("ERROR: " + why)
match said:
    case ["account", "show", *_]:
        answer = {{"id": "sub-1"}}
    case ["account", "get-access-token", *_]:
        answer = {{"accessToken": {token!r}}}
    case ["ad", "signed-in-user", "show", *_]:
        answer = {{"id": "me-1"}} if {person} else fail("a service principal has no /me")
    case ["bicep", "build-params", "--file", file, "--stdout"]:
        given = json.load(open(file + ".json"))
        parameters = json.dumps({{"parameters": {{name: {{"value": value}} for name, value in given.items()}}}})
        answer = {{"parametersJson": parameters, "templateJson": open({template!r}).read()}}
    case ["deployment", "group", "what-if", *_]:
        print("What would change: " + " ".join(said[3:]))
        sys.exit(0)
    case ["deployment", "group", "create", *_]:
        answer = {outputs} if {works} else fail("RoleAssignmentUpdateNotPermitted")
print(json.dumps(answer))
"""


def az(folder: Path, *, works: bool = True, person: bool = True) -> Path:
    """Put an az into `folder` that does as the real one as far as `make deploy` asks; returns where it logs.

    It takes the values of a parameter file from the file beside it, .json. works: whether deployments do. person:
    whether a person is logged in, not a service principal.
    """
    log, program = folder / "az.log", folder / "az"
    template = str(ROOT / "infra" / "azuredeploy.json")
    text = AZ.format(
        python=sys.executable, log=str(log), token=TOKEN, template=template, outputs=OUTPUTS, works=works, person=person
    )
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return log
