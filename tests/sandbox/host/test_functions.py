"""What is read from the bindings that the worker indexed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.host.functions import Function, HttpTrigger, QueueTrigger, TimerTrigger, declare
from sandbox.host.protocol import RpcFunctionMetadata
from sandbox.host.settings import UnusableError

_STORAGE = {"AzureWebJobsStorage": "connection"}
_TIMER = {"type": "timerTrigger", "direction": "IN", "name": "timer", "schedule": "0 0 * * * *"}
_QUEUE = {"type": "queueTrigger", "direction": "IN", "name": "msg", "queueName": "q-1", "connection": ""}
_HTTP = {"type": "httpTrigger", "direction": "IN", "name": "req"}


def _declare(*bindings: Mapping[str, Any], name: str = "f", **environ: str) -> Function:
    raw = [json.dumps(binding) for binding in bindings]
    metadata = RpcFunctionMetadata(name, "id", "/app", "function_app.py", name, "python", {}, raw, None, {})
    return declare([metadata], environ, "api")[0]


def test_an_http_trigger_has_its_name_for_a_route_and_wants_a_key_unless_told_otherwise() -> None:
    trigger = _declare(_HTTP, name="Hello").trigger
    assert isinstance(trigger, HttpTrigger)
    assert (trigger.route.template.text, trigger.route.methods, trigger.auth) == ("api/Hello", None, "function")


@pytest.mark.parametrize(
    ("connection", "setting"),
    [("", "AzureWebJobsStorage"), ("Storage", "AzureWebJobsStorage"), ("Mail", "Mail"), ("Mail", "AzureWebJobsMail")],
)
def test_a_connection_is_looked_up_with_and_without_its_prefix(connection: str, setting: str) -> None:
    trigger = _declare({**_QUEUE, "connection": connection}, **{setting: "found"}).trigger
    assert trigger == QueueTrigger("msg", "q-1", "found", binary=False)


def test_settings_are_filled_in_wherever_azure_fills_them_in() -> None:
    queue = {**_QUEUE, "queueName": "%A%-%B%", "connection": "%C%"}
    assert _declare(queue, A="Mail", B="in", C="X", X="found").trigger == QueueTrigger(
        "msg", "mail-in", "found", binary=False
    )
    timer = _declare({**_TIMER, "schedule": "%S%"}, S="01:00:00").trigger
    assert isinstance(timer, TimerTrigger)
    assert timer.schedule.text == "01:00:00"


@pytest.mark.parametrize("setting", ["AzureWebJobs.f.Disabled", "AzureWebJobs_f_Disabled"])
def test_a_function_is_disabled_by_a_setting(setting: str) -> None:
    assert _declare(_TIMER, **{setting: "True"}).disabled
    assert _declare(_TIMER, **{setting: "1"}).disabled
    assert not _declare(_TIMER, **{setting: "false"}).disabled


# Source: host: ScriptHost.cs, ValidateHttpFunction.
@pytest.mark.parametrize(
    ("bindings", "environ", "said"),
    [
        ([], {}, "expected one trigger, found 0"),
        ([_HTTP, _TIMER], {}, "expected one trigger, found 2"),
        ([{**_TIMER, "schedule": "0 0 25 * * *"}], {}, "schedule '0 0 25 * * *': '25' is not"),
        ([{**_TIMER, "schedule": "%NO%"}], {}, "%NO%: the setting NO is not set"),
        ([{**_TIMER, "dataType": "STREAM"}], {}, "dataType 'stream' of binding 'timer'"),
        ([_QUEUE], {}, "connection 'AzureWebJobsStorage': the setting AzureWebJobsStorage is not set"),
        ([{**_QUEUE, "connection": "X"}], {"X__queueServiceUri": "https://x"}, "connection 'X' uses an identity"),
        ([{**_QUEUE, "queueName": "a_b"}], _STORAGE, "'a_b' is not a name for a storage queue"),
        ([{**_QUEUE, "queueName": "a--b"}], _STORAGE, "'a--b' is not a name for a storage queue"),
        ([{**_QUEUE, "batch": 1}], _STORAGE, "property 'batch' of binding 'msg'"),
        ([{**_QUEUE, "direction": "OUT"}], _STORAGE, "binding 'msg' of type 'queueTrigger' has the wrong direction"),
        ([{**_HTTP, "route": "runtime/x"}], {}, "route 'runtime/x' conflicts with the host's own routes"),
        ([{**_HTTP, "route": "a/{b:odd}"}], {}, "route 'api/a/{b:odd}': constraint 'odd'"),
        ([{**_HTTP, "authLevel": "SYSTEM"}], {}, "authLevel 'system' is not supported"),
        ([{**_HTTP, "webHookType": "github"}], {}, "property 'webHookType' of binding 'req'"),
        (
            [_HTTP, {"type": "table", "direction": "IN", "name": "t"}],
            {},
            "binding 't' of type 'table' is not supported",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_by_function_and_name(
    bindings: list[Mapping[str, Any]], environ: dict[str, str], said: str
) -> None:
    with pytest.raises(UnusableError) as refused:
        _declare(*bindings, **environ)
    assert str(refused.value).startswith(f"function f: {said}")
