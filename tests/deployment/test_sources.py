"""What of the checkout is deployed follows .funcignore."""

import shutil
import subprocess
from pathlib import Path

import pytest
from deployment.sources import deployed

ROOT = Path(__file__).parents[2]


def test_the_app_and_nothing_else_is_deployed() -> None:
    paths = list(deployed(ROOT))
    assert {path.parts[0] for path in paths} == {"docs", "function_app.py", "host.json", "requirements.txt", "shared"}
    assert [str(path) for path in paths if path.parts[0] == "docs"] == ["docs/openapi.json"]
    assert not [path for path in paths if {"examples", "__pycache__"}.intersection(path.parts)]


def test_every_module_and_route_of_mailroom_is_deployed() -> None:
    """Not even a stray pattern leaves one out."""
    wanted = {
        *ROOT.glob("shared/**/*.py"),
        *ROOT.glob("shared/webhooks/routes/**/*.j2"),
        *ROOT.glob("shared/webhooks/routes/*/*.toml"),
    }
    assert wanted <= {ROOT / path for path in deployed(ROOT)}


@pytest.mark.skipif(not shutil.which("git"), reason="git is missing: install git")
def test_funcignore_is_read_as_git_reads_gitignore(tmp_path: Path) -> None:
    paths = [
        "function_app.py", "host.json", "requirements.txt", "README.md", "Makefile", "LICENSE", "azure.yaml",
        "local.settings.json", "local.settings.example.json", ".env", ".github/workflows/ci.yml", ".venv/lib/x.py",
        "dist/mailroom.zip", "deployment/package.py", "infra/main.bicep", "scripts/x.ps1", "tests/test_x.py",
        "sandbox/host/x.py", "docs/x.md", "docs/x/y.md", "docs/openapi.json",
        "shared/settings/config.py", "shared/__pycache__/config.cpython-313.pyc", "shared/.DS_Store",
        "shared/dist/x.py", "shared/README.md", "shared/tests/x.py", "shared/webhooks/routes/own/examples/a.json",
        "shared/webhooks/routes/own/route.toml",
        "shared/webhooks/routes/own/templates/examples/a.html.j2", ".python_packages/lib/site-packages/x.py",
    ]  # fmt: skip
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    patterns = (ROOT / ".funcignore").read_text()
    (tmp_path / ".funcignore").write_text(patterns)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".git/info/exclude").write_text(patterns)
    listed = subprocess.run(
        ["git", "-C", tmp_path, "-c", "core.excludesFile=/dev/null", "ls-files", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert sorted(path.as_posix() for path in deployed(tmp_path)) == sorted(listed)
    assert "shared/settings/config.py" in listed
