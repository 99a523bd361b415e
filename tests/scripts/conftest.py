"""One PowerShell with a fake Exchange for all tests of scripts."""

import shutil
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.scripts.exchange import MAILROOM, Exchange, organisation, powershell


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    pwsh = shutil.which("pwsh")
    if pwsh is None:
        pytest.skip("there is no pwsh on PATH to run the script with")
    with powershell(pwsh, tmp_path_factory.mktemp("exchange")) as running:
        yield running


@pytest.fixture
def exchange(shell: Exchange) -> Exchange:
    """An organisation in which the script has never run."""
    shell.state = organisation()
    return shell


@pytest.fixture(scope="session")
def after_a_run(shell: Exchange) -> dict[str, Any]:
    shell.state = organisation()
    assert shell.limit(MAILROOM).code == 0
    return shell.state


@pytest.fixture
def limited(exchange: Exchange, after_a_run: dict[str, Any]) -> Exchange:
    """An organisation in which the script has limited the identity to one mailbox."""
    exchange.state = deepcopy(after_a_run)
    return exchange
