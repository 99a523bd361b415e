"""What runs: Azurite behind a gate, the Graph emulator, and hosts that can be killed and started again.

All are processes of the sandbox's own, under its watchdog, so that nothing stays when this program is killed itself.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from sandbox import parts, ports
from sandbox.cloud.directory import CALLER_CLIENT_ID
from sandbox.environment import for_host, for_part
from sandbox.options import parse
from sandbox.process import Process
from sandbox.watchdog import Watchdog
from shared.settings.config import secret_setting
from tests.chaos.gate import Gate
from tests.e2e.running import environment

SECRET = "whsec_Y2hhb3MtY2hhb3MtY2hhb3MtY2hhb3M="
"""Of both webhooks' senders."""

SETTINGS = {
    "MAIL_CALLERS": json.dumps({CALLER_CLIENT_ID: {"senders": ["*@sandbox.example"]}}),
    "MAIL_ALLOWED_SENDERS": "*@sandbox.example",
    **{secret_setting(route): SECRET for route in ("standard-webhooks", "github")},
    # Leases and delays so short that what takes minutes in Azure takes seconds here.
    "MAIL_SEND_TIMEOUT": "2",
    "MAIL_LEASE_MARGIN": "1",
    "MAIL_VERIFY_DELAYS": "0.5 1 2",
    "MAIL_RATE_PER_MINUTE": "100000",
    "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.5",
    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:01",
    # As many failures in seconds as Azure would have in hours: they are no reason to give a message up.
    "AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "1000",
}
QUEUE_LEASE = 4  # seconds
QUIET = 0.5  # seconds that Azurite has to finish what it was asked before the gate was shut
PATIENT = 60.0  # seconds that Azurite has to write its data
MAINTENANCE_WITHIN = 240.0  # seconds; the timer has as many for a twelfth
ROOT = Path(__file__).parents[2]


class Storage:
    """Azurite, its data in a folder. It can go away and come back at the same addresses with the same data."""

    def __init__(self, folder: Path, watchdog: Watchdog) -> None:
        self._folder = folder
        self._watchdog = watchdog
        self._gate = Gate()
        self._process: Process[parts.Storage] | None = None
        urls = [f"http://127.0.0.1:{port}" for port in self._gate.ports]
        self.addresses = parts.Storage(*urls)

    async def start(self) -> None:
        options = parse(["--storage-port", "0", "--data", str(self._folder / "storage")])
        part = parts.storage(options, parts.COMMANDS["storage"], for_part(environment()), self._folder)
        self._process = await Process.start(replace(part, grace=PATIENT), self._folder, self._watchdog)
        facts = await self._process.ready()
        await self._gate.open([urlsplit(url).port or 0 for url in (facts.blob, facts.queue, facts.table)])

    async def stop(self) -> None:
        """By SIGTERM. Killed, it would lose what it has acknowledged."""
        self._gate.shut()
        if self._process:
            await asyncio.sleep(QUIET)
            await self._process.stop(asyncio.Event())
            self._process = None

    def cut(self) -> None:
        """Break all connections to it: what was asked may have been done, and nobody gets to know."""
        self._gate.cut()


class Cloud:
    """The Graph emulator."""

    def __init__(self, facts: parts.Graph, process: Process[parts.Graph]) -> None:
        self.facts = facts
        self._process = process

    @classmethod
    async def start(cls, folder: Path, watchdog: Watchdog, seed: int) -> "Cloud":
        arguments = ["--graph-port", "0", "--seed", str(seed)]
        # A copy is not in Sent Items at once.
        options = parse([*arguments, "--sent-delay", "0.3", "--latency", "0.02"])
        part = parts.graph(options, parts.COMMANDS["graph"], for_part(environment()), None)
        process = await Process.start(part, folder, watchdog)
        return cls(await process.ready(), process)

    async def stop(self) -> None:
        await self._process.stop(asyncio.Event())


@dataclass(slots=True)
class Host:
    """One functions host, always at the same address. facts: None while it does not run."""

    name: str
    port: int
    environment: Mapping[str, str]
    folder: Path
    watchdog: Watchdog
    facts: parts.Host | None = None
    _process: Process[parts.Host] | None = None

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - what a host stands on
        cls, name: str, storage: Storage, cloud: Cloud, folder: Path, watchdog: Watchdog, more: Mapping[str, str]
    ) -> "Host":
        settings = for_host(environment(**SETTINGS, **more), storage.addresses, cloud.facts)
        return cls(name, ports.free(), settings, folder, watchdog)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        options = parse(["--port", str(self.port), "--queue-lease", str(QUEUE_LEASE)])
        part = parts.host(options, parts.COMMANDS["host"], self.environment, None)
        quiet = replace(part, name=self.name, command=(*part.command, "--verbose"), shown=False)
        self._process = await Process.start(quiet, self.folder, self.watchdog)
        self.facts = await self._process.ready()

    async def kill(self) -> None:
        """By SIGKILL, as when the machine fails."""
        self.facts = None
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.ended()
            self._process = None


async def maintain(environment: Mapping[str, str]) -> str:
    """Run maintenance in a process of its own, with a host's environment; what it said. Raises RuntimeError with it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.maintenance"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(MAINTENANCE_WITHIN):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"Maintenance ended with {process.returncode}: {said}")
    return said
