"""The REST interface of a service of the storage account, tables or queues: who asks, and what is tried again.

A mail takes two operations on a table, and a webhook's two on a queue. Microsoft's clients, azure-data-tables and
azure-storage-queue, need five times the processor time for one, nearly all of it for generality that a few fixed
shapes do not need (docs/decisions/0012-tables.md). Errors are azure-core's, as in those clients; the tests compare
them.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import ClassVar, Final, NoReturn, Self

from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.utils import parse_connection_string

from shared.storage.storage_http import TRY_TIMEOUT, StorageAnswer, StorageHttp, StorageRequest

SCOPE: Final = "https://storage.azure.com/.default"  # one for the clouds of all nations
VERSION: Final = "2020-12-06"  # the first that takes tokens of an identity
ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    404: ResourceNotFoundError,
    409: ResourceExistsError,
    412: ResourceModifiedError,
}
RETRIES: Final = 3
PAUSE: Final = 1.0  # seconds; the first retry comes at once
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})  # statuses that may be others the next time
FAILED: Final = frozenset({500, 503, 504})  # of them, those after which every method is tried again

type Access = Callable[[StorageRequest], Awaitable[None]]
"""Authorises one try. May raise AzureError."""


class StorageService:
    """One service of one account.

    http: closed with this. pause: seconds before the second retry, and once more before each further one.

    Every request raises azure-core's AzureError: HttpResponseError or a subclass for an answer that is an error, with
    the service's `error_code`; another one where there was no answer.
    """

    KIND: ClassVar[str]
    RETRIED: ClassVar[frozenset[str]] = frozenset({"GET", "PUT", "DELETE"})  # when their answer does not come

    @staticmethod
    def signed(request: StorageRequest, account: str) -> tuple[str, str]:
        """The scheme by which the service checks the account's key, and the text of a request that is signed.

        https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
        """
        raise NotImplementedError

    def __init__(self, endpoint: str, access: Access, http: StorageHttp, pause: float = PAUSE) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._access = access
        self._http = http
        self._pause = pause

    @classmethod
    def of_identity(cls, endpoint: str, credential: AsyncSupportsTokenInfo, http: StorageHttp) -> Self:
        """With the tokens of an identity, which go over https only."""

        async def bear(request: StorageRequest) -> None:
            if not request.url.startswith("https://"):
                raise ServiceRequestError("A token must not go over a non-TLS connection.")
            request.headers["Authorization"] = f"Bearer {(await credential.get_token_info(SCOPE)).token}"

        return cls(endpoint, bear, http)

    @classmethod
    def of_connection_string(cls, text: str, http: StorageHttp, pause: float = PAUSE) -> Self:
        """With an account's key or shared access signature. Raises ValueError when the text has neither."""
        parts = parse_connection_string(text)
        account = parts.get("accountname", "")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        protocol = parts.get("defaultendpointsprotocol", "https")
        endpoint = parts.get(f"{cls.KIND}endpoint") or f"{protocol}://{account}.{cls.KIND}.{suffix}"
        if "accountkey" in parts:
            key = base64.b64decode(parts["accountkey"])

            async def sign(request: StorageRequest) -> None:
                scheme, signed = cls.signed(request, account)
                signature = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
                request.headers["Authorization"] = f"{scheme} {account}:{signature}"

            return cls(endpoint, sign, http, pause)
        if "sharedaccesssignature" in parts:
            signature = parts["sharedaccesssignature"].lstrip("?")

            async def add(request: StorageRequest) -> None:
                request.url += f"{'&' if '?' in request.url else '?'}{signature}"

            return cls(endpoint, add, http, pause)
        raise ValueError("The connection string has neither AccountKey nor SharedAccessSignature.")

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> StorageAnswer:
        tried = 0
        while True:
            dated = {**headers, "x-ms-version": VERSION, "x-ms-date": formatdate(usegmt=True)}
            request = StorageRequest(method, f"{self.endpoint}/{path}", dated, content)
            await self._access(request)
            pause = self._pause * tried
            try:
                answer = await self._http.send(request)
            except AzureError:
                if tried >= RETRIES or method not in self.RETRIED:
                    raise
            else:
                if answer.status < 300:  # noqa: PLR2004 - every success of the interfaces is below
                    return answer
                if tried >= RETRIES or answer.status not in (PASSING if method in self.RETRIED else FAILED):
                    _fail(answer)
                asked = answer.headers.get("Retry-After", "")
                pause = min(float(asked), TRY_TIMEOUT) if asked.isdecimal() else pause
            await asyncio.sleep(pause)
            tried += 1

    async def close(self) -> None:
        await self._http.close()


def _fail(answer: StorageAnswer) -> NoReturn:
    kind = ERRORS.get(answer.status, HttpResponseError)
    if kind is ResourceExistsError and b"AlreadyExists" not in answer.content:
        kind = HttpResponseError  # TableBeingDeleted, QueueBeingDeleted: nothing exists, nor can for a while
    code = answer.headers.get("x-ms-error-code")
    error = kind(f"Storage answered {answer.status} {code or ''}")
    error.status_code, error.error_code = answer.status, code  # type: ignore[attr-defined] # as Microsoft's clients do
    raise error
