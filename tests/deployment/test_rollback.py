"""`make rollback`: the code of another version is made from git, put into the app and checked, and nothing else."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment import rollback
from tests.deployment.cloud import Azure
from tests.deployment.group import GroupOfResources, az

HEAD = "using 'main.bicep'\n// subscription: sub-1\n// resource group: rg-mail\n"
PACKAGE = (
    "package:\n\t@/bin/mkdir dist && /bin/cp made/* dist/ && "
    "printf ' of %s' \"$$(/bin/cat version)\" >> dist/mailroom.zip\n"
)


@pytest.fixture
def checkout(tmp_path: Path, dist: Path) -> Path:
    """A repository with two versions; the package of each ends with its name."""
    folder = tmp_path / "repository"
    shutil.copytree(dist, folder / "made")
    (folder / "Makefile").write_text(PACKAGE)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init")
    for version in ("v1", "v2"):
        (folder / "version").write_text(version)
        git("add", "-A")
        git("commit", "-m", version)
        git("tag", version)
    return folder


@pytest.fixture
def roll_back(
    cloud: Azure, tools: Path, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], int]:
    for name, value in {"PATH": tools, "HOME": tools, "MAILROOM_ROLES_WITHIN": 0.5, "AZURE_ENV_NAME": ""}.items():
        monkeypatch.setenv(name, str(value))
    for program in ("git", "make"):
        found = shutil.which(program, path="/usr/bin:/bin:/usr/local/bin")
        assert found
        (tools / program).symlink_to(found)
    az(tools)
    cloud.group = GroupOfResources(settings={})
    (tmp_path / "prod.bicepparam").write_text(HEAD)
    (tmp_path / "prod.bicepparam.json").write_text('{"environmentName": "prod"}')
    where = ["--environment=prod", "--infra", str(tmp_path), "--manager", cloud.url, "--checkout", str(checkout)]
    return lambda version: rollback.main([*where, "--to", version])


def published(cloud: Azure) -> list[bytes]:
    return [body for method, path, _, body in cloud.asked if method == "POST" and path.startswith("/api/publish")]


def test_the_package_of_the_version_is_published_and_the_checkout_stays(
    roll_back: Callable[[str], int], cloud: Azure, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert roll_back("v1") == 0, capfd.readouterr().err
    assert [body.endswith(b" of v1") for body in published(cloud)] == [True]
    assert "all 3 functions" in capfd.readouterr().out
    assert (checkout / "version").read_text() == "v2"
    listed = subprocess.run(["/usr/bin/env", "git", "worktree", "list"], cwd=checkout, capture_output=True, check=True)
    assert len(listed.stdout.splitlines()) == 1
    assert [path for path in cloud.paths() if path.startswith(("PUT", "PATCH", "DELETE"))] == []


@pytest.mark.parametrize("version", ["v3", "", "--help", "main^{tree}"])
def test_what_is_no_version_changes_nothing(
    roll_back: Callable[[str], int], cloud: Azure, capfd: pytest.CaptureFixture[str], version: str
) -> None:
    if version == "--help":
        with pytest.raises(SystemExit):
            roll_back(version)
    else:
        assert roll_back(version) == 1
        assert f"TO={version} is no version" in capfd.readouterr().err
    assert published(cloud) == []


def test_a_version_that_makes_no_package_changes_nothing(
    roll_back: Callable[[str], int], cloud: Azure, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "Makefile").write_text("package:\n\t@false\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, "commit", "-qam", "broken"], cwd=checkout, check=True)
    assert roll_back("HEAD") == 1
    assert "cannot be made" in capfd.readouterr().err
    assert published(cloud) == []
