"""What a package has only in part must not be asked for more, whoever catches the error."""

import httpx
import pytest

from sandbox.host.sealed import STATUS
from tests.sandbox.host.running import APPS, running


def test_asking_for_what_is_missing_ends_the_host_and_names_it() -> None:
    """What is there is imported, and other packages may be missing."""
    with running(APPS / "sealed", "--sealed", "partial_sdk") as host:
        assert httpx.get(f"{host.url}/api/there").text == "there"
        assert httpx.get(f"{host.url}/api/other").text == "passed over"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{host.url}/api/gone")
        assert host.process.wait(10) == STATUS
    assert "partial_sdk.gone is asked for and is not in this app" in host.log


def test_of_a_package_that_is_not_sealed_anything_may_be_missing() -> None:
    with running(APPS / "sealed") as host:
        assert httpx.get(f"{host.url}/api/gone").text == "passed over"
