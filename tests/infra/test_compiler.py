"""What the Bicep compiler says of the files of infra/. One process answers all; without one on PATH these are skipped.

The compiler evaluates a template as Azure does, so functions of infra/modules are tested by its snapshots.
"""

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from deployment import DeploymentError, infra
from deployment.infra import INFRA, Bicep
from deployment.parameters import CompiledParameters, compiled, defaults_of, from_json, is_empty
from tests.infra.deployed import TEMPLATE, deployed
from tests.infra.names import RULES

pytestmark = pytest.mark.skipif(infra.compiler() is None, reason="Bicep is missing: install bicep")
# What azd's environment says; main.bicepparam reads it.
AZD: Final = {
    "MAILROOM_MAIL_SETTINGS": '{"MAIL_MODE": "redirect", "MAIL_REDIRECT_TO": "you@contoso.com"}',
    "MAILROOM_PRODUCERS": '[{"principalId": "1", "queue": "mail-outbox"}]',
    "MAILROOM_MAXIMUM_INSTANCE_COUNT": "100",
    "AZURE_PRINCIPAL_ID": "me-1",
}


@pytest.fixture(scope="module")
def bicep() -> Iterator[Bicep]:
    with pytest.MonkeyPatch.context() as environment:
        for name in re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", (INFRA / "main.bicepparam").read_text()):
            environment.delenv(name, raising=False)
        for name, value in AZD.items():
            environment.setenv(name, value)
        running = Bicep()
    with running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where templates can import from the modules."""
    made = tmp_path_factory.mktemp("bicep")
    shutil.copytree(INFRA / "modules", made / "modules")
    return made


def outputs(bicep: Bicep, folder: Path, template: str, parameters: str = "") -> dict[str, Any]:
    (folder / "try.bicep").write_text(template)
    (folder / "try.bicepparam").write_text(f"using 'try.bicep'\n{parameters}")
    found: dict[str, Any] = bicep.snapshot(folder / "try.bicepparam")["outputs"]
    return found


def given_by(bicep: Bicep, file: Path) -> CompiledParameters:
    faults, answer = bicep.build(file)
    assert faults == []
    return from_json(answer["parameters"], answer["template"])


# The files


def test_bicep_files_have_no_warning_are_formatted_and_what_is_made_of_them_is_current(bicep: Bicep) -> None:
    """`make infra`: lint with every rule an error, build, formatter, azuredeploy.json, snapshots."""
    assert list(infra.check(bicep)) == []


def test_what_is_wrong_with_the_files_is_said(bicep: Bicep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that is not used, a file that is not formatted, and outdated results."""
    copy = Path(shutil.copytree(INFRA, tmp_path / "infra"))
    for file in copy.rglob("*.bicepparam"):
        if file.stem != "default":
            file.unlink()
    kept = copy / "parameters" / "default.snapshot.json"
    kept.write_text(kept.read_text().replace("TLS1_2", "TLS1_0"))
    with (copy / "main.bicep").open("a") as main:
        main.write("output  ANOTHER string = ''\n")
    (copy / "unused.bicep").write_text("param unused string\n")
    places = {"INFRA": copy, "PARAMETERS": copy / "parameters", "COMPILED": copy / "azuredeploy.json"}
    for name, place in places.items():
        monkeypatch.setattr(infra, name, place)
    assert {line.partition(";")[0].removeprefix(f"{copy}/") for line in infra.check(bicep)} == {
        'unused.bicep(1,7) : Error no-unused-params: Parameter "unused" is declared but never used.',
        "infra/main.bicep: is not formatted",
        "infra/parameters/default.snapshot.json: is outdated",
        "infra/azuredeploy.json: is not what main.bicep makes",
    }


# Parameter files


def test_which_settings_are_empty_is_what_the_compiler_says(bicep: Bicep) -> None:
    settings = deployed("everything").one("Microsoft.Web/sites/config")["properties"]
    found = given_by(bicep, INFRA / "parameters" / "everything.bicepparam").settings()
    assert found == {name: value == "" for name, value in settings.items()}


