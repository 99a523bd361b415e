"""A table that was deleted is noticed, although it is made anew with the next row."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from shared.delivery.ledger import Ledger
from shared.delivery.row import Row
from shared.delivery.search import Filters, search
from shared.mail.addresses import address_hash
from shared.policy.suppression import SuppressedAddress, SuppressionTable
from shared.storage.table_identity import IDENTITY, SAID_FOR, SEEN_AGAIN, Replaced, TableIdentity
from shared.storage.tables import Tables

DAY = timedelta(days=1)


def row_of(mail: str) -> Row:
    return Row(
        id=mail, state="accepted", scope="s", fingerprint="f", mailbox="a@contoso.com", accepted_at=datetime.now(UTC)
    )


@dataclass
class Account:
    """Tables and blobs of an Azurite, with a table of its own for each test."""

    tables: Tables
    official: TableServiceClient
    blobs: BlobServiceClient
    name: str = field(default_factory=lambda: f"t{uuid4().hex}")
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    tick: float = 0.0

    def identity(self) -> TableIdentity:
        return TableIdentity(self.tables.table(self.name), lambda: self.blobs, lambda: self.now, lambda: self.tick)

    async def delete(self) -> None:
        await self.official.delete_table(self.name)


@pytest.fixture
async def account(storage: str) -> AsyncIterator[Account]:
    async with (
        TableServiceClient.from_connection_string(storage) as official,
        BlobServiceClient.from_connection_string(storage) as blobs,
    ):
        tables = Tables.of_connection_string(storage, AioHttpTransport())
        yield Account(tables, official, blobs)
        await tables.close()


async def test_a_new_account_is_marked_and_says_nothing(account: Account) -> None:
    """Whoever marks it first; and whoever asks before."""
    identity = account.identity()
    assert await identity.check() is None
    assert await identity.keep() is None
    assert await account.identity().keep() is None
    assert await identity.check() is None


async def test_a_deleted_table_is_noticed_by_all_whatever_has_made_it_anew(account: Account) -> None:
    identity = account.identity()
    await identity.keep()
    await account.delete()
    assert await account.identity().check() is not None  # before anybody has marked the new one
    await Ledger(account.tables.table(account.name)).write(row_of("1"))
    found = await identity.keep()
    assert found is not None
    assert (found.table, found.found) == (account.name, account.now)
    assert abs(found.seen - datetime.now(UTC)) < timedelta(minutes=1)
    for other in (identity, account.identity()):
        assert await other.keep() == await other.check() == found


def test_what_was_kept_counts_for_so_long_after_the_loss_was_found() -> None:
    now = datetime.now(UTC)
    found = Replaced("mailledger", now - timedelta(hours=1), now)
    assert found.concerns(now - DAY, 14 * DAY)  # accepted before, and its row made in the new table
    assert found.concerns(now + 13 * DAY, 14 * DAY)
    assert not found.concerns(now + 14 * DAY, 14 * DAY)


async def test_it_is_said_for_a_day_and_known_for_ever(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    identity = account.identity()
    await identity.report()
    assert not caplog.records
    start = account.now
    await account.delete()
    for hours in (0, 23, 24):
        account.now = start + timedelta(hours=hours)
        await identity.report()
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["event"] for line in lines] == ["table.replaced"] * 2
    assert lines[0]["table"] == account.name
    assert lines[0]["found"] == lines[1]["found"]
    assert timedelta(hours=24) == SAID_FOR
    assert await identity.check() is not None


async def test_a_witness_that_is_gone_is_written_again_and_one_that_is_old_anew(account: Account) -> None:
    """So that the lifecycle rule of the container never takes it."""
    identity = account.identity()
    await identity.keep()
    witness = account.blobs.get_blob_client("mail-payloads", f"{IDENTITY}/{account.name}")
    first = await witness.get_blob_properties()
    await identity.keep()
    assert (await witness.get_blob_properties()).etag == first.etag
    account.now += SEEN_AGAIN + timedelta(minutes=1)
    await identity.keep()
    assert (await witness.get_blob_properties()).etag != first.etag
    await witness.delete_blob()
    assert await identity.keep() is None
    assert await witness.exists()


async def test_whoever_asks_about_many_mails_reads_it_once_a_minute(account: Account) -> None:
    identity = account.identity()
    await identity.keep()
    assert await identity.known() is None
    await account.delete()
    account.tick = 59.0
    assert await identity.known() is None
    account.tick = 60.0
    assert await identity.known() is not None


async def test_the_marker_is_no_mail_and_no_address(account: Account) -> None:
    await account.identity().keep()
    ledger = Ledger(account.tables.table(account.name))
    assert (await search(ledger, Filters(), 10, None, None)).rows == []
    await ledger.write(row_of("1"))
    assert [row.id for row in (await search(ledger, Filters(), 10, None, None)).rows] == ["1"]
    account.name = f"t{uuid4().hex}"
    await account.identity().keep()
    suppressed = SuppressionTable(account.tables.table(account.name))
    assert await suppressed.ids(10) == frozenset()
    address = "a@contoso.com"
    entry = SuppressedAddress(
        id=address_hash(address), address=address, reason="left", added_by="key", added_at=account.now
    )
    await suppressed.add(entry)
    assert await suppressed.ids(10) == frozenset({entry.id})
    assert [one.id for one in (await suppressed.page(10, None))[0]] == [entry.id]


async def test_a_table_that_is_being_deleted_is_no_row_that_is_there(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure answers 409 to both for some seconds: the caller must hear that storage cannot be used."""
    send = AioHttpTransport.send

    async def being_deleted(self: AioHttpTransport, request: object, **options: object) -> object:
        answer = await send(self, request, **options)
        await answer.load_body()
        answer.status_code = 409
        answer._content = b'{"odata.error":{"code":"TableBeingDeleted"}}'
        return answer

    monkeypatch.setattr(AioHttpTransport, "send", being_deleted)
    with pytest.raises(HttpResponseError) as caught:
        await account.tables.table(account.name).insert({"PartitionKey": "p", "RowKey": "r"})
    assert type(caught.value) is HttpResponseError
