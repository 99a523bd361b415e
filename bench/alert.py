"""An alert: how long from a webhook, sent to an app that has nothing to do, until Graph has accepted its mail.

Graph takes 0.3 s for an answer, so no mail is faster than that. The app is warm; between the runs it waits for some
seconds, as it does between alerts. A mail over HTTP, in turn with them, is what a caller has to compare with. Times
are of one clock, the machine's.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from bench.machine import median, table
from bench.rig import mail, mailroom
from tests.e2e.running import Sandbox

LATENCY = 0.3
RUNS, BETWEEN = 100, 3.0  # seconds between them
WITHIN = 30.0  # seconds until a mail must have been accepted
PAUSE = 0.01
SECRET = {"Authorization": "Bearer sandbox-secret", "Content-Type": "application/json"}


def measure(*, quick: bool) -> Iterator[str]:
    runs = 5 if quick else RUNS
    accepted: dict[str, list[float]] = {"webhook": [], "sendMail": []}
    answered: dict[str, list[float]] = {"webhook": [], "sendMail": []}
    with mailroom("--latency", str(LATENCY), MAIL_RATE_PER_MINUTE="30") as sandbox:
        token = {"Authorization": f"Bearer {sandbox.token()}", "Content-Type": "application/json"}
        hook, send = f"{sandbox.facts['host']}/api/events/generic", f"{sandbox.api}/users/{sandbox.sender}/sendMail"

        def by_webhook(subject: str) -> int:
            event = json.dumps({"type": "order.paid", "id": subject, "subject": subject})
            return sandbox.http.post(hook, content=event, headers=SECRET).status_code

        def by_http(subject: str) -> int:
            return sandbox.http.post(send, json=mail(subject), headers=token).status_code

        ways: tuple[tuple[str, Callable[[str], int]], ...] = (("webhook", by_webhook), ("sendMail", by_http))
        for number in range(-2, runs):
            for name, way in ways:
                time.sleep(BETWEEN)
                answer, acceptance = _once(sandbox, way, f"{name} {number + 2}.")
                if number >= 0:  # everything is loaded by then
                    answered[name].append(answer)
                    accepted[name].append(acceptance)
    yield f"{runs} runs of each in turn, {BETWEEN:g} s apart, Graph at {LATENCY:g} s. Seconds:"
    yield ""
    head = ("way", "accepted by Graph after: median", "p95", "longest", "answered after: median", "p95", "longest")
    yield from table(head, [(name, *_spread(accepted[name]), *_spread(answered[name])) for name, _ in ways])


def _once(sandbox: Sandbox, way: Callable[[str], int], subject: str) -> tuple[float, float]:
    """Seconds until the answer, and until Graph has accepted the mail of this subject."""
    began, clock = time.time(), time.perf_counter()
    status = way(subject)
    answered = time.perf_counter() - clock
    if status != 202:  # noqa: PLR2004 - an HTTP status
        raise AssertionError(f"{subject} was answered {status}.")
    while time.time() < began + WITHIN:
        for one in reversed(sandbox.accepted()):
            if subject in one["message"]["subject"]:
                return answered, datetime.fromisoformat(one["at"]).timestamp() - began
        time.sleep(PAUSE)
    raise AssertionError(f"{subject} was not accepted within {WITHIN:g} s.")


def _spread(seconds: list[float]) -> tuple[str, str, str]:
    ordered = sorted(seconds)
    return tuple(f"{one:.2f}" for one in (median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1]))  # type: ignore[return-value] # three
