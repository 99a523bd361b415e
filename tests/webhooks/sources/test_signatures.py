"""signatures.py itself; how the sources use it is in test_security.py."""

import hmac
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.sources import signatures
from shared.webhooks.sources.source import RawRequest, Unverified
from tests.webhooks.sources.signers import NOW, SECONDS, basic_header


def test_a_header_is_found_by_any_case_and_without_the_white_space_around_it() -> None:
    assert signatures.header(RawRequest(headers={"x-key": "  value\t"}), "X-Key") == "value"
    for headers in ({}, {"x-key": ""}, {"x-key": " \t "}):
        with pytest.raises(Unverified, match="X-Key"):
            signatures.header(RawRequest(headers=headers), "X-Key")


def test_an_empty_secret_makes_no_hmac_and_equals_nothing() -> None:
    assert signatures.mac("", b"body") == b""
    with pytest.raises(Unverified):
        signatures.one_of([b""], [signatures.mac("", b"body")])


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_not_hex_is_unverified_and_nothing_else(value: str) -> None:
    assert signatures.unhex(value.encode("utf-8", "replace").hex().upper()) == value.encode("utf-8", "replace")
    try:
        assert signatures.unhex(value).hex() == value.lower()
    except Unverified:
        assert len(value) % 2 or not all(character in "0123456789abcdefABCDEF" for character in value)


@pytest.mark.parametrize(
    "value", ["AAA", "A", "=", "====", "AA==AA==", "AA A", "AA\n==", "_-__", "ÄÄÄÄ", "\udc80", "AA=A"]
)
def test_what_is_not_base64_is_unverified(value: str) -> None:
    with pytest.raises(Unverified):
        signatures.unbase64(value)


@pytest.mark.parametrize(
    ("given", "expected", "right"),
    [
        ([b"a"], [b"a"], True), ([b"x", b"a"], [b"b", b"a"], True), ([b"a"], [b"", b"a"], True),
        ([b"a"], [b"b"], False), ([b"a"], [b"aa"], False), ([], [b"a"], False), ([b"a"], [], False), ([], [], False),
        ([b""], [b""], False),
    ],
)  # fmt: skip
def test_one_of_the_given_must_be_one_of_the_expected(given: list[bytes], expected: list[bytes], right: bool) -> None:  # noqa: FBT001
    if right:
        signatures.one_of(given, expected)
    else:
        with pytest.raises(Unverified):
            signatures.one_of(given, expected)


def test_every_secret_is_compared_even_after_one_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time does not tell which of them it was."""
    compared = []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", counting)
    signatures.one_of([b"a", b"x"], [b"a", b"b", b"c"])
    assert len(compared) == 6
    assert {len(value) for pair in compared for value in pair} == {32}, "of one length, whatever the secrets have"


def test_a_timestamp_is_recent_to_both_sides_and_part_of_a_second_does_not_shorten_the_time() -> None:
    for offset in (-300, -299, 0, 299, 300):
        signatures.recent(str(SECONDS + offset), NOW, 300)
    signatures.recent(str(SECONDS), NOW + timedelta(seconds=299.9), 300)
    for offset in (-301, 301, -86_400, 10**9):
        with pytest.raises(Unverified):
            signatures.recent(str(SECONDS + offset), NOW, 300)


@pytest.mark.parametrize(
    "value",
    [
        "", "now", f"{SECONDS}.0", f"+{SECONDS}", f"-{SECONDS}", f" {SECONDS}", "1_000", "1e9", "٣" * 10, "²" * 10,
        "9" * 13, "9" * 100000, "NaN", "inf", "0x10", f"{SECONDS},{SECONDS}", "\ufffd",
    ],
)  # fmt: skip
def test_what_is_no_timestamp_is_unverified(value: str) -> None:
    """Also what int() or float() would accept, but no sender writes."""
    with pytest.raises(Unverified):
        signatures.recent(value, NOW, 10**15)


BASIC = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # the example of RFC 7617
RIGHT = {
    "bearer": ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "],  # no case: RFC 9110, section 11.1
    "basic": [BASIC, "basic dGVzdDoxMjPCow=="],
}
WRONG = {
    # One space it is: RFC 9110, section 11.4.
    "bearer": ["s3cret", "Basic s3cret", "Bearer", "Bearers3cret", "Bearer s3cret x", "Bearer S3CRET",
               "Bearer\ts3cret"],
    "basic": [BASIC.removeprefix("Basic "), BASIC.rstrip("="), "Basic Aladdin:open sesame", "Basic !!!!", "Basic",
              BASIC.replace("Basic", "Bearer"), basic_header("Aladdin"), basic_header("s3cret")],
}  # fmt: skip


@pytest.mark.parametrize("scheme", RIGHT)
def test_an_authorization_is_read_strictly(scheme: str) -> None:
    prove = signatures.bearer if scheme == "bearer" else signatures.basic
    secrets = ["other", "s3cret", "Aladdin:open sesame", "test:123£"]
    for value in RIGHT[scheme]:
        prove(RawRequest(headers={"authorization": value}), secrets)
        signatures.basic_or_bearer(RawRequest(headers={"authorization": value}), secrets)
    for value in WRONG[scheme]:
        with pytest.raises(Unverified):
            prove(RawRequest(headers={"authorization": value}), secrets)


def test_a_header_holds_the_secret_and_nothing_else() -> None:
    signatures.in_header(RawRequest(headers={"x-token": "s3cret"}), "X-Token", ["s3cret"])
    for value in ("s3cret,s3cret", "Bearer s3cret", "s3cre", "s3crett"):
        with pytest.raises(Unverified):
            signatures.in_header(RawRequest(headers={"x-token": value}), "X-Token", ["s3cret"])
