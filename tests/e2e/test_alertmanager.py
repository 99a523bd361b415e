"""A real Alertmanager: fires, repeats what was not taken, resolves. Debian's package `prometheus-alertmanager`."""

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox import ports
from tests.e2e.running import Sandbox, eventually

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Alertmanager is missing: apt install prometheus-alertmanager")

# The shortest intervals that Alertmanager takes well; what it would do in minutes it does in seconds.
CONFIGURATION = """
route:
  receiver: mailroom
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
receivers:
  - name: mailroom
    webhook_configs:
      - url: {url}
        send_resolved: true
        http_config:
          authorization:
            credentials: sandbox-secret
"""


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Alertmanager on loopback, sending to this address. Yields its own."""
    configuration = folder / "alertmanager.yml"
    configuration.write_text(CONFIGURATION.format(url=url))
    address = f"127.0.0.1:{ports.free(set())}"
    options = [f"--config.file={configuration}", f"--storage.path={folder}", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM), *options, "--cluster.listen-address=", "--log.level=debug"], stdout=log, stderr=log
        )
        try:
            eventually(lambda: _ready(f"http://{address}"), 20)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(20)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def alert(address: str, name: str, *, ends: timedelta) -> None:
    """What Prometheus tells it: an alert that lasts until then, and is over once that has passed."""
    now = datetime.now(UTC)
    told = {
        "labels": {"alertname": name, "severity": "critical", "instance": "db-1"},
        "annotations": {"summary": "The disk is nearly full"},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        "endsAt": (now + ends).isoformat(),
    }
    assert httpx.post(f"{address}/api/v2/alerts", json=[told], trust_env=False).status_code == 200


def mails(sandbox: Sandbox, name: str) -> list[dict[str, Any]]:
    return [mail["message"] for mail in sandbox.accepted() if name in mail["message"]["subject"]]


def marks(mail: dict[str, Any]) -> dict[str, str]:
    """What puts a mail into a conversation."""
    found = {mark["id"]: mark["value"] for mark in mail["singleValueExtendedProperties"]}
    return {name: found[name] for name in ("String 0x1042", "String 0x1039")}


def test_an_alert_fires_and_resolves_two_mails_of_one_conversation(sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"Disk{uuid.uuid4().hex}"
    with alertmanager(tmp_path, f"{sandbox.facts['host']}/api/events/alertmanager") as address:
        alert(address, name, ends=timedelta(hours=1))
        (fired,) = eventually(lambda: mails(sandbox, name), 30)
        alert(address, name, ends=timedelta(seconds=-1))
        eventually(lambda: len(mails(sandbox, name)) == 2, 30)
        time.sleep(3)  # longer than the group's interval: nothing more comes
    fired, resolved = mails(sandbox, name)
    assert "firing" in fired["subject"].lower()
    assert "resolved" in resolved["subject"].lower()
    assert "The disk is nearly full" in fired["body"]["content"]
    assert marks(fired) == marks(resolved)
