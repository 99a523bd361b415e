"""Many mailboxes: how many mails a second leave when each mailbox's own rate is lifted and Graph is slow.

Graph takes four requests of a mailbox at a time, so N mailboxes can take N x 4 / its time for an answer. The mails lie
in `mail-outbox`, of all mailboxes in turn, and become visible at once. By one host, and by three on the same machine.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bench.machine import cpu, table
from bench.rig import FREE, mail, mailroom, put_at_once, running, wait_for
from tests.e2e.running import Sandbox

AT_A_TIME, WARM = 4, 32
FILL = 3  # seconds until the first mails are visible, and one more for every fifty


@dataclass(frozen=True, slots=True)
class _Case:
    mailboxes: int
    latency: float
    mails: int
    hosts: int

    @property
    def possible(self) -> float:
        """Mails a second."""
        return self.mailboxes * AT_A_TIME / self.latency


CASES = (_Case(8, 1.5, 640, 1), _Case(8, 1.5, 640, 3), _Case(16, 0.3, 1600, 1), _Case(16, 0.3, 1600, 3))


def measure(*, quick: bool) -> Iterator[str]:
    cases = [replace(case, mails=80) for case in CASES] if quick else CASES
    yield "Mails a second are counted over the middle four fifths of the mails; each mail is there once."
    yield ""
    head = (
        *("mailboxes", "Graph's answer, s", "hosts", "mails a second", "Graph can take", "share", "answers 429"),
        *("most at once, one mailbox", "all", "CPU of hosts, ms a mail", "cores that hosts used"),
    )
    yield from table(head, [_row(case) for case in cases])


def _row(case: _Case) -> tuple[str, ...]:
    with hosts_of(case.hosts, "--latency", str(case.latency), **FREE) as hosts:
        first = hosts[0]
        _put(first, case, WARM, "warm")
        wait_for(first, WARM, 120)
        first.reset()
        pids = [int(host.facts["pids"]["host"]) for host in hosts]
        _put(first, case, case.mails, "mail")
        before = cpu(*pids)
        wait_for(first, case.mails, 120 + 10 * case.mails / case.possible)
        spent = cpu(*pids) - before
        accepted = first.accepted()
        stats: dict[str, Any] = first.http.get(f"{first.facts['control']}/stats").json()
    if len({one["message"]["subject"] for one in accepted}) != len(accepted):
        raise AssertionError("A mail has gone twice.")
    times = sorted(datetime.fromisoformat(one["at"]).timestamp() for one in accepted)
    tenth = case.mails // 10
    rate = (case.mails - 2 * tenth) / (times[-tenth - 1] - times[tenth - 1])
    return (
        str(case.mailboxes),
        f"{case.latency:g}",
        str(case.hosts),
        f"{rate:.1f}",
        f"{case.possible:.1f}",
        f"{rate / case.possible:.0%}",
        f"{stats['throttled'] / stats['requests']:.2%}",
        str(stats["in_flight_max"]),
        str(stats["in_flight_max_in_all"]),
        f"{spent / case.mails * 1000:.1f}",
        f"{spent / (times[-1] - times[0] + case.latency):.2f}",
    )


def _put(sandbox: Sandbox, case: _Case, count: int, run: str) -> None:
    texts = [
        json.dumps(
            {
                "sender": f"shared{number % case.mailboxes + 1}@sandbox.example",
                "key": f"{run} {number}",
                **mail(f"{run} {number}"),
            }
        )
        for number in range(count)
    ]
    put_at_once(sandbox, "mail-outbox", texts, FILL + count // 50)


@contextmanager
def hosts_of(number: int, *options: str, **settings: str) -> Iterator[list[Sandbox]]:
    """So many hosts over one storage and one Graph, which counts as Graph does."""
    with ExitStack() as stack:
        first = stack.enter_context(mailroom(*options, **settings))
        beside = {**first.facts["environment"], **settings}
        more = [stack.enter_context(running("--only", "host", **beside)) for _ in range(number - 1)]
        known = [first.facts | {name: fact for name, fact in one.facts.items() if fact} for one in more]
        yield [first, *(replace(one, facts=facts) for facts, one in zip(known, more, strict=True))]
