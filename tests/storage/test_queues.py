"""Our putting of queue messages, held against Microsoft's client of queues."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import DecodeError, HttpResponseError, ResourceNotFoundError
from azure.core.utils import parse_connection_string
from azure.storage.queue import QueueSasPermissions, generate_queue_sas
from azure.storage.queue.aio import QueueClient

from shared.storage.queues import Queue, Queues
from tests.graph.service import Service
from tests.serving import serving
from tests.storage.test_tables import Credential, Plain
from tests.wire import Wire

TEXT = '{"subject": "A <b> & \\"c\\" \u00fc \U0001f600"}'


@pytest.fixture
async def queue(storage: str, wire: Wire, name: str) -> Queue:
    queue = Queues.of_connection_string(storage, wire, backoff=0).get_queue_client(name)
    await queue.create_queue()
    return queue


@pytest.fixture
async def official(storage: str, name: str) -> AsyncIterator[QueueClient]:
    async with QueueClient.from_connection_string(storage, name) as client:
        yield client


async def test_microsofts_client_receives_what_is_put_and_it_never_expires(queue: Queue, official: QueueClient) -> None:
    await queue.create_queue()  # once more: it stays as it is
    put = await queue.send_message(TEXT, visibility_timeout=0, time_to_live=-1)
    [found] = await official.peek_messages()
    assert (found.id, found.content) == (put.id, TEXT)
    assert found.expires_on is not None
    assert found.expires_on.year == 9999


async def test_a_message_hides_until_it_is_shown_and_keeps_its_text(queue: Queue, official: QueueClient) -> None:
    put = await queue.send_message(TEXT, visibility_timeout=600, time_to_live=-1)
    assert await official.peek_messages() == []
    assert (await queue.count(), await queue.oldest()) == (1, None)
    shown = await queue.update_message(*put, visibility_timeout=0)
    assert shown.id == put.id
    [found] = await official.peek_messages()
    assert found.content == TEXT
    oldest = await queue.oldest()
    assert oldest is not None
    assert abs(datetime.now(UTC) - oldest) < timedelta(minutes=1)
    with pytest.raises(HttpResponseError) as caught:
        await queue.update_message(*put, visibility_timeout=0)  # the receipt of before
    assert getattr(caught.value, "error_code", None) == "PopReceiptMismatch"
    await queue.delete_message(*shown)
    assert await queue.count() == 0
    for gone in (queue.delete_message(*shown), queue.update_message(*shown, visibility_timeout=0)):
        with pytest.raises(ResourceNotFoundError):
            await gone


async def test_a_queue_that_is_not_there_is_named_so(storage: str, wire: Wire, name: str) -> None:
    queue = Queues.of_connection_string(storage, wire, backoff=0).get_queue_client(name)
    for asked in (queue.send_message(TEXT, visibility_timeout=0, time_to_live=-1), queue.count(), queue.oldest()):
        with pytest.raises(ResourceNotFoundError):
            await asked


async def test_a_put_whose_answer_is_lost_is_tried_again(queue: Queue, wire: Wire) -> None:
    wire.lose = 1
    await queue.send_message(TEXT, visibility_timeout=0, time_to_live=-1)
    assert await queue.count() == 2, "the second is a copy"


async def test_a_shared_access_signature_opens_what_it_is_for(
    storage: str, wire: Wire, queue: Queue, name: str
) -> None:
    parts = parse_connection_string(storage)
    until = datetime.now(UTC) + timedelta(minutes=5)
    allowed = QueueSasPermissions(add=True)
    signature = generate_queue_sas(parts["accountname"], name, parts["accountkey"], permission=allowed, expiry=until)
    text = f"QueueEndpoint={parts['queueendpoint']};SharedAccessSignature={signature}"
    signed = Queues.of_connection_string(text, wire).get_queue_client(name)
    await signed.send_message(TEXT, visibility_timeout=0, time_to_live=-1)
    assert await queue.count() == 1
    with pytest.raises(HttpResponseError) as caught:
        await signed.oldest()
    assert caught.value.status_code == 403


async def test_an_identitys_token_goes_with_every_try() -> None:
    service = Service()
    async with serving(service.serve) as service.port, Plain(service.port) as wire:
        service.say(503)
        service.say(201, body=b"<MessageId>1</MessageId><PopReceipt>a+b=</PopReceipt>")
        service.say(201, body=b"what is this?")
        service.say(204)
        credential = Credential()
        queue = Queues.of_identity("https://mail.queue.core.windows.net", credential, wire).get_queue_client(
            "mail-work"
        )
        put = await queue.send_message(TEXT, visibility_timeout=7, time_to_live=-1)
        assert put == ("1", "a+b=")
        with pytest.raises(DecodeError):
            await queue.send_message(TEXT, visibility_timeout=7, time_to_live=-1)
        await queue.delete_message(*put)
    assert {request.headers["authorization"] for request in service.requests} == {"Bearer token-1"}
    assert [request.line.rpartition(" ")[0] for request in service.requests] == [
        *["POST /mail-work/messages?visibilitytimeout=7&messagettl=-1"] * 3,
        "DELETE /mail-work/messages/1?popreceipt=a%2Bb%3D",
    ]
