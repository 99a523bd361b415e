"""Who may do what: exactly these roles on exactly these scopes, the narrowest that work; nothing by key."""

import re
from typing import Final

from tests.infra.deployed import deployed, mail_account, package_account

ROLES: Final = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": "Storage Queue Data Message Processor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
}
MAILROOM: Final = "Mailroom's identity"
DEPLOYMENT: Final = "the deployment identity"
PACKAGES: Final = "the account of the package"
OF_MAILROOM: Final = {
    ("Microsoft.Storage/storageAccounts", "Storage Blob Data Owner", MAILROOM),
    ("Microsoft.Storage/storageAccounts", "Storage Queue Data Contributor", MAILROOM),
    ("Microsoft.Storage/storageAccounts", "Storage Table Data Contributor", MAILROOM),
    ("Microsoft.KeyVault/vaults", "Key Vault Secrets User", MAILROOM),
    ("Microsoft.Insights/components", "Monitoring Metrics Publisher", MAILROOM),
}
OF_OTHERS: Final = {
    "everything": {
        ("…/queues/mail-outbox", "Storage Queue Data Message Sender", "44444444-4444-4444-4444-444444444444"),
        ("…/queues/mail-events", "Storage Queue Data Message Sender", "55555555-5555-5555-5555-555555555555"),
        ("…/queues/mail-results", "Storage Queue Data Message Processor", "77777777-7777-7777-7777-777777777777"),
        ("Microsoft.KeyVault/vaults", "Key Vault Secrets Officer", "66666666-6666-6666-6666-666666666666"),
        (PACKAGES, "Storage Blob Data Reader", DEPLOYMENT),
    }
}
OF_DEPLOYMENT: Final = {(PACKAGES, "Storage Blob Data Contributor", DEPLOYMENT)}  # where packageAccess is write


def test_roles_are_exactly_these_on_exactly_these_scopes(name: str) -> None:
    found = set()
    for one in deployed(name).all("Microsoft.Authorization/roleAssignments"):
        scope = one["id"].partition("/providers/Microsoft.Authorization")[0]
        provider = scope.partition("/providers/")[2]
        kind = "/".join(provider.split("/")[:2])
        if "/queues/" in provider:
            kind = "…/queues/" + provider.rpartition("/")[2]
        if scope == package_account(name)["id"]:
            kind = PACKAGES
        principal = one["properties"]["principalId"]
        if principal.startswith("["):
            assert "outputs.principalId" in principal
            assert one["properties"]["principalType"] == "ServicePrincipal"
            module = re.findall(r"format\('(\w+)-\{0\}'", principal)[0]
            principal = {"identity": MAILROOM, "deploymentIdentity": DEPLOYMENT}[module]
        role = ROLES[one["properties"]["roleDefinitionId"].rpartition("/")[2]]
        found.add((kind, role, principal))
    assert found == OF_MAILROOM | OF_OTHERS.get(name, OF_DEPLOYMENT)


def test_rights_over_the_whole_tenant_are_granted_only_when_asked_for(name: str) -> None:
    grants = {one["properties"]["appRoleId"] for one in deployed(name).all("Microsoft.Graph/appRoleAssignedTo@v1.0")}
    send, read, write = (
        "b633e1c5-b582-4048-a93e-9f11b44c7e96",
        "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
        "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
    )
    assert grants == {"tenant-wide": {send, read}, "everything": {send, read, write}}.get(name, set())


def test_the_vault_decides_by_roles_and_forgets_nothing_at_once(name: str) -> None:
    vault = deployed(name).one("Microsoft.KeyVault/vaults")["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    assert vault["softDeleteRetentionInDays"] == 90
    assert vault["createMode"] == ("recover" if name == "everything" else "default")
    assert "accessPolicies" not in vault


def test_telemetry_comes_with_a_token_of_entra_only(name: str) -> None:
    here = deployed(name)
    assert here.one("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    assert here.one("Microsoft.OperationalInsights/workspaces")["properties"]["features"]["disableLocalAuth"] is True


def test_the_package_is_deployed_under_an_identity_that_reaches_nothing_else(name: str) -> None:
    """And Mailroom's own has no role on the package's account, so what it runs under cannot replace what it runs.

    That the deployment identity has no role elsewhere, and Mailroom's none there, the exact list of roles says.
    """
    here = deployed(name)
    site = here.one("Microsoft.Web/sites")["properties"]
    authentication = site["functionAppConfig"]["deployment"]["storage"]["authentication"]
    assert authentication["type"] == "UserAssignedIdentity"
    identity = authentication["userAssignedIdentityResourceId"]
    assert identity.rpartition("/")[2].startswith("id-deploy-")
    # Nor do the app's settings say how it is called: whoever knows that asks for its token from within the app.
    settings = here.one("Microsoft.Web/sites/config")["properties"].values()
    assert not [text for text in settings if "id-deploy" in text or "deploymentIdentity" in text]


def test_entra_gives_tokens_for_the_api_only_to_those_who_have_a_role_if_asked_to(name: str) -> None:
    principals = [one["properties"] for one in deployed(name).all("Microsoft.Graph/servicePrincipals@v1.0")]
    api = {"appId": "11111111-1111-1111-1111-111111111111", "appRoleAssignmentRequired": True}
    assert principals == ([api] if name == "everything" else [])


def test_the_account_of_the_ledger_is_locked_if_asked_to(name: str) -> None:
    locks = deployed(name).all("Microsoft.Authorization/locks")
    assert [lock["properties"]["level"] for lock in locks] == (["CanNotDelete"] if name == "everything" else [])
    assert all(lock["id"].startswith(f"{mail_account(name)['id']}/providers/") for lock in locks)
