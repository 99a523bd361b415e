"""Messages that nobody can do anything with have an age, counted from when they came first; then they are kept."""

from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.delivery.queue import BODY, Kept
from shared.delivery.queue_messages import ProducerMessage, parse_work
from shared.delivery.row import Row, State
from shared.functions import queue_functions as trigger
from shared.mail.outgoing import identity
from tests.delivery.samples import Office, first_claim, outgoing_mail, work
from tests.functions.samples import message

NOW: Final = datetime.now(UTC).replace(microsecond=0)
YOUNG, OLD = NOW - timedelta(hours=71), NOW - timedelta(hours=73)
LATER: Final = timedelta(minutes=5)
OF_TOMORROW: Final = [
    b'{"kind": "mail", "v": 2, "id": "x", "new": true}',
    b'{"kind": "mail", "v": 1, "id": "x"}',
    msgspec.json.encode(work()).replace(b'"v":1', b'"v":1,"unheardOf":1'),
]
NOBODYS: Final = [b"no JSON at all", b'{"sender": "a@contoso.com", "message": {}}', b'{"kind": "mail"}', b"[" * 9000]


pytestmark = pytest.mark.usefixtures("app")


def returned(office: Office) -> bytes:
    """The message that was put back last, and nothing is kept."""
    assert office.outbox.dead == {}
    queue, content, after = office.outbox.returned.pop()
    assert (queue, after, office.outbox.returned) == ("mail-work", LATER, [])
    return content


@pytest.mark.parametrize("body", OF_TOMORROW)
async def test_a_message_of_another_version_waits_under_the_time_at_which_it_came_first(
    office: Office, body: bytes
) -> None:
    """As in a rolling update, or after a roll-back: a version that can read it may come."""
    first = ProducerMessage(v=1, id=identity("queue:mail-work", "m-1"), queue="mail-work", inserted_at=YOUNG, body=body)
    await trigger.mail_work(message(body, YOUNG))
    assert parse_work(returned(office)) == first
    for _ in range(2):
        await trigger.mail_work(message(msgspec.json.encode(first), NOW, "m-2"))
        assert parse_work(returned(office)) == first


@pytest.mark.parametrize("body", NOBODYS, ids=range(len(NOBODYS)))
async def test_what_no_version_of_mailroom_writes_is_kept_at_once(office: Office, body: bytes) -> None:
    await trigger.mail_work(message(body, YOUNG))
    assert [(kept.reason, kept.content) for kept in office.outbox.dead.values()] == [("NotMailroomsOwn", body)]
    assert office.outbox.returned == []


async def test_a_version_that_can_read_it_takes_it_as_it_was(office: Office) -> None:
    waited = ProducerMessage(
        v=1, id="x", queue="mail-work", inserted_at=YOUNG, body=msgspec.json.encode(await _put(office, NOW))
    )
    await trigger.mail_work(message(msgspec.json.encode(waited)))
    assert office.graph.sent == [outgoing_mail().id]


@pytest.mark.parametrize("body", OF_TOMORROW)
async def test_past_a_mails_age_a_message_of_another_version_is_kept_as_it_came(office: Office, body: bytes) -> None:
    waited = ProducerMessage(v=1, id="a" * 32, queue="mail-work", inserted_at=OLD, body=body)
    await trigger.mail_work(message(msgspec.json.encode(waited)))
    assert office.outbox.dead == {"a" * 32: Kept("message", "UnknownVersion", body, "mail-work")}
    assert (await office.row("a" * 32)).code == "UnknownVersion"
    assert office.outbox.returned == []


async def test_a_large_one_waits_in_a_blob(office: Office) -> None:
    body = b'{"kind": "mail", "v": 2, "large": "' + b"x" * BODY + b'"}'
    await trigger.mail_work(message(body, YOUNG))
    waited = parse_work(returned(office))
    assert isinstance(waited, ProducerMessage)
    assert (waited.body, waited.inserted_at) == (b"", YOUNG)
    whole = await office.outbox.whole(waited)
    assert whole is not None
    assert whole.body == body


@pytest.mark.parametrize("queue", ["mail-outbox", "mail-events", "mail-work"])
async def test_a_producers_message_that_fails_again_and_again_does_so_until_it_is_too_old(
    office: Office, queue: str
) -> None:
    young = ProducerMessage(v=1, id="a" * 32, queue=queue, inserted_at=YOUNG, body=b"{}")
    await trigger.mail_work_poison(message(msgspec.json.encode(young)))
    assert parse_work(returned(office)) == young
    old = replace(young, inserted_at=OLD)
    await trigger.mail_work_poison(message(msgspec.json.encode(old)))
    assert office.outbox.dead == {"a" * 32: Kept("message", "Crashed", b"{}", queue)}
    assert (await office.row("a" * 32)).state == "failed"


async def _put(office: Office, accepted_at: datetime) -> Any:
    """The message of a mail, with its mail."""
    await office.outbox.put(work(accepted_at=accepted_at), NOW, None, outgoing_mail())
    return office.outbox.messages.pop()[1]


@pytest.mark.parametrize(
    ("state", "end"), [(None, "failed"), ("accepted", "failed"), ("sending", "review"), ("unknown", "review")]
)
async def test_a_mail_whose_message_fails_again_and_again_ends_when_it_is_too_old(
    office: Office, state: State | None, end: State
) -> None:
    for accepted_at, ends in ((YOUNG, False), (OLD, True)):
        put = await _put(office, accepted_at)
        if state is not None:
            known = await office.ledger.read(put.id)
            claim = first_claim(put, accepted_at, office.settings, "t", queued=True)
            if known is not None:
                await office.ledger.remove(known)
            await office.ledger.write(replace(claim, state=state))
        await trigger.mail_work_poison(message(msgspec.json.encode(put)))
        assert bool(office.outbox.messages) is not ends
        office.outbox.messages.clear()
    row = await office.row()
    assert (row.state, row.code) == (end, "Crashed")
    assert office.outbox.dead[row.id].kind == "mail"


async def test_a_mail_that_cannot_even_be_read_is_kept_as_its_message_came(office: Office) -> None:
    unread = replace(work(accepted_at=OLD), mail=msgspec.Raw(b'{"of": "tomorrow"}'))
    content = msgspec.json.encode(unread)
    await trigger.mail_work_poison(message(content))
    assert office.outbox.dead[unread.id] == Kept("message", "Crashed", content, "mail-work")


async def test_where_storage_is_away_nothing_is_given_up(office: Office) -> None:
    async def away(row: Row, kept: Kept) -> None:
        raise ServiceRequestError("away")

    office.outbox.set_aside = away  # type: ignore[method-assign]
    content = msgspec.json.encode(await _put(office, OLD))
    await trigger.mail_work_poison(message(content))
    assert office.outbox.returned == [("mail-work", content, LATER)]
