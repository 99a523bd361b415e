"""`make rollback`: the code of another version is built from git, published and checked, and nothing else changes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.cloud import FakeAzure
from tests.deployment.machine import Machine

PACKAGE = (
    "package:\n\t@/bin/mkdir dist && /bin/cp made/* dist/ && "
    "printf ' of %s' \"$$(/bin/cat version)\" >> dist/mailroom.zip\n"
)


def git(folder: Path, *arguments: str) -> str:
    program = shutil.which("git", path="/usr/bin:/bin:/usr/local/bin")
    assert program
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        [program, *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout  # fmt: skip


@pytest.fixture
def checkout(machine: Machine, cloud: FakeAzure, tmp_path: Path) -> Path:
    """A repository with two versions; the package of each ends with its name."""
    folder = tmp_path / "repository"
    shutil.copytree(machine.dist, folder / "made")
    (folder / "Makefile").write_text(PACKAGE)
    git(folder, "init")
    for version in ("v1", "v2"):
        (folder / "version").write_text(version)
        git(folder, "add", "-A")
        git(folder, "commit", "-m", version)
        git(folder, "tag", version)
    for name in ("git", "make"):
        found = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
        assert found
        (machine.path / name).symlink_to(found)
    cloud.settings = {}
    machine.parameters(environmentName="prod")
    return folder


def roll_back(machine: Machine, checkout: Path, version: str) -> subprocess.CompletedProcess[str]:
    where = ["--environment=prod", "--infra", str(machine.infra), "--checkout", str(checkout)]
    return machine.run("rollback", *where, f"--to={version}")


def test_the_package_of_the_version_is_published_and_the_checkout_stays(
    machine: Machine, cloud: FakeAzure, checkout: Path
) -> None:
    done = roll_back(machine, checkout, "v1")
    assert done.returncode == 0, done.stderr
    assert [body.endswith(b" of v1") for body in cloud.bodies("/api/publish")] == [True]
    assert "all 3 functions" in done.stdout
    assert (checkout / "version").read_text() == "v2"
    assert len(git(checkout, "worktree", "list").splitlines()) == 1
    assert [path for path in cloud.paths() if path.startswith(("PUT", "PATCH", "DELETE"))] == []


def test_what_is_no_version_or_makes_no_package_changes_nothing(
    machine: Machine, cloud: FakeAzure, checkout: Path
) -> None:
    for version in ("v3", "", "--help", "main^{tree}"):
        assert f"TO={version} is not a version" in roll_back(machine, checkout, version).stderr
    (checkout / "Makefile").write_text("package:\n\t@false\n")
    git(checkout, "commit", "-qam", "broken")
    done = roll_back(machine, checkout, "HEAD")
    assert (done.returncode, "cannot be built" in done.stderr) == (1, True)
    assert cloud.bodies("/api/publish") == []
