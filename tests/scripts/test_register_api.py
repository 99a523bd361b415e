"""scripts/register-api.ps1: the API has its roles and scopes in Entra, and nothing of others changes."""

import json
import re
from copy import deepcopy
from typing import Any

import pytest

from shared.auth.entra import OPERATE, OPERATE_AS_USER
from tests.scripts.shells import HERE, NEW, OTHER, REGISTER, ROOT, EntraDirectory, registration

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
ROLES: list[dict[str, Any]] = json.loads((ROOT / "infra" / "app-roles.json").read_text())
SCOPES: list[dict[str, Any]] = json.loads((ROOT / "infra" / "api-scopes.json").read_text())["api"][
    "oauth2PermissionScopes"
]
IDS = [scope["id"] for scope in SCOPES]
FOREIGN: dict[str, Any] = {
    "id": "33333333-3333-4333-8333-333333333333",
    "value": "Reports.Read",
    "displayName": "Read reports",
    "description": "Read reports.",
    "isEnabled": True,
}
FOREIGN_ROLE = FOREIGN | {"allowedMemberTypes": ["Application"]}
FOREIGN_SCOPE = {
    "id": "44444444-4444-4444-8444-444444444444",
    "value": "Reports.ReadAsUser",
    "isEnabled": True,
    "type": "Admin",
}


def made(directory: EntraDirectory) -> EntraDirectory:
    assert directory.register().code == 0
    return directory


def test_the_first_run_makes_everything(directory: EntraDirectory) -> None:
    """The registration with its address, roles and scopes, the Azure CLI, and an enterprise application."""
    others = deepcopy(directory.state["applications"])
    run = directory.register()
    assert run.code == 0, run.output
    app = directory.registered()
    assert app["identifierUris"] == [f"api://{NEW}"]
    assert app["appRoles"] == ROLES
    assert app["api"]["oauth2PermissionScopes"] == SCOPES
    assert app["api"]["preAuthorizedApplications"] == [{"appId": AZURE_CLI, "delegatedPermissionIds": IDS}]
    [principal] = directory.state["servicePrincipals"]
    assert (principal["appId"], principal["appRoleAssignmentRequired"]) == (NEW, True)
    assert [each for each in directory.state["applications"] if each["displayName"] != "Mailroom API"] == others
    assert f"MAIL_API_CLIENT_ID): {NEW}" in run.output
    assert "Object id of the enterprise application, to assign roles of: principal-of-new" in run.output


def test_its_roles_and_scopes_are_those_that_the_app_asks_for(directory: EntraDirectory) -> None:
    """A user who operates needs the role and the scope: both are made here."""
    app = made(directory).registered()
    assert {role["value"] for role in app["appRoles"]} == {"Mail.Send", OPERATE}
    assert {scope["value"] for scope in app["api"]["oauth2PermissionScopes"]} == {"Mail.Send", OPERATE_AS_USER}
    assert "User" in next(role for role in app["appRoles"] if role["value"] == OPERATE)["allowedMemberTypes"]


def test_the_second_run_changes_nothing(directory: EntraDirectory) -> None:
    made(directory)
    before = deepcopy(directory.state)
    run = directory.register()
    assert (run.code, run.requests) == (0, []), run.output
    assert "Nothing to change." in run.output
    assert directory.state == before


@pytest.mark.parametrize("there", [False, True])
def test_what_if_says_everything_and_changes_nothing(directory: EntraDirectory, there: bool) -> None:  # noqa: FBT001
    if there:
        directory.state["applications"].append(registration("object-1", NEW, "Mailroom API"))
    before = deepcopy(directory.state)
    run = directory.register(WhatIf=True)
    assert (run.code, run.requests) == (0, []), run.output
    assert directory.state == before
    said = re.findall(r'"([^"]+)" on target "Mailroom API"', run.output)
    expected = [
        f"Add the address api://{NEW if there else 'new'}",
        f"Set the app roles Mail.Send, {OPERATE}",
        f"Set the scopes Mail.Send, {OPERATE_AS_USER}",
        "Let the Azure CLI ask for the scopes",
        "Make the enterprise application",
    ]
    assert said == (expected if there else ["Make the app registration", *expected])


