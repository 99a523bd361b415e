"""One invocation from the host's side: run the function, log what went wrong."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping

from .functions import Function
from .protocol import InvocationResponse, RpcTraceContext, TypedData
from .triggers import system_metadata
from .worker import Worker, failure_of, new_trace

_log = logging.getLogger("sandbox.host")


class Invoker:
    """Runs functions; several at once."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._background: set[asyncio.Task[object]] = set()

    async def run(
        self,
        function: Function,
        inputs: Mapping[str, TypedData],
        metadata: Mapping[str, TypedData] | None = None,
        trace: RpcTraceContext | None = None,
    ) -> InvocationResponse | None:
        """Run a function. None when it failed; the log then has the traceback."""
        _log.info("Executing 'Functions.%s'", function.name)
        response = await self._worker.invoke(
            function.id, inputs, metadata or system_metadata(function.name), trace or new_trace()
        )
        if failure := failure_of(response):
            _log.error("Executed 'Functions.%s' (Failed, Id=%s)\n%s", function.name, response.invocation_id, failure)
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
