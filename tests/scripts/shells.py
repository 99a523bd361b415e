"""PowerShell with modules of fakes in it: an Exchange Online and a Microsoft Graph, what they know and were asked."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
LIMIT: Final = ROOT / "scripts" / "limit-sender-mailboxes.ps1"
REGISTER: Final = ROOT / "scripts" / "register-api.ps1"
APPLICATION: Final = "71487acd-ec93-476d-bd0e-6c8b31831053"
IDENTITY: Final = "6233fba6-0198-4277-892f-9275bf728bcc"
MAILROOM, ALERTS, CEO = "mailroom@contoso.com", "alerts@contoso.com", "ceo@contoso.com"
# Role to scope, as the script grants them without options.
GRANTED: Final = {"Application Mail.Send": "Mailroom senders", "Application Mail.Read": "Mailroom senders"}
OTHER: Final = "11111111-1111-4111-8111-111111111111"
NEW: Final = "99999999-0000-4000-8000-000000000001"  # what the fake Graph gives as the next application id


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What one run printed (both streams, as they came), its exit code, and what it asked the fakes."""

    output: str
    code: int
    calls: list[dict[str, Any]]

    @property
    def cmdlets(self) -> list[tuple[str, dict[str, str]]]:
        return [(call["cmdlet"], call["parameters"]) for call in self.calls]

    @property
    def written(self) -> list[str]:
        """The cmdlets called that change something."""
        return [cmdlet for cmdlet, _ in self.cmdlets if not cmdlet.startswith(("Get-", "Test-"))]

    @property
    def requests(self) -> list[tuple[str, str, Any]]:
        """The requests to Graph that change something: method, path, body."""
        changes = [call for call in self.calls if call["method"] != "GET"]
        return [(call["method"], call["uri"].removeprefix("/v1.0/"), json.loads(call["body"])) for call in changes]


class PowerShell:
    """A module of fakes in a PowerShell. A test sets .state, which they know, and runs a script that changes it."""

    MODULE: str
    VARIABLE: str
    """Of the environment: the file where the module finds the state."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._file = folder / f"{self.VARIABLE}.json"
        self.state: dict[str, Any] = {}

    def run(self, what: str | Path, **parameters: object) -> ScriptRun:
        """Run a script or a command."""
        calls = self._file.with_name(self._file.name + ".calls")
        calls.unlink(missing_ok=True)
        self._file.write_text(json.dumps(self.state))
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"module": self.MODULE, "run": str(what), "with": parameters}) + "\n")
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout:
            if ended := re.fullmatch(r"<<(\d+)>>\n", line):
                break
            output += line
        else:
            raise AssertionError(f"PowerShell has ended: {output}")
        self.state = json.loads(self._file.read_text())
        lines = calls.read_text().splitlines() if calls.exists() else []
        return ScriptRun(output, int(ended[1]), [json.loads(line) for line in lines])


class Exchange(PowerShell):
    MODULE = "ExchangeOnlineManagement"
    VARIABLE = "EXCHANGE_STATE"

    def limit(self, *mailboxes: str, **more: object) -> ScriptRun:
        """The script, for the identity of these tests unless told otherwise; more: its parameters by their names."""
        given = {"ApplicationId": APPLICATION, "ObjectId": IDENTITY, "Mailbox": list(mailboxes), **more}
        return self.run(LIMIT, **given)

    def assigned(self) -> dict[str, str]:
        """Role to scope, of the identity's role assignments."""
        ours = [each for each in self.state["assignments"] if each["RoleAssignee"] == IDENTITY]
        return {each["Role"]: each["CustomResourceScope"] for each in ours}

    def others(self) -> list[dict[str, Any]]:
        """Identities, scopes and role assignments that the script did not make."""
        every = [*self.state["principals"], *self.state["scopes"], *self.state["assignments"]]
        return [each for each in every if IDENTITY not in each.values() and each.get("Name") != "Mailroom senders"]

    def scoped(self, name: str = "Mailroom senders") -> set[int]:
        """The numbers of the mailboxes in the scope."""
        (scope,) = [each for each in self.state["scopes"] if each["Name"] == name]
        return {int(found, 16) for found in re.findall(r"00000000-0000-4000-8000-(\w{12})", scope["RecipientFilter"])}


