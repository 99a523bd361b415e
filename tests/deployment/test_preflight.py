"""Before azd provisions: what its environment does not say of what is deployed is named and refused."""

import json
from pathlib import Path

import pytest

from deployment import preflight
from tests.deployment.cloud import Azure
from tests.deployment.group import PROVIDER, GroupOfResources, az, recorded

GIVEN = {"environmentName": "prod", "mailSender": "alerts@contoso.com", "mailTo": "ops@contoso.com"}


@pytest.fixture
def file(cloud: Azure, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A parameter file of GIVEN, and azd's environment of a group that was deployed by it."""
    az(tools)
    environment = {"ENV_NAME": "prod", "SUBSCRIPTION_ID": "sub-1", "RESOURCE_GROUP": "rg-mail"}
    for name, value in environment.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    for name, there in {"PATH": tools, "HOME": tools, "MAILROOM_ROLES_WITHIN": 0.5}.items():
        monkeypatch.setenv(name, str(there))
    cloud.group = GroupOfResources(
        settings={"MAIL_SENDER": "alerts@contoso.com"}, deployments={"prod-1700000000": recorded(GIVEN)}
    )
    path = tmp_path / "main.bicepparam"
    path.with_name("main.bicepparam.json").write_text(json.dumps(GIVEN))
    return path


def look(cloud: Azure, file: Path) -> int:
    return preflight.main(["--parameters", str(file), "--manager", cloud.url])


def test_the_same_environment_passes_without_a_word(
    cloud: Azure, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert look(cloud, file) == 0
    assert capfd.readouterr() == ("", "")


def test_a_new_environment_of_the_same_name_is_refused_before_it_blanks_what_is_there(
    cloud: Azure, file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.with_name("main.bicepparam.json").write_text(json.dumps({"environmentName": "prod"}))
    assert look(cloud, file) == 1
    said = capfd.readouterr().err
    assert "\n  MAIL_SENDER: a setting that would be empty" in said
    monkeypatch.setenv("ALLOW_EMPTY", "MAIL_SENDER")
    assert look(cloud, file) == 0


def test_one_that_does_not_know_its_group_is_told_which_it_may_be(
    cloud: Azure, file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_RESOURCE_GROUP")
    assert look(cloud, file) == 1
    assert "azd env set AZURE_RESOURCE_GROUP rg-mail" in capfd.readouterr().err
    assert cloud.group
    cloud.group.settings = None
    assert look(cloud, file) == 0  # the first deployment


def test_without_a_subscription_it_says_how_to_say_which(
    cloud: Azure, file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    assert look(cloud, file) == 1
    assert "azd env set AZURE_SUBSCRIPTION_ID <id>" in capfd.readouterr().err


def test_a_group_that_is_not_there_yet_has_nothing_to_lose(cloud: Azure, file: Path) -> None:
    assert cloud.group
    cloud.group.there = False
    assert look(cloud, file) == 0


def test_a_private_network_registers_its_provider(cloud: Azure, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployment.providers.PAUSE", 0.01)
    assert cloud.group
    cloud.group.registered = ["NotRegistered", "Registering", "Registered"]
    file.with_name("main.bicepparam.json").write_text(json.dumps(GIVEN | {"network": "private"}))
    assert look(cloud, file) == 0
    assert f"POST {PROVIDER}/register" in cloud.paths()
