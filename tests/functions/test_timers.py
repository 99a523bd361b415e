"""The timers: each step of maintenance is done, whatever becomes of the one before; bounces are read where wanted."""

import asyncio
from importlib.util import find_spec, module_from_spec

import pytest

from shared.event_loop import Deadline
from shared.functions import timer
from shared.settings.config import read
from shared.telemetry import LogEvent
from tests.logged import said


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


def functions() -> dict[str, str]:
    """The functions that Azure would index now, with the schedules of timers."""
    spec = find_spec("shared.functions.triggers")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    built = (function.build() for function in module.blueprint._function_builders)
    return {
        function.get_function_name(): function.get_trigger().get_dict_repr().get("schedule", "") for function in built
    }


@pytest.mark.parametrize("value", ["", "false", "no"])
def test_without_the_setting_there_is_no_such_function(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One that did nothing would cost as much as one that does something: the platform bills executions."""
    monkeypatch.setenv("MAIL_BOUNCES", value)
    assert "bounces" not in functions()


@pytest.mark.parametrize("value", ["true", " True "])
def test_with_the_setting_reports_are_read_every_five_minutes_between_the_runs_of_maintenance(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MAIL_BOUNCES", value)
    found = functions()
    assert (found["maintenance"], found["bounces"]) == ("0 */5 * * * *", "0 2-59/5 * * * *")
    assert read({"MAIL_BOUNCES": value}).bounces


def test_suppression_by_bounces_needs_the_bounces() -> None:
    problems = read({"MAIL_SUPPRESS_BOUNCED": "true", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}).problems
    assert [problem.setting for problem in problems] == ["MAIL_BOUNCES"]
