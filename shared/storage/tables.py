"""Azure Table Storage, as much of its REST interface as Mailroom needs, through azure-core.

Microsoft's client, azure-data-tables, needs three times the processor time (docs/decisions/0012-tables.md). Retries,
tokens, connections and errors are azure-core's, as in that client; the tests compare the two.

https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from azure.core.credentials import AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    DecodeError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline import AsyncPipeline, PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    SansIOHTTPPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.utils import parse_connection_string

type Value = str | bool | int | datetime
type Entity = Mapping[str, Any]
"""Values by column. As read it also has its ETag, at `odata.etag`; times are in UTC, to the microsecond."""
type Token = Mapping[str, str | None]
"""Where a page ends: its PartitionKey and RowKey, as the service has encoded them."""

SCOPE: Final = "https://storage.azure.com/.default"  # one for the clouds of all nations
# 2020-12-06 is the first that takes tokens of an identity.
HEADERS: Final = {
    "x-ms-version": "2020-12-06",
    "DataServiceVersion": "3.0",
    "Accept": "application/json;odata=minimalmetadata",  # with the types of values that JSON has no type for
}
WRITE: Final = {**HEADERS, "Content-Type": "application/json"}
INSERT: Final = {**WRITE, "Prefer": "return-no-content"}
TYPE: Final = "@odata.type"
KEYS: Final = ("PartitionKey", "RowKey")
CONTINUED: Final = "x-ms-continuation-Next"
UNQUOTED: Final = "!$&'()*,:;=@"  # in a path, as aiohttp writes it too: what is signed must be what is sent
LONGEST_TOKEN: Final = 4096  # characters of its text; it holds two keys
ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    404: ResourceNotFoundError,
    409: ResourceExistsError,
    412: ResourceModifiedError,
}
RETRIES: Final = 3
BACKOFF: Final = 0.5  # seconds
_encode: Final = msgspec.json.Encoder().encode


class Tables:
    """The tables of one account, all of whose methods raise azure-core's AzureError.

    access: the policy that authorises each try. transport: azure-core's, asynchronous; closed with this. backoff:
    seconds before a second try, doubled before each further one.
    """

    def __init__(self, endpoint: str, access: Any, transport: Any, backoff: float = BACKOFF) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._transport = transport
        retries = AsyncRetryPolicy(retry_total=RETRIES, retry_backoff_factor=backoff)
        self._pipeline: AsyncPipeline[HttpRequest, AsyncHttpResponse] = AsyncPipeline(transport, [retries, access])

    @classmethod
    def of_identity(cls, endpoint: str, credential: AsyncTokenCredential, transport: Any) -> "Tables":
        """With the tokens of an identity, which azure-core sends over https only."""
        return cls(endpoint, AsyncBearerTokenCredentialPolicy(credential, SCOPE), transport)

    @classmethod
    def of_connection_string(cls, text: str, transport: Any, backoff: float = BACKOFF) -> "Tables":
        """With an account's key or shared access signature. Raises ValueError when the text has neither."""
        parts = parse_connection_string(text)
        account = parts.get("accountname", "")
        suffix = parts.get("endpointsuffix", "core.windows.net")
        protocol = parts.get("defaultendpointsprotocol", "https")
        endpoint = parts.get("tableendpoint") or f"{protocol}://{account}.table.{suffix}"
        if "accountkey" in parts:
            return cls(endpoint, _SharedKeyLite(account, parts["accountkey"]), transport, backoff)
        if "sharedaccesssignature" in parts:
            signature = AzureSasCredential(parts["sharedaccesssignature"])
            return cls(endpoint, AzureSasCredentialPolicy(signature), transport, backoff)
        raise ValueError("The connection string has neither AccountKey nor SharedAccessSignature.")

    def table(self, name: str) -> "Table":
        return Table(self, name)

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncHttpResponse:
        dated = {**headers, "x-ms-date": formatdate(usegmt=True)}
        request = HttpRequest(method, f"{self.endpoint}/{path}", headers=dated, content=content)
        answer = (await self._pipeline.run(request)).http_response
        if answer.status_code >= 300:  # noqa: PLR2004 - every success of the interface is below
            _fail(answer)
        return answer

    async def close(self) -> None:
        await self._transport.close()


