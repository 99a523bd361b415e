"""What a deployment asks of an app, asked of the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import urlsplit

from deployment import probe
from deployment.azure import App
from tests.e2e.running import Sandbox


@contextmanager
def at(sandbox: Sandbox) -> Iterator[App]:
    """The sandbox as an app in Azure: Resource Manager, which nobody asks here, would say that this is its address."""
    parts = urlsplit(sandbox.facts["host"])
    sites = [{"properties": {"defaultHostName": parts.netloc}}]
    with patch.object(probe, "get", return_value=sites):
        manager = f"{parts.scheme}://unused.example"
        yield App(subscription="sub-1", resource_group="rg-mail", name="mail-1", manager=manager)


def test_five_megabytes_and_two_requests_at_once_come_through(sandbox: Sandbox) -> None:
    with at(sandbox) as app:
        large, two = probe.probe(app, 0.1)
    assert large.startswith("5 MB reach the functions")
    assert two.startswith("Two requests at once were each answered under their own id.")
    assert sandbox.requests() == 0
