"""infra/<environment>.bicepparam: one environment's parameters, and at its head where it is.

The file is nobody's but the environment's: git ignores it. It is made once, from infra/example.bicepparam.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployment.azure import asked
from deployment.errors import DeploymentError

__all__ = ["Environment", "environment", "make", "path_of"]

INFRA: Final = Path(__file__).parents[1] / "infra"
EXAMPLE: Final = "example.bicepparam"
TAKEN: Final = frozenset({"main", "example"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEAD: Final = re.compile(r"^// (subscription|resource group): (\S+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Environment:
    """file: its parameters."""

    file: Path
    subscription: str
    resource_group: str


def path_of(name: str, infra: Path = INFRA) -> Path:
    """The file of an environment. Raises DeploymentError for a name that is none."""
    if not _NAME.fullmatch(name) or name in TAKEN:
        raise DeploymentError(
            f"Which environment? Found {name!r}, expected a name such as prod: letters, digits, dots, dashes and "
            f"underscores, at most 64, and neither main nor example. For instance: make deploy ENV=prod"
        )
    return infra / f"{name}.bicepparam"


def environment(name: str, infra: Path = INFRA) -> Environment:
    """What the head of its file says. Raises DeploymentError."""
    file = path_of(name, infra)
    if not file.is_file():
        raise DeploymentError(f"There is no {file.name} in {infra.name}/. Make it with: make deploy ENV={name}")
    head = dict(_HEAD.findall(file.read_text(encoding="utf-8")))
    for what in ("subscription", "resource group"):
        if what not in head or "<" in head[what]:
            raise DeploymentError(f"{file}: there is no line `// {what}: …` that says where {name} is.")
    return Environment(file, head["subscription"], head["resource group"])


def make(name: str, resource_group: str, infra: Path = INFRA) -> Path:
    """Make the file of a new environment, with what az knows of whoever is logged in. Raises DeploymentError."""
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
