"""One mail: processor seconds of the worker, and time, on each way in; against the bare SDK call and bare httpx.

The sandbox's host, which is another program in Azure, runs in the worker's process. Its share is what the same requests
and messages cost with functions that do nothing, and is subtracted. What the host uses while it waits (it polls six
queues) is subtracted too.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

from bench.machine import cpu, median, table
from bench.rig import Window, bare, empty_host, load, mail, mailroom, put_at_once, wait_for
from tests.e2e.running import Sandbox, eventually
from tests.e2e.tap import Cost, a_host_behind_taps

ROUNDS, MAILS, WARM = 3, 300, 60
WAYS = ("bare SDK call", "bare httpx", "direct", "queue", "webhook")
EVENT = '{"type": "order.paid", "id": "RUN-{n}", "subject": "Order {n}", "number": {n}, "customer": "Fanny"}'
IDLE = 5.0
type Run = dict[str, dict[str, list[float]]]  # by way, then by "cpu", "host" and "wall"; seconds a mail


def measure(*, quick: bool) -> Iterator[str]:
    rounds, mails = (1, 60) if quick else (ROUNDS, MAILS)
    yield f"Milliseconds a mail; medians of {rounds} rounds of {mails} mails on each way, the ways in turn."
    for at_a_time in (1, 16):
        runs = _run(at_a_time, rounds, mails)
        base = median(runs["bare SDK call"]["cpu"])
        rows = []
        for way in WAYS:
            spent, wall = median(runs[way]["cpu"]), median(runs[way]["wall"])
            host = f"{median(runs[way]['host']) * 1000:.2f}" if runs[way]["host"] else "-"
            rows.append((way, f"{spent * 1000:.2f}", f"{spent / base:.2f}", host, f"{wall * 1000:.2f}"))
        yield ""
        yield f"{at_a_time} at a time:"
        yield ""
        head = ("way", "CPU, ms", "CPU, times the bare SDK call", "host's share, taken off, ms", "wall, ms")
        yield from table(head, rows)
    yield ""
    yield "Storage operations a mail, in a burst of 200 where nothing goes wrong; Mailroom's own, without the host's:"
    yield ""
    yield from table(("way", "ledger writes", "ledger reads", "messages put", "blobs", "pacing"), _operations())


def _run(at_a_time: int, rounds: int, mails: int) -> Run:
    runs: Run = defaultdict(lambda: defaultdict(list))
    batch = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": str(at_a_time),
        "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": str(at_a_time // 2),
    }
    with ExitStack() as stack:
        sandbox = stack.enter_context(mailroom(**batch))
        http = stack.enter_context(empty_host(sandbox, "empty"))
        queue = stack.enter_context(empty_host(sandbox, "empty_queue", **batch))
        idle = {id(one): _idle(one) for one in (sandbox, http, queue)}
        for number in range(-1, rounds):
            few = WARM if number < 0 else mails
            found: dict[str, dict[str, float]] = {
                "bare SDK call": bare(sandbox, "sdk", few, at_a_time),
                "bare httpx": bare(sandbox, "httpx", few, at_a_time),
            }
            host_http = _http(http, idle[id(http)], few, at_a_time)["cpu"]
            host_queue = _empty_queue(queue, idle[id(queue)], few)
            found["direct"] = _less(_http(sandbox, idle[id(sandbox)], few, at_a_time), host_http)
            found["queue"] = _less(_queue(sandbox, idle[id(sandbox)], few, f"{at_a_time} {number}"), host_queue)
            webhook = _webhook(sandbox, idle[id(sandbox)], few, at_a_time, f"{at_a_time}-{number}")
            found["webhook"] = _less(webhook, host_http)  # its message is deleted before the host sees it
            if number < 0:
                continue  # everything is loaded now
            for way, one in found.items():
                runs[way]["cpu"].append(one["cpu"] / few)
                runs[way]["wall"].append(one["wall"] / few)
                if "host" in one:
                    runs[way]["host"].append(one["host"] / few)
    return runs


def _less(found: dict[str, float], host: float) -> dict[str, float]:
    return {"cpu": found["cpu"] - host, "wall": found["wall"], "host": host}


def _idle(sandbox: Sandbox) -> float:
    """Processor seconds that a host uses in a second while there is nothing to do."""
    pid = int(sandbox.facts["pids"]["host"])
    time.sleep(2)
    before, began = cpu(pid), time.monotonic()
    time.sleep(IDLE)
    return (cpu(pid) - before) / (time.monotonic() - began)


def _http(sandbox: Sandbox, idle: float, mails: int, at_a_time: int) -> dict[str, float]:
    url = f"{sandbox.api}/users/{sandbox.sender}/sendMail"
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    window = Window(sandbox, idle)
    found = load([url], json.dumps(mail("direct {n}")), mails, at_a_time, headers)
    return {"cpu": window.seconds(), "wall": found["wall"]}


def _empty_queue(sandbox: Sandbox, idle: float, mails: int) -> float:
    put_at_once(sandbox, "bench-empty", [_producers(sandbox, f"empty {n}") for n in range(mails)], _fill(mails))
    window = Window(sandbox, idle)
    eventually(lambda: sandbox.count("bench-empty") == 0, 60)
    return window.seconds()


def _queue(sandbox: Sandbox, idle: float, mails: int, run: str) -> dict[str, float]:
    sandbox.reset()
    put_at_once(sandbox, "mail-outbox", [_producers(sandbox, f"queue {run} {n}") for n in range(mails)], _fill(mails))
    window = Window(sandbox, idle)
    wait_for(sandbox, mails, 120)
    eventually(lambda: sandbox.count("mail-outbox") == 0)
    return {"cpu": window.seconds(), "wall": _between(sandbox)}


def _webhook(sandbox: Sandbox, idle: float, mails: int, at_a_time: int, run: str) -> dict[str, float]:
    """wall: until the last mail was accepted by Graph."""
    sandbox.reset()
    window, began = Window(sandbox, idle), time.monotonic()
    url, secret = f"{sandbox.facts['host']}/api/events/generic", {"Authorization": "Bearer sandbox-secret"}
    load([url], EVENT.replace("RUN", run), mails, at_a_time, secret)
    wait_for(sandbox, mails, 120)
    wall = time.monotonic() - began
    eventually(lambda: sandbox.count("mail-work") == 0)
    return {"cpu": window.seconds(), "wall": wall}


def _producers(sandbox: Sandbox, key: str) -> str:
    return json.dumps({"sender": sandbox.sender, "key": key, **mail(key)})


def _fill(mails: int) -> int:
    """Seconds within which so many messages are surely put."""
    return 3 + mails // 50


def _between(sandbox: Sandbox) -> float:
    """Seconds from the first mail that Graph accepted to the last."""
    times = [datetime.fromisoformat(one["at"]) for one in sandbox.accepted()]
    return (max(times) - min(times)).total_seconds()


def _operations() -> Iterator[tuple[str, ...]]:
    burst = 200
    with mailroom() as first, a_host_behind_taps(first) as metered:
        sandbox = metered.sandbox
        token = {"Authorization": f"Bearer {sandbox.token()}"}
        url, secret = f"{sandbox.facts['host']}/api/events/generic", {"Authorization": "Bearer sandbox-secret"}

        def direct() -> None:
            load([f"{sandbox.api}/users/{sandbox.sender}/sendMail"], json.dumps(mail("{n}")), burst, 16, token)

        def queue() -> None:
            put_at_once(sandbox, "mail-outbox", [_producers(sandbox, f"cost {n}") for n in range(burst)], _fill(burst))

        def webhook() -> None:
            load([url], EVENT.replace("RUN", "cost"), burst, 16, secret)

        for name, way in (("direct", direct), ("queue", queue), ("webhook", webhook)):
            sandbox.reset()
            before = metered.cost()
            way()
            wait_for(sandbox, burst, 60)
            metered.settled("mail-outbox")
            metered.settled("mail-work")
            cost: Cost = metered.cost() - before
            parts = (cost.writes, cost.reads, cost.messages, cost.blobs, cost.pacing)
            yield (name, *(f"{part / burst:.2f}" for part in parts))
