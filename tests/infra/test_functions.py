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
@pytest.mark.parametrize(
    ("sku", "location", "said"),
    [("Standard_LRS", "westeurope", "westeurope has zones"), ("", "westus", "westus has no zones")],
)
def test_instances_in_zones_are_refused_without_storage_in_zones(
    tmp_path: Path, sku: str, location: str, said: str
) -> None:
    template = f"{REGIONS}output o string = redundancyOf('{sku}', '{location}', true)\n"
    assert said in refused(tmp_path, template)


@needs_bicep
@pytest.mark.parametrize(("rule", "has"), [("", 0), ("ipAddress: '203.0.113.7/32', serviceTag: 'ActionGroup'", 2)])
def test_an_access_rule_that_names_nobody_or_two_is_refused_by_its_name(tmp_path: Path, rule: str, has: int) -> None:
    template = f"{ACCESS}output o int = length(restrictions([{{ name: 'office', {rule} }}]))\n"
    assert f"office has {has} of ipAddress, serviceTag and subnetId" in refused(tmp_path, template)
