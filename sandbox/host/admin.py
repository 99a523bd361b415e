"""The host's own HTTP interface under /admin, opened by the master key.

`GET /admin/functions` and `/admin/functions/{name}` describe functions, `POST /admin/functions/{name}` with
`{"input": "…"}` runs a queue or timer function by hand, `GET /admin/host/status` gives the host's state.
"""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .functions import Function, HttpTrigger, QueueTrigger, TimerTrigger
from .invocations import Invoker
from .protocol import TypedData
from .replies import Reply, json_reply
from .timers import Timer
from .triggers import queue_metadata

_log = logging.getLogger("sandbox.host")


class Admin:
    """Answers requests under /admin; the caller has checked the key. `error` is why the app has no functions."""

    def __init__(
        self, functions: Sequence[Function], timers: Mapping[str, Timer], invoker: Invoker, error: str | None
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._timers = timers
        self._invoker = invoker
        self._error = error
        self._started = time.monotonic()

    def answer(self, method: str, path: Sequence[str], body: bytes, base_url: str) -> Reply:
        """Answer a request; `path` is what follows /admin, `base_url` ends without a slash."""
        match method, *(part.lower() for part in path):
            case "GET", "host", "status":
                return json_reply(200, self._status())
            case "GET", "functions":
                return json_reply(200, [_describe(function, base_url) for function in self._functions.values()])
            case "GET", "functions", name if name in self._functions:
                return json_reply(200, _describe(self._functions[name], base_url))
            case "POST", "functions", name if name in self._functions:
                return self._run(self._functions[name], body)
            case _:
                return Reply(404)

    def _status(self) -> dict[str, Any]:
        status = {
            "id": "sandbox",
            "state": "Error" if self._error else "Running",
            "version": "4.0.0.0",
            "processUptime": int((time.monotonic() - self._started) * 1000),
            "processId": os.getpid(),
        }
        return {**status, "errors": [self._error]} if self._error else status

    def _run(self, function: Function, body: bytes) -> Reply:
        try:
            request = json.loads(body)
        except ValueError:
            return Reply(400)
        text = request.get("input") if isinstance(request, dict) else None
        match function.trigger:
            case TimerTrigger():
                self._invoker.in_background(self._timers[function.name].fire())
            case QueueTrigger(parameter=parameter, binary=binary):
                if not isinstance(text, str):
                    return json_reply(400, 'a queue function is run by hand with {"input": "the message"}')
                data = text.encode()
                inputs = {parameter: TypedData(bytes=data) if binary else TypedData(string=text)}
                metadata = queue_metadata(function.name, data, None, binary=binary)
                self._invoker.in_background(self._invoker.run(function, inputs, metadata))
            case HttpTrigger():
                return json_reply(400, "an HTTP function is not run by hand on this host; send it a request")
        return Reply(202)


def _describe(function: Function, base_url: str) -> dict[str, Any]:
    url = None
    if isinstance(function.trigger, HttpTrigger):
        url = f"{base_url}/{function.trigger.route.template.text}"
    return {
        "name": function.name,
        "href": f"{base_url}/admin/functions/{function.name}",
        "invoke_url_template": url,
        "language": "python",
        "isDisabled": function.disabled,
        "config": {"name": function.name, "bindings": [dict(binding) for binding in function.bindings]},
    }
