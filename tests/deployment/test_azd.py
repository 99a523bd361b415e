"""What azd is told, and what it makes of it."""

import os
import re
import shutil
import subprocess
import sys
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


def test_what_says_what_is_missing_needs_nothing_but_python() -> None:
    """So it is said at once, not after minutes of setting up; and azd's hook runs before anything is set up."""
    assert re.search(r"^deploy: ##", MAKEFILE, re.MULTILINE)
    assert re.search(r"^preflight: #", MAKEFILE, re.MULTILINE)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import deployment.deploy, deployment.preflight"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)


def test_the_commands_for_az_give_their_arguments_to_publish_alone() -> None:
    """`make package publish ARGS='…'` is one command of the README; what publish takes, package would refuse."""
    recipes = dict(re.findall(r"^([\w-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    assert "$(ARGS)" in recipes["publish"]
    assert "$(ARGS)" not in recipes["package"]


pwsh = pytest.mark.skipif(not shutil.which("pwsh"), reason="PowerShell is missing: install pwsh")

PYTHON = """#!/bin/sh
echo "python $*" >> {log}
case "$*" in *{failing}*) exit 3;; esac
"""
LAUNCHER = """#!/bin/sh
echo "py $*" >> {log}
mkdir -p .venv/Scripts && cp {python} .venv/Scripts/python
"""


def windows(tmp_path: Path, failing: str = "nothing") -> tuple[int, list[str], str]:
    """Run deployment/package.ps1 in an empty checkout, with programs that only write down how they were called."""
    log, python, launcher = tmp_path / "log", tmp_path / "python", tmp_path / "bin" / "py"
    launcher.parent.mkdir(exist_ok=True)
    if not (lock := tmp_path / "requirements-dev.txt").exists():
        lock.touch()
    python.write_text(PYTHON.format(log=log, failing=failing))
    launcher.write_text(LAUNCHER.format(log=log, python=python))
    for program in (python, launcher):
        program.chmod(0o755)
    found = shutil.which("pwsh")
    assert found
    result = subprocess.run(
        [found, "-NoProfile", "-File", ROOT / "deployment" / "package.ps1"], cwd=tmp_path, capture_output=True,
        env={"PATH": f"{launcher.parent}:/usr/bin:/bin:{Path(sys.executable).parent}", "HOME": str(tmp_path)},
        text=True, check=False,
    )  # fmt: skip
    lines = log.read_text().splitlines()
    log.unlink()
    return result.returncode, lines, result.stdout + result.stderr


@pwsh
def test_windows_sets_up_what_make_does_and_again_for_a_new_lock_file(tmp_path: Path) -> None:
    status, lines, said = windows(tmp_path)
    assert status == 0, said
    install = "python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt"
    assert lines == ["py -3.13 -m venv --clear .venv", install, "python -m deployment.package"]
    assert "-m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt" in MAKEFILE
    assert windows(tmp_path)[1] == ["python -m deployment.package"]
    ready = (tmp_path / ".venv" / ".ready").stat().st_mtime
    os.utime(tmp_path / "requirements-dev.txt", (ready + 60, ready + 60))
    assert windows(tmp_path)[1] == lines


@pwsh
@pytest.mark.parametrize("failing", ["pip", "deployment.package"])
def test_on_windows_too_what_fails_ends_the_deployment(tmp_path: Path, failing: str) -> None:
    status, lines, _ = windows(tmp_path, failing)
    assert status != 0
    assert failing in lines[-1]
