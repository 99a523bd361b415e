"""The messages that host and worker exchange, as plain objects.

In Azure these are protobuf messages (azure-functions-language-worker-protobuf, FunctionRpc.proto) over gRPC. The
worker library only reads attributes and calls constructors by keyword, so plain classes of the same names do; this
module itself is what it is given as `protos`. Attribute names are the protocol's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

type FieldValue = str | bytes | int | float | "RpcHttp"


class TypedData:
    """One value with its kind: `TypedData(string="a")`, `TypedData(http=RpcHttp(…))`, or `TypedData()` for none."""

    __slots__ = ("kind", "value")

    def __init__(self, **fields: FieldValue) -> None:
        if len(fields) > 1:
            raise TypeError(f"TypedData holds one value, not {len(fields)}")
        self.kind: str | None = None
        self.value: Any = None
        for self.kind, self.value in fields.items():
            pass

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 (protobuf's name)
        return self.kind

    def __getattr__(self, name: str) -> Any:
        if name == self.kind:
            return self.value
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"TypedData({self.kind})"


@dataclass(frozen=True, slots=True)
class ParameterBinding:
    """A function's parameter (or output) and its value."""

    name: str
    data: TypedData | None

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 (protobuf's name)
        return "data"


def __getattr__(name: str) -> Never:
    if name == "RpcHttpCookie":
        raise ValueError("cookies are not supported by this host")
    raise AttributeError(name)


@dataclass(frozen=True, slots=True)
class RpcHttp:
    """A request on its way to the worker or a response on its way back."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: TypedData | None = None
    status_code: str = ""
    cookies: Sequence[object] | None = None  # none: see __getattr__
    enable_content_negotiation: bool = False


class BindingInfo:
    """Type, data type and direction of a binding; the class carries the protocol's enumerations."""

    inout = 2
    out = 1
    undefined = 0

    def __init__(self, type: str, data_type: int | None, direction: int) -> None:  # noqa: A002 (the protocol's name)
        self.type = type
        self.data_type = data_type
        self.direction = direction


@dataclass(frozen=True, slots=True)
class RpcException:
    message: str
    stack_trace: str
    source: str = ""


class StatusResult:
    """Whether a request to the worker succeeded, and the exception if not."""

    Failure = 0
    Success = 1

    def __init__(self, status: int, exception: RpcException | None = None) -> None:
        self.status = status
        self.exception = exception


@dataclass(frozen=True, slots=True)
class RpcRetryOptions:
    max_retry_count: int
    retry_strategy: str
    delay_interval: object = None
    minimum_interval: object = None
    maximum_interval: object = None


@dataclass(frozen=True, slots=True)
class RpcFunctionMetadata:
    """One indexed function; `raw_bindings` holds each binding as JSON, the way function.json had it."""

    name: str
    function_id: str
    directory: str
    script_file: str
    entry_point: str
    language: str
    bindings: Mapping[str, BindingInfo]
    raw_bindings: Sequence[str]
    retry_options: RpcRetryOptions | None
    properties: Mapping[str, str]
    managed_dependency_enabled: bool = False
    is_proxy: bool = False


@dataclass(frozen=True, slots=True)
class FunctionMetadataResponse:
    use_default_metadata_indexing: bool
    function_metadata_results: Sequence[RpcFunctionMetadata] | None
    result: StatusResult


@dataclass(frozen=True, slots=True)
class WorkerMetadata:
    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WorkerInitRequest:
    function_app_directory: str
    capabilities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerInitResponse:
    capabilities: Mapping[str, str]
    worker_metadata: WorkerMetadata
    result: StatusResult


@dataclass(frozen=True, slots=True)
class FunctionEnvironmentReloadRequest:
    """Makes a placeholder this app's: its settings and its folder."""

    environment_variables: Mapping[str, str]
    function_app_directory: str


@dataclass(frozen=True, slots=True)
class FunctionEnvironmentReloadResponse:
    result: StatusResult
    capabilities: Mapping[str, str] = field(default_factory=dict)
    worker_metadata: WorkerMetadata | None = None


@dataclass(frozen=True, slots=True)
class RpcTraceContext:
    """W3C trace context of an invocation."""

    trace_parent: str
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: RpcException | None = None


@dataclass(frozen=True, slots=True)
class InvocationRequest:
    invocation_id: str
    function_id: str
    input_data: Sequence[ParameterBinding]
    trigger_metadata: Mapping[str, TypedData]
    trace_context: RpcTraceContext
    retry_context: RetryContext = field(default_factory=RetryContext)


@dataclass(frozen=True, slots=True)
class InvocationResponse:
    """What came of an invocation: the return value and the values of the outputs that were set."""

    invocation_id: str
    result: StatusResult
    return_value: TypedData | None = None
    output_data: Sequence[ParameterBinding] = ()


@dataclass(frozen=True, slots=True)
class StreamingMessage:
    """The envelope; one of its fields is set."""

    worker_init_request: WorkerInitRequest | None = None
    function_environment_reload_request: FunctionEnvironmentReloadRequest | None = None
    invocation_request: InvocationRequest | None = None


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """What the worker's entry points take: the envelope, and `protos` (this module) among the properties."""

    request: StreamingMessage
    properties: Mapping[str, Any]
