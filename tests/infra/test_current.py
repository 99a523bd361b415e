"""The Bicep files are clean, and what is kept of them beside them is what they make. Needs a compiler on PATH."""

import pytest

from deployment import infra

needs_bicep = pytest.mark.skipif(infra.compiler() is None, reason="Bicep is missing: install bicep")


@needs_bicep
def test_bicep_files_have_no_warning_are_formatted_and_what_is_made_of_them_is_current() -> None:
    """`make infra`: lint with every rule an error, build, formatter, azuredeploy.json, snapshots."""
    assert list(infra.check()) == []


def test_every_parameter_file_has_its_snapshot() -> None:
    sets = infra.parameter_sets()
    assert sets
    assert sorted(infra.PARAMETERS.glob("*.snapshot.json")) == sorted(map(infra.snapshot_of, sets))
