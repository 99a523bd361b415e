"""Mails in `mail-payloads`: an envelope, and the larger files beside it."""

from copy import replace
from datetime import timedelta

import pytest

from shared.delivery.cancel_replay_retry import Control
from shared.delivery.ledger import partition
from shared.delivery.maintenance import Maintenance
from shared.delivery.payloads import LARGE, apart, files_of, folder, payload_name
from shared.delivery.queue import delay
from shared.delivery.queue_messages import work_of
from shared.delivery.worker import Worker
from shared.mail.model import BlobAttachment, FileAttachment
from shared.mail.outgoing import OutgoingMail, decode, encode
from shared.settings.config import Settings
from shared.storage.files import filled
from tests.delivery.memory import MemoryFiles
from tests.delivery.samples import BAD_RECIPIENT, NOON, Office, ScriptedGraph, outgoing_mail

SMALL = FileAttachment(name="small", content_bytes=b"s" * LARGE)
BIG = FileAttachment(name="big", content_bytes=b"b" * (LARGE + 1), content_type="x/y", is_inline=True, content_id="c")


def with_files() -> OutgoingMail:
    made = outgoing_mail()
    message = replace(made.request.message, attachments=(SMALL, BIG, BIG))
    return replace(made, request=replace(made.request, message=message))


def test_only_what_is_above_256_kib_gets_a_blob_of_its_own() -> None:
    made = with_files()
    payload = payload_name(made)
    envelope, files = apart(made, payload)
    assert files == {f"{folder(payload)}1": BIG.content_bytes, f"{folder(payload)}2": BIG.content_bytes}
    small, big, _ = envelope.request.message.attachments or ()
    assert small == SMALL
    assert isinstance(big, BlobAttachment)
    assert (big.size, big.etag) == (LARGE + 1, None)
    assert big.filled(BIG.content_bytes) == BIG
    assert files_of(envelope) == folder(payload)
    assert decode(encode(envelope)) == envelope
    assert files_of(outgoing_mail()) is None


async def test_what_comes_out_of_the_outbox_is_what_went_in() -> None:
    office = Office()
    work = (await office.outbox.put(work_of(with_files()), office.clock.now(), None, with_files())).work
    assert work.payload is not None  # the small file alone is too much for a message
    assert len(office.outbox.payloads) == 3
    found = await office.outbox.mail_of(work)
    assert found is not None
    assert await filled(found.request.message, MemoryFiles(office.outbox)) == with_files().request.message
    await office.outbox.remove(work)
    assert office.outbox.payloads == {}


async def refused() -> Office:
    """An office whose mail with files has failed."""
    office = Office(settings=Settings(), graph=ScriptedGraph([BAD_RECIPIENT]))
    work = (await office.outbox.put(work_of(with_files()), office.clock.now(), None, with_files())).work
    office.outbox.messages.clear()
    await Worker(office.engine).deliver(work)
    assert (await office.row()).state == "failed"
    return office


async def maintenance(office: Office, days: float) -> None:
    office.clock.move(days=days)
    number = int(partition(with_files().id), 16)
    await Maintenance(office.engine).run(range(number, number + 1))


async def test_a_failed_mail_keeps_its_files_for_as_long_as_it_can_be_put_back() -> None:
    office = await refused()
    assert len(office.outbox.dead[with_files().id].content) < 2 * LARGE  # they are not kept twice
    await maintenance(office, 12)
    assert len(office.outbox.payloads) == 2
    assert await Control(office.engine).replay(await office.row()) == await office.row()
    [(_, work)] = office.outbox.messages
    found = await office.outbox.mail_of(work)
    assert found is not None
    assert await filled(found.request.message, MemoryFiles(office.outbox)) == with_files().request.message
    await Worker(office.engine).deliver(work)
    assert (await office.row()).state == "sent"
    assert office.outbox.payloads == {}
    assert office.outbox.dead == {}


async def test_with_the_row_of_a_failed_mail_its_files_go() -> None:
    office = await refused()
    await maintenance(office, 15)
    assert office.outbox.payloads == {}


async def test_what_the_same_key_has_just_brought_again_stays_when_the_old_row_goes() -> None:
    office = await refused()
    office.clock.move(days=15)
    await office.outbox.put(work_of(with_files()), office.clock.now(), None, with_files())
    await maintenance(office, 0)
    assert office.outbox.payloads


@pytest.mark.parametrize("early", [0.0004, 0.3, 1.0, 1.0004])
def test_a_message_never_comes_before_its_time(early: float) -> None:
    """It would find its row not due yet, and be put again and again until it is."""
    assert early <= delay(NOON, NOON + timedelta(seconds=early)) < early + 1
