"""A body in chunks does not reach a function: its sender is told so, and how to send it."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import EXAMPLE, Sandbox

ALERTS = "/api/events/alertmanager"


def chunks(text: str) -> Iterator[bytes]:
    yield text.encode()


@pytest.mark.parametrize("path", ["users/{sender}/sendMail", "me/sendMail"])
def test_a_mail_in_chunks_is_411_in_graphs_own_words(sandbox: Sandbox, path: str) -> None:
    """Before its token is looked at: here it has none."""
    url = f"{sandbox.api}/{path.format(sender=sandbox.sender)}"
    answer = sandbox.http.post(url, content=chunks("{}"), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.request.headers["transfer-encoding"]) == (411, "chunked")
    assert "Content-Length" in answer.json()["error"]["message"]
    assert sandbox.send(EXAMPLE).status_code == 202  # and the same connection serves on


def test_an_event_in_chunks_is_411(sandbox: Sandbox) -> None:
    answer = sandbox.http.post(sandbox.facts["host"] + ALERTS, content=chunks("{}"))
    assert (answer.status_code, "Content-Length" in answer.text) == (411, True)
