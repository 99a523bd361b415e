"""Stripe's row of the table of senders, each cell."""

from functools import partial
from typing import Any

import pytest

from shared.errors import Malformed
from shared.webhooks.sources.source import RawRequest, SourceEvent, Unverified
from shared.webhooks.sources.stripe import Stripe
from tests.webhooks.sources.anything import event_of
from tests.webhooks.sources.signers import NOW, digest_of

SOURCE = Stripe()
read = partial(event_of, SOURCE)
SECRET = "whsec_s3cret"
SECONDS = int(NOW.timestamp())
PAYLOAD = {
    "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
    "object": "event",
    "api_version": "2026-10-29.clover",
    "created": 1795341500,
    "data": {"object": {"id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "amount": 1000}},
    "livemode": False,
    "type": "charge.dispute.created",
}
# https://docs.stripe.com/api/v2/core/events/event-types
THIN = {
    "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A",
    "object": "v2.core.event",
    "type": "v1.billing.meter.error_report_triggered",
    "created": "2026-11-22T09:58:20.000Z",
    "context": "acct_1",
    "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
}


def signature(body: bytes, secret: str = SECRET, at: object = SECONDS) -> str:
    return digest_of(secret, f"{at}.".encode() + body).hex()


def proved(header: str, body: bytes = b"{}", *secrets: str) -> bool:
    try:
        SOURCE.authenticate(RawRequest(body, {"stripe-signature": header}), secrets or (SECRET,), NOW)
    except Unverified:
        return False
    return True


def test_any_of_several_signatures_may_match() -> None:
    """While a secret is replaced Stripe signs with the old and the new one."""
    right, wrong = signature(b"{}"), signature(b"{}", "whsec_other")
    assert proved(f"t={SECONDS},v1={wrong},v1={right}")
    assert proved(f"t={SECONDS},v1={right},v1={wrong}")
    assert proved(f"t={SECONDS}, v1={right}, v0={wrong}")
    assert proved(f"v1={right},t={SECONDS}")


def test_there_is_one_timestamp_and_it_is_the_one_that_was_signed() -> None:
    old = SECONDS - 3600
    right = signature(b"{}", at=old)
    for header in (
        f"t={SECONDS},v1={right}",
        f"t={old},t={SECONDS},v1={right}",
        f"t={SECONDS},t={old},v1={right}",
        f"t={SECONDS},t={SECONDS},v1={signature(b'{}')}",
        f"v1={right}",
        f"t=,v1={signature(b'{}', at='')}",
        f"t={SECONDS}.0,v1={signature(b'{}', at=f'{SECONDS}.0')}",
        f"T={SECONDS},v1={signature(b'{}')}",
        *(f"t={SECONDS},{scheme}={signature(b'{}')}" for scheme in ("v0", "v2", "V1", "v1 ", "", "v")),
    ):
        assert not proved(header), header


def test_a_snapshot_is_an_event() -> None:
    event = read(PAYLOAD)
    assert event == SourceEvent(
        id="evt_1NG8Du2eZvKYlo2CUI79vXWy",
        key="evt_1NG8Du2eZvKYlo2CUI79vXWy",
        source="https://api.stripe.com",
        type="charge.dispute.created",
        subject="dp_1",
        thread="pi_1",
        time=event.time,
        data=PAYLOAD,
    )
    assert str(event.time) == "2026-11-22 09:58:20+00:00"


def test_a_thin_event_is_an_event() -> None:
    event = read(THIN)
    assert (event.id, event.type) == (THIN["id"], THIN["type"])
    assert (event.subject, event.thread) == ("mtr_1", "mtr_1")
    assert str(event.time) == "2026-11-22 09:58:20+00:00"
    assert event.source == "https://api.stripe.com/v1/accounts/acct_1"


def test_an_event_of_a_connected_account_says_so() -> None:
    assert read({**PAYLOAD, "account": "acct_9"}).source == "https://api.stripe.com/v1/accounts/acct_9"


@pytest.mark.parametrize(
    ("about", "thread"),
    [
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "invoice": None}, "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "invoice": "in_1"}, "in_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, "ch_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_1"}}, "pi_1"),
        ({"object": "dispute", "id": "dp_1", "charge": "ch_1"}, "ch_1"),
        ({"object": "refund", "id": "re_1", "charge": "ch_1"}, "ch_1"),
        ({"object": "payment_intent", "id": "pi_1", "invoice": "in_1"}, "in_1"),
        ({"object": "invoice", "id": "in_1", "payment_intent": "pi_1", "charge": "ch_1"}, "in_1"),
        ({"object": "subscription", "id": "sub_1", "latest_invoice": "in_1"}, "sub_1"),
        ({"object": "balance"}, None),
        (None, None),
    ],
)
def test_a_conversation_is_an_invoice_or_a_payment_or_what_stands_alone(about: Any, thread: str | None) -> None:
    assert read({**PAYLOAD, "data": {"object": about}}).thread == thread


@pytest.mark.parametrize("name", ["id", "type"])
def test_what_is_no_event_of_stripe_is_malformed_and_the_place_named(name: str) -> None:
    with pytest.raises(Malformed, match=rf"\$\.{name}"):
        read({key: value for key, value in PAYLOAD.items() if key != name})
