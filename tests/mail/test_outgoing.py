import re
import time
import uuid
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.addresses import mailbox_name
from shared.mail.model import Message, SendMail
from shared.mail.outgoing import OutgoingMail, Repeat, Signed, decode, encode, fingerprint, identity, new_id
from tests.mail.samples import outgoing, people

MAIL = SendMail(message=Message(to_recipients=people("a@b.test"), subject="x"))
WHOLE = outgoing(
    MAIL, not_before=datetime(2026, 7, 2, tzinfo=UTC), on_unknown="review", repeats=Repeat(of="0" * 32, within=60.0),
    keep_days=3, thread="t", topic="what", mime=b"To: a@b.test\r\n\r\n\xff", signed=Signed(body="1", event="2"),
    known_by="sender-id", route="orders", key="0" * 64, wants_results=True,
)  # fmt: skip
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def test_a_producer_computes_the_id_of_its_mail_as_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    known: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], known)  # noqa: S102 - our own page
    for sender, key in (("mailroom@contoso.com", "order-4711"), ("Desk@Contoso.com", "Zoë 7"), ("team", "1:2")):
        assert known["mail_id"](sender, key) == identity(f"queue:mail-outbox:{mailbox_name(sender)}", key)
    vector = (
        f'`mail_id("mailroom@contoso.com", "order-4711")` is `{known["mail_id"]("mailroom@contoso.com", "order-4711")}`'
    )
    assert vector in page


def test_a_mail_is_decoded_as_it_was_encoded() -> None:
    unset = [one.name for one in fields(OutgoingMail) if getattr(WHOLE, one.name) == one.default]
    assert unset == [], "every field is there"
    for mail in (WHOLE, outgoing(MAIL)):
        assert decode(encode(mail)) == mail
        assert encode(decode(encode(mail))) == encode(mail)


def test_a_mail_that_holds_more_than_this_version_knows_is_not_read_as_less() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(encode(WHOLE).replace(b'"subject"', b'"topic"'))


def test_ids_stay_what_they_are_from_version_to_version() -> None:
    """A row is found again by its id: to change the hash would send mail a second time."""
    assert identity("queue/mail-outbox/alerts@contoso.test", "order-1") == "101d0ea655193377f2f913b37dfe19be"


@given(words, words, words, words)
def test_different_pairs_of_scope_and_key_give_different_ids(a: str, b: str, c: str, d: str) -> None:
    assert (identity(a, b) == identity(c, d)) == ((a, b) == (c, d))
    assert b == "" or identity(a, b) != identity(a + b[0], b[1:])


def test_a_new_id_is_a_uuid_version_7_of_now_and_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [1_782_000_000_000_000_000 + 1_000_000 * step for step in range(100)]
    monkeypatch.setattr(time, "time_ns", iter(times).__next__)
    ids = [new_id() for _ in times]
    assert ids == sorted(set(ids))
    for text, now in zip(ids, times, strict=True):
        value = uuid.UUID(text)
        assert (value.version, value.variant, value.int >> 80) == (7, uuid.RFC_4122, now // 1_000_000)


@pytest.mark.parametrize(
    "change", [{"subject": "y"}, {"subject": ""}, {"cc_recipients": ()}, {"is_read_receipt_requested": False}]
)
def test_another_mail_has_another_fingerprint(change: dict[str, Any]) -> None:
    other = SendMail(message=msgspec.structs.replace(MAIL.message, **change))
    assert fingerprint("a", other) != fingerprint("a", MAIL)
    assert re.fullmatch("[0-9a-f]{64}", fingerprint("a", other))


def test_the_mailbox_in_any_case_the_thread_and_whether_a_copy_is_kept_are_in_the_fingerprint() -> None:
    """And of a mail that came as MIME its bytes."""
    unkept = msgspec.structs.replace(MAIL, save_to_sent_items=False)
    prints = [
        fingerprint("a", MAIL), fingerprint("b", MAIL), fingerprint("a", unkept), fingerprint("a", MAIL, "t"),
        fingerprint("a", MAIL, None, b"1"), fingerprint("a", MAIL, None, b"2"), fingerprint("a", MAIL, "t", b"1"),
    ]  # fmt: skip
    assert len(set(prints)) == len(prints)
    assert fingerprint("A", MAIL, None, b"1") == prints[4] == fingerprint("a", unkept, None, b"1")
