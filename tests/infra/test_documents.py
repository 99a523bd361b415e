"""The documents about deployment name what is there: files, parameters, outputs, roles, commands."""

import json
import re
from typing import Final

import pytest

from shared.auth.entra import OPERATE_AS_USER
from tests.infra.deployed import ROOT, TEMPLATE, deployed

DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text()
README: Final = (ROOT / "README.md").read_text()
PARAMETERS: Final = (ROOT / "infra" / "main.bicepparam").read_text()
COMMANDS: Final = re.findall(
    r"^(?:az|make|azd) .*$", README.partition("## Deploy it")[2].partition("\n## ")[0], re.MULTILINE
)


def test_the_readme_deploys_with_three_commands_that_docs_deploy_has_too() -> None:
    assert [command.split()[:2] for command in COMMANDS] == [["make", "deploy"], ["make", "deploy"], ["make", "secret"]]
    assert all(command.partition("#")[0].strip() in DEPLOY for command in COMMANDS)


@pytest.mark.parametrize("file", ["main", "example"])
def test_a_parameter_file_gives_everything_that_main_bicep_needs(file: str) -> None:
    """Each parameter is given by the file or has a default, and the file gives none that does not exist."""
    text = (ROOT / "infra" / f"{file}.bicepparam").read_text()
    assert re.findall(r"^using '(.*)'", text, re.MULTILINE) == ["main.bicep"]
    given = set(re.findall(r"^param (\w+)", text, re.MULTILINE))
    parameters = TEMPLATE["parameters"]
    assert given <= parameters.keys()
    assert {name for name, one in parameters.items() if "defaultValue" not in one and not one.get("nullable")} <= given


def test_every_variable_of_the_parameter_file_has_a_default() -> None:
    """So that the file can be used with nothing set."""
    assert re.findall(r"readEnvironmentVariable\('\w+'\)", PARAMETERS) == []


def test_no_document_tells_to_put_a_secret_into_a_setting() -> None:
    """The next deployment would remove it."""
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        text = page.read_text()
        assert not re.search(r"appsettings set[^`]*MAIL_SECRET_", text), page
        for line in text.splitlines():
            assert "MAIL_SECRET_" not in line or "make run" in line or re.search(r"MAIL_SECRET_(<|…)", line), line


def test_every_source_page_tells_how_its_secret_is_made() -> None:
    for page in (ROOT / "docs" / "sources").glob("*.md"):
        text = page.read_text()
        assert re.search(rf"make secret ROUTE={page.stem if page.stem not in ('hmac', 'key') else '[a-z]+'}\b", text), (
            page
        )
        assert "../deploy.md#secrets" in text, page


def test_variables_that_the_documents_set_are_read_by_the_parameter_file() -> None:
    named = set(re.findall(r"azd env set (\w+)", DEPLOY)) - {"AZURE_RESOURCE_GROUP"}  # azd's own, read by the preflight
    for line in re.findall(r"^export (.*)$", DEPLOY, re.MULTILINE):
        named |= set(re.findall(r"(\w+)=", line))
    named |= set(re.findall(r"`(MAILROOM_(?:NETWORK|ALERT_EMAIL))`", DEPLOY))
    named |= set(re.findall(r"^(MAIL_\w+)=", DEPLOY, re.MULTILINE))
    read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", PARAMETERS))
    assert named
    assert named <= read


def test_outputs_that_the_documents_name_exist() -> None:
    named = set(
        re.findall(
            r"(AZURE_FUNCTION_APP_NAME|AZURE_KEY_VAULT_NAME|AZURE_STORAGE_\w+|MAILROOM_URL|MAILROOM_\w+_ID\b)",
            DEPLOY,
        )
    )
    assert len(named) >= 5
    assert named <= deployed("default").outputs


def test_roles_of_the_api_are_those_that_the_code_asks_for() -> None:
    roles = {role["value"]: role for role in json.loads((ROOT / "infra" / "app-roles.json").read_text())}
    code = "\n".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    asked = set(re.findall(r'require\(caller, "([\w.]+)"\)', code)) | set(re.findall(r'OPERATE = "([\w.]+)"', code))
    assert asked == roles.keys() == {"Mail.Send", "Mailroom.Operate"}
    assert roles["Mail.Send"]["id"] in DEPLOY
    assert "Application" in roles["Mail.Send"]["allowedMemberTypes"]


def test_scopes_of_the_api_are_those_that_the_code_asks_for_and_share_a_name_with_their_own_role_only() -> None:
    """Entra takes a scope with a role's value only if both have the same id and the same words."""
    roles = {role["value"]: role for role in json.loads((ROOT / "infra" / "app-roles.json").read_text())}
    body = json.loads((ROOT / "infra" / "api-scopes.json").read_text())
    scopes = {scope["value"]: scope for scope in body["api"]["oauth2PermissionScopes"]}
    assert scopes.keys() == {"Mail.Send", OPERATE_AS_USER}
    assert len({scope["id"] for scope in scopes.values()}) == len(scopes)
    for value, scope in scopes.items():
        words = (scope["adminConsentDisplayName"], scope["adminConsentDescription"], scope["isEnabled"])
        if role := roles.get(value):
            assert (role["id"], role["displayName"], role["description"], role["isEnabled"]) == (scope["id"], *words)
        else:
            assert scope["id"] not in {role["id"] for role in roles.values()}
    assert "infra/api-scopes.json" in DEPLOY
    assert OPERATE_AS_USER in DEPLOY
