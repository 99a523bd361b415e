"""Every outgoing call ends in bounded time: on a server that never answers, and on one that never stops answering."""

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError

import shared.auth.entra_keys
import shared.storage.account
import shared.storage.files
import shared.storage.storage_service
from shared.app import App
from shared.auth.managed_identity import Identity
from shared.delivery.queue import Kept
from shared.delivery.queue_messages import Work
from shared.delivery.row import Row
from shared.delivery.search import Filters, search
from shared.graph.client import open_client
from shared.graph.outcome import Unanswered, Unknown
from shared.graph.send import send_mail
from shared.ratelimit.shared_row import TableStore
from shared.settings.config import Settings
from shared.settings.storage_connection import Storage
from shared.storage.account import StorageAccount
from shared.webhooks.routing import secrets
from tests.serving import serving

MOST = 8.0  # seconds, on a machine that has other things to do; without deadlines it would be minutes, or for ever
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BEGUN = (  # as blobs, rows and anything else might come
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nContent-Range: bytes 0-999999/1000000\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n"
)
ANSWERS = {"silent": b"", "trickling": BEGUN}
NOW = datetime(2026, 7, 1, tzinfo=UTC)
WORK = Work(v=1, id="1" * 32, scope="", fingerprint="", sender="", accepted_at=NOW, payload="00/blob")
ROW = Row(id="1" * 32, state="sending", scope="", fingerprint="", mailbox="a", accepted_at=NOW, token="t")


@asynccontextmanager
async def in_time(kind: str) -> AsyncIterator[int]:
    """A server that takes every connection; all that is asked of it ends in time.

    silent: says nothing. trickling: begins an answer, and has another byte every 50 ms.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(ANSWERS[kind])
            while True:
                await writer.drain()
                await asyncio.sleep(0.05)
                if writer.is_closing():  # to write on it then is no OSError to uvloop
                    return
                if kind == "trickling":
                    writer.write(b" ")

    began = time.monotonic()
    async with serving(serve) as port:
        yield port
    assert time.monotonic() - began < MOST


def account_at(port: int) -> Storage:
    endpoints = "".join(
        f"{kind}Endpoint=http://127.0.0.1:{port}/devstoreaccount1;" for kind in ("Blob", "Queue", "Table")
    )
    return Storage(f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};{endpoints}")


STORAGE: dict[str, Callable[[App], Awaitable[object]]] = {
    "a message put": lambda app: app.outbox.put(WORK, NOW),
    "a message put back": lambda app: app.outbox.put_back("mail-outbox", b"{}"),
    "a mail read": lambda app: app.outbox.mail_of(WORK),
    "set aside": lambda app: app.outbox.set_aside(ROW, Kept("mail", "x", b"x")),
    "what was set aside read": lambda app: app.outbox.kept("1"),
    "a payload removed": lambda app: app.outbox.remove(WORK),
    "a row added": lambda app: app.engine.ledger.write(ROW),
    "a row read": lambda app: app.engine.ledger.read("1"),
    "rows listed": lambda app: search(app.engine.ledger, Filters(state="sent"), 10, None, None),
    "a rate read": lambda app: TableStore(app.storage.tables.table("rates")).read("x"),
    "a rate written": lambda app: TableStore(app.storage.tables.table("rates")).write("x", {}, None),
    "its health": lambda app: app.storage.queues.get_queue_client("mail-work").count(),
}


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """The SDK leaves a connection that it was cut off from to the garbage collector, which warns of it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same deadlines, shorter."""
    monkeypatch.setattr(shared.storage.storage_service, "TRY_TIMEOUT", 0.6)
    monkeypatch.setattr(shared.storage.files, "READ_TIMEOUT", 2.0)
    monkeypatch.setattr(shared.auth.entra_keys, "FETCH_TIMEOUT", 0.5)
    monkeypatch.setattr(secrets, "PATIENCE", 0.5)
    monkeypatch.setitem(shared.storage.account.CLIENT_OPTIONS, "retry_total", 1)
    monkeypatch.setattr(shared.storage.storage_service, "RETRIES", 1)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_storage_that_does_not_answer_is_an_error_in_time(kind: str) -> None:
    async with in_time(kind) as port:
        app = App(Settings(storage=account_at(port)))
        try:
            async with asyncio.timeout(60):
                found = await asyncio.gather(*(ask(app) for ask in STORAGE.values()), return_exceptions=True)
        finally:
            await app.storage.close()
    assert {name: one for name, one in zip(STORAGE, found, strict=True) if not isinstance(one, AzureError)} == {}


def test_storages_own_deadlines_end_a_request_before_its_caller_is_cut_off() -> None:
    """Azure ends an HTTP request after 230 s; each try, the waits between and a token fit into half of it."""
    tries = 1 + shared.storage.account.CLIENT_OPTIONS["retry_total"]
    waits = 3 * (0.5 + 2**3 + 3)  # of ExponentialRetry, with its jitter; tables wait less
    assert tries * shared.storage.storage_service.TRY_TIMEOUT + waits + 8 < 130
    assert shared.storage.account.CLIENT_OPTIONS["retry_total"] == shared.storage.storage_service.RETRIES
    assert shared.storage.files.READ_TIMEOUT < 115


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_identity_endpoint_that_does_not_answer_is_an_error_in_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As azure-core's clients ask, in both of their ways."""
    async with in_time(kind) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        identity = Identity(None, patience=0.5)
        try:
            with pytest.raises(ClientAuthenticationError):
                await identity.get_token("https://storage.azure.com/.default")
            with pytest.raises(ClientAuthenticationError):
                await identity.get_token_info("https://storage.azure.com/.default")
        finally:
            await identity.close()


