"""Queue triggers against a real Azurite."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.storage.queue import QueueClient

from tests.sandbox.host.running import APPS, Gate, Host, eventually, running

# One host for all tests here, also when they are spread over processes.
pytestmark = pytest.mark.xdist_group("host-queues")

_LEASE = 2


@dataclass(slots=True)
class Queues:
    """A host on the sample app with queue functions, its queues, and the file where functions leave a trace."""

    host: Host
    connection: str
    prefix: str
    file: Path

    def send(self, name: str, text: str) -> None:
        with QueueClient.from_connection_string(self.connection, f"{self.prefix}-{name}") as queue:
            queue.send_message(text)

    def described(self, word: str) -> dict[str, Any]:
        """What the function saw of the message with this word in its body."""
        found = eventually(lambda: [line for line in self.trace("described") if word in line])
        seen: dict[str, Any] = json.loads(found[0].partition(" ")[2])
        return seen

    def length(self, name: str) -> int:
        """Messages in a queue, those that are invisible now included."""
        with QueueClient.from_connection_string(self.connection, f"{self.prefix}-{name}") as queue:
            return queue.get_queue_properties().approximate_message_count or 0

    def trace(self, word: str) -> list[str]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line for line in lines if word in line.split()]


@pytest.fixture(scope="module")
def queues(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queues]:
    prefix, file = f"t{uuid4().hex[:12]}", tmp_path_factory.mktemp("queues") / "trace"
    settings = {"AzureWebJobsStorage": storage, "Q": prefix, "FILE": str(file)}
    with running(APPS / "queues", "--queue-lease", str(_LEASE), settings=settings) as host:
        yield Queues(host, storage, prefix, file)


def test_the_ready_line_names_the_queues_with_their_settings_filled_in(queues: Queues) -> None:
    """And each of them exists by then."""
    functions = {each["name"]: each for each in queues.host.ready["functions"]}
    assert functions["describe"] == {"name": "describe", "type": "queueTrigger", "queue": f"{queues.prefix}-in"}
    assert queues.length("in") == 0


def test_a_message_runs_its_function_with_all_it_has(queues: Queues) -> None:
    """Body, id, dequeue count, times and pop receipt."""
    with QueueClient.from_connection_string(queues.connection, f"{queues.prefix}-in") as queue:
        sent = queue.send_message("<dich>", time_to_live=3600)
        queue.send_message("for-ever", time_to_live=-1)
    seen = queues.described("dich")
    assert (seen["body"], seen["id"], seen["dequeue_count"]) == ("<dich>", sent.id, 1)
    assert seen["pop_receipt"]
    inserted = datetime.fromisoformat(seen["insertion_time"])
    assert abs(inserted - datetime.now(UTC)) < timedelta(minutes=1)
    assert datetime.fromisoformat(seen["expiration_time"]) - inserted == timedelta(hours=1)
    assert datetime.fromisoformat(seen["time_next_visible"]) > inserted
    assert queues.described("for-ever")["expiration_time"].startswith("9999-12-31T")
    eventually(lambda: queues.length("in") == 0)


# Source: queues: QueueProcessor.cs.
def test_a_message_that_fails_is_tried_again_and_then_is_poison(queues: Queues) -> None:
    """As often as maxDequeueCount says, the dequeue count higher each time; the poison queue is consumed like any."""
    queues.send("bad", "rotten")
    assert eventually(lambda: queues.trace("buried")) == ["buried rotten 1"]
    assert queues.trace("rotten")[:3] == ["rotten 1", "rotten 2", "rotten 3"]
    eventually(lambda: queues.length("bad") == 0)
    assert "RuntimeError: bad as ever" in queues.host.log
    assert "has failed 3 times: moved to" in queues.host.log


# Source: queues: QueueListener.cs.
def test_what_fails_in_a_poison_queue_stays_there_invisible_until_its_lease_ends(queues: Queues) -> None:
    """It is not tried again at once, and after maxDequeueCount times not at all."""
    queues.send("bad-poison", "undead")
    eventually(lambda: len(queues.trace("undead")) == 2)
    assert queues.length("bad-poison") == 1


# Source: queues: QueueListener.cs.
def test_a_message_is_delivered_once_though_it_takes_longer_than_the_lease(queues: Queues) -> None:
    """The lease is renewed at half time, and the renewed pop receipt deletes the message."""
    queues.send("slow", "tortoise")
    eventually(lambda: queues.length("slow") == 0 and queues.trace("tortoise"))
    assert queues.trace("tortoise") == ["tortoise begins", "tortoise ends"]


def test_several_messages_are_worked_on_at_once(queues: Queues) -> None:
    """The function goes on by threes: newBatchThreshold lets the next batch in while two are waiting."""
    for number in range(9):
        queues.send("three", str(number))
    eventually(lambda: len(queues.trace("three")) == 9)


def test_a_queue_function_is_run_by_hand(queues: Queues) -> None:
    url = f"{queues.host.url}/admin/functions/describe"
    answer = httpx.post(url, json={"input": "by-hand"}, headers=queues.host.master)
    assert (answer.status_code, answer.content) == (202, b"")
    seen = queues.described("by-hand")
    assert (seen["body"], seen["dequeue_count"]) == ("by-hand", 0)
    assert httpx.post(url, content=b"{", headers=queues.host.master).status_code == HTTPStatus.BAD_REQUEST
    assert httpx.post(url, json={"input": 1}, headers=queues.host.master).status_code == HTTPStatus.BAD_REQUEST


def test_a_storage_outage_is_said_once_and_polling_goes_on(storage: str, prefix: str, tmp_path: Path) -> None:
    """HTTP is served meanwhile, and messages are taken again when storage is back."""
    port = int(re.search(r"QueueEndpoint=http://127\.0\.0\.1:(\d+)/", storage)[1])  # type: ignore[index] # it is there
    gate = Gate(port)
    settings = {
        "AzureWebJobsStorage": storage.replace(f":{port}/", f":{gate.port}/"),
        "Q": prefix,
        "FILE": str(tmp_path / "trace"),
    }
    try:
        with running(APPS / "queues", settings=settings) as host:
            queues = Queues(host, storage, prefix, tmp_path / "trace")
            gate.shut()
            eventually(lambda: f"queue {prefix}-in cannot be polled" in host.log)
            queues.send("in", "meanwhile")
            assert httpx.get(f"{host.url}/api/missing").status_code == HTTPStatus.NOT_FOUND
            gate.open()
            assert queues.described("meanwhile")["body"] == "meanwhile"
            eventually(lambda: f"queue {prefix}-in is polled again" in host.log)
            assert host.log.count(f"queue {prefix}-in cannot be polled") == 1
    finally:
        gate.shut()
