"""host.json, and what becomes of messages on their way out and in."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.queues import Backoff
from sandbox.host.settings import HostSettings, QueueSettings, UnusableError, read_host_json


def _read(folder: Path, document: object, environ: dict[str, str] | None = None) -> HostSettings:
    (folder / "host.json").write_text(json.dumps(document))
    return read_host_json(folder / "host.json", environ or {})


def test_azures_defaults_hold_when_host_json_says_nothing(tmp_path: Path) -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#hostjson-settings"""
    assert _read(tmp_path, {"version": "2.0"}) == HostSettings(
        "api", QueueSettings(timedelta(minutes=1), timedelta(0), 16, 8, 5, "base64")
    )


def test_every_queue_setting_is_read_in_any_case(tmp_path: Path) -> None:
    queues = {
        "MaxPollingInterval": "00:00:02",
        "visibilityTimeout": "00:00:30",
        "batchSize": 10,
        "newBatchThreshold": 0,
        "maxDequeueCount": 3,
        "messageEncoding": "None",
    }
    document = {"version": "2.0", "extensions": {"Queues": queues, "http": {"routePrefix": "/v1/"}, "blobs": {"x": 1}}}
    assert _read(tmp_path, document) == HostSettings(
        "v1", QueueSettings(timedelta(seconds=2), timedelta(seconds=30), 10, 0, 3, "none")
    )
    assert (
        _read(tmp_path, {"version": "2.0", "extensions": {"queues": {"batchSize": 6}}}).queues.new_batch_threshold == 3
    )


def test_application_settings_override_host_json(tmp_path: Path) -> None:
    document = {"version": "2.0", "extensions": {"queues": {"batchSize": 10}}}
    environ = {
        "AzureFunctionsJobHost__extensions__Queues__BATCHSIZE": "4",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
        "AzureFunctionsJobHost__logging__logLevel__default": "Debug",
    }
    settings = _read(tmp_path, document, environ)
    assert (settings.queues.batch_size, settings.route_prefix) == (4, "")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "not a JSON object"),
        ({}, '"version" must be "2.0", found null'),
        ({"version": "3.0"}, '"version" must be "2.0", found "3.0"'),
        ({"version": "2.0", "functions": ["a"]}, 'section "functions" is not supported'),
        ({"version": "2.0", "extensions": []}, '"extensions" must be an object'),
        ({"version": "2.0", "extensions": {"http": {"hsts": {}}}}, "extensions.http.hsts is not supported"),
        ({"version": "2.0", "extensions": {"http": {"routePrefix": "{a}"}}}, "extensions.http.routePrefix"),
        ({"version": "2.0", "extensions": {"queues": {"batchsizes": 1}}}, "extensions.queues.batchsizes is not"),
        ({"version": "2.0", "extensions": {"queues": 1}}, '"extensions.queues" must be an object'),
        *(
            ({"version": "2.0", "extensions": {"queues": {name: value}}}, f"extensions.queues.{name}: expected")
            for name, value in [
                *(("batchSize", 0), ("batchSize", 33), ("batchSize", "many"), ("batchSize", True), ("batchSize", None)),
                *(("newBatchThreshold", -1), ("maxDequeueCount", 0), ("messageEncoding", "utf8")),
                *(("maxPollingInterval", 2), ("maxPollingInterval", "2"), ("maxPollingInterval", "00:00:00.05")),
                *(("maxPollingInterval", "00:02:00"), ("visibilityTimeout", "8.00:00:00")),
            ]
        ),
    ],
)
def test_what_is_wrong_in_host_json_is_refused_by_name(tmp_path: Path, document: Any, named: str) -> None:
    with pytest.raises(UnusableError) as refused:
        _read(tmp_path, document)
    assert named in str(refused.value)


def test_waits_for_an_empty_queue_double_up_to_the_longest() -> None:
    """From 100 ms, each up to a fifth more or less; back to 100 ms once there was a message."""
    backoff = Backoff(timedelta(seconds=10))
    assert backoff.next(found=True) == pytest.approx(0.1)
    waits = [backoff.next(found=False) for _ in range(10)]
    assert all(0.1 + 0.08 * 2**n <= wait <= 0.1 + 0.12 * 2**n for n, wait in enumerate(waits[:6]))
    assert waits[-1] == 10
    assert backoff.next(found=True) == pytest.approx(0.1)
