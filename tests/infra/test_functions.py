"""What infra/modules decides, run by the compiler: redundancy by region, access rules, and what is refused."""

from pathlib import Path

import pytest

from tests.infra.compiled import evaluated, needs_bicep, refused

REGIONS = """
import { redundancyOf } from 'modules/regions.bicep'
"""
ACCESS = """
import { restrictions } from 'modules/access.bicep'
"""


@needs_bicep
def test_storage_is_kept_in_three_zones_where_the_region_has_any_and_as_it_is_asked_for(tmp_path: Path) -> None:
    asked = {
        ("", "westeurope", "false"): "Standard_ZRS",
        ("", "West US 2", "false"): "Standard_ZRS",
        ("", "westus", "false"): "Standard_LRS",  # a redundancy that is not there stops the deployment
        ("", "North Central US", "false"): "Standard_LRS",
        ("", "UKWEST", "false"): "Standard_LRS",
        ("Standard_GRS", "westeurope", "false"): "Standard_GRS",
        ("Standard_ZRS", "westus", "false"): "Standard_ZRS",  # Mailroom's list may be old: who says so knows better
        ("", "westeurope", "true"): "Standard_ZRS",
        ("Standard_GZRS", "westeurope", "true"): "Standard_GZRS",
    }
    lines = [f"output o{at} string = redundancyOf('{a}', '{b}', {c})" for at, (a, b, c) in enumerate(asked)]
    outputs = evaluated(tmp_path, REGIONS + "\n".join(lines) + "\n")
    assert [outputs[f"o{at}"] for at in range(len(asked))] == list(asked.values())


@needs_bicep
def test_instances_in_zones_are_refused_without_storage_in_zones(tmp_path: Path) -> None:
    template = f"{REGIONS}output o string = redundancyOf('', 'westus', true)\n"
    assert "westus has no zones" in refused(tmp_path, template)


@needs_bicep
def test_an_access_rule_that_is_not_of_one_address_tag_or_subnet_is_refused_by_its_name(tmp_path: Path) -> None:
    rule = "{ name: 'office', ipAddress: '203.0.113.7/32', serviceTag: 'ActionGroup' }"
    said = refused(tmp_path, f"{ACCESS}output o int = length(restrictions([{rule}]))\n")
    assert "office has 2 of ipAddress, serviceTag and subnetId" in said


CHECKS = """
import { apiToRestrict, isPrivateNetwork } from 'modules/checks.bicep'
"""


@needs_bicep
@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("isPrivateNetwork('public', true, false, false)", "no effect on the network public"),
        ("isPrivateNetwork('private', true, true, true)", "no effect on existingSubnets"),
        ("apiToRestrict('')", "apiClientId is empty"),
    ],
)
def test_what_would_have_no_effect_is_refused(tmp_path: Path, expression: str, said: str) -> None:
    kind = "string" if "api" in expression else "bool"
    assert said in refused(tmp_path, f"{CHECKS}output o {kind} = {expression}\n")


@needs_bicep
def test_what_has_an_effect_is_not_refused(tmp_path: Path) -> None:
    outputs = evaluated(
        tmp_path,
        CHECKS
        + """
output all bool[] = [
  isPrivateNetwork('public', false, false, false)
  isPrivateNetwork('private', false, false, false)
  isPrivateNetwork('private', true, true, false)
  isPrivateNetwork('private', false, true, true)
]
output api string = apiToRestrict('11111111-1111-1111-1111-111111111111')
""",
    )
    assert outputs == {"all": [False, True, True, True], "api": "11111111-1111-1111-1111-111111111111"}
