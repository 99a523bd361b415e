"""The host from start to end: everything it runs, started in order, and stopped so that nothing is left."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from sandbox.own_names import OwnNames

from .admin import Admin
from .functions import Function, QueueTrigger, TimerTrigger, declare
from .http import Front, shadowed
from .invocations import Invoker
from .keys import Keys
from .protocol import TypedData
from .settings import HostSettings, UnusableError, read_host_json
from .timers import Timer
from .triggers import queue_metadata
from .worker import Worker

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage

    from .queues import QueueListener
    from .storage import Storage

_log = logging.getLogger("sandbox.host")

_GRACE = 10.0
"""Seconds that running invocations have when the host is asked to stop."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. `tls` is a certificate file and its key file; `queue_lease` is in seconds; `host_names` are
    beside loopback's own.
    """

    app: Path
    bind: str
    host_names: tuple[str, ...]
    port: int
    tls: tuple[str, str] | None
    queue_lease: int
    keys: Keys


async def run(options: Options, announce: Callable[[dict[str, Any]], None]) -> bool:
    """Run the host until SIGTERM or SIGINT. `announce` is given the ready line, once all is ready.

    False when a part of the host broke. Raises UnusableError when it cannot start.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    settings = read_host_json(options.app / "host.json")
    script = options.app / os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise UnusableError(f"{script}: no such file")
    listening = _listen(options.bind, options.port)
    worker = Worker()
    index = await worker.index(options.app)
    if index.error:
        _log.error("%s cannot be indexed; in Azure this app has no functions\n%s", script, index.error)
    functions = declare(index.functions, os.environ, settings.route_prefix)
    for first, second in shadowed(functions):
        _log.warning("Azure takes routes in the order of function names: there %s hides %s", first, second)
    storage = _storage(functions, settings)
    invoker = Invoker(worker)
    listeners = list(_listeners(functions, settings, storage, invoker, options.queue_lease)) if storage else []
    timers = dict(_timers(functions, invoker))
    front = Front(functions, options.keys, Admin(functions, timers, invoker, index.error), invoker)
    server = _server(options, OwnNames(front, options.host_names))

    enabled = [timers[function.name] for function in functions if function.name in timers and not function.disabled]
    parts = [asyncio.create_task(server.serve(sockets=[listening])), *_start(listeners, stopping)]
    stop = asyncio.create_task(stopping.wait())
    await _until_any(parts, stop, asyncio.create_task(_ready(server, listeners)))
    parts += _start(enabled, stopping)
    if not stop.done() and not any(part.done() for part in parts):
        announce(_ready_line(options, listening, functions, index.error))
        await _until_any(parts, stop)
    broken = [part for part in parts if part.done() and not stop.done()]
    for part in broken:
        _log.error("the host broke and ends", exc_info=part.exception())
    await _end(server, parts, stopping, invoker)
    if storage:
        await storage.close()
    return not broken


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the host has one order of stopping for all its parts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(bind: str, port: int) -> socket.socket:
    """A listening socket: another program on the port is found out now, not after the app has loaded."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family, backlog=2048)
    except OSError as error:
        raise UnusableError(f"cannot listen on {bind} port {port}: {os.strerror(error.errno or 0)}") from error


def _server(options: Options, front: OwnNames) -> _Server:
    certificate, key = options.tls or (None, None)
    config = uvicorn.Config(
        front,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=32 * 1024,  # bytes of request line and headers, Kestrel's limit
        timeout_graceful_shutdown=int(_GRACE),
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:
        raise UnusableError(f"--tls {certificate} {key}: {error}") from error
    return _Server(config)


def _storage(functions: Sequence[Function], settings: HostSettings) -> "Storage | None":
    """The storage queues, for an app that has any: their client takes longer to import than the rest of the host."""
    if not any(isinstance(function.trigger, QueueTrigger) for function in functions):
        return None
    if settings.queues.encoding != "none":
        raise UnusableError('host.json: extensions.queues.messageEncoding must be "none": this host reads plain texts')
    from .storage import Storage

    return Storage()


def _listeners(
    functions: Sequence[Function], settings: HostSettings, storage: "Storage", invoker: Invoker, lease: int
) -> Iterator["QueueListener"]:
    from .queues import QueueListener

    for function in functions:
        if isinstance(function.trigger, QueueTrigger) and not function.disabled:
            invoke = partial(_on_message, invoker, function, function.trigger)
            try:
                yield QueueListener(function.trigger, settings.queues, storage, lease, invoke)
            except ValueError as error:
                raise UnusableError(f"function {function.name}: its connection string: {error}") from error


async def _on_message(
    invoker: Invoker, function: Function, trigger: QueueTrigger, message: "QueueMessage", body: bytes
) -> bool:
    inputs = {trigger.parameter: TypedData(bytes=body) if trigger.binary else TypedData(string=body.decode())}
    metadata = queue_metadata(function.name, body, message, binary=trigger.binary)
    return await invoker.run(function, inputs, metadata) is not None


def _timers(functions: Sequence[Function], invoker: Invoker) -> Iterator[tuple[str, Timer]]:
    for function in functions:
        if isinstance(trigger := function.trigger, TimerTrigger):
            fire = partial(_fire, invoker, function, trigger.parameter)
            yield (
                function.name,
                Timer(
                    trigger.schedule, monitor=trigger.monitor, run_on_startup=trigger.run_on_startup, invoke=fire
                ),
            )  # fmt: skip


async def _fire(invoker: Invoker, function: Function, parameter: str, state: str) -> None:
    await invoker.run(function, {parameter: TypedData(json=state)})


def _start(loops: Sequence["QueueListener | Timer"], stopping: asyncio.Event) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(each.run(stopping)) for each in loops]


async def _ready(server: uvicorn.Server, listeners: Sequence["QueueListener"]) -> None:
    """Return when requests are served and every queue was looked at once (or storage did not answer)."""
    for listener in listeners:
        await listener.polled.wait()
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)


async def _until_any(parts: Sequence[asyncio.Task[None]], *signals: asyncio.Task[Any]) -> None:
    await asyncio.wait([*parts, *signals], return_when=asyncio.FIRST_COMPLETED)


def _ready_line(
    options: Options, listening: socket.socket, functions: Sequence[Function], error: str | None
) -> dict[str, Any]:
    host = f"[{options.bind}]" if ":" in options.bind else options.bind
    line = {
        "url": f"{'https' if options.tls else 'http'}://{host}:{listening.getsockname()[1]}",
        "keys": {"default": options.keys.default, "master": options.keys.master},
        "functions": [function.summary for function in functions],
        "pid": os.getpid(),
    }
    return {**line, "error": error} if error else line


async def _end(
    server: uvicorn.Server, parts: Sequence[asyncio.Task[None]], stopping: asyncio.Event, invoker: Invoker
) -> None:
    """Take nothing new, and wait for what is running as long as it may."""
    stopping.set()
    server.should_exit = True
    _, running = await asyncio.wait([*parts, asyncio.create_task(invoker.idle())], timeout=_GRACE)
    if running:
        _log.warning("some invocations did not end within %d seconds and are cut off", _GRACE)
