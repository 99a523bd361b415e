"""What would be deployed keeps Mailroom's promises: no key, no secret, the narrowest roles, the code's own names."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from deployment.infra import as_template
from shared import config
from shared.delivery import outbox, table
from shared.ratelimit import row as rates
from tests.infra.deployed import PARAMETERS, PRIVATE, ROOT, SETS, deployed, functions

MAIN: Final = (ROOT / "infra" / "main.bicep").read_text()
STORAGE: Final = "Microsoft.Storage/storageAccounts"
ROLES: Final = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
MAILROOM: Final = "Mailroom's identity"
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
        ("Microsoft.KeyVault/vaults", "Key Vault Secrets Officer", "66666666-6666-6666-6666-666666666666"),
    }
}
# What is no setting of Mailroom's but of Azure's, with who reads it.
AZURES: Final = {
    "AzureWebJobsStorage__credential": "the host, for the triggers' connections",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the host, for telemetry",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the host, for telemetry",
}
# What the code reads and is not set, with the reason.
NOT_SET: Final = {
    "AzureWebJobsStorage": "a connection string, so a key: for laptops",
    "AzureWebJobsStorage__accountName": "the three service addresses stand in for it, in every cloud",
    "WEBSITE_SITE_NAME": "the platform sets it",
}

every_set = pytest.mark.parametrize("name", SETS)


def values(tree: Any) -> Iterator[str]:
    match tree:
        case dict():
            for value in tree.values():
                yield from values(value)
        case list():
            for value in tree:
                yield from values(value)
        case str():
            yield tree


def queue_triggers() -> dict[str, dict[str, Any]]:
    return {name: trigger for name, trigger in functions().items() if trigger["type"] == "queueTrigger"}


# Storage


@every_set
def test_storage_takes_no_shared_key_and_shows_nothing_to_the_public(name: str) -> None:
    account = deployed(name).one(STORAGE)["properties"]
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["defaultToOAuthAuthentication"] is True
    assert account["allowCrossTenantReplication"] is False
    assert account["supportsHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"
    containers = deployed(name).all(f"{STORAGE}/blobServices/containers")
    assert {one["properties"]["publicAccess"] for one in containers} == {"None"}


@every_set
def test_queues_are_those_that_functions_listen_to_with_their_poison_queues(name: str) -> None:
    listened = {trigger["queueName"] for trigger in queue_triggers().values()}
    assert listened == deployed(name).names(f"{STORAGE}/queueServices/queues")
    assert {queue for queue in listened if not queue.endswith("-poison")} == {
        queue.removesuffix("-poison") for queue in listened
    }


@every_set
def test_containers_and_tables_are_those_that_the_code_names(name: str) -> None:
    """app-package is the platform's; mail-attachments is where producers put what they attach by reference."""
    containers = deployed(name).names(f"{STORAGE}/blobServices/containers")
    assert containers == {outbox.PAYLOADS, outbox.DEAD, "mail-attachments", "app-package"}
    in_code = {
        match[1]
        for path in (ROOT / "shared").rglob("*.py")
        for match in re.finditer(r'^TABLE: Final = "(mail\w+)"', path.read_text(), re.MULTILINE)
    }
    assert {table.TABLE, rates.TABLE} <= in_code
    assert deployed(name).names(f"{STORAGE}/tableServices/tables") == in_code


@every_set
def test_nothing_that_may_still_be_waited_for_is_removed_by_age(name: str) -> None:
    """A mail waits 366 days for its time, is tried 30 and is late by 7; dead mail goes with its row, by upkeep."""
    rules = {
        rule["definition"]["filters"]["prefixMatch"][0]: rule["definition"]["actions"]["baseBlob"]["delete"]
        for rule in deployed(name).one(f"{STORAGE}/managementPolicies")["properties"]["policy"]["rules"]
    }
    retention = int(deployed(name).settings()["MAIL_RETENTION_DAYS"])
    assert rules.keys() == {f"{outbox.PAYLOADS}/", f"{outbox.DEAD}/"}
    assert rules[f"{outbox.PAYLOADS}/"]["daysAfterModificationGreaterThan"] > 366 + 30 + 7
    assert rules[f"{outbox.DEAD}/"]["daysAfterModificationGreaterThan"] > retention + 30


# Who may do what


@every_set
def test_roles_are_exactly_these_on_exactly_these_scopes(name: str) -> None:
    found = set()
    for one in deployed(name).all("Microsoft.Authorization/roleAssignments"):
        scope = one["id"].partition("/providers/Microsoft.Authorization")[0]
        provider = scope.partition("/providers/")[2]
        kind = "/".join(provider.split("/")[:2])
        if "/queues/" in provider:
            kind = "…/queues/" + provider.rpartition("/")[2]
        principal = one["properties"]["principalId"]
        if principal.startswith("["):
            assert "outputs.principalId" in principal
            assert "'identity-{0}'" in principal
            assert one["properties"]["principalType"] == "ServicePrincipal"
            principal = MAILROOM
        role = ROLES[one["properties"]["roleDefinitionId"].rpartition("/")[2]]
        found.add((kind, role, principal))
    assert found == OF_MAILROOM | OF_OTHERS.get(name, set())


