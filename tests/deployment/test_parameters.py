"""What a parameter file gives, read by the real compiler, and what azd is told by its environment."""

import json
import re
import shutil
from pathlib import Path

import pytest
from deployment.errors import DeploymentError

from deployment import infra
from deployment.environments import INFRA
from deployment.parameters import Parameters, compiled, defaults_of, is_empty
from tests.deployment.group import TEMPLATE

needs_bicep = pytest.mark.skipif(infra.compiler() is None, reason="Bicep is missing: install bicep")
MAIN = (INFRA / "main.bicepparam").read_text()
# Azure computes them; a fixed value of a file that everybody shares would be wrong for somebody.
COMPUTED = {"location", "apiTenantId", "httpConcurrency"}


def test_which_settings_are_empty_is_what_the_compiler_says_of_the_defaults() -> None:
    snapshot = json.loads((INFRA / "parameters" / "default.snapshot.json").read_text())
    assert Parameters(_given("default"), TEMPLATE).settings() == _empty(snapshot)


@needs_bicep
def test_which_settings_are_empty_is_what_the_compiler_says_of_every_option() -> None:
    snapshot = json.loads((INFRA / "parameters" / "everything.snapshot.json").read_text())
    assert compiled(INFRA / "parameters" / "everything.bicepparam").settings() == _empty(snapshot)


def _given(name: str) -> dict[str, str]:
    """The texts of a parameter file, as far as a line each can say."""
    text = (INFRA / "parameters" / f"{name}.bicepparam").read_text()
    return dict(re.findall(r"^param (\w+) = '(.*)'$", text, re.MULTILINE))


def _empty(snapshot: dict[str, object]) -> dict[str, bool]:
    resources = snapshot["predictedResources"]
    assert isinstance(resources, list)
    [settings] = [one["properties"] for one in resources if one["type"] == "Microsoft.Web/sites/config"]
    return {name: value == "" for name, value in settings.items()}


def test_parameters_that_become_settings_are_known() -> None:
    found = Parameters({}, TEMPLATE).in_settings()
    assert found >= {"mailSender", "mailTo", "allowedSenders", "allowedRecipients", "callers", "mailSettings"}
    assert not found & {"alertEmail", "network", "producers", "location", "tags"}


def test_azd_can_give_every_parameter_without_editing_a_file() -> None:
    """By a variable of a name that can be guessed: MAIL_… of the setting, or MAILROOM_… of the parameter."""
    read = dict(re.findall(r"^param (\w+) = ((?:.|\n(?! *\n|param |//))*)", MAIN, re.MULTILINE))
    assert read.keys() == TEMPLATE["parameters"].keys() - COMPUTED
    assert not COMPUTED & defaults_of(TEMPLATE).keys()
    assert all(name in MAIN for name in COMPUTED)
    for name, value in read.items():
        upper = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        names = set(re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", value))
        assert names & {f"MAILROOM_{upper}", f"MAIL_{upper}", upper, "AZURE_ENV_NAME"}, name


@needs_bicep
def test_with_nothing_set_azds_file_gives_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", MAIN):
        monkeypatch.delenv(name, raising=False)
    found = compiled(INFRA / "main.bicepparam")
    assert found.given == {name: value for name, value in defaults_of(found.template).items() if value is not None}


@needs_bicep
def test_azds_file_takes_what_its_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"MAIL_MODE": "redirect", "MAIL_REDIRECT_TO": "you@contoso.com"}
    monkeypatch.setenv("MAILROOM_MAIL_SETTINGS", json.dumps(settings))
    monkeypatch.setenv("MAILROOM_PRODUCERS", '[{"principalId": "1", "queue": "mail-outbox"}]')
    monkeypatch.setenv("MAILROOM_MAXIMUM_INSTANCE_COUNT", "100")
    monkeypatch.setenv("AZURE_PRINCIPAL_ID", "me-1")
    found = compiled(INFRA / "main.bicepparam")
    assert found.given["mailSettings"] == settings
    assert found.given["maximumInstanceCount"] == 100
    assert found.given["secretsOfficerPrincipalIds"] == ["me-1"]
    assert found.settings()["MAIL_MODE"] is False


@needs_bicep
def test_the_example_compiles_and_gives_nothing_away(tmp_path: Path) -> None:
    """A file that was filled in nowhere sends from nowhere, to nobody."""
    for file in ("example.bicepparam", "main.bicep", "bicepconfig.json"):
        shutil.copy(INFRA / file, tmp_path)
    shutil.copytree(INFRA / "modules", tmp_path / "modules")
    found = compiled(tmp_path / "example.bicepparam")
    filled = {name for name, value in found.given.items() if not is_empty(value)}
    assert filled == {"environmentName", "network", "secretsOfficerPrincipalIds"}


@needs_bicep
def test_what_does_not_compile_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.bicepparam"
    file.write_text("using 'gone.bicep'\n")
    with pytest.raises(DeploymentError, match=r"bad\.bicepparam does not compile: .*\(1,7\)"):
        compiled(file)
