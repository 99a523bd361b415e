"""azure.yaml and its hooks, the Makefile's targets for them, and package.ps1, which is `make package` on Windows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AZURE_YAML = (ROOT / "azure.yaml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_azd_deploys_the_folder_that_make_package_makes_as_it_is() -> None:
    assert "    dist: dist/package\n" in AZURE_YAML
    assert "    remoteBuild: false\n" in AZURE_YAML


def test_azds_hooks_call_targets_of_the_makefile_and_scripts_that_are_there() -> None:
    targets = re.findall(r"run: make ([\w-]+)$", AZURE_YAML, re.MULTILINE)
    assert targets == ["preflight", "package", "first-publish", "check-deployed"]
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    scripts = re.findall(r"run: (\S+\.ps1)$", AZURE_YAML, re.MULTILINE)
    assert scripts == ["deployment/package.ps1"]
    assert (ROOT / scripts[0]).is_file()


def test_the_commands_for_az_give_their_arguments_to_publish_alone() -> None:
    """`make package publish ARGS='…'` is one command of the README; what publish takes, package would refuse."""
    recipes = dict(re.findall(r"^([\w-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    assert "$(ARGS)" in recipes["publish"]
    assert "$(ARGS)" not in recipes["package"]


PYTHON = """#!/bin/sh
echo "python $*" >> log
case "$*" in *"$(cat failing)"*) exit 3;; esac
"""
LAUNCHER = """#!/bin/sh
echo "py $*" >> log
mkdir -p .venv/Scripts && cp python .venv/Scripts/python
"""
# Each time the script runs, the named program fails; before the last time the lock file gets newer.
RUNS = """
foreach ($failing in '-m pip', '-m deployment.package', 'nothing', 'newer') {{
    [System.IO.File]::WriteAllText("$PWD/failing", $failing)
    if ($failing -eq 'newer') {{
        [System.IO.File]::SetLastWriteTimeUtc("$PWD/requirements-dev.txt", [DateTime]::UtcNow.AddMinutes(1))
    }}
    try {{ & '{script}'; $code = $LASTEXITCODE }} catch {{ $code = "$_" }}
    [System.IO.File]::AppendAllText("$PWD/log", "ends with $code`n")
}}
"""


@pytest.mark.skipif(not shutil.which("pwsh"), reason="PowerShell is missing: install pwsh")
def test_windows_sets_up_what_make_does_again_for_a_new_lock_file_and_ends_with_what_fails(tmp_path: Path) -> None:
    """In an empty checkout, with programs that only write down how they were called."""
    (tmp_path / "requirements-dev.txt").touch()
    for name, program in {"python": PYTHON, "bin/py": LAUNCHER}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "runs.ps1"
    script.write_text(RUNS.format(script=ROOT / "deployment" / "package.ps1"))
    found = shutil.which("pwsh")
    assert found
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "DOTNET_TieredPGO": "0"}
    subprocess.run([found, "-NoProfile", "-File", script], cwd=tmp_path, env=environment, timeout=120, check=True)
    make = "py -3.13 -m venv --clear .venv"
    install = "python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt"
    build = "python -m deployment.package"
    refused = "ends with The packages of requirements-dev.txt could not be installed; pip says above why."
    first, second, third, fourth = [refused], [build, "ends with 3"], [build, "ends with 0"], [build, "ends with 0"]
    expected = [make, install, *first, make, install, *second, *third, make, install, *fourth]
    assert (tmp_path / "log").read_text().splitlines() == expected
    assert f"-m {install.removeprefix('python -m ')}" in MAKEFILE
