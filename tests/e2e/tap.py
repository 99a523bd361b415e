"""Taps on the wire between a host and its storage, and what mails cost there."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from operator import sub
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

from shared.app import App
from shared.settings.config import read
from shared.storage.table_identity import IDENTITY
from tests.azurite import azurite
from tests.e2e.running import UNPACED, Sandbox, beside, eventually, titled

REQUEST = re.compile(rb"(GET|PUT|POST|DELETE|MERGE|PATCH|HEAD) /devstoreaccount1/(\S*) HTTP/1\.1\r\n")


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
        return Cost(*map(sub, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Metered:
    sandbox: Sandbox
    blob: Tap
    queue: Tap
    table: Tap

    def cost(self) -> Cost:
        """Until now. Maintenance goes through whole partitions, and tables have identities: no mail pays for those."""
        table, blobs = (
            [(method, path) for method, path in tap.requests() if IDENTITY not in path]
            for tap in (self.table, self.blob)
        )
        ledger = [(method, path) for method, path in table if path.startswith("mailledger") and "filter" not in path]
        return Cost(
            reads=sum(method == "GET" for method, _ in ledger),
            writes=sum(method != "GET" for method, _ in ledger),
            messages=sum((method, path[:9]) == ("POST", "mail-work") for method, path in self.queue.requests()),
            blobs=sum(method == "PUT" for method, _ in blobs),
            pacing=sum(path.startswith("mailpacing") for _, path in table),
            suppressed=sum(path.startswith("mailsuppressed") for _, path in table),
        )

    def settled(self, queue: str) -> None:
        """Wait until the queue is empty: a message is completed after the last write."""
        eventually(lambda: self.sandbox.count(queue) == 0)


async def _marked(connection: str) -> None:
    app = App(read({"AzureWebJobsStorage": connection}))
    for identity in app.table_identities:
        await identity.keep()
    await app.storage.close()


@contextmanager
def a_host_behind_taps(first: Sandbox) -> Iterator[Metered]:
    """Another host beside a sandbox, with storage of its own behind taps; what is made on first use is there."""
    with ExitStack() as stack:
        storage, ports = stack.enter_context(azurite())
        asyncio.run(_marked(storage))  # before anything is counted: the row itself cannot be told from a mail's
        taps = [stack.enter_context(tapped(port)) for port in ports]
        for port, tap in zip(ports, taps, strict=True):
            storage = storage.replace(f"127.0.0.1:{port}/", f"127.0.0.1:{tap.port}/")
        host = stack.enter_context(beside(first, **UNPACED, AzureWebJobsStorage=storage))
        metered = Metered(host, *taps)
        metered.sandbox.send(titled("first"), Prefer="respond-async")
        metered.sandbox.arrives("first")
        metered.settled("mail-work")
        yield metered
