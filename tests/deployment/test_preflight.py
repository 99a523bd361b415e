"""What azd runs before it provisions, and `make deploy` before it deploys: nothing is lost unasked."""

from pathlib import Path
from typing import Any

import pytest

from deployment.deployed import LastDeployment
from deployment.parameters import CompiledParameters
from deployment.preflight import losses
from tests.deployment.cloud import REGISTRATION, FakeAzure, recorded
from tests.deployment.machine import Machine
from tests.infra.deployed import TEMPLATE

GIVEN = {
    "environmentName": "prod",
    "mailSender": "alerts@contoso.com",
    "mailTo": "ops@contoso.com",
    "alertEmail": "ops@contoso.com",
}
SETTINGS = {"MAIL_SENDER": "alerts@contoso.com", "MAIL_TO": "ops@contoso.com", "MAIL_RETENTION_DAYS": "14"}
LOST: dict[str, tuple[dict[str, str], dict[str, Any], set[str]]] = {
    "the senders, in a setting": ({"MAIL_ALLOWED_SENDERS": "a@contoso.com"}, {}, {"MAIL_ALLOWED_SENDERS"}),
    "callers": ({"MAIL_CALLERS": '{"1": {"senders": []}}'}, {}, {"MAIL_CALLERS"}),
    "recipients": ({"MAIL_ALLOWED_RECIPIENTS": "*@contoso.com"}, {}, {"MAIL_ALLOWED_RECIPIENTS"}),
    "one of the other settings": ({"MAIL_MODE": "redirect"}, {}, {"MAIL_MODE"}),
    "a secret put by hand": ({"MAIL_SECRET_GITHUB": "x"}, {}, {"MAIL_SECRET_GITHUB"}),
    "a setting put by hand": ({"MY_OWN": "x", "BLANK": " "}, {}, {"MY_OWN"}),
    "what depends on another": (
        {"MAIL_API_CLIENT_ID": "1", "MAIL_API_TENANT": "2"}, {}, {"MAIL_API_CLIENT_ID", "MAIL_API_TENANT"}),
    "the alert address": ({}, {"alertEmail": "sre@contoso.com"}, {"alertEmail"}),
    "action groups": ({}, {"actionGroupIds": ["/x"]}, {"actionGroupIds"}),
    "the network": ({}, {"network": "private"}, {"network"}),
    "existing subnets": ({}, {"existingSubnets": {"app": "/a", "endpoints": "/b"}}, {"existingSubnets"}),
    "the lock": ({}, {"lockStorage": True}, {"lockStorage"}),
    "who may reach it": ({}, {"siteAccess": [{"name": "x", "ipAddress": "203.0.113.7/32"}]}, {"siteAccess"}),
    "nothing: a vault was recovered": ({}, {"vaultCreateMode": "recover"}, set()),
    "a size": ({}, {"maximumInstanceCount": 100}, {"maximumInstanceCount"}),
    "producers": ({}, {"producers": [{"principalId": "1", "queue": "mail-outbox"}]}, {"producers"}),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "values", "names"), LOST.values(), ids=LOST)
def test_what_would_be_lost_is_named(settings: dict[str, str], values: dict[str, Any], names: set[str]) -> None:
    """Whoever set it, in the app or as a parameter of the last deployment. Its value is not shown."""
    given = {name: value for name, value in GIVEN.items() if name not in values}
    last = LastDeployment(recorded(GIVEN | values), TEMPLATE)
    found = losses(SETTINGS | settings, last, CompiledParameters(given, TEMPLATE))
    assert found.keys() == names
    assert not any(value in str(found) for value in settings.values() if len(value) > 2)
    assert losses(SETTINGS, last, CompiledParameters({**GIVEN, **values}, TEMPLATE)) == {}


@pytest.fixture
def file(machine: Machine, cloud: FakeAzure, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parameters in azd's environment of a group that was deployed by GIVEN."""
    for name, value in {"ENV_NAME": "prod", "SUBSCRIPTION_ID": "sub-1", "RESOURCE_GROUP": "rg-mail"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    cloud.settings = {"MAIL_SENDER": "alerts@contoso.com"}
    cloud.deployments = {"prod-1700000000": recorded(GIVEN)}
    return machine.parameters("main", **GIVEN)


def test_the_same_environment_passes_silently(machine: Machine, file: Path) -> None:
    done = machine.run("preflight", "--parameters", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_new_environment_of_the_same_name_is_refused(
    machine: Machine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.parameters("main", environmentName="prod", alertEmail="ops@contoso.com")
    assert "\n  MAIL_SENDER: a setting that would be empty" in machine.refused("preflight", "--parameters", str(file))
    monkeypatch.setenv("ALLOW_EMPTY", "MAIL_SENDER")
    assert machine.run("preflight", "--parameters", str(file)).returncode == 0


def test_without_its_group_an_environment_is_told_which_it_may_be(
    machine: Machine, cloud: FakeAzure, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_RESOURCE_GROUP", "")
    said = machine.refused("preflight", "--parameters", str(file))
    assert "azd env set AZURE_RESOURCE_GROUP rg-mail" in said
    cloud.settings = None
    assert machine.run("preflight", "--parameters", str(file)).returncode == 0  # the first deployment
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "")
    assert "azd env set AZURE_SUBSCRIPTION_ID <id>" in machine.refused("preflight", "--parameters", str(file))


def test_a_group_that_does_not_exist_yet_has_nothing_to_lose(machine: Machine, cloud: FakeAzure, file: Path) -> None:
    cloud.there = False
    machine.parameters("main", environmentName="prod")
    assert machine.run("preflight", "--parameters", str(file)).returncode == 0


def test_a_private_network_registers_its_provider_and_waits(machine: Machine, cloud: FakeAzure, file: Path) -> None:
    cloud.registered = ["NotRegistered", "Registering", "Registered"]
    machine.parameters("main", **GIVEN | {"network": "private"})
    assert machine.run("preflight", "--parameters", str(file)).returncode == 0
    assert cloud.paths().count(f"POST {REGISTRATION}/register") == 1
    cloud.registered = ["NotRegistered"]
    machine.parameters("main", **GIVEN)
    assert machine.run("preflight", "--parameters", str(file)).returncode == 0  # a public network needs none
    assert cloud.paths().count(f"POST {REGISTRATION}/register") == 1


@pytest.mark.parametrize("sees", [True, False])
def test_whoever_may_not_register_is_told_what_to_ask_for(
    machine: Machine, cloud: FakeAzure, file: Path, *, sees: bool
) -> None:
    """Rights on the group alone are enough to deploy, and show nothing of the subscription's providers."""
    cloud.registered, cloud.may_register = ["NotRegistered"], False
    cloud.refusals = {} if sees else {REGISTRATION: 100}
    machine.parameters("main", **GIVEN | {"network": "private"})
    done = machine.run("preflight", "--parameters", str(file))
    assert done.returncode == sees
    command = "az provider register --namespace Microsoft.App --subscription sub-1"
    assert command in (done.stderr if sees else done.stdout)
