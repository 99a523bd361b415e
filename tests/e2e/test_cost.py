"""What a mail costs in storage operations where nothing goes wrong, counted on the wire between host and storage."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.running import Sandbox, eventually, titled
from tests.e2e.tap import Metered, a_host_behind_taps

MAILS = 5
BURST = 40


@pytest.fixture(scope="module")
def metered(started: Sandbox) -> Iterator[Metered]:
    with a_host_behind_taps(started) as found:
        yield found


def direct(metered: Metered) -> None:
    for _ in range(MAILS):
        assert metered.sandbox.send(titled("direct")).headers["mailroom-state"] == "sent"


def webhook(metered: Metered) -> None:
    """Sent before the answer."""
    sandbox = metered.sandbox
    for number in range(MAILS):
        events, key = f"{sandbox.facts['host']}/api/events/generic", {"X-Api-Key": "sandbox-secret"}
        answer = sandbox.http.post(events, json={"number": number}, headers=key)
        assert answer.headers["location"].startswith("/api/messages/")
        assert len(sandbox.subjects()) == number + 1


def producer(metered: Metered) -> None:
    for _ in range(MAILS):
        metered.sandbox.queue(titled("by queue"))
    eventually(lambda: len(metered.sandbox.subjects()) == MAILS)
    metered.settled("mail-outbox")


def respond_async(metered: Metered) -> None:
    """One read comes before its message: what is in the queue cannot be taken back when the key was another mail's."""
    for _ in range(MAILS):
        answer = metered.sandbox.send(titled("respond-async"), Prefer="respond-async")
        assert answer.headers["preference-applied"] == "respond-async"
    eventually(lambda: len(metered.sandbox.subjects()) == MAILS)
    metered.settled("mail-work")


def throttled(metered: Metered) -> None:
    """Its first attempt is claimed and given up, and then it is an accepted mail like any other."""
    metered.sandbox.fault(kind="throttle", count=1, retry_after="1")
    assert metered.sandbox.send(titled("throttled")).headers["mailroom-state"] == "accepted"
    metered.sandbox.arrives("throttled")
    metered.settled("mail-work")


@pytest.mark.parametrize(
    ("way", "writes", "reads", "messages"),
    [
        (direct, 2 * MAILS, 0, 0),
        (webhook, 2 * MAILS, 0, MAILS),
        (producer, 2 * MAILS, 0, 0),
        (respond_async, 3 * MAILS, 2 * MAILS, MAILS),
        (throttled, 4, 1, 1),
    ],
)
def test_a_mail_costs_so_many_writes_reads_and_messages(
    metered: Metered, way: Callable[[Metered], None], writes: int, reads: int, messages: int
) -> None:
    metered.sandbox.reset()
    before = metered.cost()
    way(metered)
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (writes, reads, messages, 0)


def test_pacing_costs_under_a_fifth_of_an_operation_a_mail_in_a_burst(metered: Metered) -> None:
    sandbox = metered.sandbox
    token = sandbox.token()
    before = metered.cost()
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda n: sandbox.send(titled(f"burst {n}"), token=token), range(BURST)))
    cost = metered.cost() - before
    assert [answer.headers["mailroom-state"] for answer in answers] == ["sent"] * BURST
    assert (cost.writes, cost.reads) == (2 * BURST, 0)
    assert cost.pacing < 0.2 * BURST
    assert cost.suppressed <= 1, "the list is read once a minute, whatever the number of mails"
