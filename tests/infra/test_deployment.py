"""What would be deployed keeps Mailroom's promises: no key, no secret, the narrowest roles, the code's own names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deployment.infra import as_template
from shared.delivery import attention, ledger, queue
from shared.ratelimit import shared_row as rates
from shared.settings import config, environ
from shared.settings.queue_names import RESULTS
from shared.storage.table_identity import OWN
from tests.infra.deployed import (
    ROOT,
    STORAGE,
    TEMPLATE,
    deployed,
    functions,
    mail_account,
    package_account,
    resolved,
    snapshot,
)
from tests.infra.names import RULES

COSTS: Final = (ROOT / "docs" / "costs.md").read_text()
MAIN: Final = (ROOT / "infra" / "main.bicep").read_text()
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


def test_storage_takes_no_shared_key_and_shows_nothing_to_the_public(name: str) -> None:
    assert len(deployed(name).all(STORAGE)) == 2
    for account in (one["properties"] for one in deployed(name).all(STORAGE)):
        assert account["allowSharedKeyAccess"] is False
        assert account["allowBlobPublicAccess"] is False
        assert account["defaultToOAuthAuthentication"] is True
        assert account["allowCrossTenantReplication"] is False
        assert account["supportsHttpsTrafficOnly"] is True
        assert account["minimumTlsVersion"] == "TLS1_2"
    containers = deployed(name).all(f"{STORAGE}/blobServices/containers")
    assert {one["properties"]["publicAccess"] for one in containers} == {"None"}


def test_queues_are_those_that_functions_listen_to_with_their_poison_queues(name: str) -> None:
    """And mail-results, where Mailroom only puts messages."""
    listened = {trigger["queueName"] for trigger in queue_triggers().values()}
    assert listened | {RESULTS} == deployed(name).names(f"{STORAGE}/queueServices/queues")
    assert {queue for queue in listened if not queue.endswith("-poison")} == {
        queue.removesuffix("-poison") for queue in listened
    }


def test_containers_and_tables_are_those_that_the_code_names(name: str) -> None:
    """mail-attachments is where producers put what they attach by reference. The package has an account of its own."""
    own, packages = mail_account(name), package_account(name)
    containers = {one["name"] for one in deployed(name).all(f"{STORAGE}/blobServices/containers")}
    assert containers == {
        f"{packages['name']}/default/app-package",
        *(f"{own['name']}/default/{container}" for container in (OWN, queue.DEAD, "mail-attachments")),
    }
    in_code = {
        match[1]
        for path in (ROOT / "shared").rglob("*.py")
        for match in re.finditer(r'^TABLE: Final = "(mail\w+)"', path.read_text(), re.MULTILINE)
    }
    assert {attention.TABLE, ledger.TABLE, rates.TABLE} <= in_code
    assert deployed(name).names(f"{STORAGE}/tableServices/tables") == in_code


def test_nothing_that_may_still_be_waited_for_is_removed_by_age(name: str) -> None:
    """A mail waits 366 days for its time, is tried 30 and is late by 7; dead mail goes with its row, by maintenance."""
    rules = {
        rule["definition"]["filters"]["prefixMatch"][0]: rule["definition"]["actions"]["baseBlob"]["delete"]
        for rule in deployed(name).one(f"{STORAGE}/managementPolicies")["properties"]["policy"]["rules"]
    }
    retention = int(deployed(name).settings()["MAIL_RETENTION_DAYS"])
    assert rules.keys() == {f"{OWN}/", f"{queue.DEAD}/"}
    assert rules[f"{OWN}/"]["daysAfterModificationGreaterThan"] > 366 + 30 + 7
    assert rules[f"{queue.DEAD}/"]["daysAfterModificationGreaterThan"] > retention + 30


# The app


def test_the_app_is_python_on_flex_consumption_under_two_identities(name: str) -> None:
    here = deployed(name)
    plan, site = here.one("Microsoft.Web/serverfarms"), here.one("Microsoft.Web/sites")
    assert (plan["sku"]["name"], plan["properties"]["reserved"]) == ("FC1", True)
    configuration = site["properties"]["functionAppConfig"]
    assert configuration["runtime"] == {"name": "python", "version": (ROOT / ".python-version").read_text().strip()}
    identities = {one["id"] for one in here.all("Microsoft.ManagedIdentity/userAssignedIdentities")}
    assert site["identity"]["type"] == "UserAssigned"
    assert site["identity"]["userAssignedIdentities"].keys() == identities
    assert len(identities) == 2
    assert site["tags"]["azd-service-name"] == "api"


def test_instances_are_in_several_zones_if_asked_to_and_azure_takes_how_many_are_ready(name: str) -> None:
    here = deployed(name)
    zones = here.one("Microsoft.Web/serverfarms")["properties"]["zoneRedundant"]
    assert zones is (name == "everything")
    assert {one["sku"]["name"] for one in here.all(STORAGE)} == {"Standard_GZRS" if zones else "Standard_ZRS"}
    scale = here.one("Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert all(group["instanceCount"] >= (2 if zones else 1) for group in scale["alwaysReady"])


def test_the_price_of_zones_is_that_of_two_instances_for_each_group_that_scales_by_itself() -> None:
    """All HTTP functions are one group, every other function is one. What an instance costs stands in docs/costs.md."""
    groups = 1 + sum(trigger["type"] != "httpTrigger" for trigger in functions().values())
    (instance,) = re.findall(r"^`alwaysReadyHttp = 1`: .* = ([\d.]+),", COSTS, re.MULTILINE)
    price = groups * 2 * 2 * 730 * 3600 * 0.000004
    assert abs(price - groups * 2 * float(instance)) < 0.1
    assert f"for each of {groups} groups | + {price:.2f} " in COSTS
    assert re.search(rf"\b{price:.0f}\s+dollars", (ROOT / "docs" / "deploy.md").read_text())


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


def test_what_scales_by_itself_exists(name: str) -> None:
    configuration = deployed(name).one("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    ready = {one["name"] for one in configuration["scaleAndConcurrency"]["alwaysReady"]}
    functions = {f"function:{queue}" for queue in queue_triggers()}
    assert ready <= {"http"} | functions
    assert ready == ({"http", "function:mail_work"} if name == "everything" else set())
    assert configuration["scaleAndConcurrency"]["triggers"]["http"]["perInstanceConcurrency"] > 1


def test_a_deployment_says_what_azd_and_the_documents_need(name: str) -> None:
    assert deployed(name).outputs == {
        "AZURE_FUNCTION_APP_NAME",
        "AZURE_KEY_VAULT_NAME",
        "AZURE_RESOURCE_GROUP",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "MAILROOM_ALERTS",
        "MAILROOM_APPLICATION_INSIGHTS",
        "MAILROOM_DEPLOYMENT_IDENTITY_OBJECT_ID",
        "MAILROOM_IDENTITY_CLIENT_ID",
        "MAILROOM_IDENTITY_OBJECT_ID",
        "MAILROOM_PACKAGE_ACCOUNT_ID",
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


def test_every_setting_that_the_code_reads_is_set_and_every_one_that_is_set_is_read(name: str) -> None:
    settings = deployed(name).settings()
    environment, laptop = Recorder(settings), Recorder({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    config.read(environment)
    config.read(laptop)
    read = environment.asked | laptop.asked
    assert read - NOT_SET.keys() == settings.keys() - AZURES.keys()


def test_mailroom_can_use_the_settings_that_it_is_given(name: str) -> None:
    """As config.py reads them in Azure."""
    settings = deployed(name).settings()
    found = config.read(settings | {"WEBSITE_SITE_NAME": "func-mailroom"})
    assert found.problems == ()
    assert found.storage.connection_string is None
    assert found.storage.client_id == found.identity_client_id == settings["AZURE_CLIENT_ID"]
    assert found.graph.base_url == "https://graph.microsoft.com/v1.0"
    account = mail_account(name)["name"]
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
    assert (found.rate_per_minute, found.on_unknown, found.retention_days) == (60, "review", 30)


def test_with_nothing_given_nobody_may_send() -> None:
    found = config.read(deployed("default").settings())
    assert found.api is None
    assert not found.callers
    assert found.sender is None
    assert not found.allowed_senders.allow("anyone@contoso.com")


def test_no_setting_is_a_secret_or_a_reference_to_one(name: str) -> None:
    for setting, value in deployed(name).settings().items():
        assert not setting.startswith(environ.SECRETS)
        assert not re.search(r"AccountKey=|SharedAccess|sig=|@Microsoft\.KeyVault|password", value, re.IGNORECASE)


def test_no_key_is_read_from_any_resource(name: str) -> None:
    """Functions such as listKeys hand out keys; what is deployed asks for none."""
    assert not [text for text in values(list(deployed(name).resources)) if re.search(r"\blist[A-Z]\w*\(", text)]


def test_every_connection_of_a_trigger_has_its_identity(name: str) -> None:
    settings = deployed(name).settings()
    connections = {trigger["connection"] for trigger in queue_triggers().values()}
    assert connections == {"AzureWebJobsStorage"}
    for connection in connections:
        assert settings[f"{connection}__credential"] == "managedidentity"
        assert settings[f"{connection}__clientId"]
        assert settings[f"{connection}__queueServiceUri"]


def test_settings_that_flex_consumption_refuses_are_not_set(name: str) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption"."""
    refused = (
        "FUNCTIONS_EXTENSION_VERSION|FUNCTIONS_WORKER_RUNTIME|WEBSITE_RUN_FROM_PACKAGE|SCM_DO_BUILD_DURING_DEPLOYMENT|"
        "ENABLE_ORYX_BUILD|WEBSITE_CONTENT.*|FUNCTIONS_WORKER_PROCESS_COUNT"
    )
    assert not [setting for setting in deployed(name).settings() if re.fullmatch(refused, setting)]


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
    parameters = TEMPLATE["parameters"]
    default = parameters["httpConcurrency"]["defaultValue"]
    assert re.search(r"'MAIL_LARGE_ATTACHMENTS'.*'true'.*16.*'MAIL_MAX_REQUEST_MB'.*'35'.*35\), 1, 4\)", default)
    for requests, body in ((4, 35), (1, 100)):
        assert parameters["instanceMemoryMB"]["defaultValue"] >= 512 + requests * 3 * 115 * body / 35


