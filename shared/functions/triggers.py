"""Registers every function with its trigger, and says which module has its code.

The first call of a function loads that module, because every cold start pays for what is imported at indexing
(docs/decisions/0002-start-up.md).
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import azure.functions as func

from shared.settings.queue_names import EVENTS, OUTBOX, WORK

CONNECTION: Final = "AzureWebJobsStorage"
QUEUES: Final = (EVENTS, OUTBOX, WORK, f"{EVENTS}-poison", f"{OUTBOX}-poison", f"{WORK}-poison")

_OPEN, _KEY = func.AuthLevel.ANONYMOUS, func.AuthLevel.FUNCTION

# name, methods, route, level, module of shared.functions, function in it
_HTTP: Final = (
    ("send_mail", "POST", "v1.0/users/{id}/sendMail", _OPEN, "send_mail", "send_mail"),
    ("send_my_mail", "POST", "v1.0/me/sendMail", _OPEN, "send_mail", "send_my_mail"),
    # The same two by the action's qualified name, as older SDKs call it: .NET before 5, Java before 6, Objective-C.
    ("send_mail_qualified", "POST", "v1.0/users/{id}/microsoft.graph.sendMail", _OPEN, "send_mail", "send_mail"),
    ("send_my_mail_qualified", "POST", "v1.0/me/microsoft.graph.sendMail", _OPEN, "send_mail", "send_my_mail"),
    ("events", "GET HEAD OPTIONS POST", "events/{route}", _OPEN, "webhooks", "events"),
    ("message", "GET DELETE", "messages/{id}", _OPEN, "messages", "message"),
    ("message_replay", "POST", "messages/{id}/replay", _OPEN, "messages", "message_replay"),
    ("message_retry", "POST", "messages/{id}/retry", _OPEN, "messages", "message_retry"),
    ("messages", "GET", "messages", _OPEN, "message_search", "messages"),
    ("message_replays", "POST", "messages/replay", _OPEN, "message_search", "message_replays"),
    ("attention", "GET", "attention", _OPEN, "message_search", "attention"),
    ("summary", "GET", "summary", _OPEN, "message_search", "summary"),
    ("suppressions", "GET POST", "suppressions", _OPEN, "suppressions", "suppressions"),
    ("suppression", "GET DELETE", "suppressions/{id}", _OPEN, "suppressions", "suppression"),
    ("health", "GET", "health", _OPEN, "health", "health"),
    ("health_ready", "GET", "health/ready", _KEY, "health", "health_ready"),
    ("openapi", "GET", "openapi.json", _OPEN, "openapi", "openapi"),
)
# What operators ask for, by function key as well.
HTTP: Final = (
    *_HTTP,
    *(
        (f"operator_{name}", methods, f"operator/{route}", _KEY, module, f"operator_{name}")
        for name, methods, route, _, module, _ in _HTTP
        if module in ("messages", "message_search", "suppressions")
    ),
)

blueprint = func.Blueprint()


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name  # Azure takes the function's name from here
    return function


def _http(name: str, module: str, function: str) -> Callable[..., Any]:
    async def run(req: func.HttpRequest) -> func.HttpResponse:
        code = import_module(f"shared.functions.{module}")
        answer: func.HttpResponse = await getattr(code, function)(req)
        return answer

    return _named(name, run)


def _queue(name: str) -> Callable[..., Any]:
    async def run(message: func.QueueMessage) -> None:
        await getattr(import_module("shared.functions.queue_functions"), name)(message)

    return _named(name, run)


for _name, _methods, _route, _level, _module, _function in HTTP:
    _trigger = blueprint.route(route=_route, methods=_methods.split(), auth_level=_level)
    _trigger(_http(_name, _module, _function))

for _name in QUEUES:
    # As bytes: of a message that is text the host takes `id` and the like, in any case, for storage's own, and a value
    # that is not a time keeps the function from running (ApplyBindingData of the functions host).
    _trigger = blueprint.queue_trigger(
        arg_name="message", queue_name=_name, connection=CONNECTION, data_type=func.DataType.BINARY
    )
    _trigger(_queue(_name.replace("-", "_")))


@blueprint.timer_trigger(schedule="0 */5 * * * *", arg_name="timer", run_on_startup=False)
async def maintenance(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's parameter
    from shared.functions.timer import maintenance

    await maintenance()


# Not registered unless it is wanted: each execution that does nothing would cost as much as one that does.
if os.environ.get("MAIL_BOUNCES", "").strip().lower() == "true":

    @blueprint.timer_trigger(schedule="0 2-59/5 * * * *", arg_name="timer", run_on_startup=False)
    async def bounces(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger's parameter
        from shared.functions.timer import bounces

        await bounces()
