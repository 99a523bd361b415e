"""The row of Standard Webhooks in the table of senders, each cell; its authors' own library is the judge."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from shared.errors import Malformed
from shared.webhooks.sources.source import RawRequest, SourceEvent, Unverified
from shared.webhooks.sources.standard_webhooks import StandardWebhooks
from tests.webhooks.sources.signers import NOW

SOURCE = StandardWebhooks()
SECONDS = str(int(NOW.timestamp()))
# Of the specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAYLOAD = {"type": "invoice.paid", "timestamp": "2026-11-22T09:58:20.1234Z", "data": {"total": 12.5}}


def signed(body: str, secret: str = SECRET, identifier: str = "msg_1", at: datetime = NOW) -> dict[str, str]:
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(identifier, at, body),
    }


def proved(body: bytes, headers: dict[str, str], *secrets: str, now: datetime = NOW) -> bool:
    try:
        SOURCE.authenticate(RawRequest(body, headers), secrets or (SECRET,), now)
    except Unverified:
        return False
    return True


def event_of(payload: Any) -> SourceEvent:
    (event,) = SOURCE.events(RawRequest(json.dumps(payload).encode(), {"webhook-id": "msg_1"}))
    return event


def test_the_vector_of_the_reference_libraries_is_verified() -> None:
    """In https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    now = datetime.fromtimestamp(1614265330, UTC)
    assert proved(b'{"test": 2432232314}', headers, now=now)
    assert not proved(b'{"test": 2432232315}', headers, now=now)


@given(body=st.text(), key=st.binary(min_size=1, max_size=64), identifier=st.text("abcXYZ019_-.", min_size=1))
@settings(deadline=None)
def test_whatever_the_reference_library_signs_is_verified(body: str, key: bytes, identifier: str) -> None:
    secret = base64.b64encode(key).decode()
    headers = signed(body, secret, identifier)
    # Supabase shows it with the version of the signature before it.
    bare = f"whsec_{secret.rstrip('=')}"
    for form in (secret, f"whsec_{secret}", bare, f"v1,whsec_{secret}", f"v1,{secret}"):
        assert proved(body.encode(), headers, form)
        assert SOURCE.fault_of(form) is None


def test_a_body_that_is_no_text_can_be_signed_too() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    body = b"\xff\xfe\x00"
    signature = hmac.new(key, f"msg_1.{SECONDS}.".encode() + body, hashlib.sha256).digest()
    headers = {**signed(""), "webhook-signature": "v1," + base64.b64encode(signature).decode()}
    assert proved(body, headers)
    assert not proved(b"\xff\xfe\x01", headers)


def test_any_of_several_signatures_may_match() -> None:
    headers = signed("{}")
    right, wrong = headers["webhook-signature"], signed("{}", "whsec_AAAA")["webhook-signature"]
    for value in (f"{wrong} {right}", f"{right} {wrong}", f"v1a,{right[3:]} {right}", f"{wrong}  {right}"):
        assert proved(b"{}", {**headers, "webhook-signature": value}), value
    for value in (wrong, f"v1a,{right[3:]}", f"v2,{right[3:]}", f"V1,{right[3:]}", f",{right[3:]}"):
        assert not proved(b"{}", {**headers, "webhook-signature": value}), value


@pytest.mark.parametrize("other", ["v1", "v1,?", "v1a,AAA", "nothing"])
def test_one_malformed_signature_spoils_the_right_one_beside_it(other: str) -> None:
    """What no sender writes is not guessed at."""
    right = signed("{}")["webhook-signature"]
    for value in (f"{right} {other}", f"{other} {right}"):
        assert not proved(b"{}", {**signed("{}"), "webhook-signature": value})


@pytest.mark.parametrize("secret", ["polar_whs_Zm9vYmFyYmF6", "my-own-secret!", "fifteen_mails", "c2VjcmV0c2VjcmV0"])
def test_a_secret_without_prefix_is_also_the_text_that_it_is(secret: str) -> None:
    """Polar's library makes base64 of the text, and signs with what that stands for. One may look like base64."""
    assert proved(b"{}", signed("{}", base64.b64encode(secret.encode()).decode()), secret)
    assert SOURCE.fault_of(secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        *(
            "whsec_",
            "whsec_?",
            "whsec_A",
            "v1,whsec_?",
            "whsec_====",
            "whsec_ÄÖÜ",
            "",
            '"whsec_c2VjcmV0"',
            "'c2VjcmV0'",
        ),
        *("v1a,whpk_c2VjcmV0", "whsk_c2VjcmV0", "whpk_c2VjcmV0", "v1a,c2VjcmV0", "SECRET=whsec_c2VjcmV0"),
        "v1,whsec_c2VjcmV0|v1,whsec_c2VjcmV0",
    ],
)
def test_a_secret_that_can_be_read_in_no_way_says_so_proves_nothing_and_spoils_no_other(secret: str) -> None:
    assert proved(b"{}", signed("{}"), secret, SECRET)
    fault = SOURCE.fault_of(secret)
    assert fault
    assert "c2VjcmV0" not in fault
    for key in filter(None, (secret, "c2VjcmV0")):
        assert not proved(b"{}", signed("{}", base64.b64encode(key.encode()).decode()), secret)


def test_senders_with_the_older_names_of_the_headers_are_taken_where_the_route_says_so() -> None:
    older = msgspec.convert({"headers": "svix"}, StandardWebhooks)
    headers = {name.replace("webhook", "svix"): value for name, value in signed("{}").items()}
    older.authenticate(RawRequest(b"{}", headers), [SECRET], NOW)
    (event,) = older.events(RawRequest(b"{}", headers))
    assert event.key == "msg_1"
    assert not proved(b"{}", headers)


def test_the_id_of_the_message_names_the_event() -> None:
    event = event_of(PAYLOAD)
    assert (event.id, event.key, event.type, event.data) == ("msg_1", "msg_1", "invoice.paid", PAYLOAD)
    assert str(event.time) == "2026-11-22 09:58:20.123400+00:00"


def test_a_body_of_another_shape_is_an_event_all_the_same() -> None:
    """The specification recommends the shape and demands only the headers."""
    event = event_of({"hello": "world"})
    assert (event.type, event.time, event.data) == ("event", None, {"hello": "world"})
    with pytest.raises(Malformed):
        event_of(["no", "object"])
