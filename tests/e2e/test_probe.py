"""What a deployment asks of an app, asked of the real one."""

from urllib.parse import urlsplit

import pytest

from deployment import check
from deployment.azure import FunctionApp
from tests.e2e.running import Sandbox


def test_five_megabytes_and_two_requests_at_once_come_through(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resource Manager, which nobody asks here, would say that the sandbox is the app's address."""
    parts = urlsplit(sandbox.facts["host"])
    monkeypatch.setattr(check, "site_of", lambda _: {"defaultHostName": parts.netloc})
    manager = f"{parts.scheme}://unused.example"
    app = FunctionApp(subscription="sub-1", resource_group="rg-mail", name="mail-1", manager=manager)
    large, two = check.probe(app, 0.1)
    assert large.startswith("5 MB reach the functions")
    assert two.startswith("Two requests at once were each answered under their own id.")
    assert sandbox.requests() == 0