# The files


def test_versions_of_azures_interfaces_are_stable_ones(name: str) -> None:
    """But one, whose only stable version does not know groups of categories: modules/key-vault.bicep."""
    previews = {one["type"] for one in deployed(name).resources if "preview" in one.get("apiVersion", "")}
    assert previews == {"Microsoft.Insights/diagnosticSettings"}


def test_everything_is_tagged_for_azd(name: str) -> None:
    untagged = {
        one["type"]
        for one in deployed(name).resources
        if "location" in one and "azd-env-name" not in one.get("tags", {})
    }
    assert untagged == set()


def test_every_resource_has_a_name_that_azure_takes(name: str) -> None:
    """Of the parameter files, `everything` has an environment with each sign that azd takes."""
    named = [(one["type"], _last(one["name"])) for one in deployed(name).resources if "apiVersion" in one]
    assert [(kind, found) for kind, found in named if not re.fullmatch(RULES[kind], found)] == []


def _last(name: str) -> str:
    """The last part of a name. That of a DNS zone depends on the cloud, so it is an expression."""
    if name.startswith("[format('{0}/{1}'"):
        return name.removesuffix("')]").rpartition("'")[2]
    return resolved(name).rpartition("/")[2] if name.startswith("[") else name.rpartition("/")[2]