def test_a_registration_that_is_there_is_completed_and_what_others_added_stays(directory: EntraDirectory) -> None:
    there = registration("object-1", NEW, "Our API")
    there |= {"identifierUris": ["https://contoso.com/api"], "appRoles": [FOREIGN_ROLE]}
    there["api"] |= {
        "oauth2PermissionScopes": [FOREIGN_SCOPE],
        "preAuthorizedApplications": [{"appId": OTHER, "delegatedPermissionIds": [FOREIGN_SCOPE["id"]]}],
    }
    directory.state["applications"].append(there)
    run = directory.register(ApplicationId=NEW)
    assert run.code == 0, run.output
    app = directory.registered("Our API")
    assert app["identifierUris"] == ["https://contoso.com/api", f"api://{NEW}"]
    assert app["appRoles"] == [FOREIGN_ROLE, *ROLES]
    assert app["api"]["oauth2PermissionScopes"] == [FOREIGN_SCOPE, *SCOPES]
    assert [one["appId"] for one in app["api"]["preAuthorizedApplications"]] == [OTHER, AZURE_CLI]
    assert app["api"]["requestedAccessTokenVersion"] == 2


def test_words_that_have_changed_are_written_and_nothing_else(directory: EntraDirectory) -> None:
    """As after an upgrade of Mailroom."""
    made(directory)
    app = next(each for each in directory.state["applications"] if each["displayName"] == "Mailroom API")
    app["api"]["oauth2PermissionScopes"][1]["adminConsentDisplayName"] = "Old words"
    run = directory.register()
    assert [(method, sorted(body)) for method, _, body in run.requests] == [("PATCH", ["api"])], run.output
    assert directory.registered()["api"]["oauth2PermissionScopes"] == SCOPES


def test_the_azure_cli_keeps_what_it_had_and_gets_what_it_lacks(directory: EntraDirectory) -> None:
    made(directory)
    app = next(each for each in directory.state["applications"] if each["displayName"] == "Mailroom API")
    app["api"]["preAuthorizedApplications"] = [{"appId": AZURE_CLI, "delegatedPermissionIds": IDS[:1]}]
    run = directory.register()
    assert len(run.requests) == 1, run.output
    assert directory.registered()["api"]["preAuthorizedApplications"] == [
        {"appId": AZURE_CLI, "delegatedPermissionIds": IDS}
    ]


def test_without_the_azure_cli_nobody_is_let_without_consent(directory: EntraDirectory) -> None:
    assert directory.register(WithoutAzureCli=True).code == 0
    assert directory.registered()["api"]["preAuthorizedApplications"] == []


def test_whether_people_have_to_be_assigned_follows_the_switch(directory: EntraDirectory) -> None:
    made(directory)
    for switches, required in (({"WithoutAssignment": True}, False), ({}, True)):
        run = directory.register(**switches)
        assert [method for method, _, _ in run.requests] == ["PATCH"], run.output
        assert directory.state["servicePrincipals"][0]["appRoleAssignmentRequired"] is required


@pytest.mark.parametrize(("late", "code"), [(3, 0), (1000, 6)])
def test_what_was_just_made_is_waited_for_but_not_forever(directory: EntraDirectory, late: int, code: int) -> None:
    directory.state["late"] = late
    run = directory.register()
    assert run.code == code, run.output
    assert (directory.registered()["appRoles"] == ROLES) is (code == 0)
    assert ("Graph refused to Add the address" in run.output) is (code == 6)
    assert len(run.requests) < 20


