"""What a mail costs in storage operations where nothing goes wrong, counted on the wire between host and storage."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from tests.azurite import azurite
from tests.e2e.running import Sandbox, eventually, running, titled

REQUEST = re.compile(rb"(GET|PUT|POST|DELETE|MERGE|PATCH|HEAD) /devstoreaccount1/(\S*) HTTP/1\.1\r\n")
# One worker for all: the fixture is dear.

MAILS = 5
BURST = 200


class Tap(ThreadingTCPServer):
    """A port that leads to another one, and keeps what is asked there."""

    def __init__(self, behind: int) -> None:
        self._asked: list[bytearray] = []
        tap = self

        class Through(BaseRequestHandler):
            def handle(self) -> None:
                asked = bytearray()
                tap._asked.append(asked)
                with suppress(OSError), socket.create_connection(("127.0.0.1", behind)) as inside:
                    back = Thread(target=_pump, args=(inside, self.request))
                    back.start()
                    while data := self.request.recv(65536):
                        asked.extend(data)
                        inside.sendall(data)
                    inside.shutdown(socket.SHUT_WR)
                    back.join()

        super().__init__(("127.0.0.1", 0), Through)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def requests(self) -> list[tuple[str, str]]:
        """Method and path with query, without the account."""
        return [
            (method.decode(), path.decode())
            for asked in list(self._asked)
            for method, path in REQUEST.findall(bytes(asked))
        ]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def tapped(port: int) -> Iterator[Tap]:
    with Tap(port) as tap:
        serving = Thread(target=tap.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield tap
        finally:
            tap.shutdown()
            serving.join()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of mails, in all. Blobs and messages: those of Mailroom's own, written."""

    reads: int = 0
    writes: int = 0
    messages: int = 0
    blobs: int = 0
    pacing: int = 0
    suppressed: int = 0

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(
            self.reads - other.reads,
            self.writes - other.writes,
            self.messages - other.messages,
            self.blobs - other.blobs,
            self.pacing - other.pacing,
            self.suppressed - other.suppressed,
        )


@dataclass(frozen=True)
class Metered:
    sandbox: Sandbox
    blob: Tap
    queue: Tap
    table: Tap

    def cost(self) -> Cost:
        """Until now. Upkeep goes through whole partitions by its own clock, and is no mail's cost."""
        table = self.table.requests()
        ledger = [(method, path) for method, path in table if path.startswith("mailledger") and "filter" not in path]
        return Cost(
            reads=sum(method == "GET" for method, _ in ledger),
            writes=sum(method != "GET" for method, _ in ledger),
            messages=sum((method, path[:9]) == ("POST", "mail-work") for method, path in self.queue.requests()),
            blobs=sum(method == "PUT" for method, path in self.blob.requests()),
            pacing=sum(path.startswith("mailpacing") for _, path in table),
            suppressed=sum(path.startswith("mailsuppressed") for _, path in table),
        )

    def settled(self, queue: str) -> None:
        """Wait until the queue is empty: a message is completed after the last write."""
        eventually(lambda: self.sandbox.count(queue) == 0)


@pytest.fixture(scope="module")
def metered(started: Sandbox) -> Iterator[Metered]:
    """Another host, with storage of its own behind taps; what is made on first use is there."""
    with ExitStack() as stack:
        storage, ports = stack.enter_context(azurite())
        taps = [stack.enter_context(tapped(port)) for port in ports]
        for port, tap in zip(ports, taps, strict=True):
            storage = storage.replace(f"127.0.0.1:{port}/", f"127.0.0.1:{tap.port}/")
        settings = started.facts["environment"] | {"AzureWebJobsStorage": storage, "MAIL_RATE_PER_MINUTE": "100000"}
        host = stack.enter_context(running("--only", "host", **settings))
        own = {name: host.facts[name] for name in ("host", "storage", "keys")}
        metered = Metered(Sandbox(started.facts | own, host.http), *taps)
        metered.sandbox.send(titled("first"), Prefer="respond-async")
        metered.sandbox.arrives("first")
        metered.settled("mail-work")
        yield metered


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


def test_a_producers_mail_costs_two_writes_and_no_read(sandbox: Sandbox, metered: Metered) -> None:
    before = metered.cost()
    for _ in range(MAILS):
        sandbox.put("mail-outbox", json.dumps({"sender": sandbox.sender, **titled("by queue")}))
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
