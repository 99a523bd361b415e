"""Faults: what the client sees, whether the mail was accepted, and how faults are set."""

import asyncio
import time

import pytest

from sandbox.cloud.faults import KINDS, Fault, Faults
from tests.sandbox.cloud.emulator import MESSAGES, Emulator, error_code, mail

ANSWERS = {
    "throttle": (429, "TooManyRequests", False),
    "unavailable": (503, "ErrorServerBusy", False),
    "gateway_timeout": (504, "UnknownError", True),
    "gateway_timeout_lost": (504, "UnknownError", False),
    "redirect": (302, None, False),
    "ok200": (200, None, False),
    "html502": (502, None, False),
    "unauthorized": (401, "InvalidAuthenticationToken", False),
    "forbidden": (403, "ErrorAccessDenied", False),
    "quota": (400, "ErrorQuotaExceeded", False),
    "message_limit": (403, "ErrorExceededMessageLimit", False),
}


@pytest.mark.parametrize(("kind", "status", "code", "accepted"), [(kind, *row) for kind, row in ANSWERS.items()])
async def test_a_fault_answers_in_its_way(
    emulator: Emulator,
    kind: str,
    status: int,
    code: str | None,
    accepted: bool,  # noqa: FBT001 - a row of the table
) -> None:
    await emulator.control("POST", "faults", {"kind": kind})
    answer = await emulator.send()
    assert answer.status_code == status
    if code is not None:
        assert error_code(answer) == (status, code)
    assert answer.headers["request-id"]
    assert len(await emulator.accepted()) == accepted
    assert (await emulator.send()).status_code == 202


@pytest.mark.parametrize(("kind", "accepted"), [("lost", 1), ("dropped", 0)])
async def test_a_broken_connection_is_no_answer(emulator: Emulator, kind: str, accepted: int) -> None:
    await emulator.control("POST", "faults", {"kind": kind})
    with pytest.raises(ConnectionResetError):
        await emulator.send()
    assert len(await emulator.accepted()) == accepted
    assert (await emulator.control("GET", "stats"))["by_status"] == {"cut": 1}


async def test_a_slow_request_is_accepted_late(emulator: Emulator) -> None:
    await emulator.control("POST", "faults", {"kind": "slow", "seconds": 0.5})
    start = time.monotonic()
    request = asyncio.create_task(emulator.send())
    await asyncio.sleep(0.01)
    assert await emulator.accepted() == []
    assert (await request).status_code == 202
    assert time.monotonic() - start >= 0.5
    assert len(await emulator.accepted()) == 1


async def test_every_kind_is_tested() -> None:
    assert set(KINDS) == {*ANSWERS, "lost", "dropped", "slow", "expired"}  # the last: test_uploads.py


async def test_faults_hit_the_next_requests_in_their_order(emulator: Emulator) -> None:
    await emulator.control("POST", "faults", [{"kind": "gateway_timeout", "count": 2}, {"kind": "unavailable"}])
    assert [(await emulator.send()).status_code for _ in range(4)] == [504, 504, 503, 202]


async def test_a_request_that_is_refused_anyway_uses_no_fault_up(emulator: Emulator) -> None:
    await emulator.control("POST", "faults", {"kind": "lost"})
    assert (await emulator.send({})).status_code == 400
    assert (await emulator.control("GET", "faults"))[0]["count"] == 1


async def test_a_fault_hits_the_operation_it_is_set_on(emulator: Emulator) -> None:
    await emulator.control("POST", "faults", {"kind": "unavailable", "on": "read"})
    assert (await emulator.send()).status_code == 202
    assert (await emulator.graph("GET", MESSAGES)).status_code == 503
    await emulator.control("POST", "faults", {"kind": "unavailable", "on": "write"})
    assert (await emulator.graph("POST", MESSAGES, json=mail())).status_code == 503
    made = await emulator.draft()
    await emulator.control("POST", "faults", {"kind": "gateway_timeout"})
    assert (await emulator.graph("POST", f"{MESSAGES}/{made['id']}/send")).status_code == 504
    assert len(await emulator.accepted()) == 2
    await emulator.control("POST", "faults", {"kind": "unavailable", "on": "identity"})
    params = {"api-version": "2019-08-01", "resource": "https://graph.microsoft.com"}
    for status in (503, 200):
        answer = await emulator.client.get("/msi/token", params=params, headers={"X-IDENTITY-HEADER": "secret"})
        assert answer.status_code == status


def test_chance_has_a_seed() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults((Fault.from_text("throttle=0.5"),), seed)
        return [faults.draw("send") is not None for _ in range(40)]

    assert hits(1) == hits(1) != hits(2)
    assert 5 < sum(hits(1)) < 35


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lost", Fault("lost", count=1)),
        ("throttle:3", Fault("throttle", count=3)),
        ("gateway_timeout=0.05", Fault("gateway_timeout", probability=0.05)),
        ("unavailable:2@read", Fault("unavailable", "read", count=2)),
    ],
)
def test_a_fault_is_written_short_on_the_command_line(text: str, fault: Fault) -> None:
    assert Fault.from_text(text) == fault


@pytest.mark.parametrize("text", ["", "nonsense", "lost:0", "lost=2", "lost:1=0.5", "lost@moon", "lost:-1"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no fault"):
        Fault.from_text(text)
