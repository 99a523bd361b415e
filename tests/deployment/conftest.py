"""A machine with az on it, and the fake Azure that it talks to."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import azure as client
from deployment import check, preflight, publish
from tests.deployment.cloud import FUNCTIONS, FakeAzure, azure
from tests.deployment.machine import Clock, Machine
from tests.infra.deployed import ROOT


@pytest.fixture
def cloud() -> Iterator[FakeAzure]:
    with azure() as running:
        yield running


@pytest.fixture
def machine(
    cloud: FakeAzure, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    path, infra, dist = (tmp_path / name for name in ("bin", "infra", "dist"))
    for folder in (path, infra, dist):
        folder.mkdir()
    for name in ("AZURE_ENV_NAME", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_FUNCTION_APP_NAME"):
        monkeypatch.setenv(name, "")
    for name, value in {"PATH": path, "HOME": path, "MAILROOM_ROLES_WITHIN": "", "ALLOW_EMPTY": ""}.items():
        monkeypatch.setenv(name, str(value))
    clock = Clock()
    for module in (client, check, preflight, publish):
        monkeypatch.setattr(module, "time", clock)
    shutil.copy(ROOT / "infra" / "example.bicepparam", infra)
    (dist / "manifest.json").write_text(json.dumps({"functions": FUNCTIONS}))
    (dist / "mailroom.zip").write_bytes(b"PK the package \x00\xff")
    return Machine(cloud, path, infra, dist, capfd, clock)
