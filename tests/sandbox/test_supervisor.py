"""`python -m sandbox`, with stand-ins for its parts (stand_ins.py). The real ones are in test_parts.py."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.environment import SETTINGS
from sandbox.supervisor import settings_problems
from tests.sandbox.host.running import eventually

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).with_name("stand_ins.py")
NAMES = ("storage", "mail", "graph", "host")
FREE = ("--port", "0", "--graph-port", "0", "--mail-port", "0", "--smtp-port", "0", "--storage-port", "0")
LONGEST = 60


class Sandbox:
    """The supervisor as its own process, and what its stand-ins have noted."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.notes, self.temporary = folder / "notes", folder / "tmp"
        self.notes.mkdir(parents=True, exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        # They need Python's own library alone, and start faster without looking for more.
        commands = {name: (sys.executable, "-S", str(STAND_INS), name) for name in NAMES}
        outer = {name: value for name, value in os.environ.items() if name not in SETTINGS and name[:5] != "MAIL_"}
        outer |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "STAND_INS": json.dumps(commands)}
        self.process = subprocess.Popen(
            (sys.executable, STAND_INS, "supervisor", *options),
            env=outer | {"STAND_IN_NOTES": str(self.notes)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.end()
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Exit status, rest of stdout, stderr."""
        if number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=LONGEST)
        return self.process.returncode, out, err

    def given(self, name: str) -> dict[str, Any]:
        given: dict[str, Any] = json.loads((self.notes / f"{name}.json").read_text())
        return given

    def nothing_is_left(self) -> bool:
        """Every part that was started has gone, and so has the folder; a killed process may take a moment for it."""
        pids = [json.loads(note.read_text())["pid"] for note in self.notes.glob("*.json")]
        return eventually(lambda: not any(map(alive, pids)) and not list(self.temporary.iterdir()))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    started: list[Sandbox] = []

    def start(*options: str, **environment: str) -> Sandbox:
        started.append(Sandbox(tmp_path / str(len(started)), *options, **environment))
        return started[-1]

    yield start
    for sandbox in started:
        if sandbox.process.poll() is None:
            sandbox.end(signal.SIGTERM)
        assert sandbox.nothing_is_left()


def alive(pid: int) -> bool:
    """Whether the process is there and not just waiting to be reaped, for which nobody may be there."""
    ps = ("/bin/ps", "-o", "stat=", "-p", str(pid))
    state = subprocess.run(ps, check=False, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_one_line_of_json_says_all_that_a_program_needs_and_each_part_gets_what_it_is_for(
    start: Callable[..., Sandbox], tmp_path: Path
) -> None:
    faults = ("--fault", "429:2", "--fault", "lost=0.1", "--seed", "7", "--concurrency", "4", "--sent-delay", "0.5")
    data = tmp_path / "data"
    options = (*faults, "--queue-lease", "3", "--data", str(data), "--app", str(tmp_path))
    sandbox = start("--json", *FREE, *options, HTTP_PROXY="http://proxy.example")
    ready = sandbox.ready()

    names = "host graph identity identity_header token jwks mail storage keys pids control"
    assert set(ready) >= {*names.split(), "tenant", "api_client_id", "caller_client_id", "sender", "sender_oid"}
    assert ready["keys"] == {"default": "d", "master": "m"}
    assert ready["pids"] == {name: sandbox.given(name)["pid"] for name in NAMES}
    assert "BlobEndpoint=http://127.0.0.1:0/devstoreaccount1;" in ready["storage"]
    assert httpx.get(ready["mail"], trust_env=False).status_code == 200

    settings = sandbox.given("host")["environment"]
    assert {name: settings[name] for name in SETTINGS} == ready["environment"]
    assert settings["AzureWebJobsStorage"] == ready["storage"]
    assert (settings["IDENTITY_ENDPOINT"], settings["IDENTITY_HEADER"]) == (ready["identity"], "header")
    assert "127.0.0.1" in settings["no_proxy"].split(",")

    graph, host, storage = (" ".join(sandbox.given(name)["arguments"]) for name in ("graph", "host", "storage"))
    assert "--fault 429:2 --fault lost=0.1 --seed 7 --concurrency 4 --sent-delay 0.5" in graph
    assert "--smtp 127.0.0.1:" in graph
    assert host == f"--app {tmp_path} --port 0 --loop uvloop --queue-lease 3"
    assert f"--location {data} " in storage

    status, out, err = sandbox.end(signal.SIGTERM)
    assert (status, out) == (0, ""), "and nothing else"
    assert err.count("speaks its mind") == 1, "the host's log is passed through, the others' are not"
    assert (sandbox.notes / "order").read_text().split() == list(reversed(NAMES)), "ended in reverse order"
    assert sandbox.nothing_is_left()


def test_a_person_sees_each_part_as_it_answers_and_how_to_send_a_mail_over_https(start: Callable[..., Sandbox]) -> None:
    sandbox = start(*FREE, "--tls")
    assert sandbox.process.stdout is not None
    lines = [sandbox.process.stdout.readline()]
    while "Ctrl-C" not in lines[-1]:
        lines.append(sandbox.process.stdout.readline())
    assert {line.split()[0] for line in lines[1:6]} == {"storage", "mail", "graph", "identity", "token"}
    assert lines[6].split()[:2] == ["host", "https://127.0.0.1:0"]
    text = "".join(lines)
    assert "-d client_id=33333333" in text
    assert "/api/v1.0/users/mailroom@sandbox.example/sendMail" in text
    assert "Meet for lunch?" in text
    certificate, key = sandbox.given("host")["arguments"][-2:]
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    authority = Path(certificate).with_name("ca.pem")
    assert len(ssl.create_default_context(cafile=str(authority)).get_ca_certs()) == 1
    assert sandbox.end(signal.SIGINT)[0] == 0


def test_only_host_says_what_it_needs_of_another_sandbox(start: Callable[..., Sandbox]) -> None:
    status, _, err = start("--only", "host").end()
    assert status == 2
    assert "--only host needs AzureWebJobsStorage in the environment." in err
    assert "--only host needs IDENTITY_ENDPOINT in the environment." in err


def test_a_port_in_use_is_named_with_its_part_and_its_option(start: Callable[..., Sandbox]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sandbox = start(*FREE, "--mail-port", str(port))
        status, out, err = sandbox.end()

    assert (status, out) == (2, "")
    assert f"Port {port} for mail (in the browser) is in use by another program. --mail-port N takes another" in err
    assert not list(sandbox.notes.iterdir()), "nothing was started"


def test_a_port_asked_for_twice_is_refused(start: Callable[..., Sandbox]) -> None:
    status, _, err = start(*FREE, "--storage-port", "20000", "--port", "20002").end()
    assert status == 2
    assert "Port 20002 for host is asked for storage (tables) too. Another --port keeps them apart." in err


def test_a_part_that_dies_at_start_or_later_is_named_and_ends_the_rest(start: Callable[..., Sandbox]) -> None:
    at_start = start("--json", *FREE, STAND_IN_BEHAVIOUR="storage=die")
    later = start("--json", *FREE)
    os.kill(later.ready()["pids"]["host"], signal.SIGKILL)
    for sandbox, name, how in ((at_start, "storage", "exit status 3"), (later, "host", "SIGKILL")):
        status, _, err = sandbox.end()
        assert status == 1
        assert f"sandbox: {name} (pid {sandbox.given(name)['pid']}) ended with {how}." in err
        assert f"{name} speaks its mind" in err
        assert sandbox.nothing_is_left()


def test_a_program_that_is_not_installed_is_named(start: Callable[..., Sandbox]) -> None:
    status, _, err = start(*FREE, STAND_INS=json.dumps(dict.fromkeys(NAMES, ("no-such-program",)))).end()
    assert status == 2
    assert "storage: no-such-program is not installed." in err


def test_an_app_that_does_not_import_is_said_loudly_and_served_as_azure_would(start: Callable[..., Sandbox]) -> None:
    sandbox = start("--json", *FREE, STAND_IN_ERROR="Traceback:\n no module named nonsense\n")
    assert "no module named nonsense" in sandbox.ready()["error"]
    status, _, err = sandbox.end(signal.SIGINT)
    assert status == 0
    assert "every request would be answered 404" in err
    assert "no module named nonsense" in err


def test_a_signal_while_starting_ends_what_has_started(start: Callable[..., Sandbox]) -> None:
    sandbox = start("--json", *FREE, STAND_IN_BEHAVIOUR="graph=silent")
    assert eventually((sandbox.notes / "graph.json").exists)
    assert sandbox.end(signal.SIGTERM)[0] == 0
    assert sandbox.nothing_is_left()


def test_a_second_signal_kills_at_once_what_does_not_end(start: Callable[..., Sandbox]) -> None:
    sandbox = start("--json", *FREE, STAND_IN_BEHAVIOUR="host=deaf")
    sandbox.ready()
    began = time.monotonic()
    sandbox.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert sandbox.process.poll() is None, "the host is given its time"
    sandbox.end(signal.SIGINT)
    assert time.monotonic() - began < 5
    assert sandbox.nothing_is_left()


def test_a_killed_supervisor_leaves_nothing_behind(start: Callable[..., Sandbox]) -> None:
    sandbox = start("--json", *FREE, STAND_IN_BEHAVIOUR="host=deaf")
    sandbox.ready()
    sandbox.end(signal.SIGKILL)
    assert sandbox.nothing_is_left()


def test_a_misspelt_setting_and_a_secret_that_proves_nothing_stop_the_sandbox() -> None:
    """In Azure they are reported; here whoever has set them stands before the screen."""
    given = {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_SENDERS": "a@contoso.com",
        "MAIL_SECRET_GITHIB": "hush",
        "MAIL_SECRET_STANDARD_WEBHOOKS": "whsec_hush?",
    }
    wrong = settings_problems(given)
    assert len(wrong) == 3
    for name, word in (
        ("MAIL_SENDERS", "MAIL_SENDER"),
        ("MAIL_SECRET_GITHIB", "MAIL_SECRET_GITHUB"),
        ("standard-webhooks", "MAIL_SECRET_STANDARD_WEBHOOKS"),
    ):
        assert any(line.startswith(name) and word in line for line in wrong), wrong
    assert "hush" not in str(wrong)