async def test_every_client_has_the_bounded_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage by identity, the vault and Graph: none of them with the SDK's own patience."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    endpoints = {f"{kind}_endpoint": f"https://a.{kind}.core.windows.net" for kind in ("blob", "queue", "table")}
    account = StorageAccount(Storage(**endpoints))
    vault = secrets.SecretVault("https://a.vault.azure.net", None)
    graph = open_client("https://graph.microsoft.com/v1.0", None)
    credentials: list[Any] = [account._credential, vault._credential, graph.credential]
    await account.close()
    await vault.close()
    await graph.close()
    assert [type(credential) for credential in credentials] == [Identity] * 3


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_a_vault_that_does_not_answer_is_an_error_in_time(kind: str) -> None:
    async with in_time(kind) as port:
        vault = secrets.SecretVault(f"https://127.0.0.1:{port}", None)
        try:
            with pytest.raises((AzureError, TimeoutError)):
                await vault.fetch("mail-secret-shop")
        finally:
            await vault.close()


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.usefixtures("impatient")
async def test_a_tenants_metadata_that_does_not_come_is_an_error_in_time(kind: str) -> None:
    async with in_time(kind) as port:
        with pytest.raises((OSError, aiohttp.ClientError)):
            await shared.auth.entra_keys.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("kind", ANSWERS)
async def test_graph_that_does_not_answer_is_unknown_or_unanswered_in_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending and looking, once the identity has a token."""
    async with in_time(kind) as port:

        async def a_token(*_: object, **__: object) -> AccessToken:
            return AccessToken("token", 4102444800)

        monkeypatch.setattr(Identity, "get_token", a_token)
        graph = open_client(f"http://127.0.0.1:{port}/v1.0", None)
        outcome = await send_mail(graph, "a@b.test", b"", client_request_id="", deadline=0.5)
        assert outcome == Unknown("timeout")
        from shared.graph.find import Marker, find_copy

        assert await find_copy(graph, "a@b.test", Marker("String x", "1"), 0.5) == Unanswered(Unknown("timeout"))
        await graph.close()
