"""The base of the clients for tables and queues: requests to a storage service's REST API, through azure-core.

Each mail needs two operations on a table, and a webhook's mail two more on a queue. Microsoft's clients,
azure-data-tables and azure-storage-queue, take three times the processor time for an operation, nearly all of it for
generality that Mailroom's few fixed shapes do not need (docs/decisions/0012-tables.md). Retries, tokens, connections
and errors are azure-core's, as in those clients; tests compare the two.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, ClassVar, Final, NoReturn, Self

from azure.core.credentials import AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import AsyncPipeline, PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.utils import parse_connection_string

from shared.event_loop import within

SCOPE: Final = "https://storage.azure.com/.default"  # one for the clouds of all nations
VERSION: Final = "2020-12-06"  # the first that takes tokens of an identity
ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    404: ResourceNotFoundError,
    409: ResourceExistsError,
    412: ResourceModifiedError,
}
RETRIES: Final = 3
# Every request may be repeated when its answer does not come, also POST, which azure-core leaves out: a connection that
# the service closes just then is no reason to fail. A message that is put twice is a copy, and dropped as one; a second
# insert finds the entity of the first, and whoever inserts knows their own.
RETRIED: Final = frozenset({"GET", "PUT", "DELETE", "POST"})
BACKOFF: Final = 0.5  # seconds
CONNECT_TIMEOUT: Final = 3.0  # seconds
TRY_TIMEOUT: Final = 10.0  # seconds for a whole try, however slowly its answer arrives
SLOWEST: Final = 4 * 2**20  # bytes a second, of a large body: its try may take longer by that


class Transport(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """The SDK's, with a deadline for each try. What is read as a stream has its deadline where it is read.

    No limit of aiohttp's on reading: it would discard what arrived while the loop was blocked.
    """

    def __init__(self) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT, read_timeout=None, use_env_settings=False)

    async def send(self, request: Any, **options: Any) -> Any:
        seconds = TRY_TIMEOUT + int(request.headers.get("Content-Length", "0")) / SLOWEST
        try:
            async with within(seconds):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {seconds:g} seconds") from error


class StorageService:
    """One service of one account.

    access: the policy that authorises each try. transport: azure-core's, asynchronous; closed with this. backoff:
    seconds before a second try, doubled before each further one.

    Every request raises azure-core's AzureError: HttpResponseError or a subclass for an answer that is an error, with
    the service's `error_code`; another one where there was no answer.
    """

    KIND: ClassVar[str]

    @staticmethod
    def signed(request: HttpRequest, account: str) -> tuple[str, str]:
        """The scheme by which the service checks the account's key, and the text of a request that is signed.

        https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
        """
        raise NotImplementedError

    def __init__(self, endpoint: str, access: Any, transport: Any, backoff: float = BACKOFF) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._transport = transport
        retries = AsyncRetryPolicy(retry_total=RETRIES, retry_backoff_factor=backoff)
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = AsyncPipeline(transport, [retries, access])

    @classmethod
    def of_identity(
        cls, endpoint: str, credential: AsyncTokenCredential, transport: Any, backoff: float = BACKOFF
    ) -> Self:
        """With the tokens of an identity, which azure-core sends over https only."""
        return cls(endpoint, AsyncBearerTokenCredentialPolicy(credential, SCOPE), transport, backoff)

    @classmethod
    def of_connection_string(cls, text: str, transport: Any, backoff: float = BACKOFF) -> Self:
        """With an account's key or shared access signature. Raises ValueError when the text has neither."""
        parts = parse_connection_string(text)
        account = parts.get("accountname", "")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        protocol = parts.get("defaultendpointsprotocol", "https")
        endpoint = parts.get(f"{cls.KIND}endpoint") or f"{protocol}://{account}.{cls.KIND}.{suffix}"
        if "accountkey" in parts:
            return cls(endpoint, _SharedKey(account, parts["accountkey"], cls.signed), transport, backoff)
        if "sharedaccesssignature" in parts:
            signature = AzureSasCredential(parts["sharedaccesssignature"])
            return cls(endpoint, AzureSasCredentialPolicy(signature), transport, backoff)
        raise ValueError("The connection string has neither AccountKey nor SharedAccessSignature.")

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncHttpResponse:
        dated = {**headers, "x-ms-version": VERSION, "x-ms-date": formatdate(usegmt=True)}
        request = HttpRequest(method, f"{self.endpoint}/{path}", headers=dated, content=content)
        answer = (await self._pipeline.run(request, retry_on_methods=RETRIED)).http_response
        if answer.status_code >= 300:  # noqa: PLR2004 - every success of the interfaces is below
            _fail(answer)
        return answer

    async def close(self) -> None:
        await self._transport.close()


class _SharedKey(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Signs each try with the account's key, which only a laptop has."""

    def __init__(self, account: str, key: str, signed: Callable[[HttpRequest, str], tuple[str, str]]) -> None:
        super().__init__()
        self._account = account
        self._key = base64.b64decode(key)
        self._signed = signed

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        scheme, text = self._signed(request.http_request, self._account)
        signature = base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()
        request.http_request.headers["Authorization"] = f"{scheme} {self._account}:{signature}"


def _fail(answer: AsyncHttpResponse) -> NoReturn:
    kind = ERRORS.get(answer.status_code, HttpResponseError)
    if kind is ResourceExistsError and b"AlreadyExists" not in answer.content:
        kind = HttpResponseError  # TableBeingDeleted, QueueBeingDeleted: nothing exists, nor can for a while
    error = kind(response=answer)
    error.error_code = answer.headers.get("x-ms-error-code")  # type: ignore[attr-defined] # as Microsoft's clients do
    raise error
