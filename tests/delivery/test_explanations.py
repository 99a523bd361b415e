"""Why a mail is where it is: said in a sentence, in the row and beside what was set aside, and of nobody."""

import hashlib
from copy import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.explanations import LONGEST, facts, reason_of, said
from shared.delivery.row import facts_of, first_claim
from shared.delivery.worker import Worker
from shared.errors import Malformed
from shared.mail.addresses import address_hash, canonical
from shared.mail.outgoing import key_hash
from tests.delivery.samples import NOON, Office, outgoing_mail, work

ROW = first_claim(work(), "token", queued=True)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("$.message.toRecipients[0]", "$.message.toRecipients[0]"),
        ("$.message.@odata.type", "$.message.@odata.type"),
        ('$.message["jane@contoso.com"]', '$.message["…"]'),
        ("$.jane.doe@contoso.com", "…"),
    ],
)
def test_a_refusal_is_kept_with_its_place_but_no_address(path: str, shown: str) -> None:
    assert said(Malformed(400, "BadRequest", "Unknown property.", path)) == f"Unknown property. - at `{shown}`"


@given(st.text(), st.text(max_size=2000))
def test_no_refusal_is_too_long_for_a_row(message: str, path: str) -> None:
    assert len(said(Malformed(400, "BadRequest", message, path))) <= LONGEST


@pytest.mark.parametrize("code", ["TooOld", "ErrorInvalidRecipients", "SomethingNew"])
def test_each_code_has_a_sentence(code: str) -> None:
    reason = reason_of(replace(ROW, state="failed", code=code, status=400))
    assert reason is not None
    assert reason.endswith(". Graph answered 400.")


@pytest.mark.parametrize("state", ["suppressed", "captured", "cancelled", "review"])
def test_each_end_that_is_not_sent_has_a_reason(state: str) -> None:
    assert reason_of(replace(ROW, state=state))  # type: ignore[arg-type] # by name


def test_what_is_sent_or_has_not_been_tried_needs_none() -> None:
    assert reason_of(ROW) is reason_of(replace(ROW, state="sent", code="x")) is None


def test_a_row_knows_key_and_recipients_by_their_hashes() -> None:
    row = replace(ROW, **facts_of(replace(outgoing_mail(), key=key_hash("order-1"))))
    assert row.key == key_hash("order-1") == hashlib.sha256(b"order-1").hexdigest()
    assert row.was_to(address_hash("FannyD@sandbox.example"))
    assert not row.was_to(address_hash("danas@sandbox.example"))
    assert "fannyd" not in repr(row)


@pytest.mark.parametrize(
    ("scope", "intake", "caller"),
    [
        ("http:tenant:app", "http", "app"),
        ("http:tenant:app:user", "http", "app"),
        ("queue:mail-outbox:a@b.example", "queue", "mail-outbox"),
        ("route:github", "route", "github"),
        ("", "", ""),
    ],
)
def test_way_in_and_caller_are_those_of_the_scope(scope: str, intake: str, caller: str) -> None:
    row = replace(ROW, scope=scope)
    assert (row.intake, row.caller) == (intake, caller)


async def test_what_is_set_aside_says_what_its_row_says() -> None:
    office = Office()
    refusal = Malformed(400, "BadRequest", "Unknown property.", "$.wünsche\n")
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", b"{}", refusal, of=outgoing_mail())
    row = await office.row("a" * 32)
    assert row.reason == "Unknown property. - at `$.wünsche\n`"
    assert facts(row) == {
        "intake": "queue",
        "caller": "mail-outbox",
        "sender": "mailroom@sandbox.example",
        "accepted": "2026-07-01T12:00:00+00:00",
        "ended": "2026-07-01T12:00:00+00:00",
        "code": "BadRequest",
        "explanation": "Unknown property. - at `$.w\\xfcnsche\\n`",
    }


async def test_the_last_attempt_is_in_the_row() -> None:
    office = Office()
    office.clock.move(minutes=5)
    await office.deliver()
    assert (await office.row()).attempted_at == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("content", "sender", "key"),
    [
        (b'{"Sender": "Desk@Contoso.com", "key": 4711, "message": {"toRecipients": 1}}', "desk@contoso.com", "4711"),
        (b'{"sender": "nobody in particular", "key": "order 1", "subject": 1}', "", "order 1"),
        (b'{"sender": "desk@contoso.com", "key": ["order 1"]}', "desk@contoso.com", None),
        (b'{"sender": "desk@contoso.com", "key": "order 1"', "", None),
        (b"no JSON", "", None),
        (b"[1]", "", None),
    ],
)
async def test_a_message_that_is_no_mail_is_found_by_its_key_where_that_can_be_read(
    content: bytes, sender: str, key: str | None
) -> None:
    office = Office()
    await Worker(office.engine).refuse("a" * 32, "mail-outbox", content, Malformed(400, "BadRequest", "no"))
    row = await office.row("a" * 32)
    assert (row.mailbox, row.key) == (sender, key and key_hash(key))


def test_the_sentence_about_a_wrong_address_is_told_whole() -> None:
    """What looks like an address is left out of it, so it must not have one as its example."""
    with pytest.raises(ValueError, match="Expected") as refused:
        canonical("nobody")
    assert said(Malformed(400, "ErrorInvalidRecipients", str(refused.value))) == str(refused.value)


@pytest.mark.parametrize("hours", [None, 1])
async def test_a_mail_that_waits_is_found_by_key_and_recipient_before_it_is_tried(hours: int | None) -> None:
    office, later = Office(), NOON + timedelta(hours=hours) if hours else None
    mail = replace(outgoing_mail(), key=key_hash("order-1"), wants_results=True, not_before=later)
    await office.accept(mail)
    row = await office.row()
    assert row.state == ("scheduled" if hours else "accepted")
    assert (row.key, row.wants_results) == (mail.key, True)
    assert row.was_to(address_hash("fannyd@sandbox.example"))
