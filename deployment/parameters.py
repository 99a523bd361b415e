"""A parameter file of infra/, compiled: the values it gives, and which of the app's settings they leave empty."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployment import DeploymentError

_OWN: Final = (".azure", ".azd")  # at home, where az and azd put a compiler of their own
_SETTINGS: Final = "Microsoft.Web/sites/config"
_PARAMETER: Final = re.compile(r"parameters\('(\w+)'\)")
_MEMBER: Final = re.compile(r"tryGet\(parameters\('(\w+)'\), '(\w+)'\)")


@dataclass(frozen=True, slots=True)
class CompiledParameters:
    """given: what the file says. template: what main.bicep compiles to."""

    given: Mapping[str, Any]
    template: Mapping[str, Any]

    @property
    def values(self) -> Mapping[str, Any]:
        """With the template's defaults, except those that are computed during a deployment."""
        return {**defaults_of(self.template), **self.given}

    def settings(self) -> Mapping[str, bool]:
        """The names of the app's settings, and whether each would be empty."""
        return {name: self._empty(value) for name, value in _settings_in(self.template)}

    def in_settings(self) -> frozenset[str]:
        """The parameters that become settings."""
        expressions = (value for _, value in _settings_in(self.template))
        names = {name for value in expressions for name in _PARAMETER.findall(value)}
        return frozenset(names & self.template["parameters"].keys())

    def _empty(self, value: str) -> bool:
        """Modules pass parameters on by the same names; anything else in an expression is never empty."""
        if member := _MEMBER.search(value):
            return is_empty((self.values.get(member[1]) or {}).get(member[2]))
        names = _PARAMETER.findall(value)
        if value.startswith("[if(empty("):  # empty without the first, whatever the others are
            names = names[:1]
        return value == "" or (
            bool(names) and all(name in self.values and is_empty(self.values[name]) for name in names)
        )


def is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def defaults_of(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters' defaults by name: None for one that may be left out; without those that Azure computes."""
    parameters = template["parameters"].items()
    found = {name: one.get("defaultValue") for name, one in parameters if "defaultValue" in one or one.get("nullable")}
    return {name: value for name, value in found.items() if not (isinstance(value, str) and value.startswith("["))}


def compiled(file: Path) -> CompiledParameters:
    """Compile a .bicepparam file. Raises DeploymentError with what the compiler says."""
    folders = (None, *(Path.home() / own / "bin" for own in _OWN))
    program = next((found for folder in folders if (found := shutil.which("bicep", path=folder))), None)
    if program:
        command = [program, "build-params", str(file), "--stdout"]
    elif az := shutil.which("az"):
        command = [az, "bicep", "build-params", "--file", str(file), "--stdout"]
    else:
        raise DeploymentError(
            f"There is no Bicep compiler to read {file} with: `az bicep install`, or "
            "https://learn.microsoft.com/azure/azure-resource-manager/bicep/install"
        )
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(result.stdout)
        return from_json(answer["parametersJson"], answer["templateJson"])
    except (ValueError, KeyError, TypeError):
        said = result.stderr.strip() or result.stdout.strip()[:500]
        raise DeploymentError(f"{file} does not compile: {said or f'{command[0]} printed nothing'}") from None


def from_json(parameters: str, template: str) -> CompiledParameters:
    """From the compiler's two outputs. A value of null leaves the parameter to the template."""
    given = json.loads(parameters)["parameters"]
    values = {name: one["value"] for name, one in given.items() if one.get("value") is not None}
    return CompiledParameters(values, json.loads(template))


def _settings_in(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings in a template and its modules: names and values, which may be expressions of Resource Manager."""
    resources = template.get("resources", {})
    for one in resources.values() if isinstance(resources, Mapping) else resources:
        inner = one.get("properties", {})
        if one.get("type") == _SETTINGS and "appsettings" in str(one.get("name")):
            yield from inner.items()
        elif isinstance(inner, Mapping) and isinstance(inner.get("template"), Mapping):
            yield from _settings_in(inner["template"])
