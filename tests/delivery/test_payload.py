"""Mails in `mail-payloads`: an envelope, and the larger files beside it."""

from typing import Final

from shared.delivery.payloads import LARGE, apart, files_of, folder, payload_name
from shared.delivery.queue_messages import Work, work_of
from shared.delivery.worker import Worker
from shared.mail.model import BlobAttachment, FileAttachment
from shared.mail.outgoing import decode, encode
from shared.storage.files import filled
from tests.delivery.memory import MemoryFiles
from tests.delivery.samples import BAD_RECIPIENT, Office, ScriptedGraph, outgoing_mail

SMALL: Final = FileAttachment(name="small", content_bytes=b"s" * LARGE)
BIG: Final = FileAttachment(
    name="big", content_bytes=b"b" * (LARGE + 1), content_type="x/y", is_inline=True, content_id="c"
)
MADE: Final = outgoing_mail(attachments=(SMALL, BIG, BIG))


def test_only_what_is_above_256_kib_gets_a_blob_of_its_own() -> None:
    payload = payload_name(MADE)
    envelope, files = apart(MADE, payload)
    assert files == {f"{folder(payload)}1": BIG.content_bytes, f"{folder(payload)}2": BIG.content_bytes}
    small, big, _ = envelope.request.message.attachments or ()
    assert small == SMALL
    assert isinstance(big, BlobAttachment)
    assert (big.size, big.etag) == (LARGE + 1, None)
    assert big.filled(BIG.content_bytes) == BIG
    assert files_of(envelope) == folder(payload)
    assert decode(encode(envelope)) == envelope
    assert files_of(outgoing_mail()) is None


async def put(office: Office) -> Work:
    return (await office.outbox.put(work_of(MADE), office.clock.now(), None, MADE)).work


async def is_whole(office: Office, work: Work) -> bool:
    """What comes out of the outbox is what went in."""
    found = await office.outbox.mail_of(work)
    assert found is not None
    return await filled(found.request.message, MemoryFiles(office.outbox)) == MADE.request.message


async def test_what_comes_out_of_the_outbox_is_what_went_in() -> None:
    office = Office()
    work = await put(office)
    assert work.payload is not None  # the small file alone is too much for a message
    assert len(office.outbox.payloads) == 3
    assert await is_whole(office, work)
    await office.outbox.remove(work)
    assert office.outbox.payloads == {}


async def refused() -> Office:
    """An office whose mail with files has failed."""
    office = Office(graph=ScriptedGraph([BAD_RECIPIENT]))
    await put(office)
    await office.drain()
    assert (await office.row()).state == "failed"
    return office


async def test_a_failed_mail_keeps_its_files_for_as_long_as_it_can_be_put_back() -> None:
    office = await refused()
    assert len(office.outbox.dead[MADE.id].content) < 2 * LARGE  # they are not kept twice
    await office.maintain(days=12)
    assert len(office.outbox.payloads) == 2
    assert await office.control.replay(await office.row()) == await office.row()
    [(_, work)] = office.outbox.messages
    assert await is_whole(office, work)
    await Worker(office.engine).deliver(work)
    assert ((await office.row()).state, office.outbox.payloads, office.outbox.dead) == ("sent", {}, {})


async def test_with_the_row_of_a_failed_mail_its_files_go() -> None:
    office = await refused()
    await office.maintain(days=15)
    assert office.outbox.payloads == {}


async def test_what_the_same_key_has_just_brought_again_stays_when_the_old_row_goes() -> None:
    office = await refused()
    office.clock.move(days=15)
    await put(office)
    await office.maintain()
    assert office.outbox.payloads
