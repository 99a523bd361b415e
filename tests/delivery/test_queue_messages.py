"""Messages of mail-work: a strict schema that comes back as it was put."""

from datetime import timedelta

import msgspec
import pytest
from azure.storage.queue.aio import QueueServiceClient

from shared.delivery.queue import INLINE, Outbox, carrying, delay
from shared.delivery.queue_messages import ProducerMessage, Work, apart, parse_work
from shared.mail.outgoing import decode
from shared.settings.queue_names import WORK
from tests.delivery.samples import NOON, outgoing_mail, work

EVERYTHING = work(
    not_before=NOON,
    payload="a/b",
    released="token",
    known=True,
    replay=2,
    reserved=NOON + timedelta(hours=1),
)


@pytest.mark.parametrize("message", [work(), EVERYTHING])
def test_a_wake_up_comes_back_as_it_was_put(message: Work) -> None:
    assert parse_work(msgspec.json.encode(message)) == message


def test_a_mail_within_its_wake_up_comes_back() -> None:
    whole = carrying(work(), outgoing_mail())
    assert whole is not None
    found = parse_work(msgspec.json.encode(whole))
    assert isinstance(found, Work)
    assert found.carries
    assert decode(bytes(found.mail)) == outgoing_mail()


def test_a_mail_that_does_not_fit_is_not_carried() -> None:
    """Measured as it is sent: in XML, where each < takes four characters; in UTF-8, where each ü takes two."""
    assert carrying(work(), outgoing_mail(size=INLINE)) is None
    assert carrying(work(), outgoing_mail(size=INLINE // 4, sign="<")) is None
    assert carrying(work(), outgoing_mail(size=INLINE // 2, sign="ü")) is None
    assert not work().carries


def test_a_producers_message_comes_back_byte_for_byte() -> None:
    message = ProducerMessage(v=1, id="a" * 32, queue="mail-outbox", inserted_at=NOON, body=b"\x00\xff")
    assert parse_work(msgspec.json.encode(message)) == message


def test_elements_are_named_by_their_array_and_their_place_so_that_a_second_delivery_makes_copies() -> None:
    def ids(array: str, body: bytes) -> list[str]:
        message = ProducerMessage(v=1, id=array * 32, queue="mail-outbox", inserted_at=NOON, body=body)
        return [part.id for part in apart(message) or ()]

    assert ids("a", b"[{}, {}]") == ids("a", b"[{}, {}]")
    assert len({*ids("a", b"[{}, {}]"), *ids("b", b"[{}, {}]")}) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"sender": "a@contoso.com", "message": {}}',
        msgspec.json.encode(work()).replace(b'"v":1', b'"v":2'),
        msgspec.json.encode(work()).replace(b'"v":1', b'"v":1,"more":1'),
        msgspec.json.encode(work()).replace(b'"kind":"mail"', b'"kind":"letter"'),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_work(body)


@pytest.mark.parametrize(
    ("days", "seconds"), [(-1, 0), (0, 0), (0.5, 43_200), (6, 518_400), (7, 518_400), (40, 518_400)]
)
def test_a_message_hides_until_it_is_due_but_six_days_at_the_most(days: float, seconds: int) -> None:
    assert delay(NOON, NOON + timedelta(days=days)) == seconds


def test_a_fraction_of_a_second_is_waited_out() -> None:
    assert delay(NOON, NOON + timedelta(seconds=1.2)) == 2
    assert delay(NOON, None) == 0


async def test_a_message_never_expires(storage: str) -> None:
    """Azure deletes a message after seven days unless it is told not to."""
    async with QueueServiceClient.from_connection_string(storage) as queues:
        outbox = Outbox(lambda: queues, lambda: None)
        await outbox.put(work(), NOON, None, outgoing_mail())
        await outbox.put_back("mail-outbox", b"{}")
        for name in (WORK, "mail-outbox"):
            [message] = await queues.get_queue_client(name).peek_messages()
            assert message.expires_on
            assert message.expires_on.year == 9999
            await queues.get_queue_client(name).clear_messages()
