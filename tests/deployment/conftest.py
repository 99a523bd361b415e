import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.cloud import TOKEN, Azure, azure, tool


@pytest.fixture
def cloud() -> Iterator[Azure]:
    with azure() as running:
        running.functions = [FUNCTIONS]
        yield running


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with az alone, logged in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tool(folder, "az", {"accessToken": TOKEN, "id": "sub-1", "expiresOn": "2026-11-25 12:00:00.000000"})
    return folder


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What `make package` leaves behind, as far as deployment reads it."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"functions": FUNCTIONS}))
    (folder / "mailroom.zip").write_bytes(b"PK the package \x00\xff")
    return folder


FUNCTIONS = ["events", "health", "send_mail"]
