"""A ledger that was deleted: the timer says so, readiness is degraded, and each mail accepted since is doubted."""

from collections.abc import AsyncIterator, Iterator
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from shared.app import current_app
from shared.delivery.row import Row
from tests.azurite import azurite
from tests.functions.samples import answer_of, request
from tests.indexed import indexed
from tests.logged import said

MAIL = "0" * 32
DAY = timedelta(days=1)


class Graph:
    """Has a token."""

    async def ensure_token(self) -> None: ...


class Timer:
    past_due = False


def row(accepted: datetime, **more: Any) -> Row:
    sent = Row(id=MAIL, state="sent", scope="s", fingerprint="f", mailbox="a@contoso.com", accepted_at=accepted)
    return replace(sent, token="t", **more)


async def ask(name: str, **route: Any) -> dict[str, Any]:
    answer = await indexed()[name].get_user_function()(request(**route))
    assert answer.status_code == 200
    return dict(answer_of(answer))


@pytest.fixture(scope="module")
def own_storage() -> Iterator[str]:
    """Not the session's: these tests delete tables that others use."""
    with azurite() as (storage, _):
        yield storage


@pytest.fixture
async def account(own_storage: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TableServiceClient]:
    """A new account, and a process that has not asked it anything."""
    monkeypatch.setenv("AzureWebJobsStorage", own_storage)
    monkeypatch.setenv("MAIL_RETENTION_DAYS", "14")
    async with (
        TableServiceClient.from_connection_string(own_storage) as tables,
        BlobServiceClient.from_connection_string(own_storage) as blobs,
    ):
        await a_new_process()
        yield tables
        await current_app().storage.close()
        async for table in tables.list_tables():
            await tables.delete_table(table.name)
        async for container in blobs.list_containers():
            await blobs.delete_container(container.name)
    current_app.cache_clear()


async def a_new_process() -> None:
    if current_app.cache_info().currsize:
        await current_app().storage.close()
    current_app.cache_clear()
    current_app().__dict__["graph"] = Graph()


async def test_a_deleted_ledger_is_told_by_the_timer_readiness_and_each_mail(
    account: TableServiceClient, caplog: pytest.LogCaptureFixture
) -> None:
    maintenance, now = indexed()["maintenance"].get_user_function(), datetime.now(UTC)
    await maintenance(Timer())
    await current_app().engine.ledger.write(row(now))
    assert (await ask("health_ready"))["status"] == "pass"
    assert "keysMayBeForgotten" not in await ask("operator_message", id=MAIL)

    await account.delete_table("mailledger")
    await current_app().engine.ledger.write(row(now))
    await a_new_process()
    ready = await ask("health_ready")  # before the timer has run
    assert (ready["status"], ready["checks"]["tables"]["status"]) == ("degraded", "degraded")
    assert "mailledger was deleted after" in ready["checks"]["tables"]["note"]
    assert (await ask("operator_message", id=MAIL))["keysMayBeForgotten"] is True
    assert (await ask("operator_messages"))["messages"][0]["keysMayBeForgotten"] is True
    assert said(caplog, "table.replaced") == []
    await maintenance(Timer())
    (line,) = said(caplog, "table.replaced")
    assert line["table"] == "mailledger"
    assert (await ask("health_ready"))["status"] == "degraded"


@pytest.mark.parametrize(
    ("after", "keep_days", "told"), [(-1, None, True), (13, None, True), (15, None, False), (15, 30, True)]
)
async def test_a_mail_is_doubted_for_as_long_as_its_key_would_have_been_remembered(
    account: TableServiceClient, after: int, keep_days: int | None, *, told: bool
) -> None:
    ledger, _ = current_app().table_identities
    await ledger.keep()
    await account.delete_table("mailledger")
    await ledger.keep()
    await current_app().engine.ledger.write(row(datetime.now(UTC) + after * DAY, keep_days=keep_days))
    assert ("keysMayBeForgotten" in await ask("operator_message", id=MAIL)) is told


async def test_a_deleted_suppression_list_is_told_too(account: TableServiceClient) -> None:
    _, suppressed = current_app().table_identities
    await suppressed.keep()
    await account.delete_table("mailsuppressed")
    await suppressed.keep()
    ready = await ask("health_ready")
    assert ready["status"] == "degraded"
    assert "on the list are mailed" in ready["checks"]["tables"]["note"]
    await current_app().engine.ledger.write(row(datetime.now(UTC)))
    assert "keysMayBeForgotten" not in await ask("operator_message", id=MAIL)
