"""Each step of maintenance is done, whatever becomes of the one before it; a failed one is told."""

import asyncio

import pytest

from shared.event_loop import Deadline
from shared.functions import timer
from shared.telemetry import LogEvent
from tests.functions.samples import said


async def test_a_step_that_fails_or_hangs_keeps_no_other_from_being_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails in the end, so that the platform counts it."""
    monkeypatch.setattr(timer, "TIME_FOR_A_STEP", 0.05)
    done: list[str] = []

    async def fails() -> None:
        raise OSError("a text that may hold anything")

    async def hangs() -> None:
        await asyncio.sleep(30)

    async def works() -> None:
        done.append("works")

    async def takes_its_time() -> None:
        await asyncio.sleep(0.2)
        done.append("last")

    steps = {"queues": fails, "tables": hangs, "signed": works, "ledger": takes_its_time}
    with pytest.raises(OSError, match="anything"):
        await timer._each(steps, Deadline(10))
    assert done == ["works", "last"]
    assert [(one["event"], one["step"], one["code"]) for one in said(caplog)] == [
        (LogEvent.MAINTENANCE_FAILED, "queues", "OSError"),
        (LogEvent.MAINTENANCE_FAILED, "tables", "TimeoutError"),
    ]
