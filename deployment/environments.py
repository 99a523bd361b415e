"""An environment: infra/<name>.bicepparam, its parameters, with a head that says where it is; or one of azd's.

The file belongs to the environment, so git ignores it. It is made once, from infra/example.bicepparam.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployment import DeploymentError
from deployment.azure import ResourceGroup, asked
from deployment.parameters import compiled

INFRA: Final = Path(__file__).parents[1] / "infra"
EXAMPLE: Final = "example.bicepparam"
TAKEN: Final = frozenset({"main", "example"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEAD: Final = re.compile(r"^// (subscription|resource group): (\S+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """file: its parameters."""

    file: Path
    subscription: str
    resource_group: str


def path_of(name: str, infra: Path = INFRA) -> Path:
    """The file of an environment. Raises DeploymentError for a name that cannot be one."""
    if not _NAME.fullmatch(name) or name in TAKEN:
        raise DeploymentError(
            f"Which environment? Found {name!r}, expected a name such as prod: letters, digits, dots, dashes and "
            f"underscores, at most 64, and neither main nor example. For instance: make deploy ENV=prod"
        )
    return infra / f"{name}.bicepparam"


def environment(name: str, infra: Path = INFRA) -> EnvironmentFile:
    """What the head of its file says. Raises DeploymentError."""
    file = path_of(name, infra)
    if not file.is_file():
        raise DeploymentError(f"There is no {file.name} in {infra.name}/. Make it with: make deploy ENV={name}")
    head = dict(_HEAD.findall(file.read_text(encoding="utf-8")))
    for what in ("subscription", "resource group"):
        if what not in head or "<" in head[what]:
            raise DeploymentError(f"{file}: there is no line `// {what}: …` that says where {name} is.")
    return EnvironmentFile(file, head["subscription"], head["resource group"])


def make(name: str, resource_group: str, infra: Path = INFRA) -> Path:
    """Make the file of a new environment, with what az knows about whoever is logged in. Raises DeploymentError."""
    file = path_of(name, infra)
    account, said = asked(("az", "account", "show", "--output", "json"))
    if account is None:
        raise DeploymentError(f"Log in first, with `az login`, and choose with `az account set` where {name} is.{said}")
    user, _ = asked(("az", "ad", "signed-in-user", "show", "--output", "json"))
    text = (infra / EXAMPLE).read_text(encoding="utf-8")
    for placeholder, value in {
        "<subscription>": str(account["id"]),
        "<resource group>": resource_group or f"mailroom-{name}",
        "<environment>": name,
        "'<your object id>'": f"'{user['id']}'" if user else "",
    }.items():
        text = text.replace(placeholder, value)
    file.write_text(text, encoding="utf-8")
    return file


def located(name: str, infra: Path, manager: str) -> tuple[ResourceGroup, str]:
    """The resource group of an environment, and its name in the tags there. Raises DeploymentError.

    name: "" for the environment that azd is set to.
    """
    if name and (path_of(name, infra).is_file() or shutil.which("azd") is None):
        place = environment(name, infra)
        tag = str(compiled(place.file).values["environmentName"])
        group = ResourceGroup(subscription=place.subscription, resource_group=place.resource_group, manager=manager)
        return group, tag
    values, said = asked(("azd", "env", "get-values", *(("--environment", name) if name else ()), "--output", "json"))
    if not isinstance(values, dict):
        raise DeploymentError(f"In which environment? Say ENV=prod, as to make deploy, or choose one with azd.{said}")
    wanted = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ENV_NAME")
    if missing := [each for each in wanted if not values.get(each)]:
        raise DeploymentError(f"azd's environment does not say {', '.join(missing)}: deploy first, with azd up.")
    subscription, resource_group, tag = (values[each] for each in wanted)
    os.environ.setdefault("AZURE_ENV_NAME", tag)  # so that azd is asked for tokens, as in its hooks
    return ResourceGroup(subscription=subscription, resource_group=resource_group, manager=manager), tag
