import re
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.model import Message, SendMail
from shared.mail.outgoing import Origin, OutgoingMail, decode, encode, fingerprint, identity, new_id
from shared.mail.parse import send_mail
from tests.mail.samples import people

MAIL = SendMail(message=Message(to_recipients=people("a@b.test"), subject="x"))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
times = st.none() | st.datetimes(
    datetime(1970, 1, 2), datetime(9000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)  # fmt: skip
mails = st.builds(
    OutgoingMail,
    id=st.uuids().map(lambda value: value.hex),
    scope=words,
    fingerprint=words,
    sender=words,
    request=st.builds(
        SendMail, message=st.builds(Message, subject=st.none() | words), save_to_sent_items=st.booleans()
    ),
    origin=st.builds(Origin, tenant=st.none() | words, user=st.none() | words),
    not_before=times,
    accepted_at=times.filter(lambda at: at is not None),
)


@given(mails)
def test_a_mail_is_decoded_as_it_was_encoded(mail: OutgoingMail) -> None:
    again = decode(encode(mail))
    assert again == mail
    assert encode(again) == encode(mail)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", encode.__name__.encode(), b'{"id": 1}'])
def test_what_is_no_mail_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_a_mail_whose_mail_holds_more_than_this_version_knows_is_not_read_as_less() -> None:
    mail = OutgoingMail(
        id="1",
        scope="s",
        fingerprint="f",
        sender="a",
        request=MAIL,
        origin=Origin(kind="queue", name="q"),
        accepted_at=datetime(2026, 7, 1, tzinfo=UTC),
    )
    newer = encode(mail).replace(b'"subject"', b'"topic"')
    with pytest.raises(msgspec.ValidationError):
        decode(newer)


def test_the_same_scope_and_key_give_the_same_id_of_32_hex_digits() -> None:
    assert identity("tenant/app", "order-1") == identity("tenant/app", "order-1")
    assert re.fullmatch("[0-9a-f]{32}", identity("", ""))


def test_ids_stay_what_they_are_from_version_to_version() -> None:
    """A row is found again by its id: to change the hash would send mail a second time."""
    assert identity("queue/mail-outbox/alerts@contoso.test", "order-1") == "101d0ea655193377f2f913b37dfe19be"


@given(words, words, words, words)
def test_different_pairs_of_scope_and_key_give_different_ids(a: str, b: str, c: str, d: str) -> None:
    assert (identity(a, b) == identity(c, d)) == ((a, b) == (c, d))
    assert b == "" or identity(a, b) != identity(a + b[0], b[1:])


def test_a_new_id_is_a_uuid_version_7_of_now_and_ids_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(new_id())
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert before <= value.int >> 80 <= time.time_ns() // 1_000_000
    first = new_id()
    time.sleep(0.002)
    assert first < new_id()
    assert len({new_id() for _ in range(1000)}) == 1000


def read(text: str) -> SendMail:
    return send_mail(text.encode())


SAME = [
    '{"message": {"subject": "x", "importance": "low", "toRecipients": [{"emailAddress": {"address": "a@b.test"}}]}}',
    '{"Message":{"toRecipients":[{"emailAddress":{"address":"a@b.test","name":null}}],"importance":"LOW","subject":"\\u0078"}}',
    (
        '{"SaveToSentItems": "TRUE", "message": {"subject": "x", "importance@odata.type": "#x", "importance": "Low", '
        '"toRecipients": [{"emailAddress": {"address": "a@b.test"}}]}}'
    ),
]


@pytest.mark.parametrize("text", SAME)
def test_spelling_order_and_blanks_do_not_change_the_fingerprint(text: str) -> None:
    assert fingerprint("A@contoso.test", read(text)) == fingerprint("a@CONTOSO.test", read(SAME[0]))
    assert re.fullmatch("[0-9a-f]{64}", fingerprint("a", read(text)))


@pytest.mark.parametrize(
    "change", [{"subject": "y"}, {"subject": ""}, {"cc_recipients": ()}, {"is_read_receipt_requested": False}]
)
def test_another_mail_has_another_fingerprint(change: dict[str, Any]) -> None:
    other = SendMail(message=msgspec.structs.replace(MAIL.message, **change))
    assert fingerprint("a", other) != fingerprint("a", MAIL)


def test_another_sender_or_a_copy_that_is_not_kept_has_another_fingerprint() -> None:
    unkept = msgspec.structs.replace(MAIL, save_to_sent_items=False)
    assert len({fingerprint("a", MAIL), fingerprint("b", MAIL), fingerprint("a", unkept)}) == 3