class Table:
    """One table. If it is missing, it is made with the first entity."""

    def __init__(self, tables: Tables, name: str) -> None:
        self._tables = tables
        self.name = name

    async def insert(self, entity: Mapping[str, Value]) -> str:
        """Add an entity; its ETag. Raises ResourceExistsError when there is one with its keys."""
        content = _encoded(entity)
        try:
            answer = await self._tables.send("POST", self.name, INSERT, content)
        except ResourceNotFoundError:  # an insert finds nothing missing but the table
            with suppress(ResourceExistsError):  # another instance was faster
                await self._tables.send("POST", "Tables", INSERT, _encode({"TableName": self.name}))
            answer = await self._tables.send("POST", self.name, INSERT, content)
        return str(answer.headers["ETag"])

    async def replace(self, entity: Mapping[str, Value], etag: str) -> str:
        """Put an entity in place of the one with this ETag; the new ETag.

        Raises ResourceModifiedError when that one has been changed, ResourceNotFoundError when it is gone.
        """
        path = self._path(entity["PartitionKey"], entity["RowKey"])
        answer = await self._tables.send("PUT", path, {**WRITE, "If-Match": etag}, _encoded(entity))
        return str(answer.headers["ETag"])

    async def get(self, partition: str, row: str) -> Entity | None:
        try:
            answer = await self._tables.send("GET", self._path(partition, row), HEADERS)
        except ResourceNotFoundError:
            return None
        return _decoded(_read(answer))

    async def delete(self, partition: str, row: str, etag: str = "*") -> None:
        """Raises ResourceModifiedError when it has been changed, ResourceNotFoundError when it is gone."""
        await self._tables.send("DELETE", self._path(partition, row), {**HEADERS, "If-Match": etag})

    async def page(
        self,
        where: Mapping[str, str] | None = None,
        *,
        most: int | None = None,
        select: Sequence[str] = (),
        after: Token | None = None,
    ) -> tuple[list[Entity], Token | None]:
        """Entities whose columns are as `where` says, and where the next page begins (None: it was the last).

        The service may give short and even empty pages before the last one. A missing table has one empty page.
        Raises ValueError when the service does not know `after`.
        """
        asked = {f"Next{key}": value for key, value in (after or {}).items() if value is not None}
        if where:
            equal = (f"{column} eq '{value.replace("'", "''")}'" for column, value in where.items())
            asked["$filter"] = " and ".join(equal)
        if most is not None:
            asked["$top"] = str(most)
        if select:
            asked["$select"] = ",".join(select)
        try:
            path = f"{self.name}()?{urlencode(asked, quote_via=quote)}"
            answer = await self._tables.send("GET", path, HEADERS)
        except ResourceNotFoundError:
            return [], None
        except HttpResponseError as error:
            if after and error.status_code == 400:  # noqa: PLR2004 - all else of the request is right by itself
                raise ValueError("no continuation token") from error
            raise
        token = {key: answer.headers.get(f"{CONTINUED}{key}") for key in KEYS}
        return [_decoded(entity) for entity in _read(answer)["value"]], token if any(token.values()) else None

    async def all(self, where: Mapping[str, str] | None = None) -> AsyncIterator[Entity]:
        """All entities, page after page."""
        after: Token | None = None
        while True:
            found, after = await self.page(where, after=after)
            for entity in found:
                yield entity
            if after is None:
                return

    def _path(self, partition: object, row: object) -> str:
        keys = (quote(str(key).replace("'", "''"), safe=UNQUOTED) for key in (partition, row))
        return "{}(PartitionKey='{}',RowKey='{}')".format(self.name, *keys)


def continued(text: str | None) -> Token | None:
    """The token that a text stands for. Raises ValueError when it stands for none."""
    if not text:
        return None
    if len(text) > LONGEST_TOKEN:
        raise ValueError("no continuation token")
    token = msgspec.json.decode(base64.urlsafe_b64decode(text), type=dict[str, str | None])
    if not token.keys() <= set(KEYS):
        raise ValueError("no continuation token")
    return token


def token_text(token: Token | None) -> str | None:
    """A token as a text for URLs."""
    return base64.urlsafe_b64encode(_encode(token)).decode() if token else None


class _SharedKeyLite(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Signs each try with the account's key, which only a laptop has.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """

    def __init__(self, account: str, key: str) -> None:
        super().__init__()
        self._account = account
        self._key = base64.b64decode(key)

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        http = request.http_request
        signed = f"{http.headers['x-ms-date']}\n/{self._account}{urlsplit(http.url).path}".encode()
        signature = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        http.headers["Authorization"] = f"SharedKeyLite {self._account}:{signature}"


def _fail(answer: AsyncHttpResponse) -> NoReturn:
    kind = ERRORS.get(answer.status_code, HttpResponseError)
    if kind is ResourceExistsError and b"AlreadyExists" not in answer.content:
        kind = HttpResponseError  # TableBeingDeleted: nothing exists, nor can for a while
    raise kind(response=answer)


def _read(answer: AsyncHttpResponse) -> Any:
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError as error:
        raise DecodeError("Table Storage answered with something that is not JSON.", response=answer) from error


def _encoded(entity: Mapping[str, Value]) -> bytes:
    values: dict[str, object] = {}
    for column, value in entity.items():
        if isinstance(value, datetime):
            values[column + TYPE] = "Edm.DateTime"
            values[column] = f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
        elif isinstance(value, str | int):
            values[column] = value
        else:
            raise TypeError(f"{column} is a {type(value).__name__}, expected text, a number, a boolean or a time")
    return _encode(values)


def _decoded(entity: dict[str, Any]) -> Entity:
    for name in [name for name, kind in entity.items() if name.endswith(TYPE) and kind == "Edm.DateTime"]:
        column = name.removesuffix(TYPE)
        entity[column] = datetime.fromisoformat(entity[column])
        del entity[name]
    return entity
