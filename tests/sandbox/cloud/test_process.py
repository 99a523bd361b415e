"""`python -m sandbox.cloud` as a process, and Microsoft's own clients against it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import httpx
import pytest

from sandbox.cloud.__main__ import main
from sandbox.parts import Graph

COMMAND = [sys.executable, "-m", "sandbox.cloud"]


def start(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, json.loads(line or "{}")


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    return process.returncode, out + err


@pytest.fixture(scope="module")
def cloud() -> Iterator[dict[str, Any]]:
    """One emulator as a process; what it printed."""
    process, addresses = start("--identity-header", "SECRET", "--concurrency", "8")
    yield addresses
    assert stop(process) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_it_says_where_it_is_and_ends_cleanly_on_a_signal() -> None:
    process, addresses = start("--sent-delay", "3", "--latency", "0", "--fault", "throttle:1@read", "--seed", "1")
    assert set(addresses) == {"pid", *(field.name for field in fields(Graph))}
    assert addresses["pid"] == process.pid
    assert addresses["sender"] == "mailroom@sandbox.example"
    assert httpx.get(f"{addresses['control']}/faults").json()[0]["kind"] == "throttle"
    assert httpx.get(f"{addresses['control']}/settings").json()["sent_delay"] == 3
    assert httpx.get(addresses["jwks"]).json()["keys"]
    assert stop(process, signal.SIGINT) == (0, "")


def test_a_port_in_use_is_said(cloud: dict[str, Any]) -> None:
    port = cloud["authority"].rpartition(":")[2]
    done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert port in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "options", [["--fault", "nonsense"], ["--smtp", "nowhere"], ["--latency", "-1"], ["--concurrency", "0"]]
)
def test_a_wrong_option_is_said(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert options[0] in capsys.readouterr().err
