"""A PowerShell with a fake Exchange Online in it, and what that Exchange knows and was asked."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "scripts" / "limit-sender-mailboxes.ps1"
APPLICATION = "71487acd-ec93-476d-bd0e-6c8b31831053"
IDENTITY = "6233fba6-0198-4277-892f-9275bf728bcc"
MAILROOM, ALERTS, CEO = "mailroom@contoso.com", "alerts@contoso.com", "ceo@contoso.com"
# Role to scope, as the script grants them by itself.
GRANTED = {"Application Mail.Send": "Mailroom senders", "Application Mail.Read": "Mailroom senders"}
READING = ("Get-", "Test-")


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
    return {
        "Name": name,
        "Role": role,
        "RoleAssignee": assignee,
        "RoleAssigneeType": "ServicePrincipal",
        "CustomResourceScope": scope,
        "Enabled": True,
        **more,
    }


def organisation() -> dict[str, Any]:
    """What Exchange knows before the first run. Others have a scope and role assignments in it already."""
    return {
        "connections": [{"State": "Connected", "TenantID": identifier(0xFFFF), "IsEopSession": False}],
        "forbidden": [],
        "failing": [],
        "slow": False,
        "roles": [f"Application Mail.{right}" for right in ("Read", "ReadBasic", "ReadWrite", "Send")],
        "entra": [{"AppId": APPLICATION, "ObjectId": IDENTITY}],
        "mailboxes": [
            mailbox(1, MAILROOM, "letters@contoso.com"),
            mailbox(2, ALERTS),
            mailbox(3, "d'arcy.o'neil@contoso.com"),
            mailbox(4, CEO),
        ],
        "principals": [{"AppId": identifier(0xB1), "ObjectId": identifier(0xB2), "DisplayName": "Rooms"}],
        "scopes": [{"Name": "Rooms", "RecipientFilter": "Name -eq 'ceo'", "Exclusive": False}],
        "assignments": [
            assignment("Rooms read", "Application Mail.Read", "Rooms", identifier(0xB2)),
            assignment(
                "Application Mail.Send-Organization Management",
                "Application Mail.Send",
                "",
                "Organization Management",
                RoleAssigneeType="RoleGroup",
            ),
        ],
    }


@dataclass(frozen=True, slots=True)
class Run:
    """What one run printed (both streams, as they came), its exit code, and the calls that it made."""

    output: str
    code: int
    calls: tuple[tuple[str, dict[str, str]], ...]

    @property
    def written(self) -> list[str]:
        """The cmdlets called that are not there to read."""
        return [cmdlet for cmdlet, _ in self.calls if not cmdlet.startswith(READING)]


class Shell:
    """One PowerShell with a module of fakes. A test sets .state, which they know, and runs a script that changes it."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self.file = file
        self.state: dict[str, Any] = {}

    def asked(self, what: str, **parameters: object) -> tuple[str, int, list[dict[str, Any]]]:
        """Run a script or a command; what it printed, its exit code, and what it asked the fakes."""
        calls = self.file.with_name(self.file.name + ".calls")
        calls.unlink(missing_ok=True)
        self.file.write_text(json.dumps(self.state))
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"run": what, "with": parameters}) + "\n")
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout:
            if ended := re.fullmatch(r"<<(\d+)>>\n", line):
                break
            output += line
        else:
            raise AssertionError(f"PowerShell has ended: {output}")
        self.state = json.loads(self.file.read_text())
        lines = calls.read_text().splitlines() if calls.exists() else []
        return output, int(ended[1]), [json.loads(line) for line in lines]


class Exchange(Shell):
    """What Exchange knows is .state."""

    def limit(self, *mailboxes: str, **more: object) -> Run:
        """The script, for the identity of these tests unless told otherwise; more: its parameters by their names."""
        given = {"ApplicationId": APPLICATION, "ObjectId": IDENTITY, "Mailbox": list(mailboxes), **more}
        return self.run(str(SCRIPT), **given)

    def run(self, what: str, **parameters: object) -> Run:
        output, code, calls = self.asked(what, **parameters)
        return Run(output, code, tuple((call["cmdlet"], call["parameters"]) for call in calls))

    def assigned(self) -> dict[str, str]:
        """Role to scope, of the identity's role assignments."""
        return {
            each["Role"]: each["CustomResourceScope"]
            for each in self.state["assignments"]
            if each["RoleAssignee"] == IDENTITY
        }

    def others(self) -> list[dict[str, Any]]:
        """Identities, scopes and role assignments that are not of the script's making."""
        every = [*self.state["principals"], *self.state["scopes"], *self.state["assignments"]]
        return [each for each in every if IDENTITY not in each.values() and each.get("Name") != "Mailroom senders"]

    def scoped(self, name: str = "Mailroom senders") -> set[int]:
        """The numbers of the mailboxes in the scope."""
        (scope,) = [each for each in self.state["scopes"] if each["Name"] == name]
        return {int(found, 16) for found in re.findall(r"00000000-0000-4000-8000-(\w{12})", scope["RecipientFilter"])}


@contextmanager
def powershell[S: Shell](kind: type[S], module: str, variable: str, folder: Path) -> Iterator[S]:
    """A PowerShell with the module of fakes, which find what they know in the file that the variable names."""
    pwsh = shutil.which("pwsh")
    assert pwsh
    file = folder / f"{module}.json"
    file.write_text("{}")
    process = subprocess.Popen(
        [pwsh, "-NoProfile", "-File", str(HERE / "serve.ps1"), "-Name", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, variable: str(file)},
    )
    with process:
        yield kind(process, file)
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)