@every_set
def test_rights_over_the_whole_tenant_are_granted_only_when_asked_for(name: str) -> None:
    grants = {one["properties"]["appRoleId"] for one in deployed(name).all("Microsoft.Graph/appRoleAssignedTo@v1.0")}
    send, read, write = (
        "b633e1c5-b582-4048-a93e-9f11b44c7e96",
        "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
        "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
    )
    assert grants == {"tenant-wide": {send, read}, "everything": {send, read, write}}.get(name, set())


@every_set
def test_the_vault_decides_by_roles_and_forgets_nothing_at_once(name: str) -> None:
    vault = deployed(name).one("Microsoft.KeyVault/vaults")["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    assert vault["softDeleteRetentionInDays"] == 90
    assert "accessPolicies" not in vault


@every_set
def test_telemetry_comes_with_a_token_of_entra_only(name: str) -> None:
    here = deployed(name)
    assert here.one("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True
    assert here.one("Microsoft.OperationalInsights/workspaces")["properties"]["features"]["disableLocalAuth"] is True


# The app


@every_set
def test_the_app_is_python_on_flex_consumption_under_one_identity(name: str) -> None:
    here = deployed(name)
    plan, site = here.one("Microsoft.Web/serverfarms"), here.one("Microsoft.Web/sites")
    assert (plan["sku"]["name"], plan["properties"]["reserved"]) == ("FC1", True)
    configuration = site["properties"]["functionAppConfig"]
    assert configuration["runtime"] == {"name": "python", "version": (ROOT / ".python-version").read_text().strip()}
    (identity,) = site["identity"]["userAssignedIdentities"]
    assert site["identity"]["type"] == "UserAssigned"
    assert identity == here.one("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
    authentication = configuration["deployment"]["storage"]["authentication"]
    assert authentication == {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity}
    assert site["tags"]["azd-service-name"] == "api"


@every_set
def test_the_app_speaks_tls_and_takes_no_password(name: str) -> None:
    here = deployed(name)
    site = here.one("Microsoft.Web/sites")["properties"]
    assert site["httpsOnly"] is True
    assert site["siteConfig"]["minTlsVersion"] == site["siteConfig"]["scmMinTlsVersion"] == "1.2"
    assert site["siteConfig"]["ftpsState"] == "Disabled"
    policies = here.all("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {one["name"].rpartition("/")[2]: one["properties"]["allow"] for one in policies} == {
        "ftp": False,
        "scm": False,
    }


@every_set
def test_what_scales_by_itself_exists(name: str) -> None:
    configuration = deployed(name).one("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    ready = {one["name"] for one in configuration["scaleAndConcurrency"]["alwaysReady"]}
    functions = {f"function:{queue}" for queue in queue_triggers()}
    assert ready <= {"http"} | functions
    assert ready == ({"http", "function:mail_work"} if name == "everything" else set())
    assert configuration["scaleAndConcurrency"]["triggers"]["http"]["perInstanceConcurrency"] > 1


@every_set
def test_a_deployment_says_what_azd_and_the_documents_need(name: str) -> None:
    assert deployed(name).outputs == {
        "AZURE_FUNCTION_APP_NAME",
        "AZURE_KEY_VAULT_NAME",
        "AZURE_RESOURCE_GROUP",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "MAILROOM_APPLICATION_INSIGHTS",
        "MAILROOM_IDENTITY_CLIENT_ID",
        "MAILROOM_IDENTITY_OBJECT_ID",
        "MAILROOM_URL",
    }


# Settings


class Recorder(dict[str, str]):
    """An environment that notes what is asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


@every_set
def test_every_setting_that_the_code_reads_is_set_and_every_one_that_is_set_is_read(name: str) -> None:
    settings = deployed(name).settings()
    environment, laptop = Recorder(settings), Recorder({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    config.read(environment)
    config.read(laptop)
    read = environment.asked | laptop.asked
    assert read - NOT_SET.keys() == settings.keys() - AZURES.keys()


@every_set
def test_mailroom_can_use_the_settings_that_it_is_given(name: str) -> None:
    """As config.py reads them in Azure."""
    settings = deployed(name).settings()
    found = config.read(settings | {"WEBSITE_SITE_NAME": "func-mailroom"})
    assert found.problems == ()
    assert found.storage.connection_string is None
    assert found.storage.client_id == found.identity_client_id == settings["AZURE_CLIENT_ID"]
    assert found.graph.base_url == "https://graph.microsoft.com/v1.0"
    account = deployed(name).one(STORAGE)["name"]
    assert found.storage.queue_endpoint == f"https://{account}.queue.core.windows.net"
    assert found.vault_url == f"https://{deployed(name).one('Microsoft.KeyVault/vaults')['name']}.vault.azure.net"


def test_parameters_become_the_settings_they_are_named_for() -> None:
    found = config.read(deployed("everything").settings())
    assert found.sender == "team"
    assert found.to == ("operators@contoso.com", "oncall@contoso.com")
    assert found.sender_pools == {"team": ("alerts@contoso.com", "billing@contoso.com")}
    assert found.api is not None
    assert (found.api.tenant, found.api.client_id) == (
        "22222222-2222-2222-2222-222222222222",
        "11111111-1111-1111-1111-111111111111",
    )
    caller = found.callers["33333333-3333-3333-3333-333333333333"]
    assert caller.senders.allow("billing@contoso.com")
    assert caller.rate_per_minute == 60
    assert caller.attachments.allow("mail-attachments", "billing/2026.pdf")
    assert (found.mode, found.redirect_to, found.large_attachments) == ("redirect", "testers@contoso.com", True)
    assert (found.rate_per_minute, found.on_unknown, found.retention_days) == (60, "hold", 30)


def test_with_nothing_given_nobody_may_send() -> None:
    found = config.read(deployed("default").settings())
    assert found.api is None
    assert not found.callers
    assert found.sender is None
    assert not found.allowed_senders.allow("anyone@contoso.com")


@every_set
def test_no_setting_is_a_secret_or_a_reference_to_one(name: str) -> None:
    for setting, value in deployed(name).settings().items():
        assert not setting.startswith(config.SECRETS)
        assert not re.search(r"AccountKey=|SharedAccess|sig=|@Microsoft\.KeyVault|password", value, re.IGNORECASE)


@every_set
def test_no_key_is_read_from_any_resource(name: str) -> None:
    """Functions such as listKeys hand out keys; what is deployed asks for none."""
    assert not [text for text in values(list(deployed(name).resources)) if re.search(r"\blist[A-Z]\w*\(", text)]


@every_set
def test_every_connection_of_a_trigger_has_its_identity(name: str) -> None:
    settings = deployed(name).settings()
    connections = {trigger["connection"] for trigger in queue_triggers().values()}
    assert connections == {"AzureWebJobsStorage"}
    for connection in connections:
        assert settings[f"{connection}__credential"] == "managedidentity"
        assert settings[f"{connection}__clientId"]
        assert settings[f"{connection}__queueServiceUri"]


@every_set
def test_settings_that_flex_consumption_refuses_are_not_set(name: str) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption"."""
    refused = (
        "FUNCTIONS_EXTENSION_VERSION|FUNCTIONS_WORKER_RUNTIME|WEBSITE_RUN_FROM_PACKAGE|SCM_DO_BUILD_DURING_DEPLOYMENT|"
        "ENABLE_ORYX_BUILD|WEBSITE_CONTENT.*|FUNCTIONS_WORKER_PROCESS_COUNT"
    )
    assert not [setting for setting in deployed(name).settings() if re.fullmatch(refused, setting)]


@every_set
def test_an_instance_has_room_for_the_requests_that_it_takes_at_a_time(name: str) -> None:
    """The worker takes some 115 MB for one of 35 MB; the functions host was not measured, so it is given as much twice.

    Half a gigabyte is for both while they hold none. tests/e2e/test_large_memory.py measures the worker.
    """
    here = deployed(name)
    scale = here.one("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    settings = here.settings()
    body = int(settings["MAIL_MAX_REQUEST_MB"] or 35) if settings["MAIL_LARGE_ATTACHMENTS"] == "true" else 4
    requests = scale["triggers"]["http"]["perInstanceConcurrency"]
    assert scale["instanceMemoryMB"] >= 512 + requests * 3 * 115 * body / 35


def test_large_mails_lower_how_many_requests_an_instance_takes_by_default() -> None:
    parameters = json.loads((ROOT / "infra" / "azuredeploy.json").read_text())["parameters"]
    default = parameters["httpConcurrency"]["defaultValue"]
    assert re.search(r"'MAIL_LARGE_ATTACHMENTS'.*'true'.*16.*'MAIL_MAX_REQUEST_MB'.*'35'.*35\), 1, 4\)", default)
    for requests, body in ((4, 35), (1, 100)):
        assert parameters["instanceMemoryMB"]["defaultValue"] >= 512 + requests * 3 * 115 * body / 35


# The network


@pytest.mark.parametrize("name", PRIVATE)
def test_on_a_private_network_nothing_keeps_the_app_from_graph_entra_and_the_upload_host(name: str) -> None:
    """Rules of a network security group know no host names; a firewall's do, so the example and the pages name them."""
    [guard] = deployed(name).all("Microsoft.Network/networkSecurityGroups")
    rules = guard.get("properties", {}).get("securityRules", [])
    assert [rule for rule in rules if rule["properties"]["direction"] == "Outbound"] == []
    pages = (PARAMETERS / "private.bicepparam", ROOT / "docs" / "deploy.md", ROOT / "docs" / "operations.md")
    for host in ("graph.microsoft.com", "login.microsoftonline.com", "outlook.office.com"):
        assert [page.name for page in pages if host not in page.read_text()] == [], host


@every_set
def test_the_network_is_as_open_as_its_parameter_says(name: str) -> None:
    here = deployed(name)
    private = name in PRIVATE
    for kind in (STORAGE, "Microsoft.KeyVault/vaults"):
        resource = here.one(kind)["properties"]
        assert resource["publicNetworkAccess"] == ("Disabled" if private else "Enabled")
        assert resource["networkAcls"]["defaultAction"] == ("Deny" if private else "Allow")
    site = here.one("Microsoft.Web/sites")["properties"]
    assert bool(site["virtualNetworkSubnetId"]) is private
    groups = {
        tuple(connection["properties"]["groupIds"])
        for endpoint in here.all("Microsoft.Network/privateEndpoints")
        for connection in endpoint["properties"]["privateLinkServiceConnections"]
    }
    assert groups == ({("blob",), ("queue",), ("table",), ("vault",)} if private else set())


@pytest.mark.parametrize("name", PRIVATE)
def test_on_a_private_network_each_service_is_found_by_its_zone(name: str) -> None:
    here = deployed(name)
    zones = here.all("Microsoft.Network/privateDnsZones")
    links = here.all("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    records = here.all("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    assert len(zones) == len(links) == len(records) == 4
    text = json.dumps(zones)
    assert all(f"privatelink.{kind}." in text for kind in ("blob", "queue", "table"))
    assert ".vaultcore." in text
    site = here.one("Microsoft.Web/sites")["properties"]
    subnet = site["virtualNetworkSubnetId"].rpartition("/")[2]
    subnets = {
        one["name"]: one["properties"] for one in here.one("Microsoft.Network/virtualNetworks")["properties"]["subnets"]
    }
    assert [one["properties"]["serviceName"] for one in subnets[subnet]["delegations"]] == [
        "Microsoft.App/environments"
    ]
    assert subnets[subnet]["defaultOutboundAccess"] is True  # Graph is outside


# The files


@every_set
def test_versions_of_azures_interfaces_are_stable_ones(name: str) -> None:
    """But one, whose only stable version does not know groups of categories: modules/key-vault.bicep."""
    previews = {one["type"] for one in deployed(name).resources if "preview" in one.get("apiVersion", "")}
    assert previews == {"Microsoft.Insights/diagnosticSettings"}


@every_set
def test_everything_is_tagged_for_azd(name: str) -> None:
    untagged = {
        one["type"]
        for one in deployed(name).resources
        if "location" in one and "azd-env-name" not in one.get("tags", {})
    }
    assert untagged == set()


def test_every_parameter_is_described_and_has_a_default() -> None:
    """So `az deployment group create --template-file infra/main.bicep` asks for nothing."""
    template = json.loads((ROOT / "infra" / "azuredeploy.json").read_text())
    for name, parameter in template["parameters"].items():
        assert "defaultValue" in parameter, name
        assert parameter["metadata"]["description"], name


def test_the_button_deploys_what_main_bicep_is() -> None:
    """The same parameters and outputs; test_current.py compares the whole where there is a compiler."""
    template = json.loads((ROOT / "infra" / "azuredeploy.json").read_text())
    assert set(template["parameters"]) == set(re.findall(r"^param (\w+)", MAIN, re.MULTILINE))
    assert (
        set(template["outputs"]) == set(re.findall(r"^output (\w+)", MAIN, re.MULTILINE)) == deployed("default").outputs
    )


@every_set
def test_the_flat_template_for_checkov_has_every_resource_of_azure(name: str) -> None:
    snapshot = json.loads((PARAMETERS / f"{name}.snapshot.json").read_text())
    flat = as_template(snapshot)["resources"]
    beyond = [one for one in snapshot["predictedResources"] if one not in flat]
    assert all(one["type"].startswith("Microsoft.Graph/") for one in beyond)


def test_every_reason_to_skip_a_check_is_given() -> None:
    for path in (ROOT / "infra").glob(".checkov-*.yaml"):
        skipped = re.findall(r"^  - (CKV\w+)(.*)$", path.read_text(), re.MULTILINE)
        assert skipped
        assert all(re.fullmatch(r" # .{10,}", reason) for _, reason in skipped)
