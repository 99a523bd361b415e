"""One invocation from the host's side: run the function, store what it put out, log what went wrong."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Protocol

from .functions import Function
from .protocol import InvocationResponse, RpcTraceContext, TypedData
from .triggers import system_metadata
from .worker import Worker, failure_of, new_trace

__all__ = ["Invoker", "OutputError", "Outputs"]

_log = logging.getLogger("sandbox.host")


class OutputError(Exception):
    """What a function put out cannot be stored."""


class Outputs(Protocol):
    """Where queue outputs go."""

    async def put_outputs(self, function: Function, response: InvocationResponse) -> None:
        """Store what an invocation put out. Raises OutputError."""


class Invoker:
    """Runs functions; several at once. `outputs` may be None for an app without queue outputs."""

    def __init__(self, worker: Worker, outputs: Outputs | None) -> None:
        self._worker = worker
        self._outputs = outputs
        self._background: set[asyncio.Task[object]] = set()

    async def run(
        self,
        function: Function,
        inputs: Mapping[str, TypedData],
        metadata: Mapping[str, TypedData] | None = None,
        trace: RpcTraceContext | None = None,
    ) -> InvocationResponse | None:
        """Run a function and store its queue outputs. None when either failed; the log then has the traceback."""
        _log.info("Executing 'Functions.%s'", function.name)
        response = await self._worker.invoke(
            function.id, inputs, metadata or system_metadata(function.name), trace or new_trace()
        )
        if failure := failure_of(response):
            _log.error("Executed 'Functions.%s' (Failed, Id=%s)\n%s", function.name, response.invocation_id, failure)
            return None
        if self._outputs is not None:
            try:
                await self._outputs.put_outputs(function, response)
            except OutputError:
                _log.exception("Executed 'Functions.%s' (Failed, Id=%s)", function.name, response.invocation_id)
                return None
        _log.info("Executed 'Functions.%s' (Succeeded, Id=%s)", function.name, response.invocation_id)
        return response

    def in_background(self, invocation: Coroutine[object, object, object]) -> None:
        """Let an invocation run that nobody waits for."""
        task = asyncio.create_task(invocation)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def idle(self) -> None:
        """Wait for the invocations in the background."""
        if self._background:
            await asyncio.wait(self._background)
