"""One PowerShell with a fake Exchange, and one with a fake Graph, for all tests of scripts."""

import shutil
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.scripts.directory import Directory, tenant
from tests.scripts.exchange import MAILROOM, Exchange, organisation, powershell


def need_pwsh() -> None:
    if shutil.which("pwsh") is None:
        pytest.skip("PowerShell is missing: install pwsh")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    need_pwsh()
    folder = tmp_path_factory.mktemp("exchange")
    with powershell(Exchange, "ExchangeOnlineManagement", "EXCHANGE_STATE", folder) as running:
        yield running


@pytest.fixture(scope="session")
def graph_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    need_pwsh()
    folder = tmp_path_factory.mktemp("graph")
    with powershell(Directory, "Microsoft.Graph.Authentication", "DIRECTORY_STATE", folder) as running:
        yield running


@pytest.fixture
def directory(graph_shell: Directory) -> Directory:
    """A tenant in which the script has never run."""
    graph_shell.state = tenant()
    return graph_shell


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
