"""Our reading and writing of tables, held against Microsoft's client of them."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.exceptions import (
    DecodeError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.utils import parse_connection_string
from azure.data.tables import TableSasPermissions, generate_table_sas
from azure.data.tables.aio import TableClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.storage.tables import ColumnValue, Table, Tables
from tests.graph.service import Service
from tests.serving import serving
from tests.wire import Wire

NOON = datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
ROW: dict[str, ColumnValue] = {
    "PartitionKey": "p", "RowKey": "r", "text": "Ünicode 'quoted' \"😀\"", "yes": True, "n": -7, "at": NOON,
}  # fmt: skip
# What the service allows: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
KEYS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="/\\#?", max_codepoint=0xFFFF),
    min_size=1,
    max_size=40,
)


@pytest.fixture
def table(storage: str, wire: Wire, name: str) -> Table:
    return Tables.of_connection_string(storage, wire, backoff=0).table(name)


@pytest.fixture
async def official(storage: str, name: str) -> AsyncIterator[TableClient]:
    async with TableClient.from_connection_string(storage, name) as client:
        yield client


async def test_microsofts_client_reads_what_is_inserted_and_replaced(table: Table, official: TableClient) -> None:
    etag = await table.insert(ROW | {"at": NOON.astimezone(timezone(timedelta(hours=-5)))})
    found = await official.get_entity("p", "r")
    assert dict(found) == ROW
    assert found.metadata["etag"] == etag
    less: dict[str, ColumnValue] = {"PartitionKey": "p", "RowKey": "r", "n": 2**31 - 1}
    etag = await table.replace(less, etag)
    found = await official.get_entity("p", "r")
    assert dict(found) == less
    assert found.metadata["etag"] == etag


async def test_what_microsofts_client_has_written_is_read(table: Table, official: TableClient) -> None:
    await official.create_table()
    written = await official.create_entity(ROW)
    found = dict(await table.get("p", "r") or {})
    assert found.pop("odata.etag") == written["etag"]
    assert {key: found[key] for key in ROW} == ROW
    assert type(found["at"]) is datetime
    assert found["at"].tzinfo is UTC


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partition=KEYS, row=KEYS, text=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=50))
@example(partition="it's", row="'%'", text="'")
async def test_any_keys_and_texts_come_back(storage: str, partition: str, row: str, text: str) -> None:
    entity = {"PartitionKey": partition, "RowKey": row, "text": text}
    async with Wire() as wire:
        table = Tables.of_connection_string(storage, wire).table(f"t{uuid4().hex}")
        etag = await table.insert(entity)
        for found in (await table.get(partition, row), *(await table.page({"PartitionKey": partition}))[0]):
            assert found is not None
            assert {key: found[key] for key in entity} == entity
        etag = await table.replace(entity | {"text": text + "!"}, etag)
        await table.delete(partition, row, etag)
        assert await table.get(partition, row) is None


@pytest.mark.parametrize("value", [None, 1.5, b"bytes"])
async def test_a_value_that_has_no_type_here_is_refused_before_anything_is_sent(
    table: Table, wire: Wire, value: Any
) -> None:
    with pytest.raises(TypeError, match="odd is a"):
        await table.insert({"PartitionKey": "p", "RowKey": "r", "odd": value})
    assert wire.requests == 0


async def test_each_refusal_is_azure_cores_error_for_it(table: Table) -> None:
    with pytest.raises(ResourceNotFoundError):
        await table.replace(ROW, "*")
    etag = await table.insert(ROW)
    with pytest.raises(ResourceExistsError):
        await table.insert(ROW)
    await table.replace(ROW, etag)
    for stale in (table.replace(ROW, etag), table.delete("p", "r", etag)):
        with pytest.raises(ResourceModifiedError):
            await stale
    with pytest.raises(HttpResponseError) as caught:
        await table.insert({"PartitionKey": "p", "RowKey": "r" * 2000})
    assert caught.value.status_code == 400
    await table.delete("p", "r")
    with pytest.raises(ResourceNotFoundError):
        await table.delete("p", "r")


async def test_a_missing_table_reads_as_empty_and_is_made_by_an_insert(table: Table, wire: Wire) -> None:
    assert await table.get("p", "r") is None
    assert await table.page() == ([], None)
    assert [entity async for entity in table.all({"PartitionKey": "p"})] == []
    wire.requests = 0
    await table.insert(ROW)
    assert wire.requests == 3, "found missing, made, inserted"
    await table.insert(ROW | {"RowKey": "2"})
    assert wire.requests == 4


async def test_pages_are_those_of_microsofts_client_and_go_on_where_it_ends(
    table: Table, official: TableClient
) -> None:
    for number in range(7):
        await table.insert({"PartitionKey": "it's", "RowKey": f"{number}", "state": "sent" if number % 2 else "review"})
    await table.insert({"PartitionKey": "q", "RowKey": "0", "state": "sent"})
    first, token = await table.page({"PartitionKey": "it's", "state": "review"}, most=2, select=["RowKey", "state"])
    assert [entity["RowKey"] for entity in first] == ["0", "2"]
    assert "PartitionKey" not in first[0]
    pages: Any = official.query_entities("PartitionKey eq 'it''s' and state eq 'review'", results_per_page=2)
    rest = [entity["RowKey"] async for page in pages.by_page(token) async for entity in page]
    assert rest == ["4", "6"]
    second, token = await table.page({"PartitionKey": "it's", "state": "review"}, most=2, after=token)
    assert [entity["RowKey"] for entity in second] == rest
    assert token is None
    assert [entity["RowKey"] async for entity in table.all({"PartitionKey": "it's"})] == list("0123456")


async def test_an_answer_that_is_no_json_is_azure_cores_error_too(storage: str) -> None:
    class Garbled(Wire):
        async def send(self, request: Any, **options: Any) -> Any:
            answer = await super().send(request, **options)
            if request.method == "GET":
                answer._content = b"<html>"
            return answer

    async with Garbled() as wire:
        table = Tables.of_connection_string(storage, wire).table(f"t{uuid4().hex}")
        await table.insert(ROW)
        with pytest.raises(DecodeError):
            await table.get("p", "r")


async def test_a_shared_access_signature_opens_what_it_is_for(
    storage: str, wire: Wire, table: Table, official: TableClient
) -> None:
    parts = parse_connection_string(storage)
    await official.create_table()
    key = AzureNamedKeyCredential(parts["accountname"], parts["accountkey"])
    until = datetime.now(UTC) + timedelta(minutes=5)
    signature = generate_table_sas(key, table.name, permission=TableSasPermissions(add=True), expiry=until)
    text = f"TableEndpoint={parts['tableendpoint']};SharedAccessSignature={signature}"
    signed = Tables.of_connection_string(text, wire).table(table.name)
    await signed.insert(ROW)
    assert await table.get("p", "r") is not None
    with pytest.raises(HttpResponseError) as caught:
        await signed.delete("p", "r")
    assert caught.value.status_code == 403


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("AccountName=mail;AccountKey=a2V5", "https://mail.table.core.windows.net"),
        (
            "DefaultEndpointsProtocol=https;AccountName=mail;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn",
            "https://mail.table.core.chinacloudapi.cn",
        ),
        ("AccountName=mail;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:1/mail/", "http://127.0.0.1:1/mail"),
    ],
)
def test_the_endpoint_is_the_connection_strings(text: str, endpoint: str) -> None:
    assert Tables.of_connection_string(text, Wire()).endpoint == endpoint
    with pytest.raises(ValueError, match="neither AccountKey nor SharedAccessSignature"):
        Tables.of_connection_string(text.replace("AccountKey=", "Other="), Wire())


class Plain(AioHttpTransport):  # type: ignore[misc] # imported lazily by azure.core, so untyped
    """Takes what is meant for a host of Azure to a server on this machine, which has no certificate for it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.hosts: list[str] = []

    async def send(self, request: Any, **options: Any) -> Any:
        meant = request.url
        parts = urlsplit(meant)
        self.hosts.append(f"{parts.scheme}://{parts.netloc}")
        request.url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        try:
            return await super().send(request, **options)
        finally:
            request.url = meant


