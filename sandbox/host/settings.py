"""host.json: the part of it that a host on a laptop acts on.

`extensions.http.routePrefix` and the whole of `extensions.queues` are read, with Azure's defaults, limits and
formats; sections that only matter in Azure are accepted and left alone; anything else is refused by name.
Application settings of the form `AzureFunctionsJobHost__extensions__queues__batchSize` override the file, as there.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

_OVERRIDE = "AzureFunctionsJobHost__"
# They steer telemetry, scaling, deployment or how long an invocation may be billed: nothing a laptop has.
_AZURE_ONLY = frozenset(
    {
        *("aggregator", "applicationinsights", "concurrency", "extensionbundle", "functiontimeout", "healthmonitor"),
        *("logging", "manageddependency", "metadataprovidertimeout", "sendcanceledinvocationstoworker", "singleton"),
        *("telemetrymode", "version", "watchdirectories", "watchfiles"),
    }
)
_AZURE_ONLY_HTTP = frozenset(["dynamicthrottlesenabled", "maxconcurrentrequests", "maxoutstandingrequests"])
_MINIMUM_POLLING_INTERVAL = timedelta(milliseconds=100)
_MAXIMUM_POLLING_INTERVAL = timedelta(minutes=1)
_MAX_BATCH_SIZE = 32
_BATCH_SIZE = 16
_HOURS = 24


class UnusableError(Exception):
    """The host cannot start with this app or these settings; the message names what to change, one line for each."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """`extensions.queues`, with the defaults of the storage queues extension (QueuesOptions)."""

    max_polling_interval: timedelta = _MAXIMUM_POLLING_INTERVAL
    visibility_timeout: timedelta = timedelta(0)
    batch_size: int = _BATCH_SIZE
    new_batch_threshold: int = _BATCH_SIZE // 2
    max_dequeue_count: int = 5
    encoding: str = "base64"


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What host.json says; `route_prefix` has no slash at either end and may be empty."""

    route_prefix: str
    queues: QueueSettings


def read_host_json(path: Path, environ: Mapping[str, str] | None = None) -> HostSettings:
    """Read host.json and the settings that override it.

    Raises UnusableError: no file, not JSON, version other than "2.0", a section, setting or value not known here.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnusableError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UnusableError(f"{path}: not JSON ({error})") from error
    if not isinstance(document, dict):
        raise UnusableError(f"{path}: not a JSON object")
    if document.get("version") != "2.0":
        raise UnusableError(f'{path}: "version" must be "2.0", found {json.dumps(document.get("version"))}')
    _override(document, os.environ if environ is None else environ)
    extensions: dict[str, Any] = {}
    for name, value in document.items():
        if name.lower() == "extensions":
            extensions = {key.lower(): section for key, section in _section(path, "extensions", value).items()}
        elif name.lower() not in _AZURE_ONLY:
            raise UnusableError(f'{path}: section "{name}" is not supported by this host')
    http = _section(path, "extensions.http", extensions.get("http", {}))
    queues = _section(path, "extensions.queues", extensions.get("queues", {}))
    return HostSettings(_route_prefix(path, http), _queue_settings(path, queues))


def parse_timespan(text: str) -> timedelta:
    """Read .NET's `[d.]hh:mm[:ss[.fffffff]]`. As in .NET, a first number over 23 means days: `24:00:00` is 24 days.

    Raises ValueError for any other form; a bare number too, which .NET would take for days.
    """
    found = re.fullmatch(r"(?:(\d{1,8})\.)?(\d{1,8}):(\d{1,2})(?::(\d{1,2})(\.\d{1,7})?)?", text.strip())
    if not found:
        raise ValueError(f"expected a time as hh:mm:ss, found {text!r}")
    days, first, second, third, fraction = found.groups()
    if int(first) >= _HOURS and days is None and third is not None and fraction is None:
        days, first, second, third = first, second, third, "0"
    hours, minutes, seconds = int(first), int(second), int(third or 0)
    if hours >= _HOURS or minutes > 59 or seconds > 59:  # noqa: PLR2004 (a clock's numbers)
        raise ValueError(f"expected a time as hh:mm:ss, found {text!r}")
    return timedelta(int(days or 0), seconds + float(fraction or 0), minutes=minutes, hours=hours)


def _override(document: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay application settings over the file, names in any case, as .NET's configuration does."""
    for name, value in environ.items():
        if not name.startswith(_OVERRIDE):
            continue
        *sections, key = name.removeprefix(_OVERRIDE).split("__")
        here = document
        for section in sections:
            here = here.setdefault(_spelling(here, section), {})
            if not isinstance(here, dict):
                raise UnusableError(f"setting {name}: {section} is not a section of host.json")
        here[_spelling(here, key)] = value