def test_the_example_gives_nothing_away(bicep: Bicep) -> None:
    """A file in which nothing was filled in sends from no mailbox, to nobody."""
    found = given_by(bicep, INFRA / "example.bicepparam")
    filled = {name for name, value in found.given.items() if not is_empty(value)}
    assert filled == {"environmentName", "network", "secretsOfficerPrincipalIds"}


def test_azds_file_takes_what_its_environment_says_and_else_the_defaults(bicep: Bicep) -> None:
    found = given_by(bicep, INFRA / "main.bicepparam")
    said = {
        "mailSettings": json.loads(AZD["MAILROOM_MAIL_SETTINGS"]),
        "producers": json.loads(AZD["MAILROOM_PRODUCERS"]),
        "maximumInstanceCount": 100,
        "secretsOfficerPrincipalIds": ["me-1"],
    }
    assert found.given == {name: one for name, one in defaults_of(TEMPLATE).items() if one is not None} | said
    assert found.settings()["MAIL_MODE"] is False


def test_a_file_is_compiled_by_its_name_or_told_to_be_wrong_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "prod.bicepparam"
    (tmp_path / "main.bicep").write_text("param environmentName string\n")
    file.write_text("using 'main.bicep'\nparam environmentName = 'prod'\n")
    assert compiled(file).given == {"environmentName": "prod"}
    file.write_text("using 'gone.bicep'\n")
    with pytest.raises(DeploymentError, match=r"prod\.bicepparam does not compile: .*\(1,7\)"):
        compiled(file)


# Functions of the modules

FUNCTIONS: Final = """
import { redundancyOf } from 'modules/regions.bicep'
import { restrictions } from 'modules/access.bicep'
import { apiToRestrict, isPrivateNetwork } from 'modules/checks.bicep'
"""
WORTH: Final[dict[str, Any]] = {
    # Storage is kept in three zones where the region has any, and as it is asked for.
    "redundancyOf('', 'westeurope', false)": "Standard_ZRS",
    "redundancyOf('', 'West US 2', false)": "Standard_ZRS",
    "redundancyOf('', 'westus', false)": "Standard_LRS",  # a deployment fails by a redundancy that the region lacks
    "redundancyOf('', 'North Central US', false)": "Standard_LRS",
    "redundancyOf('', 'UKWEST', false)": "Standard_LRS",
    "redundancyOf('Standard_GRS', 'westeurope', false)": "Standard_GRS",
    "redundancyOf('Standard_ZRS', 'westus', false)": "Standard_ZRS",  # Mailroom's list of regions may be outdated
    "redundancyOf('', 'westeurope', true)": "Standard_ZRS",
    "redundancyOf('Standard_GZRS', 'westeurope', true)": "Standard_GZRS",
    "isPrivateNetwork('public', false, false, false)": False,
    "isPrivateNetwork('private', false, false, false)": True,
    "isPrivateNetwork('private', true, true, false)": True,
    "isPrivateNetwork('private', false, true, true)": True,
    "apiToRestrict('11111111-1111-1111-1111-111111111111')": "11111111-1111-1111-1111-111111111111",
}
RULE: Final = "{ name: 'office', ipAddress: '203.0.113.7/32', serviceTag: 'ActionGroup' }"
REFUSED: Final = {
    "redundancyOf('', 'westus', true)": "westus has no zones",
    f"restrictions([{RULE}])": "office has 2 of ipAddress, serviceTag and subnetId",
    "isPrivateNetwork('public', true, false, false)": "no effect on the network public",
    "isPrivateNetwork('private', true, true, true)": "no effect on existingSubnets",
    "apiToRestrict('')": "apiClientId is empty",
}