def test_every_parameter_is_described_and_has_a_default() -> None:
    """So `az deployment group create --template-file infra/main.bicep` asks for nothing."""
    for name, parameter in TEMPLATE["parameters"].items():
        assert "defaultValue" in parameter or parameter.get("nullable"), name
        assert parameter["metadata"]["description"], name


def test_the_button_deploys_what_main_bicep_is() -> None:
    """The same parameters and outputs; test_compiler.py compares the whole if there is a compiler."""
    assert set(TEMPLATE["parameters"]) == set(re.findall(r"^param (\w+)", MAIN, re.MULTILINE))
    assert (
        set(TEMPLATE["outputs"]) == set(re.findall(r"^output (\w+)", MAIN, re.MULTILINE)) == deployed("default").outputs
    )


def test_the_flat_template_for_checkov_has_every_resource_of_azure(name: str) -> None:
    flat = as_template(snapshot(name))["resources"]
    beyond = [one for one in deployed(name).resources if one not in flat]
    assert all(one["type"].startswith("Microsoft.Graph/") for one in beyond)


def test_every_reason_to_skip_a_check_is_given() -> None:
    for path in (ROOT / "infra").glob(".checkov-*.yaml"):
        skipped = re.findall(r"^  - (CKV\w+)(.*)$", path.read_text(), re.MULTILINE)
        assert skipped
        assert all(re.fullmatch(r" # .{10,}", reason) for _, reason in skipped)
