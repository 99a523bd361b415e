"""What a deployment asks of an app, asked of the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import urlsplit

from deployment import check
from deployment.azure import FunctionApp
from tests.e2e.running import Sandbox


@contextmanager
def at(sandbox: Sandbox) -> Iterator[FunctionApp]:
    """The sandbox as an app in Azure, whose address Resource Manager would know."""
    parts = urlsplit(sandbox.facts["host"])
    with patch.object(check, "site_of", return_value={"defaultHostName": parts.netloc}):
        manager = f"{parts.scheme}://unused.example"
        yield FunctionApp(subscription="sub-1", resource_group="rg-mail", name="mail-1", manager=manager)


def test_five_megabytes_and_two_requests_at_once_come_through(sandbox: Sandbox) -> None:
    with at(sandbox) as app:
        large, two = check.probe(app, 0.1)
    assert large.startswith("5 MB reach the functions")
    assert two.startswith("Two requests at once were each answered under their own id.")
    assert sandbox.requests() == 0
