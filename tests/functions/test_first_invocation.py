"""What is wrong with settings and routes is said within an invocation: Azure drops what is logged outside of one."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shared.app import App, current_app
from shared.functions.queue_intake import NotConfiguredError
from shared.settings.config import Settings
from tests.functions.samples import message, request
from tests.indexed import indexed
from tests.logged import said

ROOT = Path(__file__).parents[2]
WRONG = "MAIL_RATE_PER_MINUTE"


def given(trigger: str) -> object:
    return request("POST", b"{}", id="a", route="generic") if trigger == "httpTrigger" else message()


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A process that has read no settings yet, with storage and one other setting that cannot be used."""
    monkeypatch.setenv("AzureWebJobsStorage", "nothing of the kind")
    monkeypatch.setenv(WRONG, "many")
    caplog.set_level(logging.INFO, "mailroom")
    current_app.cache_clear()
    yield
    current_app.cache_clear()


@pytest.mark.parametrize("name", sorted(indexed()))
@pytest.mark.usefixtures("unread")
async def test_the_first_invocation_says_what_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever function it is of."""
    function = indexed()[name]
    with suppress(NotConfiguredError):  # a queue's message stays where it is: there is no storage to put it into
        await function.get_user_function()(given(function.get_trigger().type))
    assert {line["setting"] for line in said(caplog, "setting.refused")} == {WRONG, "AzureWebJobsStorage"}


@pytest.mark.usefixtures("unread")
async def test_each_run_of_maintenance_says_it_again(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        caplog.clear()
        await indexed()["maintenance"].get_user_function()(None)
        assert WRONG in {line["setting"] for line in said(caplog, "setting.refused")}


def test_importing_the_app_logs_nothing() -> None:
    """It would not arrive; so what is logged there is not meant for anyone."""
    program = (
        "import logging, os; os.environ['MAIL_RATE_PER_MINUTE'] = 'many'\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "import function_app; print(len(function_app.app.get_functions()))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == (str(len(indexed())), "")


def test_routes_that_cannot_be_used_are_said_by_the_first_who_asks_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "route.toml").write_text("no route")
    app = App(Settings(routes_dir=tmp_path))
    assert app.intake is not None
    assert [line["route"] for line in said(caplog, "route.refused")] == ["mine"]
