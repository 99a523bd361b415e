"""Starts the parts of the sandbox, watches them, and ends them.

Storage, mail and graph start side by side; the host follows once they answer, since its settings name them. From the
first start on there is one future, `_end`, that everything which can end the sandbox resolves: a signal, the death of a
part, a failure while starting. Whatever it was, the parts are then ended in reverse order.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox import announce, parts, ports
from sandbox.announce import Ready, complain, say
from sandbox.environment import for_host, for_part, wanted
from sandbox.obstacles import fixed_ports, obstacles
from sandbox.options import PARTS, Options
from sandbox.packaged import alone
from sandbox.process import Failed, Part, Process
from sandbox.watchdog import Watchdog

type Check = Callable[[Mapping[str, str]], Sequence[str]]
"""Says what is wrong in the environment of the host, a line for each setting."""

_WRONG_FROM_THE_START = 2
_STILL_WAITING_AFTER = 10.0


def settings_problems(environment: Mapping[str, str]) -> Sequence[str]:
    """Mailroom's own words, the same as in Azure; routes and secrets that cannot be used are among them."""
    from shared.settings.config import read
    from shared.webhooks.rendering.mails import Renderer
    from shared.webhooks.routing.catalog import BUILT_IN, load
    from shared.webhooks.routing.route_status import faults_of_secrets

    settings = read(environment)
    catalog = load(settings.routes_dir, Renderer(BUILT_IN / "_layout"))
    routes = [*catalog.problems.values(), *([catalog.missing] if catalog.missing else [])]
    secrets = [f"{name}: {fault}" for name, fault in faults_of_secrets(settings, catalog).items()]
    return [*map(str, (*settings.problems, *settings.unused)), *routes, *secrets]


async def supervise(
    options: Options,
    commands: Mapping[str, tuple[str, ...]] = parts.COMMANDS,
    check: Check = settings_problems,
) -> int:
    """Run the sandbox until it is asked to end or a part dies. Returns the exit status.

    commands: the program of each part; options are added to it.
    """
    names = wanted(options, os.environ)
    if found := obstacles(options, names, commands, os.environ):
        for obstacle in found:
            complain(obstacle)
        return _WRONG_FROM_THE_START
    folder = Path(tempfile.mkdtemp(prefix="mailroom-sandbox-"))
    with Watchdog(folder) as watchdog:
        return await _Supervisor(options, names, commands, check, folder, watchdog).run()


class _Supervisor:
    def __init__(  # noqa: PLR0913, PLR0917 - what `supervise` was given and has made of it; called once
        self,
        options: Options,
        names: Sequence[str],
        commands: Mapping[str, tuple[str, ...]],
        check: Check,
        folder: Path,
        watchdog: Watchdog,
    ) -> None:
        self._options = options
        self._names = names
        self._commands = commands
        self._check = check
        self._folder = folder
        self._watchdog = watchdog
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._at_once = asyncio.Event()
        self._running: dict[str, Process[Any]] = {}
        self._ready: set[str] = set()
        self._watching: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        self._heed_signals()
        start = asyncio.create_task(self._start())
        start.add_done_callback(self._started)
        try:
            await self._end
        except Failed as failure:
            complain(str(failure))
            return failure.status
        finally:
            start.cancel()
            await asyncio.wait({start})
            await self._stop()
        return 0

    async def _start(self) -> None:
        self._tell(f"Starting the sandbox: {', '.join(self._names)}")
        progress = asyncio.create_task(self._tell_progress())
        try:
            ready = await self._start_parts()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            progress.cancel()
        if ready.host.error:
            complain(
                f"function_app.py cannot be imported: {ready.host.error.strip().splitlines()[-1]}\n"
                "In Azure there would be no functions now and every request would be answered 404; so it is here."
            )
        if self._options.json:
            say(announce.machine_line(ready))
        self._tell(f"\n{announce.first_mail(ready)}Ctrl-C ends all of it.")

    async def _start_parts(self) -> Ready:
        options, commands, folder = self._options, self._commands, self._folder
        environment = for_part(os.environ)
        fixed = {port.number for port in fixed_ports(options)}
        web = options.mail_port or ports.free(fixed)
        smtp = options.smtp_port or ports.free({web, *fixed})
        smtp_address = f"127.0.0.1:{smtp}" if "mail" in self._names else None
        async with asyncio.TaskGroup() as group:
            storage = group.create_task(self._launch(parts.storage(options, commands["storage"], environment, folder)))
            mail = group.create_task(self._launch(parts.mail((web, smtp), commands["mail"], environment, folder)))
            graph = group.create_task(self._launch(parts.graph(options, commands["graph"], environment, smtp_address)))

        environment = for_host(os.environ, storage.result(), graph.result())
        if problems := self._check(environment):
            raise Failed("\n".join(["Settings that are wrong:", *problems]), _WRONG_FROM_THE_START)
        certificate, ca = None, None
        if options.tls:
            from sandbox.certificate import issue  # takes a tenth of a second, and few want it

            issued = issue(folder)
            certificate, ca = (issued.certificate, issued.key), issued.ca
        program, of_host = alone(options.app, commands["host"], environment, folder)
        host = await self._launch(parts.host(options, program, of_host, certificate))
        assert host is not None  # noqa: S101 - it is always wanted
        return Ready(
            host=host,
            storage=storage.result(),
            mail=mail.result(),
            graph=graph.result(),
            environment=environment,
            pids={name: process.pid for name, process in self._running.items()},
            ca=ca,
        )

    async def _launch[Facts: announce.Facts](self, part: Part[Facts]) -> Facts | None:
        """Start a part, if it is wanted, and wait until it answers."""
        if part.name not in self._names:
            return None
        process = await Process.start(part, self._folder, self._watchdog)
        self._running[part.name] = process
        self._watching.add(asyncio.create_task(self._watch(process)))
        facts = await process.ready()
        self._ready.add(part.name)
        for line in announce.lines(facts):
            self._tell(line)
        return facts

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(_STILL_WAITING_AFTER)
            self._tell(f"  … waiting for {', '.join(name for name in self._running if name not in self._ready)}")

    def _started(self, start: asyncio.Task[None]) -> None:
        if not start.cancelled() and (error := start.exception()):
            self._resolve(error)

    async def _watch(self, process: Process[Any]) -> None:
        how = await process.ended()
        self._resolve(Failed(f"{process.name} (pid {process.pid}) ended with {how}.{process.last_words()}"))

    def _resolve(self, error: BaseException | None = None) -> None:
        """The first reason to end is the one that counts."""
        if self._end.done():
            return
        if error:
            self._end.set_exception(error)
        else:
            self._end.set_result(None)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the terminal may go.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._asked_to_end)

    def _asked_to_end(self) -> None:
        if self._end.done():
            self._at_once.set()
            return
        self._tell(f"\nEnding {', '.join(self._running)}. Once more kills at once.")
        self._resolve()

    async def _stop(self) -> None:
        for name in reversed(PARTS):
            if process := self._running.get(name):
                await process.stop(self._at_once)
        for task in self._watching:
            await task

    def _tell(self, text: str) -> None:
        """For a person; a program that asked for JSON gets that one line and nothing else."""
        if not self._options.json:
            say(text)
