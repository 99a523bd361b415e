"""Functions of infra/modules run by the compiler, which evaluates a template as Azure does, without Azure."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from deployment.infra import INFRA, PLACE, compiler

__all__ = ["evaluated", "needs_bicep", "refused"]

needs_bicep: Final = pytest.mark.skipif(compiler() is None, reason="Bicep is missing: install bicep")


def evaluated(folder: Path, template: str, parameters: str = "") -> dict[str, Any]:
    """The outputs of a template that imports from `modules/…`."""
    run = _snapshot(folder, template, parameters)
    assert run.returncode == 0, run.stderr
    outputs: dict[str, Any] = json.loads((folder / "main.snapshot.json").read_text())["outputs"]
    return outputs


def refused(folder: Path, template: str) -> str:
    """What the compiler says of a template that it, as Azure would, refuses."""
    run = _snapshot(folder, template, "")
    assert run.returncode
    return run.stderr


def _snapshot(folder: Path, template: str, parameters: str) -> subprocess.CompletedProcess[str]:
    bicep = compiler()
    assert bicep
    shutil.copytree(INFRA / "modules", folder / "modules", dirs_exist_ok=True)
    (folder / "main.bicep").write_text(template)
    (folder / "main.bicepparam").write_text(f"using 'main.bicep'\n{parameters}")
    command = [bicep, "snapshot", str(folder / "main.bicepparam"), "--mode", "overwrite", *PLACE]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
