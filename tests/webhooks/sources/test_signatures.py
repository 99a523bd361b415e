"""proofs.py itself; how the sources use it is in test_security.py."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.sources import signatures
from shared.webhooks.sources.source import RawRequest, Unverified
from tests.webhooks.sources.moments import NOW

SECONDS = int(NOW.timestamp())


def test_a_header_is_found_by_any_case_and_without_the_white_space_around_it() -> None:
    assert signatures.header(RawRequest(headers={"x-key": "  value\t"}), "X-Key") == "value"


@pytest.mark.parametrize("headers", [{}, {"x-key": ""}, {"x-key": " \t "}])
def test_a_header_that_is_missing_or_empty_is_unverified_and_named(headers: dict[str, str]) -> None:
    with pytest.raises(Unverified, match="X-Key"):
        signatures.header(RawRequest(headers=headers), "X-Key")


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            (
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd"
                "caeab1a34d4a6b4b636e070a38bce737"
            ),
        ),
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    ],
)
def test_an_hmac_is_that_of_the_rfcs(algorithm: signatures.Algorithm, expected: str) -> None:
    """RFC 2202 and RFC 4231, the second test case of each."""
    assert signatures.mac("Jefe", b"what do ya want for nothing?", algorithm).hex() == expected


@given(secret=st.text(min_size=1), message=st.binary())
def test_an_hmac_is_over_the_secret_in_utf_8(secret: str, message: bytes) -> None:
    assert signatures.mac(secret, message) == hmac.new(secret.encode(), message, hashlib.sha256).digest()


def test_an_empty_secret_makes_no_hmac_and_nothing_is_equal_to_none() -> None:
    assert signatures.mac("", b"body") == b""
    with pytest.raises(Unverified):
        signatures.one_of([b""], [signatures.mac("", b"body")])


@given(st.binary())
def test_hex_is_read_in_either_case(value: bytes) -> None:
    assert signatures.unhex(value.hex()) == signatures.unhex(value.hex().upper()) == value


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_not_hex_is_unverified_and_nothing_else(value: str) -> None:
    try:
        assert signatures.unhex(value).hex() == value.lower()
    except Unverified:
        assert len(value) % 2 or not all(character in "0123456789abcdefABCDEF" for character in value)


@given(st.binary())
def test_base64_is_read(value: bytes) -> None:
    assert signatures.unbase64(base64.b64encode(value).decode()) == value


@pytest.mark.parametrize(
    "value", ["AAA", "A", "=", "====", "AA==AA==", "AA A", "AA\n==", "_-__", "ÄÄÄÄ", "\udc80", "AA=A"]
)
def test_what_is_not_base64_is_unverified(value: str) -> None:
    with pytest.raises(Unverified):
        signatures.unbase64(value)


@pytest.mark.parametrize(
    ("given", "expected", "good"),
    [
        ([b"a"], [b"a"], True),
        ([b"x", b"a"], [b"b", b"a"], True),
        ([b"a"], [b"b"], False),
        ([b"a"], [b"aa"], False),
        ([], [b"a"], False),
        ([b"a"], [], False),
        ([], [], False),
        ([b""], [b""], False),
        ([b"a"], [b"", b"a"], True),
    ],
)
def test_one_of_the_given_must_be_one_of_the_expected(given: list[bytes], expected: list[bytes], good: bool) -> None:  # noqa: FBT001 - a value of the table
    if good:
        signatures.one_of(given, expected)
    else:
        with pytest.raises(Unverified):
            signatures.one_of(given, expected)


def test_every_secret_is_compared_even_after_one_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time says nothing of which of them it was."""
    compared = []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", counting)
    signatures.one_of([b"a", b"x"], [b"a", b"b", b"c"])
    assert len(compared) == 6
    assert {len(value) for pair in compared for value in pair} == {32}, "of one length, whatever the secrets have"


@pytest.mark.parametrize("offset", [-300, -299, 0, 299, 300])
def test_a_timestamp_is_fresh_to_both_sides(offset: int) -> None:
    signatures.recent(str(SECONDS + offset), NOW, 300)


@pytest.mark.parametrize("offset", [-301, 301, -86_400, 10**9])
def test_a_timestamp_that_is_too_old_or_in_the_future_is_unverified(offset: int) -> None:
    with pytest.raises(Unverified):
        signatures.recent(str(SECONDS + offset), NOW, 300)


def test_part_of_a_second_does_not_shorten_the_time() -> None:
    signatures.recent(str(SECONDS), NOW + timedelta(seconds=299.9), 300)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        f"{SECONDS}.0",
        f"+{SECONDS}",
        f"-{SECONDS}",
        f" {SECONDS}",
        "1_000",
        "1e9",
        "٣" * 10,
        "²" * 10,
        "9" * 13,
        "9" * 100000,
        "NaN",
        "inf",
        "0x10",
        f"{SECONDS},{SECONDS}",
        "�",
    ],
)
def test_what_is_no_timestamp_is_unverified(value: str) -> None:
    """Everything that int() or float() would take too, but no sender writes."""
    with pytest.raises(Unverified):
        signatures.recent(value, NOW, 10**15)


@pytest.mark.parametrize("value", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret ", "Bearer\ts3cret"])
def test_a_bearer_token_is_one_of_the_secrets(value: str) -> None:
    """The scheme's name has no case: RFC 9110, section 11.1."""
    request = RawRequest(headers={"authorization": value})
    if "\t" in value:  # one space it is: section 11.4
        with pytest.raises(Unverified):
            signatures.bearer(request, ["s3cret"])
    else:
        signatures.bearer(request, ["other", "s3cret"])


@pytest.mark.parametrize(
    "value", ["s3cret", "Basic s3cret", "Bearer", "Bearers3cret", "Bearer s3cret x", "Bearer S3CRET"]
)
def test_what_is_no_bearer_token_of_this_route_is_unverified(value: str) -> None:
    with pytest.raises(Unverified):
        signatures.bearer(RawRequest(headers={"authorization": value}), ["s3cret"])


def test_basic_takes_the_example_of_rfc_7617() -> None:
    signatures.basic(
        RawRequest(headers={"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}), ["Aladdin:open sesame"]
    )
    signatures.basic(RawRequest(headers={"authorization": "basic dGVzdDoxMjPCow=="}), ["other", "test:123£"])


@pytest.mark.parametrize(
    "value",
    [
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        "Basic Aladdin:open sesame",
        "Basic !!!!",
        "Basic",
        "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic QWxhZGRpbg==",
    ],
)
def test_what_is_no_password_of_this_route_is_unverified(value: str) -> None:
    with pytest.raises(Unverified):
        signatures.basic(RawRequest(headers={"authorization": value}), ["Aladdin:open sesame"])


def test_a_secret_without_a_colon_is_no_user_and_password() -> None:
    encoded = base64.b64encode(b"token").decode()
    with pytest.raises(Unverified):
        signatures.basic(RawRequest(headers={"authorization": f"Basic {encoded}"}), ["token"])


def test_a_header_carries_the_secret_and_nothing_else() -> None:
    signatures.in_header(RawRequest(headers={"x-token": "s3cret"}), "X-Token", ["s3cret"])
    for value in ("s3cret,s3cret", "Bearer s3cret", "s3cre", "s3crett"):
        with pytest.raises(Unverified):
            signatures.in_header(RawRequest(headers={"x-token": value}), "X-Token", ["s3cret"])