@pytest.mark.parametrize("kind", ["appRoles", "oauth2PermissionScopes"])
def test_a_name_that_is_taken_by_another_id_is_said_and_nothing_changed(directory: EntraDirectory, kind: str) -> None:
    """Tokens would carry it all the same, but Entra takes no second one."""
    there = registration("object-1", NEW, "Mailroom API")
    there["identifierUris"] = [f"api://{NEW}"]
    if kind == "appRoles":
        there["appRoles"] = [FOREIGN_ROLE | {"value": "Mail.Send"}]
    else:
        there["appRoles"] = ROLES
        there["api"]["oauth2PermissionScopes"] = [FOREIGN_SCOPE | {"value": OPERATE_AS_USER}]
    directory.state["applications"].append(there)
    run = directory.register()
    assert (run.code, run.requests) == (5, []), run.output
    assert str((FOREIGN if kind == "appRoles" else FOREIGN_SCOPE)["id"]) in run.output


def test_a_registration_that_is_not_the_only_one_is_not_guessed(directory: EntraDirectory) -> None:
    run = directory.register(ApplicationId=NEW)  # nobody has this id
    assert (run.code, run.requests) == (3, []), run.output
    for number in (1, 2):
        directory.state["applications"].append(registration(f"object-{number}", NEW, "Mailroom API"))
    run = directory.register()
    assert (run.code, run.requests) == (3, [])
    assert "-ApplicationId" in run.output


def test_a_name_with_an_apostrophe_is_found_again(directory: EntraDirectory) -> None:
    assert directory.register(DisplayName="Mia's mail & more").code == 0
    run = directory.register(DisplayName="Mia's mail & more")
    assert (run.code, run.requests) == (0, []), run.output


@pytest.mark.parametrize("context", [None, {"TenantId": OTHER, "Scopes": ["User.Read"]}])
def test_without_a_connection_that_may_it_says_how_to_connect(directory: EntraDirectory, context: object) -> None:
    directory.state["context"] = context
    run = directory.register()
    assert (run.code, run.requests) == (1, [])
    assert "Connect-MgGraph -Scopes Application.ReadWrite.All" in run.output


def test_what_graph_refuses_is_told_in_its_words(directory: EntraDirectory) -> None:
    directory.state["refused"] = "^POST /v1.0/servicePrincipals"
    run = directory.register()
    assert run.code == 6
    assert "Graph refused to Make the enterprise application: " in run.output
    assert "Insufficient privileges" in run.output
    directory.state["refused"] = "^never$"
    assert [path for _, path, _ in directory.register().requests] == [
        "servicePrincipals"
    ]  # it goes on where it stopped


def test_windows_powershell_can_read_it(directory: EntraDirectory) -> None:
    """5.1 knows none of the syntax that came with 7, and takes a file without a mark for the machine's code page."""
    run = directory.run(HERE / "syntax.ps1", Path=str(REGISTER))
    assert (run.code, run.output) == (0, "")
    assert REGISTER.read_bytes().isascii()


def test_every_exit_code_is_documented() -> None:
    notes, code = REGISTER.read_text().split("#>", 1)
    assert set(re.findall(r"^    (\d)  ", notes, re.MULTILINE)) == {*re.findall(r"(?:Stop-Here|exit) (\d)", code)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"appRoles": [ROLES[0], ROLES[0]]}, "Duplicate id"),
        ({"appRoles": []}, "cannot be deleted or updated unless disabled"),
        ({"identifierUris": ["mailroom"]}, "is not allowed"),
        ({"api": {"oauth2PermissionScopes": [FOREIGN_SCOPE | {"value": "Mail.Send"}]}}, "duplicate value"),
        ({"api": {"preAuthorizedApplications": [{"delegatedPermissionIds": [FOREIGN["id"]]}]}}, "cannot be found"),
        ({"secret": 1}, "is none"),
    ],
)
def test_the_fake_refuses_what_graph_refuses(directory: EntraDirectory, body: dict[str, Any], words: str) -> None:
    """So that a script which it takes stands a chance with the real one."""
    made(directory)
    sent = {"Method": "PATCH", "Uri": "/v1.0/applications/object-of-new", "OutputType": "PSObject"}
    run = directory.run("Invoke-MgGraphRequest", **sent, Body=json.dumps(body), ContentType="application/json")
    assert (run.code, words in run.output) == (99, True), run.output
