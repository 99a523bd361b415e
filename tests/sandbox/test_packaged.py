"""An app that brings its packages along runs on them alone."""

import json
import subprocess
import sys
from pathlib import Path

from sandbox.packaged import alone

PROGRAM = (sys.executable, "-c", "import json, sys; print(json.dumps([sys.path, sys.argv[1:]]))", "--port", "0")
BROUGHT = Path(".python_packages", "lib", "site-packages")


def run(app: Path, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    line, environment = alone(app, (sys.executable, "-c", program), {"PATH": "/usr/bin"}, folder)
    return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def packaged(tmp_path: Path) -> tuple[Path, Path]:
    app, folder = tmp_path / "app", tmp_path / "folder"
    (app / BROUGHT / "anyio").mkdir(parents=True)
    (app / BROUGHT / "anyio" / "__init__.py").write_text("WHOSE = 'the app'")
    (app / BROUGHT / "typing_extensions.pyc").write_bytes(b"")
    folder.mkdir()
    return app, folder


def test_an_app_without_packages_runs_on_those_of_this_environment(tmp_path: Path) -> None:
    assert alone(tmp_path, PROGRAM, {"A": "b"}, tmp_path) == (PROGRAM, {"A": "b"})


def test_an_app_that_brings_packages_has_nothing_else_of_this_environment(tmp_path: Path) -> None:
    app, folder = packaged(tmp_path)
    line, environment = alone(app, PROGRAM, {}, folder)
    result = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    path, arguments = json.loads(result.stdout)
    assert path[:2] == [str(app / BROUGHT), str(folder / "host-packages")]
    assert not [entry for entry in path[2:] if "site-packages" in entry or entry in {"", str(folder)}]
    assert arguments[:2] == ["--port", "0"]
    assert "No module named 'hypothesis'" in run(app, tmp_path, "import hypothesis").stderr


def test_the_host_has_what_it_needs_itself_and_takes_the_rest_from_the_app(tmp_path: Path) -> None:
    app, folder = packaged(tmp_path)
    assert run(app, folder, "import croniter, dateutil, uvicorn, uvloop, click, sandbox.host").returncode == 0
    own = {path.name for path in (folder / "host-packages").iterdir()}
    assert {"sandbox", "uvicorn", "h11"} <= own
    assert not {"anyio", "typing_extensions.py", "shared", "tests"} & own
    assert run(app, tmp_path, "import anyio; print(anyio.WHOSE)").stdout == "the app\n"
