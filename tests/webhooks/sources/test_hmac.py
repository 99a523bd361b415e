"""The row "hmac" of the table of senders, each cell."""

import base64
from datetime import datetime
from typing import Any

import msgspec
import pytest

from shared.webhooks.sources.hmac_signed import Hmac
from shared.webhooks.sources.source import RawRequest, SourceEvent, Unverified
from tests.webhooks.sources.signers import NOW, digest_of

SECONDS = str(int(NOW.timestamp()))
BODY = b'{"total": 12.50}'


def source_of(**options: Any) -> Hmac:
    return msgspec.convert({"header": "X-Signature", **options}, Hmac)


def proved(source: Hmac, signature: str, timestamp: str | None = None, now: datetime = NOW) -> bool:
    headers = {"x-signature": signature} | ({"x-timestamp": timestamp} if timestamp else {})
    try:
        source.authenticate(RawRequest(BODY, headers), ["s3cret"], now)
    except Unverified:
        return False
    return True


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("prefix", ["", "sha256=", "v0="])
def test_algorithm_and_encoding_and_prefix_are_those_of_the_route(algorithm: str, prefix: str) -> None:
    signature = digest_of("s3cret", BODY, algorithm)
    written = {"hex": signature.hex(), "base64": base64.b64encode(signature).decode()}
    for encoding, value in written.items():
        for other in ("sha1", "sha256", "sha512"):
            source = source_of(algorithm=other, encoding=encoding, prefix=prefix)
            assert proved(source, prefix + value) == (other == algorithm)
            assert proved(source, value) == (other == algorithm and not prefix)
    assert not proved(source_of(algorithm=algorithm, encoding="base64", prefix=prefix), prefix + written["hex"])
    assert not proved(source_of(algorithm=algorithm, prefix=prefix), prefix + written["base64"])


@pytest.mark.parametrize(
    ("signed", "message"),
    [
        (None, f"{SECONDS}.".encode() + BODY),
        ("{timestamp}.{body}", f"{SECONDS}.".encode() + BODY),
        ("v0:{timestamp}:{body}", f"v0:{SECONDS}:".encode() + BODY),
        ("{body}{timestamp}", BODY + SECONDS.encode()),
        ("{{body}|{timestamp}}", b"{" + BODY + f"|{SECONDS}}}".encode()),
        ("für {timestamp}\n{body}", f"für {SECONDS}\n".encode() + BODY),
    ],
)
def test_the_timestamp_is_part_of_what_is_signed_as_the_route_says(signed: str | None, message: bytes) -> None:
    source = source_of(timestamp_header="X-Timestamp", **({"signed": signed} if signed else {}))
    signature = digest_of("s3cret", message).hex()
    assert proved(source, signature, SECONDS)
    assert not proved(source, signature, str(int(SECONDS) + 1))
    assert not proved(source, signature)
    assert not proved(source, digest_of("s3cret", BODY).hex(), SECONDS)


def test_a_body_that_holds_a_placeholder_is_signed_as_it_is() -> None:
    """What is put into the pattern is not read as a pattern again."""
    source = source_of(timestamp_header="X-Timestamp", signed="{body}{timestamp}")
    body = b'"{timestamp} {body}"'
    signature = digest_of("s3cret", body + SECONDS.encode()).hex()
    source.authenticate(RawRequest(body, {"x-signature": signature, "x-timestamp": SECONDS}), ["s3cret"], NOW)


@pytest.mark.parametrize("timestamped", [True, False])
def test_the_same_signed_bytes_are_another_event_unless_the_route_has_a_key(timestamped: bool) -> None:  # noqa: FBT001
    """Two alarms of one second may be the same bytes. What is signed is named, so that the operator is told."""
    source = source_of(**({"timestamp_header": "X-Timestamp"} if timestamped else {}))

    def read(body: bytes, timestamp: str = SECONDS, **headers: str) -> SourceEvent:
        (event,) = source.events(RawRequest(body, {"x-timestamp": timestamp, **headers}))
        return event

    first, again = read(BODY), read(BODY)
    assert first.key != again.key
    assert (first.known_by, first.signed) == ("nothing", again.signed)
    assert read(b'"\xff"').signed != read(b'"\xfe"').signed
    assert (read(BODY, "1").signed == first.signed) is not timestamped
    named = read(BODY, **{"idempotency-key": "k-1"})
    assert (named.key, named.known_by, named.signed) == ("k-1", "route-key", first.signed)
