"""mail-results, read by the program of docs/results.md."""

import re
import subprocess
import sys

from shared.mail.outgoing import identity
from tests.e2e.running import ROOT, Sandbox, eventually, titled

PAGE = (ROOT / "docs" / "results.md").read_text()
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CLIENT = re.compile(r"QueueClient\(.*\)$", re.MULTILINE)


def told(sandbox: Sandbox) -> list[str]:
    """What the program prints; it takes the messages out of the queue."""
    here = f'QueueClient.from_connection_string("{sandbox.facts["storage"]}", "mail-results")'
    program = CLIENT.sub(lambda _: here, PROGRAM, count=1)
    return subprocess.check_output([sys.executable, "-c", program], text=True).splitlines()


def test_every_way_in_is_told_its_end_with_the_reason(sandbox: Sandbox) -> None:
    """Once: what the program has read is gone."""
    answers = [sandbox.send(titled("direct"))]
    events, key = f"{sandbox.facts['host']}/api/events/generic", {"X-Api-Key": "sandbox-secret"}
    answers.append(sandbox.http.post(events, json={"title": "by webhook"}, headers=key))
    mails = [answer.headers["location"].rpartition("/")[2] for answer in answers]
    queued = [sandbox.queue(titled("by queue")), sandbox.put("mail-outbox", '{"sender": 1}')]
    mails += [identity("queue:mail-outbox", message) for message in queued]
    ends = [f"mail.sent {mail} " for mail in mails[:3]]
    ends.append(f"mail.failed {mails[3]} Found integer, expected string. - at `$.sender`")
    lines: list[str] = []

    def all_told() -> bool:
        lines.extend(told(sandbox))
        return set(ends) <= set(lines) and sandbox.count("mail-results") == 0

    sandbox.arrives("by queue")
    eventually(all_told)
    assert [lines.count(end) for end in ends] == [1] * 4
