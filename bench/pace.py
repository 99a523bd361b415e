"""A mailbox's pace: whether 30 mails a minute are kept over ten minutes, by one host and by three, and without a 429.

More mails than can go lie in `mail-outbox`. The first four leave at once; the rate is counted from the fifth on. Both
runs go side by side, each with a storage and a Graph of its own: neither needs a fraction of the machine.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.machine import table
from bench.mailboxes import hosts_of
from bench.rig import mail, put_at_once
from tests.e2e.running import Sandbox

A_MINUTE, BURST = 30, 4
LATENCY = "0.3"
MINUTES = 10
TRIED = 40.0  # seconds with --quick


def measure(*, quick: bool) -> Iterator[str]:
    seconds = TRIED if quick else MINUTES * 60.0
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda hosts: _row(hosts, seconds), (1, 3)))
    yield f"One mailbox at {A_MINUTE} a minute, {seconds:.0f} s from the fifth mail on, Graph at {LATENCY} s:"
    yield ""
    head = ("hosts", "mails in the first second", "mails a minute", "of the rate", "answers 429", "longest gap, s")
    yield from table(head, rows)


def _row(hosts: int, seconds: float) -> tuple[str, ...]:
    count = round(A_MINUTE * seconds / 60) + BURST + A_MINUTE
    with hosts_of(hosts, "--latency", LATENCY, MAIL_RATE_PER_MINUTE=str(A_MINUTE)) as sandboxes:
        first = sandboxes[0]
        for one in sandboxes:  # everything is loaded then, and all four are there again
            one.send(mail("warm"), path="users/shared2@sandbox.example/sendMail")
        texts = [json.dumps({"sender": first.sender, "key": f"m {n}", **mail(f"m {n}")}) for n in range(count)]
        put_at_once(first, "mail-outbox", texts, 3 + count // 50)
        while not (times := _times(first)):
            time.sleep(0.2)
        while time.time() < times[0] + seconds + 10:
            time.sleep(1)
        times = _times(first)
        stats: dict[str, Any] = first.http.get(f"{first.facts['control']}/stats").json()
    begun = times[BURST]
    counted = [at for at in times if begun <= at < begun + seconds]
    rate = (len(counted) - 1) / (counted[-1] - counted[0]) * 60
    gaps = [after - before for before, after in pairwise(counted)]
    return (
        str(hosts),
        str(sum(at < times[0] + 1 for at in times)),
        f"{rate:.2f}",
        f"{rate / A_MINUTE:.1%}",
        str(stats["throttled"]),
        f"{max(gaps):.1f}",
    )


def _times(sandbox: Sandbox) -> list[float]:
    """When mails of the mailbox were accepted, in order."""
    return sorted(
        datetime.fromisoformat(one["at"]).timestamp() for one in sandbox.accepted() if one["mailbox"] == sandbox.sender
    )
