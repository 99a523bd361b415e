"""One PowerShell with a fake Exchange and a fake Graph: to start one takes longer than all tests in it."""

import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.shells import MAILROOM, EntraDirectory, Exchange, organisation, powershell, tenant

type Shell = tuple[subprocess.Popen[str], Path]


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Its process, and the folder of its states."""
    if shutil.which("pwsh") is None:
        pytest.skip("PowerShell is missing: install pwsh")
    folder = tmp_path_factory.mktemp("shell")
    with powershell(folder) as process:
        yield process, folder


@pytest.fixture
def directory(shell: Shell) -> EntraDirectory:
    """A tenant in which the script has never run."""
    made = EntraDirectory(*shell)
    made.state = tenant()
    return made


@pytest.fixture
def exchange(shell: Shell) -> Exchange:
    """An organisation in which the script has never run."""
    made = Exchange(*shell)
    made.state = organisation()
    return made


@pytest.fixture(scope="session")
def after_a_run(shell: Shell) -> dict[str, Any]:
    made = Exchange(*shell)
    made.state = organisation()
    assert made.limit(MAILROOM).code == 0
    return made.state


@pytest.fixture
def limited(exchange: Exchange, after_a_run: dict[str, Any]) -> Exchange:
    """An organisation in which the script has limited the identity to one mailbox."""
    exchange.state = deepcopy(after_a_run)
    return exchange
