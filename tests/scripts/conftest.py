"""One PowerShell with a fake Exchange, and one with a fake Graph: to start one takes longer than all tests in it."""

import shutil
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.scripts.shells import MAILROOM, EntraDirectory, Exchange, PowerShell, organisation, powershell, tenant


def started[S: PowerShell](kind: type[S], factory: pytest.TempPathFactory) -> Iterator[S]:
    if shutil.which("pwsh") is None:
        pytest.skip("PowerShell is missing: install pwsh")
    with powershell(kind, factory.mktemp("shell")) as running:
        yield running


@pytest.fixture(scope="session")
def exchange_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    yield from started(Exchange, tmp_path_factory)


@pytest.fixture(scope="session")
def graph_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntraDirectory]:
    yield from started(EntraDirectory, tmp_path_factory)


@pytest.fixture
def directory(graph_shell: EntraDirectory) -> EntraDirectory:
    """A tenant in which the script has never run."""
    graph_shell.state = tenant()
    return graph_shell


@pytest.fixture
def exchange(exchange_shell: Exchange) -> Exchange:
    """An organisation in which the script has never run."""
    exchange_shell.state = organisation()
    return exchange_shell


@pytest.fixture(scope="session")
def after_a_run(exchange_shell: Exchange) -> dict[str, Any]:
    exchange_shell.state = organisation()
    assert exchange_shell.limit(MAILROOM).code == 0
    return exchange_shell.state


@pytest.fixture
def limited(exchange: Exchange, after_a_run: dict[str, Any]) -> Exchange:
    """An organisation in which the script has limited the identity to one mailbox."""
    exchange.state = deepcopy(after_a_run)
    return exchange
