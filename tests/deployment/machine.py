"""A machine with az on it, for the tests of deployment's commands, which run in this process."""

import json
import subprocess
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from deployment import azure as client
from tests.deployment.cloud import TOKEN, FakeAzure
from tests.infra.deployed import TEMPLATE

HEAD: Final = "using 'main.bicep'\n\n// subscription: sub-1\n// resource group: rg-mail\n"
WHICH: Final = ("--subscription", "sub-1", "--resource-group", "rg-mail", "--name", "mail-1")
OUTPUTS: Final = {
    "AZURE_FUNCTION_APP_NAME": {"type": "String", "value": "mail-1"},
    "MAILROOM_URL": {"type": "String", "value": "https://mail-1.example"},
}
# As far as deployment/ calls them. What a parameter file compiles to stands beside it in a file .json.
AZ: Final = """#!/bin/sh
echo "$*" >> '{log}'
case "$*" in
"account show"*) {account};;
"account get-access-token"*) {token};;
"ad signed-in-user show"*) {user};;
"bicep build-params"*) exec /bin/cat "$4.json";;
"deployment group what-if"*) echo "What would change: $*";;
"deployment group create"*) {create};;
*) exit 9;;
esac
"""


class Clock:
    """Takes the place of the module `time`: whoever sleeps wakes at once, and later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@dataclass
class Machine:
    """Somebody's machine. path: the only folder of programs; infra and dist: as in a checkout after `make package`."""

    cloud: FakeAzure
    path: Path
    infra: Path
    dist: Path
    capture: pytest.CaptureFixture[str]
    clock: Clock
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.path / "az.log"
        self.az()

    def az(self, *, logged_in: bool = True, person: bool = True, deploys: bool = True) -> None:
        """Install az. person: whether a person is logged in, rather than a service principal."""

        def says(answer: object, *, works: bool, otherwise: str) -> str:
            return f"echo '{json.dumps(answer)}'" if works else f"echo 'ERROR: {otherwise}' >&2; exit 1"

        login = "Please run: login"
        self._install("az", AZ.format(
            log=self.log,
            account=says({"id": "sub-1"}, works=logged_in, otherwise=login),
            token=says({"accessToken": TOKEN}, works=logged_in, otherwise=login),
            user=says({"id": "me-1"}, works=person, otherwise="a service principal has no /me"),
            create=says(OUTPUTS, works=deploys, otherwise="RoleAssignmentUpdateNotPermitted"),
        ))  # fmt: skip

    def azd(self, **values: str) -> None:
        """Install azd, logged in, with an environment of these values."""
        self._install("azd", f"#!/bin/sh\necho '{json.dumps({'token': TOKEN} | values)}'\n")

    def _install(self, name: str, program: str) -> None:
        (self.path / name).write_text(program)
        (self.path / name).chmod(0o755)

    def asked_az(self) -> list[str]:
        """Its command lines, except those for tokens."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith("account get-access-token")]

    def parameters(self, name: str = "prod", **values: Any) -> Path:
        """Write a parameter file that compiles to these values."""
        given = json.dumps({"parameters": {name: {"value": value} for name, value in values.items()}})
        file = self.infra / f"{name}.bicepparam"
        file.write_text(HEAD)
        compiled = {"parametersJson": given, "templateJson": json.dumps(TEMPLATE)}
        file.with_name(f"{file.name}.json").write_text(json.dumps(compiled))
        return file

    def run(self, module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What `python -m deployment.MODULE` does."""
        client._TOKENS.clear()
        self.capture.readouterr()
        try:
            status = import_module(f"deployment.{module}").main(["--manager", self.cloud.url, *arguments])
        except SystemExit as ended:
            status = ended.code
        return subprocess.CompletedProcess(arguments, status, *self.capture.readouterr())

    def refused(self, module: str, *arguments: str) -> str:
        """What is said on standard error by a command that fails and prints nothing else."""
        done = self.run(module, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr
