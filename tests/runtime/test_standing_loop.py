"""A deadline that passes while the loop stands still is no time-out: what has arrived by then is read first.

The server here is threads, so that it answers while this process's loop stands still, as it does while somebody's
request takes seconds of processor time. On both loops: each reads what has come and, in the same pass, cancels whom it
has woken by that.
"""

import ast
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import shared.storage.storage_service
from shared.auth.managed_identity import Identity
from shared.delivery.lease import Lease
from shared.event_loop import Deadline, within
from shared.graph.client import GraphConnection, open_client
from shared.graph.drafts import Drafts
from shared.graph.find import Marker, find_copy
from shared.graph.outcome import Accepted, NotConnected, Outcome, Unknown
from shared.graph.send import send_mail
from shared.graph.transport import PIECE, PhaseTracker, _pieces
from shared.graph.upload import Uploaded, Uploader
from shared.settings.config import Settings
from shared.storage.account import StorageAccount
from tests.delivery.memory import MemoryLedger
from tests.delivery.samples import NOON, first_claim, work
from tests.graph.service import token_answer
from tests.graph.test_send import MAILBOX, outgoing_mail
from tests.runtime.test_deadlines import account_at

SHARED = Path(__file__).parents[2] / "shared"
DEADLINE = 0.7  # seconds
ANSWERED = 0.3  # after so many: while the loop stands
STANDS = 0.9


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@dataclass
class Slow:
    """The server: what it has seen; how many seconds it takes for an answer; what happens when a request is there."""

    port: int
    delay: float = 0.0
    seen: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def sent(self) -> int:
        return sum(line.startswith("POST") for line in self.seen)

    def stops_the_loop(self, requests: int = 1) -> None:
        """Let this loop stand still from when so many more requests are there until they have been answered."""
        loop, last = asyncio.get_running_loop(), len(self.seen) + requests

        def stand() -> None:
            time.sleep(STANDS)
            while self.delay < STANDS and len(self.answered) < last:  # a busy machine answers late
                time.sleep(0.01)

        def stop() -> None:
            if len(self.seen) == last:
                loop.call_soon_threadsafe(stand)

        self.delay, self.meanwhile = ANSWERED, stop


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """Graph, an upload session, a table and the identity endpoint, in threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        answers: ClassVar = {"GET": (200, b'{"value": [{"isDraft": false}]}'), "POST": (202, b""), "PUT": (201, b"")}

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            service.seen.append(self.requestline)
            status, body = self.answers[self.command]
            service.meanwhile()
            time.sleep(service.delay)
            if "/identity" in self.path:
                body = token_answer(1).body
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", "W/1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            service.answered.append(self.requestline)

        do_POST = do_PUT = do_GET  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = Slow(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{service.port}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        yield service
        server.shutdown()
        thread.join()


@pytest.fixture
async def connection(slow: Slow) -> Any:
    """With a token, so that the deadlines below are those of Graph."""
    connection = open_client(f"http://127.0.0.1:{slow.port}/v1.0", None)
    await connection.ensure_token()
    yield connection
    await connection.close()


async def send(connection: GraphConnection, **options: Any) -> Outcome:
    return await send_mail(connection, MAILBOX, outgoing_mail(), client_request_id="1", deadline=DEADLINE, **options)


@pytest.mark.parametrize("kept", [0, 1, 8], ids=["new connection", "kept connection", "many in flight"])
async def test_a_mail_that_graph_has_accepted_meanwhile_is_accepted(
    slow: Slow, connection: GraphConnection, kept: int
) -> None:
    """It would be sent twice else, where its mailbox cannot be asked."""
    await asyncio.gather(*(send(connection) for _ in range(kept)))
    slow.stops_the_loop(kept or 1)
    assert await asyncio.gather(*(send(connection) for _ in range(kept or 1))) == [Accepted()] * (kept or 1)


async def test_a_draft_that_graph_has_sent_meanwhile_is_sent(slow: Slow, connection: GraphConnection) -> None:
    drafts = Drafts(connection, DEADLINE)
    slow.stops_the_loop()
    assert await drafts.send(MAILBOX, "1", lambda: True) == Accepted()


async def test_what_the_mailbox_has_said_meanwhile_is_heard(slow: Slow, connection: GraphConnection) -> None:
    slow.stops_the_loop()
    assert await find_copy(connection, MAILBOX, Marker("String {1} Name x", "1"), DEADLINE) == "sent"


async def test_a_file_that_was_taken_meanwhile_is_whole(slow: Slow) -> None:
    uploader = Uploader("127.0.0.1", DEADLINE)

    async def read(start: int, length: int) -> bytes:
        return bytes(length)

    async def stay() -> None: ...

    slow.stops_the_loop()
    assert await uploader.upload(f"http://127.0.0.1:{slow.port}/upload", 1000, read, stay) is Uploaded.WHOLE
    await uploader.close()
    assert len(slow.seen) == 1


async def test_a_row_that_was_written_meanwhile_is_not_written_again(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second try would find its own row and take it for another's."""
    monkeypatch.setattr(shared.storage.storage_service, "TRY_TIMEOUT", DEADLINE)
    account = StorageAccount(account_at(slow.port))
    slow.stops_the_loop()
    assert await account.tables.table("rows").insert({"PartitionKey": "1", "RowKey": "1"}) == "W/1"
    await account.close()
    assert slow.sent() == 1


async def test_a_token_that_has_come_meanwhile_is_used(slow: Slow) -> None:
    identity = Identity(None, patience=DEADLINE)
    slow.stops_the_loop()
    assert (await identity.get_token("https://graph.microsoft.com/.default")).token == "token-1"
    await identity.close()


async def test_an_answer_that_has_not_come_is_a_time_out_all_the_same(slow: Slow, connection: GraphConnection) -> None:
    slow.stops_the_loop()
    slow.delay = STANDS + DEADLINE + 1  # after a stop uvloop's clocks are late by as much as was left of them
    assert await send(connection) == Unknown("timeout")


async def test_a_request_whose_token_came_too_late_does_not_leave(slow: Slow) -> None:
    """The passes after the deadline are for reading what has come: a mail that went out now would be in doubt."""
    connection = open_client(f"http://127.0.0.1:{slow.port}/v1.0", None)
    slow.stops_the_loop()
    assert isinstance(await send(connection), NotConnected)
    assert slow.sent() == 0
    await connection.close()


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
async def test_a_claim_whose_time_ended_while_the_loop_stood_sends_nothing(
    slow: Slow, connection: GraphConnection, *, kept: bool
) -> None:
    """The loop stands between the last look at the claim and the first byte: another instance may send by now."""
    if kept:
        assert await send(connection) == Accepted()
    settings = Settings(lease_margin=DEADLINE)
    lease = Lease(
        MemoryLedger(), settings, lambda: NOON, time.monotonic, first_claim(work(), NOON, settings, "t", queued=True)
    )
    await lease.renew()

    def still_ours() -> bool:
        ours = lease.may_start()
        time.sleep(2 * DEADLINE + 0.1)
        return ours

    assert await send(connection, still_ours=still_ours) == NotConnected("connect")
    assert not lease.may_start()
    assert slow.sent() == (1 if kept else 0)
    assert await send(connection) == Accepted()


def test_a_late_request_ends_before_its_first_byte() -> None:
    tracker = PhaseTracker(Deadline(0))
    tracker.connected()
    with pytest.raises(TimeoutError):
        tracker.leaving()
    assert not tracker.may_have_left


async def test_a_large_mail_whose_time_ends_in_its_middle_does_not_leave_as_a_whole() -> None:
    """Graph cannot accept what it has not got: the rest of the pieces stays here."""
    pieces = _pieces(bytes(2 * PIECE), PhaseTracker(Deadline(0.1)))
    assert len(await anext(pieces)) == PIECE
    time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still
    with pytest.raises(TimeoutError):
        await anext(pieces)


async def test_a_cancellation_from_outside_is_no_time_out() -> None:
    async def wait() -> None:
        async with within(60):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_ends_in_time_leaves_no_clock_behind() -> None:
    async with within(0.05) as end:
        assert not end.passed
    await asyncio.sleep(0.2)
    assert end.passed


def test_nothing_else_waits_by_the_clock_alone() -> None:
    """Every deadline is shared/event_loop.py's, and aiohttp has none on reading."""
    forbidden = {"timeout", "timeout_at", "wait_for"}
    found = []
    for path in SHARED.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="asyncio"), attr=name) if name in forbidden:
                    found.append(f"{path.relative_to(SHARED)}:{node.lineno}")
                case ast.keyword(arg="sock_read" | "read_timeout" | "total", value=ast.Constant(value=value)):
                    assert value is None, path
    assert [place for place in found if not place.startswith("event_loop.py:")] == []
