"""A PowerShell with a fake Graph in it, and what that knows of Entra."""

import json
from dataclasses import dataclass
from typing import Any

from tests.scripts.exchange import HERE, Shell

SCRIPT = HERE.parents[1] / "scripts" / "register-api.ps1"
INFRA = HERE.parents[1] / "infra"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
OTHER = "11111111-1111-4111-8111-111111111111"
NEW = "99999999-0000-4000-8000-000000000001"  # what the fake gives as the next application id
ROLES: list[dict[str, Any]] = json.loads((INFRA / "app-roles.json").read_text())
SCOPES: list[dict[str, Any]] = json.loads((INFRA / "api-scopes.json").read_text())["api"]["oauth2PermissionScopes"]


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
    api: dict[str, Any] = {
        "requestedAccessTokenVersion": 2,
        "oauth2PermissionScopes": [],
        "preAuthorizedApplications": [],
    }
    return {"id": name, "appId": app, "displayName": display, "identifierUris": [], "appRoles": [], "api": api}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run printed, its exit code, and the requests that change something: method, path, body."""

    output: str
    code: int
    written: list[tuple[str, str, Any]]


class Directory(Shell):
    """What Entra knows is .state."""

    def register(self, **parameters: object) -> Run:
        output, code, calls = self.asked(str(SCRIPT), **parameters)
        written = [
            (call["method"], call["uri"].removeprefix("/v1.0/"), json.loads(call["body"]))
            for call in calls
            if call["method"] != "GET"
        ]
        return Run(output, code, written)

    def registered(self, name: str = "Mailroom API") -> dict[str, Any]:
        [found] = [each for each in self.state["applications"] if each["displayName"] == name]
        return dict(found)
