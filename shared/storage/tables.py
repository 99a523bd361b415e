"""A client for the part of Azure Table Storage's REST API that Mailroom needs. storage_service.py says why.

https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from azure.core.exceptions import DecodeError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.storage.storage_service import StorageService

type ColumnValue = str | bool | int | datetime
type Entity = Mapping[str, Any]
"""Values by column. As read it also has its ETag, at `odata.etag`; times are in UTC, to the microsecond."""
type Where = Mapping[str, str] | str
"""The text of each column; or a $filter, made by `equal` and `between`."""
type Token = Mapping[str, str | None]
"""Where a page ends: its PartitionKey and RowKey, as the service has encoded them."""

HEADERS: Final = {
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
_encode: Final = msgspec.json.Encoder().encode


class Tables(StorageService):
    """The tables of one account. Every method of its tables raises azure-core's AzureError; see StorageService."""

    KIND = "table"

    def table(self, name: str) -> "Table":
        return Table(self, name)

    @staticmethod
    def signed(request: HttpRequest, account: str) -> tuple[str, str]:
        return "SharedKeyLite", f"{request.headers['x-ms-date']}\n/{account}{urlsplit(request.url).path}"


class Table:
    """One table. If it is missing, it is made with the first entity."""

    def __init__(self, tables: Tables, name: str) -> None:
        self._tables = tables
        self.name = name

    async def insert(self, entity: Mapping[str, ColumnValue]) -> str:
        """Add an entity; its ETag. Raises ResourceExistsError when there is one with its keys."""
        content = _encoded(entity)
        try:
            answer = await self._tables.send("POST", self.name, INSERT, content)
        except ResourceNotFoundError:  # an insert finds nothing missing but the table
            await self._make()
            answer = await self._tables.send("POST", self.name, INSERT, content)
        return str(answer.headers["ETag"])

    async def replace(self, entity: Mapping[str, ColumnValue], etag: str) -> str:
        """Put an entity in place of the one with this ETag; the new ETag.

        Raises ResourceModifiedError when that one has been changed, ResourceNotFoundError when it is gone.
        """
        path = self._path(entity["PartitionKey"], entity["RowKey"])
        answer = await self._tables.send("PUT", path, {**WRITE, "If-Match": etag}, _encoded(entity))
        return str(answer.headers["ETag"])

    async def put(self, entity: Mapping[str, ColumnValue]) -> None:
        """Add an entity, or put it in place of whatever has its keys."""
        path = self._path(entity["PartitionKey"], entity["RowKey"])
        try:
            await self._tables.send("PUT", path, WRITE, _encoded(entity))
        except ResourceNotFoundError:  # the table is missing
            await self._make()
            await self._tables.send("PUT", path, WRITE, _encoded(entity))

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
        where: Where | None = None,
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
            asked["$filter"] = where if isinstance(where, str) else " and ".join(map(equal, where, where.values()))
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

    async def all(self, where: Where | None = None, select: Sequence[str] = ()) -> AsyncIterator[Entity]:
        """All entities, page after page."""
        after: Token | None = None
        while True:
            found, after = await self.page(where, select=select, after=after)
            for entity in found:
                yield entity
            if after is None:
                return

    async def _make(self) -> None:
        with suppress(ResourceExistsError):  # another instance was faster
            await self._tables.send("POST", "Tables", INSERT, _encode({"TableName": self.name}))

    def _path(self, partition: object, row: object) -> str:
        keys = (quote(str(key).replace("'", "''"), safe=UNQUOTED) for key in (partition, row))
        return "{}(PartitionKey='{}',RowKey='{}')".format(self.name, *keys)


def equal(column: str, value: ColumnValue) -> str:
    """A $filter. https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities"""
    return f"{column} eq {_literal(value)}"


def between(column: str, first: ColumnValue | None, beyond: ColumnValue | None) -> str:
    """A $filter: from the first, which is included, to where it ends, which is not. None: there is no end."""
    ends = {"ge": first, "lt": beyond}
    return " and ".join(f"{column} {how} {_literal(value)}" for how, value in ends.items() if value is not None)


def _literal(value: ColumnValue) -> str:
    if isinstance(value, datetime):
        return f"datetime'{_moment(value)}'"
    return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else str(value).lower()


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


def _read(answer: AsyncHttpResponse) -> Any:
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError as error:
        raise DecodeError("Table Storage answered with something that is not JSON.", response=answer) from error


def _encoded(entity: Mapping[str, ColumnValue]) -> bytes:
    values: dict[str, object] = {}
    for column, value in entity.items():
        if isinstance(value, datetime):
            values[column + TYPE] = "Edm.DateTime"
            values[column] = _moment(value)
        elif isinstance(value, str | int):
            values[column] = value
        else:
            raise TypeError(f"{column} is a {type(value).__name__}, expected text, a number, a boolean or a time")
    return _encode(values)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _decoded(entity: dict[str, Any]) -> Entity:
    for name in [name for name, kind in entity.items() if name.endswith(TYPE) and kind == "Edm.DateTime"]:
        column = name.removesuffix(TYPE)
        entity[column] = datetime.fromisoformat(entity[column])
        del entity[name]
    return entity
