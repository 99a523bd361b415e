import pytest

from tests.infra.deployed import SETS


@pytest.fixture(params=SETS)
def name(request: pytest.FixtureRequest) -> str:
    """Each parameter file of infra/parameters."""
    return str(request.param)