class EntraDirectory(PowerShell):
    MODULE = "Microsoft.Graph.Authentication"
    VARIABLE = "DIRECTORY_STATE"

    def register(self, **parameters: object) -> ScriptRun:
        return self.run(REGISTER, **parameters)

    def registered(self, name: str = "Mailroom API") -> dict[str, Any]:
        [found] = [each for each in self.state["applications"] if each["displayName"] == name]
        return dict(found)


@contextmanager
def powershell(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A PowerShell that runs scripts, serve.ps1, with the states of its modules in a folder."""
    pwsh = shutil.which("pwsh")
    assert pwsh
    states = {kind.VARIABLE: str(folder / f"{kind.VARIABLE}.json") for kind in (Exchange, EntraDirectory)}
    with subprocess.Popen(
        [pwsh, "-NoProfile", "-File", str(HERE / "serve.ps1")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **states, "DOTNET_TieredPGO": "0"},
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)


def identifier(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def mailbox(number: int, address: str, *aliases: str) -> dict[str, Any]:
    """A mailbox as Get-Mailbox shows it; its object id in Entra is identifier(number)."""
    name = address.partition("@")[0]
    return {
        "Name": name,
        "UserPrincipalName": address,
        "EmailAddresses": [f"SMTP:{address}", *(f"smtp:{alias}" for alias in aliases)],
        "Guid": identifier(number + 0xA000),
        "ExternalDirectoryObjectId": identifier(number),
        "DistinguishedName": f"CN={name},OU=contoso.onmicrosoft.com,DC=outlook",
    }


def assignment(name: str, role: str, scope: str, assignee: str = IDENTITY, **more: object) -> dict[str, Any]:
    """A role assignment of a service principal as Get-ManagementRoleAssignment shows it; scope "" is everything."""
    ours = {"Name": name, "Role": role, "RoleAssignee": assignee, "CustomResourceScope": scope}
    return {**ours, "RoleAssigneeType": "ServicePrincipal", "Enabled": True, **more}


def organisation() -> dict[str, Any]:
    """What Exchange knows before the first run. Others have a scope and role assignments there already."""
    managers = "Organization Management"
    sending = f"Application Mail.Send-{managers}"
    return {
        "connections": [{"State": "Connected", "TenantID": identifier(0xFFFF), "IsEopSession": False}],
        "forbidden": [],
        "failing": [],
        "slow": False,
        "roles": [f"Application Mail.{right}" for right in ("Read", "ReadBasic", "ReadWrite", "Send")],
        "entra": [{"AppId": APPLICATION, "ObjectId": IDENTITY}],
        "mailboxes": [
            mailbox(1, MAILROOM, "alias@contoso.com"),
            mailbox(2, ALERTS),
            mailbox(3, "d'arcy.o'neil@contoso.com"),
            mailbox(4, CEO),
        ],
        "principals": [{"AppId": identifier(0xB1), "ObjectId": identifier(0xB2), "DisplayName": "Rooms"}],
        "scopes": [{"Name": "Rooms", "RecipientFilter": "Name -eq 'ceo'", "Exclusive": False}],
        "assignments": [
            assignment("Rooms read", "Application Mail.Read", "Rooms", identifier(0xB2)),
            assignment(sending, "Application Mail.Send", "", managers, RoleAssigneeType="RoleGroup"),
        ],
    }


def tenant() -> dict[str, Any]:
    """Connected, with somebody else's registration. late: how many changes are answered 404. refused: a pattern."""
    return {
        "context": {"TenantId": OTHER, "Scopes": ["User.Read", "Application.ReadWrite.All"]},
        "late": 0,
        "refused": "^never$",
        "applications": [registration("object-of-other", OTHER, "Payroll")],
        "servicePrincipals": [],
    }


def registration(name: str, app: str, display: str) -> dict[str, Any]:
    api = {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [], "preAuthorizedApplications": []}
    return {"id": name, "appId": app, "displayName": display, "identifierUris": [], "appRoles": [], "api": api}
