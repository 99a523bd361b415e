"""mail-results, read by the program of docs/results.md."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.running import ROOT, UNPACED, Sandbox, eventually, running, titled

PAGE = (ROOT / "docs" / "results.md").read_text()
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CLIENT = re.compile(r"QueueClient\(.*\)$", re.MULTILINE)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running("--without", "mail", **UNPACED, MAIL_RESULTS="true") as started:
        yield started


def told(sandbox: Sandbox) -> list[str]:
    """What the program prints; it takes the messages out of the queue."""
    here = f'QueueClient.from_connection_string("{sandbox.facts["storage"]}", "mail-results")'
    program = CLIENT.sub(lambda _: here, PROGRAM, count=1)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )


def test_every_way_in_is_told_its_end_with_the_reason(sandbox: Sandbox) -> None:
    answer = sandbox.send(titled("direct"))
    sandbox.queue(titled("by queue"))
    sandbox.put("mail-outbox", '{"sender": 1}')
    events, key = f"{sandbox.facts['host']}/api/events/generic", {"X-Api-Key": "sandbox-secret"}
    webhook = sandbox.http.post(events, json={"title": "by webhook"}, headers=key)
    eventually(lambda: len(sandbox.waiting("mail-results")) == 4)
    lines = told(sandbox)
    for one in (answer, webhook):
        assert f"mail.sent {one.headers['location'].rpartition('/')[2]} " in lines
    assert sum(line.startswith("mail.sent") for line in lines) == 3
    (failed,) = (line for line in lines if line.startswith("mail.failed"))
    assert failed.endswith("Found integer, expected string. - at `$.sender`")
    assert sandbox.count("mail-results") == 0