class Credential:
    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(f"token-{len(self.scopes)}", int(time.time()) + 3600)

    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...  # type: ignore[empty-body] # never entered
    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with serving(service.serve) as service.port:
        yield service


async def test_an_identitys_token_goes_with_every_try_and_is_asked_for_once(service: Service) -> None:
    service.say(503)
    for _ in range(2):
        service.say(204, headers={"ETag": "W/1"})
    credential = Credential()
    async with Plain(service.port) as wire:
        table = Tables.of_identity("https://mail.table.core.windows.net", credential, wire).table("mailledger")
        assert await table.replace(ROW, "W/0") == "W/1"
        assert await table.insert(ROW) == "W/1"
    assert set(wire.hosts) == {"https://mail.table.core.windows.net"}
    assert credential.scopes == ["https://storage.azure.com/.default"]
    assert [request.line for request in service.requests] == [
        "PUT /mailledger(PartitionKey='p',RowKey='r') HTTP/1.1",
        "PUT /mailledger(PartitionKey='p',RowKey='r') HTTP/1.1",
        "POST /mailledger HTTP/1.1",
    ]
    for request in service.requests:
        assert request.headers["authorization"] == "Bearer token-1"
        assert request.headers["x-ms-version"] == "2020-12-06"
        age = datetime.now(UTC) - parsedate_to_datetime(request.headers["x-ms-date"])
        assert age < timedelta(seconds=30)
    assert service.requests[0].headers["if-match"] == "W/0"


async def test_an_insert_whose_connection_is_closed_is_tried_again(service: Service) -> None:
    """A service closes a connection that was idle, and may do so just when the next request is sent."""
    service.say(204, cut=0)
    service.say(204, headers={"ETag": "W/1"})
    async with Plain(service.port) as wire:
        table = Tables.of_identity("https://mail.table.core.windows.net", Credential(), wire).table("mailledger")
        assert await table.insert(ROW) == "W/1"
    assert service.connections == 2


async def test_a_token_never_goes_over_http() -> None:
    async with Wire() as wire:
        table = Tables.of_identity("http://127.0.0.1:1/account", Credential(), wire, backoff=0).table("mailledger")
        with pytest.raises(ServiceRequestError, match="non-TLS"):
            await table.get("p", "r")
        assert wire.requests == 0
