"""Starting, refusing to start, and ending."""

import os
import signal
import socket
import ssl
import threading
import time
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from sandbox.certificate import issue
from tests.sandbox.host.running import APPS, eventually, refused, running


def test_an_app_that_does_not_import_has_no_functions(storage: str) -> None:
    """As in Azure: 404 for everything; the traceback is on the ready line and on stderr."""
    with running(APPS / "broken", settings={"AzureWebJobsStorage": storage}) as host:
        assert host.ready["functions"] == []
        assert "ModuleNotFoundError: No module named 'no_such_module'" in host.ready["error"]
        assert "function_app.py" in host.ready["error"]
        assert "No module named 'no_such_module'" in host.log
        assert httpx.get(f"{host.url}/api/hello").status_code == HTTPStatus.NOT_FOUND
        status = httpx.get(f"{host.url}/admin/host/status", headers=host.master).json()
        assert (status["state"], status["errors"]) == ("Error", [host.ready["error"]])


def test_what_is_not_supported_is_refused_by_function_and_binding() -> None:
    ended = refused(APPS / "unsupported", settings={"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        (
            "sandbox.host: function day: route 'api/days/{day:datetime}': constraint 'datetime' is not supported "
            "(known: alpha, bool, guid, int, long)"
        ),
        "sandbox.host: function picture: binding 'blob' of type 'blobTrigger' is not supported by this host",
        "sandbox.host: function reserved: route 'admin/mine' conflicts with the host's own routes",
        "sandbox.host: function slashed: route 'api//slashed' must not begin with a slash nor have two in a row",
        "sandbox.host: function stubborn: retry policies are not supported by this host",
        "sandbox.host: function to_hub: binding '$return' of type 'eventHub' is not supported by this host",
    ]


def test_settings_that_are_missing_are_refused_by_name() -> None:
    """All of them at once."""
    ended = refused(APPS / "settings")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-2:] == [
        "sandbox.host: function one: %QUEUE%: the setting QUEUE is not set",
        "sandbox.host: function two: %SCHEDULE%: the setting SCHEDULE is not set",
    ]


def test_a_connection_string_that_cannot_be_read_is_refused_without_showing_it() -> None:
    settings = {"QUEUE": "q-1", "MAIL_STORAGE": "AccountKey=secret", "SCHEDULE": "0 0 * * * *"}
    ended = refused(APPS / "settings", settings=settings)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "function one: its connection string" in ended.stderr
    assert "secret" not in ended.stderr


def test_a_port_in_use_is_refused_by_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = refused(APPS / "http", "--port", str(port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ended.stderr


def test_a_setting_of_host_json_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0", "extensions": {"queues": {"batchSizes": 3}}}')
    ended = refused(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "extensions.queues.batchSizes is not a queue setting this host knows" in ended.stderr


# Source: host: WebScriptHostHttpRoutesManager.cs; here it is said at start.
def test_a_route_that_azure_would_hide_is_warned_of() -> None:
    """Azure takes the first route that fits in the order of names; this host prefers text to parameters."""
    with running(APPS / "shadowing") as host:
        assert httpx.get(f"{host.url}/api/messages/stats").text == "statistics"
        warnings = [line for line in host.lines if "WARNING" in line]
        assert len(warnings) == 1
        assert "there a_message hides statistics" in warnings[0]


def test_https_is_served_with_a_certificate_and_keys_can_be_given(tmp_path: Path) -> None:
    files = issue(tmp_path)
    options = ["--tls", str(files.certificate), str(files.key), "--default-key", "d", "--master-key", "m"]
    with running(APPS / "http", *options) as host:
        assert host.ready["keys"] == {"default": "d", "master": "m"}
        assert host.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(files.ca))
        answer = httpx.get(f"{host.url}/api/keyed?code=d", verify=context)
        assert answer.json()["url"] == f"{host.url}/api/keyed?code=d"
    ended = refused(APPS / "http", "--tls", str(files.certificate), str(tmp_path / "missing"))
    assert ended.returncode == 2
    assert "--tls" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_invocations_finish_and_leaves_nothing(number: signal.Signals) -> None:
    """No process of the host's group, nobody on its port, exit status 0."""
    with running(APPS / "http") as host:
        answers: list[httpx.Response] = []
        call = threading.Thread(target=lambda: answers.append(httpx.get(f"{host.url}/api/slow?seconds=1", timeout=20)))
        call.start()
        eventually(lambda: "slow begins" in host.log)
        host.process.send_signal(number)
        assert host.process.wait(10) == 0
        call.join()
        assert [answer.text for answer in answers] == ["slept"]
        with pytest.raises(ProcessLookupError):
            os.killpg(host.process.pid, 0)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{host.url}/api/echo")


def test_an_invocation_that_does_not_end_is_cut_off_after_ten_seconds() -> None:
    with running(APPS / "http") as host:
        call = threading.Thread(target=_ignore_answer, args=(f"{host.url}/api/two",))  # waits for a second request
        call.start()
        never = threading.Thread(target=_ignore_answer, args=(f"{host.url}/api/slow?seconds=1000",))
        never.start()
        eventually(lambda: "slow begins" in host.log and "two begins" in host.log)
        started = time.monotonic()
        assert host.stop() == 0
        assert 5 < time.monotonic() - started < 14
        call.join()
        never.join()
        eventually(lambda: "cut off" in host.log)


def _ignore_answer(url: str) -> None:
    try:
        httpx.get(url, timeout=30)
    except httpx.HTTPError:
        return