def test_functions_give_what_they_should(bicep: Bicep, folder: Path) -> None:
    lines = [f"output o{at} {_type(value)} = {expression}" for at, (expression, value) in enumerate(WORTH.items())]
    found = outputs(bicep, folder, FUNCTIONS + "\n".join(lines) + "\n")
    assert {expression: found[f"o{at}"] for at, expression in enumerate(WORTH)} == WORTH


def _type(value: object) -> str:
    return "bool" if isinstance(value, bool) else "string"


@pytest.mark.parametrize("expression", REFUSED)
def test_a_choice_without_effect_or_against_the_regions_zones_stops_the_deployment(
    bicep: Bicep, folder: Path, expression: str
) -> None:
    name = expression.partition("(")[0]
    [imported] = re.findall(rf"import {{ .*\b{name}\b.* }} from ('.*')", FUNCTIONS)
    kind = {"restrictions": "array", "isPrivateNetwork": "bool"}.get(name, "string")
    template = f"import {{ {name} }} from {imported}\noutput o {kind} = {expression}\n"
    with pytest.raises(DeploymentError, match=re.escape(REFUSED[expression])):
        outputs(bicep, folder, template)


# Names

SIGNS: Final = "ABCXYZabcxyz0123456789-._()"  # azd: letters, digits, hyphens, parentheses, underscores, full stops
ENVIRONMENTS: Final = [
    "my_env.prod", "my-env-prod", "Prod", "prod", "-", "(.)", "a" * 64, "a" * 63 + "b", "0" * 64, "-" * 64, "1",
    "9-lives", "ends-after-13-", "twelve-signs-", "a--b..c__d", *(f"{'x' * length}-y" for length in range(9, 16)),
]  # fmt: skip


def hostile() -> list[str]:
    chosen = random.Random(16)
    return [*ENVIRONMENTS, *("".join(chosen.choices(SIGNS, k=chosen.randint(1, 64))) for _ in range(200))]


def named_after_the_environment() -> list[tuple[str, str, str]]:
    """Type, what its name begins with, and which function made the rest: each resource of `everything` but children."""
    names = {"dashed": "mailroom-prod-", "solid": "mailroomp", "vault": "mailroom"}
    here = deployed("everything")
    ending = here.one("Microsoft.Web/sites")["name"][-13:]
    found = []
    for one in here.resources:
        name = one.get("name", "")
        if name.endswith(ending):
            made_by = next(made for made, readable in names.items() if name.endswith(f"{readable}{ending}"))
            found.append((one["type"], name.removesuffix(f"{names[made_by]}{ending}"), made_by))
    return found


def test_any_environment_that_azd_takes_gives_names_that_azure_takes_and_shares_none(
    bicep: Bicep, folder: Path
) -> None:
    template = """
import { dashed, solid, vaultOf } from 'modules/names.bicep'
param environments string[]
output made object[] = [
  for one in environments: {
    solid: solid('st', one, uniqueString(subscription().id, resourceGroup().id, one))
    vault: vaultOf(one, uniqueString(subscription().id, resourceGroup().id, one))
    dashed: dashed(one, uniqueString(subscription().id, resourceGroup().id, one))
  }
]
"""
    listed = "\n".join(f"  '{name}'" for name in hostile())
    made = outputs(bicep, folder, template, f"param environments = [\n{listed}\n]\n")["made"]
    resources = named_after_the_environment()
    assert {made_by for _, _, made_by in resources} == {"dashed", "solid", "vault"}
    assert len({kind for kind, _, _ in resources}) >= 12
    for environment, names in zip(hostile(), made, strict=True):
        for kind, prefix, made_by in resources:
            tail = names[made_by] if made_by == "dashed" else names[made_by][len(prefix) :]
            assert re.fullmatch(RULES[kind], prefix + tail), (environment, kind, prefix + tail)
    for made_by in ("solid", "vault", "dashed"):
        assert len({names[made_by] for names in made}) == len(set(hostile())) == len(hostile())
