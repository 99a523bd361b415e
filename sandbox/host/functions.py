"""What an app declares: its functions with their triggers, read from the bindings the worker indexed.

Only what this host can do is let through: HTTP, storage-queue and timer triggers, and HTTP outputs.
Everything else is refused with the name of the function and of the binding.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .protocol import RpcFunctionMetadata
from .routing import Route, parse_template
from .settings import UnusableError
from .timers import Schedule, parse_schedule

type AuthLevel = Literal["anonymous", "function", "admin"]

_PROPERTIES: Mapping[str, frozenset[str]] = {
    "httpTrigger": frozenset(["methods", "authLevel", "route"]),
    "queueTrigger": frozenset(["queueName", "connection"]),
    "timerTrigger": frozenset(["schedule", "runOnStartup", "useMonitor"]),
    "http": frozenset(),
}
_COMMON = frozenset(["name", "type", "direction", "dataType"])
_AUTH_LEVELS: tuple[AuthLevel, ...] = ("anonymous", "function", "admin")
# https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
_QUEUE_NAME = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """Run by requests; `route` has the route prefix in it."""

    parameter: str
    route: Route
    auth: AuthLevel


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """Run by messages; `connection` is a connection string."""

    parameter: str
    queue: str
    connection: str
    binary: bool


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """Run by the clock. `monitor`: the function is told when it ran last and runs next."""

    parameter: str
    schedule: Schedule
    run_on_startup: bool
    monitor: bool


@dataclass(frozen=True, slots=True)
class Function:
    """One function; `http_output` is the name of its HTTP output."""

    id: str
    name: str
    trigger: HttpTrigger | QueueTrigger | TimerTrigger
    http_output: str | None
    bindings: tuple[Mapping[str, Any], ...]
    disabled: bool

    @property
    def summary(self) -> dict[str, Any]:
        """The function in a few words: name, type and what starts it."""
        match self.trigger:
            case HttpTrigger(route=route, auth=auth):
                methods = sorted(route.methods) if route.methods is not None else None
                what = {"type": "httpTrigger", "route": f"/{route.template.text}", "methods": methods, "auth": auth}
            case QueueTrigger(queue=queue):
                what = {"type": "queueTrigger", "queue": queue}
            case TimerTrigger(schedule=schedule):
                what = {"type": "timerTrigger", "schedule": schedule.text}
        return {"name": self.name, **what}


def declare(
    indexed: Sequence[RpcFunctionMetadata], environ: Mapping[str, str], route_prefix: str
) -> tuple[Function, ...]:
    """Read the indexed functions, in the order of their names as Azure does; disabled ones are marked.

    Raises UnusableError naming every function with a binding, property or setting that cannot be served.
    """
    functions: list[Function] = []
    problems: list[str] = []
    for metadata in sorted(indexed, key=lambda each: each.name.lower()):
        try:
            functions.append(_Reader(metadata, environ, route_prefix).read())
        except ValueError as error:
            problems.append(f"function {metadata.name}: {error}")
    if problems:
        raise UnusableError("\n".join(problems))
    return tuple(functions)


@dataclass(frozen=True, slots=True)
class _Reader:
    metadata: RpcFunctionMetadata
    environ: Mapping[str, str]
    route_prefix: str

    def read(self) -> Function:
        bindings = [json.loads(raw) for raw in self.metadata.raw_bindings]
        for binding in bindings:
            self._check(binding)
        if self.metadata.retry_options is not None:
            raise ValueError("retry policies are not supported by this host")
        triggers = [binding for binding in bindings if binding["type"].endswith("Trigger")]
        if len(triggers) != 1:
            raise ValueError(f"expected one trigger, found {len(triggers)}")
        return Function(
            id=self.metadata.function_id,
            name=self.metadata.name,
            trigger=self._trigger(triggers[0]),
            http_output=next((binding["name"] for binding in bindings if binding["type"] == "http"), None),
            bindings=tuple(bindings),
            disabled=self._disabled(),
        )

    def _check(self, binding: Mapping[str, Any]) -> None:
        kind = binding.get("type", "")
        if kind not in _PROPERTIES:
            raise ValueError(f"binding {binding.get('name')!r} of type {kind!r} is not supported by this host")
        out = str(binding.get("direction", "")).lower() == "out"
        if out == kind.endswith("Trigger"):
            raise ValueError(f"binding {binding.get('name')!r} of type {kind!r} has the wrong direction")
        for name in binding.keys() - _COMMON - _PROPERTIES[kind]:
            raise ValueError(f"property {name!r} of binding {binding['name']!r} is not supported by this host")
        data_type = str(binding.get("dataType") or "undefined").lower()
        if data_type not in ({"undefined", "string", "binary"} if kind == "queueTrigger" else {"undefined", "string"}):
            raise ValueError(f"dataType {data_type!r} of binding {binding['name']!r} is not supported by this host")

    def _trigger(self, binding: Mapping[str, Any]) -> HttpTrigger | QueueTrigger | TimerTrigger:
        match binding["type"]:
            case "httpTrigger":
                return self._http(binding)
            case "queueTrigger":
                binary = str(binding.get("dataType")).lower() == "binary"
                return QueueTrigger(binding["name"], self._queue(binding), self._connection(binding), binary)
            case _:
                schedule = parse_schedule(self._resolve(binding["schedule"]))
                # Azure keeps no record of timers that run more often than once a minute.
                monitor = _flag(binding.get("useMonitor"), default=True) and not schedule.under_a_minute
                return TimerTrigger(binding["name"], schedule, _flag(binding.get("runOnStartup")), monitor)

    def _http(self, binding: Mapping[str, Any]) -> HttpTrigger:
        route = str(binding.get("route") or self.metadata.name)
        if route.strip("/").lower().startswith(("admin", "runtime")):
            raise ValueError(f"route {route!r} conflicts with the host's own routes")
        template = parse_template(f"{self.route_prefix}/{route}" if self.route_prefix else route)
        # Without an auth level the host's default holds, and that is a function key.
        asked = str(binding.get("authLevel") or "function").lower()
        auth = next((level for level in _AUTH_LEVELS if level == asked), None)
        if auth is None:
            raise ValueError(f"authLevel {asked!r} is not supported by this host")
        methods = binding.get("methods")
        taken = frozenset(str(method).upper() for method in methods) if methods is not None else None
        return HttpTrigger(binding["name"], Route(self.metadata.name, template, taken), auth)

    def _queue(self, binding: Mapping[str, Any]) -> str:
        name = self._resolve(str(binding["queueName"])).lower()
        if not _QUEUE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for a storage queue")
        return name

    def _connection(self, binding: Mapping[str, Any]) -> str:
        """The connection string behind a binding's `connection`, looked up as the WebJobs SDK does."""
        name = self._resolve(str(binding.get("connection") or "AzureWebJobsStorage"))
        for setting in (f"AzureWebJobs{name}", name):
            if self.environ.get(setting):
                return self.environ[setting]
        if any(setting.startswith((f"{name}__", f"AzureWebJobs{name}__")) for setting in self.environ):
            raise ValueError(f"connection {name!r} uses an identity; this host needs a connection string in {name}")
        raise ValueError(f"connection {name!r}: the setting {name} is not set")

    def _resolve(self, text: str) -> str:
        """Replace every `%SETTING%` by the setting's value."""

        def value(found: re.Match[str]) -> str:
            if found[1] not in self.environ:
                raise ValueError(f"%{found[1]}%: the setting {found[1]} is not set")
            return self.environ[found[1]]

        return re.sub(r"%([^%]+)%", value, text)

    def _disabled(self) -> bool:
        name = self.metadata.name
        values = (self.environ.get(f"AzureWebJobs.{name}.Disabled"), self.environ.get(f"AzureWebJobs_{name}_Disabled"))
        return any(_flag(value) for value in values)


def _flag(value: object, *, default: bool = False) -> bool:
    return default if value is None else str(value).lower() in {"true", "1"}
