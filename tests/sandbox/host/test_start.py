"""An app is started as on Flex Consumption: a placeholder becomes this app's by a request."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.host.running import APPS, ROOT, running


@cache
def imported(*options: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MAILROOM_LOOP", raising=False)
        with running(APPS / "elsewhere", *options, settings={"A_SETTING": "mine"}) as host:
            found: dict[str, Any] = httpx.get(f"{host.url}/imported").json()
            return found


# Source: worker: proxy_worker/dispatcher.py and utils/dependency.py; azure_functions_runtime/handle_event.py.
def test_an_app_is_imported_in_another_directory_with_its_own_settings_and_is_the_last_on_the_path() -> None:
    """Only afterwards its folder is the working directory; nothing of the placeholder's environment is left."""
    found = imported()
    assert found["path"][-1] == found["app"]
    assert found["path"].count(found["app"]) == 1
    assert str(ROOT) not in found["path"]
    assert found["directory"] != found["directory_now"] == found["app"]
    assert (found["setting"], found["placeholder"]) == ("mine", False)


# Source: worker: proxy_worker/start_worker.py.
@pytest.mark.parametrize(("options", "loop"), [([], "uvloop"), (["--loop", "asyncio"], "asyncio.unix_events")])
def test_functions_run_on_uvloop_unless_told_otherwise(options: list[str], loop: str) -> None:
    assert imported(*options)["loop"] == loop


# Source: worker: proxy_worker/utils/dependency.py.
@pytest.mark.parametrize("name", ["shared", "function_app"])
def test_a_module_of_a_package_is_imported_in_place_of_the_apps_own(tmp_path: Path, name: str) -> None:
    """So `make package` refuses a package that has one of Mailroom's names (tests/deployment/test_names.py)."""
    app, packages = tmp_path / "app", tmp_path / "packages"
    (app / "shared").mkdir(parents=True)
    packages.mkdir()
    function_app = "import azure.functions as func, shared\napp = func.FunctionApp()\nprint(shared.WHOSE)\n"
    for folder, whose in ((app, "the app"), (packages, "a package")):
        if folder is app or name == "shared":
            (folder / "shared").mkdir(exist_ok=True)
            (folder / "shared" / "__init__.py").write_text(f"WHOSE = 'shared is {whose}'")
        if folder is app or name == "function_app":
            (folder / "function_app.py").write_text(f"print('function_app is {whose}')\n{function_app}")
    (app / "host.json").write_text('{"version": "2.0"}')
    path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    with running(app, settings={"PYTHONPATH": path}) as host:
        host.stop()
    assert f"{name} is a package" in host.log
    assert f"{name} is the app" not in host.log
