"""What a mail costs in storage operations where nothing goes wrong, counted on the wire between host and storage."""

from collections.abc import Iterator
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


@pytest.fixture
def sandbox(metered: Metered) -> Sandbox:
    metered.sandbox.reset()
    return metered.sandbox


def test_a_direct_mail_costs_two_writes_and_no_read(sandbox: Sandbox, metered: Metered) -> None:
    before = metered.cost()
    for _ in range(MAILS):
        assert sandbox.send(titled("direct")).headers["mailroom-state"] == "sent"
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (2 * MAILS, 0, 0, 0)


def test_a_webhooks_mail_is_sent_before_the_answer_and_costs_a_message_more_than_a_direct_one(
    sandbox: Sandbox, metered: Metered
) -> None:
    before = metered.cost()
    for number in range(MAILS):
        answer = sandbox.http.post(
            f"{sandbox.facts['host']}/api/events/generic",
            json={"number": number},
            headers={"X-Api-Key": "sandbox-secret"},
        )
        assert answer.headers["location"].startswith("/api/messages/")
        assert len(sandbox.subjects()) == number + 1
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (2 * MAILS, 0, MAILS, 0)


def test_a_producers_mail_costs_two_writes_and_no_read(sandbox: Sandbox, metered: Metered) -> None:
    before = metered.cost()
    for _ in range(MAILS):
        sandbox.queue(titled("by queue"))
    eventually(lambda: len(sandbox.subjects()) == MAILS)
    metered.settled("mail-outbox")
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (2 * MAILS, 0, 0, 0)


def test_a_mail_put_into_the_outbox_at_once_costs_a_write_and_two_reads_more(
    sandbox: Sandbox, metered: Metered
) -> None:
    """One read comes before its message: what is in the queue cannot be taken back when the key was another mail's."""
    before = metered.cost()
    for _ in range(MAILS):
        sandbox.send(titled("respond-async"), Prefer="respond-async")
    eventually(lambda: len(sandbox.subjects()) == MAILS)
    metered.settled("mail-work")
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (3 * MAILS, 2 * MAILS, MAILS, 0)


def test_a_mail_that_graph_throttles_costs_two_writes_and_a_read_more(sandbox: Sandbox, metered: Metered) -> None:
    """Its first attempt is claimed and given up, and then it is an accepted mail like any other."""
    before = metered.cost()
    sandbox.fault(kind="throttle", count=1, retry_after="1")
    assert sandbox.send(titled("throttled")).headers["mailroom-state"] == "accepted"
    sandbox.arrives("throttled")
    metered.settled("mail-work")
    cost = metered.cost() - before
    assert (cost.writes, cost.reads, cost.messages, cost.blobs) == (4, 1, 1, 0)


def test_pacing_costs_under_a_fifth_of_an_operation_a_mail_in_a_burst(sandbox: Sandbox, metered: Metered) -> None:
    token = sandbox.token()
    before = metered.cost()
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda n: sandbox.send(titled(f"burst {n}"), token=token), range(BURST)))
    cost = metered.cost() - before
    assert [answer.headers["mailroom-state"] for answer in answers] == ["sent"] * BURST
    assert (cost.writes, cost.reads) == (2 * BURST, 0)
    assert cost.pacing < 0.2 * BURST
    assert cost.suppressed <= 1, "the list is read once a minute, whatever the number of mails"