def _spelling(section: dict[str, Any], name: str) -> str:
    return next((known for known in section if known.lower() == name.lower()), name)


def _section(path: Path, name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnusableError(f'{path}: "{name}" must be an object')
    return value


def _route_prefix(path: Path, http: dict[str, Any]) -> str:
    prefix = "api"
    for name, value in http.items():
        if name.lower() == "routeprefix":
            if not isinstance(value, str) or "{" in value:
                raise UnusableError(f"{path}: extensions.http.routePrefix must be plain text, found {value!r}")
            prefix = value.strip("/")
        elif name.lower() not in _AZURE_ONLY_HTTP:
            raise UnusableError(f"{path}: extensions.http.{name} is not supported by this host")
    return prefix


def _queue_settings(path: Path, section: dict[str, Any]) -> QueueSettings:
    found: dict[str, Any] = {}
    for name, value in section.items():
        if name.lower() not in _QUEUE_SETTINGS:
            raise UnusableError(f"{path}: extensions.queues.{name} is not a queue setting this host knows")
        field, read = _QUEUE_SETTINGS[name.lower()]
        try:
            found[field] = read(value)
        except ValueError as error:
            raise UnusableError(f"{path}: extensions.queues.{name}: {error}") from error
    # Azure multiplies by the number of processors on plans that bill whole machines; elsewhere there is one.
    found.setdefault("new_batch_threshold", found.get("batch_size", _BATCH_SIZE) // 2)
    return QueueSettings(**found)


def _whole(low: int, high: int | None = None) -> Callable[[object], int]:
    def read(value: object) -> int:
        expected = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
        if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"\d+", str(value)):
            raise ValueError(f"expected {expected}, found {value!r}")
        if int(value) < low or (high is not None and int(value) > high):
            raise ValueError(f"expected {expected}, found {value!r}")
        return int(value)

    return read


def _timespan(low: timedelta, high: timedelta) -> Callable[[object], timedelta]:
    def read(value: object) -> timedelta:
        if not isinstance(value, str):
            raise ValueError(f'expected a time as "hh:mm:ss", found {value!r}')  # noqa: TRY004 (a wrong value in a file)
        found = parse_timespan(value)
        if not low <= found <= high:
            raise ValueError(f"expected a time from {low} to {high}, found {value!r}")
        return found

    return read


def _encoding(value: object) -> str:
    if not isinstance(value, str) or value.lower() not in {"none", "base64"}:
        raise ValueError(f'expected "none" or "base64", found {value!r}')
    return value.lower()


_QUEUE_SETTINGS: dict[str, tuple[str, Callable[[object], object]]] = {
    "maxpollinginterval": (
        "max_polling_interval",
        _timespan(_MINIMUM_POLLING_INTERVAL, _MAXIMUM_POLLING_INTERVAL),
    ),
    # Storage keeps a message invisible for seven days at most.
    "visibilitytimeout": ("visibility_timeout", _timespan(timedelta(0), timedelta(days=7))),
    "batchsize": ("batch_size", _whole(1, _MAX_BATCH_SIZE)),
    "newbatchthreshold": ("new_batch_threshold", _whole(0)),
    "maxdequeuecount": ("max_dequeue_count", _whole(1)),
    "messageencoding": ("encoding", _encoding),
}
