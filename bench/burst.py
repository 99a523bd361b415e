"""A burst: 10,000 webhooks as fast as they are taken; then how fast 2,000 of them leave. By one host and by three.

Graph takes four requests of a mailbox at a time, 300 ms each. The webhooks are of 20 routes with a mailbox each, so it
is the processor that says how fast they leave. Order: how many places a mail is off its place in its mailbox. Fairness:
Jain's index of the mailboxes' shares (1: all alike) over all that have gone.
"""

import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from bench.machine import cpu, median, table
from bench.rig import FREE, load, mailroom, running, wait_for
from tests.e2e.running import Sandbox

LATENCY, ROUTES = 0.3, 20
EVENTS, DRAINED, CLIENTS = 10_000, 2_000, 64
MOST = 240  # seconds of each of both; on a busy machine what has come by then is told
SLOW = ("--latency", str(LATENCY))
SECRET = {"Authorization": "Bearer sandbox-secret"}
EVENT = '{"type": "order.paid", "id": "RUN-{n}", "subject": "Order {n}.", "number": {n}}'
NUMBER = re.compile(r"Order (\d+)\.")
RUNS = count()


def measure(*, quick: bool) -> Iterator[str]:
    events, drained = (200, 60) if quick else (EVENTS, DRAINED)
    found = {hosts: _burst(hosts, events, drained) for hosts in (1, 3)}
    yield (
        f"Intake of {events:,} webhooks from {CLIENTS} clients, for {MOST} s at most, to the hosts in turn, which also "
        "send what has come:"
    )
    yield ""
    head = ("hosts", "acknowledged", "a second", "p50, ms", "p99, ms", "longest, ms", "sent meanwhile, a second")
    yield from table((*head, "load of the machine"), [(str(hosts), *each.intake) for hosts, each in found.items()])
    yield ""
    yield f"What was left then, {drained:,} at most, for {MOST} s at most:"
    yield ""
    drain = (
        "hosts",
        "mails",
        "a second",
        "answers 429",
        "most at once, one mailbox",
        "off their place: p50, p99",
        "fairness",
        "CPU of hosts, ms a mail",
        "cores busy",
    )
    yield from table(drain, [(str(hosts), *each.drain) for hosts, each in found.items()])


@dataclass(frozen=True)
class _Found:
    intake: tuple[str, ...]
    drain: tuple[str, ...]


def _burst(hosts: int, events: int, drained: int) -> _Found:
    with _hosts(hosts) as all_of_them:
        first = all_of_them[0]
        for host in all_of_them:
            _send([host], ROUTES, 1)  # everything is loaded now
        wait_for(first, ROUTES * hosts, 60)
        first.reset()
        taken = _send(all_of_them, events, CLIENTS)
        meanwhile = _stats(first)["accepted"]
        pids = [int(host.facts["pids"]["host"]) for host in all_of_them]
        others = [int(first.facts["pids"][name]) for name in ("storage", "graph")]
        before, elsewhere = cpu(*pids), cpu(*others)
        busy = os.getloadavg()[0]
        acknowledged = len(taken["seconds"])
        drained = min(drained, acknowledged - meanwhile)  # a webhook may have been sent before it was answered
        drained = _drain(first, meanwhile, drained)
        spent, elsewhere = cpu(*pids) - before, cpu(*others) - elsewhere
        accepted = first.accepted()
        stats = _stats(first)
    seconds = taken["seconds"]
    intake = (
        f"{acknowledged:,}",
        f"{acknowledged / taken['wall']:.0f}",
        f"{median(seconds) * 1000:.0f}",
        f"{seconds[int(len(seconds) * 0.99)] * 1000:.0f}",
        f"{seconds[-1] * 1000:.0f}",
        f"{meanwhile / taken['wall']:.0f}",
        f"{busy:.1f}",
    )
    times = sorted(datetime.fromisoformat(one["at"]) for one in accepted)
    took = (times[meanwhile + drained - 1] - times[max(0, meanwhile - 1)]).total_seconds()
    off = sorted(_off_their_place(accepted))
    drain = (
        str(drained),
        f"{drained / took:.1f}" if took else "-",
        f"{stats['throttled'] / stats['requests']:.2%}",
        str(stats["in_flight_max"]),
        f"{median(off):.0f}, {off[int(len(off) * 0.99)]}",
        f"{_fairness(accepted):.3f}",
        f"{spent / drained * 1000:.1f}" if took else "-",
        f"{(spent + elsewhere) / took:.2f}" if took else "-",
    )
    return _Found(intake, drain)


def _drain(sandbox: Sandbox, before: int, mails: int) -> int:
    """Wait until so many more are accepted; how many are, in the end."""
    end = time.monotonic() + MOST
    while (accepted := int(_stats(sandbox)["accepted"]) - before) < mails and time.monotonic() < end:
        time.sleep(0.05)
    return min(accepted, mails)


def _stats(sandbox: Sandbox) -> Any:
    return sandbox.http.get(f"{sandbox.facts['control']}/stats").json()


def _off_their_place(accepted: list[dict[str, Any]]) -> Iterator[int]:
    """For each mail: its place in the order of acceptance against that of its number, in its mailbox."""
    places: Counter[str] = Counter()
    for one in accepted:
        if found := NUMBER.search(one["message"]["subject"]):
            yield abs(places[one["mailbox"]] - int(found[1]) // ROUTES)
            places[one["mailbox"]] += 1


def _fairness(accepted: list[dict[str, Any]]) -> float:
    shares = Counter(one["mailbox"] for one in accepted)
    return sum(shares.values()) ** 2 / (ROUTES * sum(share**2 for share in shares.values()))


def _send(hosts: list[Sandbox], events: int, clients: int) -> dict[str, Any]:
    """Every client sends one event after the other, routes and hosts in turn; no event is sent twice."""
    # Each round of the routes goes to the next host, so that every route reaches every one.
    urls = [f"{host.facts['host']}/api/events/bench{route}" for host in hosts for route in range(1, ROUTES + 1)]
    return load(urls, EVENT.replace("RUN", str(next(RUNS))), events, clients, SECRET, most=MOST)


@contextmanager
def _hosts(number: int) -> Iterator[list[Sandbox]]:
    """So many hosts over one storage and one Graph."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secrets = {}
        for route in range(1, ROUTES + 1):
            (folder / f"bench{route}").mkdir()
            text = f'source = "key"\nsender = "shared{route}@sandbox.example"\n[options]\ntype = "data.type"\n'
            text += 'subject = "data.subject"\n'
            (folder / f"bench{route}" / "route.toml").write_text(text, "utf-8")
            secrets[f"MAIL_SECRET_BENCH{route}"] = "sandbox-secret"
        settings = {"MAIL_ROUTES_DIR": str(folder), **secrets}
        first = stack.enter_context(mailroom(*SLOW, **settings))
        beside = {**first.facts["environment"], **FREE, **settings}
        more = [stack.enter_context(running("--only", "host", **beside)) for _ in range(number - 1)]
        known = [first.facts | {name: fact for name, fact in one.facts.items() if fact} for one in more]
        yield [first, *(replace(one, facts=facts) for facts, one in zip(known, more, strict=True))]
