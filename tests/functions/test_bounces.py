"""The timer that reads non-delivery reports: there only where it is wanted."""

from importlib.util import find_spec, module_from_spec

import pytest

from shared.settings.config import read


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
