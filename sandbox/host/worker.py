"""Microsoft's worker library, driven in process through its public entry points.

An app is started as on Flex Consumption: the worker has begun as nobody's, a placeholder, and one request makes it the
app's (function_environment_reload_request; dispatcher.py and dependency.py of azure-functions-python-worker). So
- function_app.py is imported in another working directory, and with the app's environment in place of the placeholder's
- the app's folder is the last on sys.path, behind its packages and the worker's

The library keeps its state in module globals: one Worker for each process.
"""

import asyncio
import os
import secrets
import sys
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import azure_functions_runtime as runtime  # type: ignore[import-untyped] # it ships no types

from . import protocol
from .protocol import (
    FunctionEnvironmentReloadRequest,
    InvocationRequest,
    InvocationResponse,
    ParameterBinding,
    RpcException,
    RpcFunctionMetadata,
    RpcTraceContext,
    StatusResult,
    StreamingMessage,
    TypedData,
    WorkerInitRequest,
    WorkerRequest,
)
from .settings import UnusableError

# Where a placeholder is, and what of the environment is the machine's. Nothing of an app is in either.
_ELSEWHERE = Path("/")
_MACHINES = frozenset(["HOME", "LANG", "PATH", "TMPDIR"])


@dataclass(frozen=True, slots=True)
class Index:
    """The functions found; or none, with the traceback of what went wrong in function_app.py."""

    functions: Sequence[RpcFunctionMetadata]
    error: str | None = None


class Worker:
    """Indexes the app and runs its functions, async ones on this event loop, others in the worker's threads."""

    async def index(self, directory: Path) -> Index:
        """Import DIR/function_app.py and index it, with DIR last on sys.path; then it is the working directory.

        An app that fails to import gives no functions and a traceback, as in Azure. Raises UnusableError when the app
        asks for HTTP streaming, which this host does not do.
        """
        settings = dict(os.environ)
        _be_nobodys(directory)
        runtime.start_threadpool_executor()
        nobody = WorkerInitRequest(str(_ELSEWHERE / "placeholder"))
        await runtime.worker_init_request(_request(StreamingMessage(worker_init_request=nobody)))
        reload = FunctionEnvironmentReloadRequest(settings, str(directory))
        try:
            answer = await runtime.function_environment_reload_request(
                _request(StreamingMessage(function_environment_reload_request=reload))
            )
        except SystemExit:
            # sys.exit() in function_app.py; in Azure it ends the worker, and the app has no functions.
            return Index((), traceback.format_exc())
        if answer.result.status == StatusResult.Failure:
            return Index((), answer.result.exception.stack_trace or answer.result.exception.message)
        if "HttpUri" in answer.capabilities:
            raise UnusableError("HTTP streaming (azurefunctions-extensions-http-*) is not supported by this host")
        metadata = await runtime.functions_metadata_request(_request(StreamingMessage()))
        return Index(metadata.function_metadata_results or ())

    async def invoke(
        self,
        function_id: str,
        inputs: Mapping[str, TypedData],
        metadata: Mapping[str, TypedData],
        trace: RpcTraceContext,
    ) -> InvocationResponse:
        """Run one function with its parameters. What it raises is in the response (`failure_of`)."""
        invocation_id = str(uuid.uuid4())
        invocation = InvocationRequest(
            invocation_id=invocation_id,
            function_id=function_id,
            input_data=[ParameterBinding(parameter, value) for parameter, value in inputs.items()],
            trigger_metadata=metadata,
            trace_context=trace,
        )
        message = StreamingMessage(invocation_request=invocation)
        try:
            response: InvocationResponse = await runtime.invocation_request(_request(message))
        except (SystemExit, asyncio.CancelledError) as ended:
            # The worker lets these through, and one function must not end the host; unless the host ends it.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            failure = RpcException(f"{type(ended).__name__}: {ended}", traceback.format_exc())
            return InvocationResponse(invocation_id, StatusResult(StatusResult.Failure, failure))
        return response


def _be_nobodys(directory: Path) -> None:
    """Be a placeholder: nothing leads to the app in `directory`, to the checkout, or into settings."""
    started_in = Path.cwd()
    for name in os.environ.keys() - _MACHINES:
        del os.environ[name]
    os.environ["WEBSITE_PLACEHOLDER_MODE"] = "1"
    os.chdir(_ELSEWHERE)
    sys.path[:] = [path for path in sys.path if path and Path(path).resolve() not in {directory.resolve(), started_in}]


def failure_of(response: InvocationResponse) -> str:
    """The traceback of a failed invocation; empty when it succeeded."""
    if response.result.status == StatusResult.Success:
        return ""
    failure = response.result.exception
    return (failure.stack_trace or failure.message) if failure else "no reason given"


def new_trace(trace_parent: str = "", trace_state: str = "") -> RpcTraceContext:
    """The caller's trace context, or a new one (W3C Trace Context, version 00)."""
    return RpcTraceContext(trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00", trace_state)


def _request(message: StreamingMessage) -> WorkerRequest:
    return WorkerRequest(message, {"host": "127.0.0.1", "protos": protocol})
