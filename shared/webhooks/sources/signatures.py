"""Verifies webhook requests: signatures, secrets in headers and queries, and timestamps.

Every function returns or raises Unverified, whatever it is given. Secrets and signatures are compared in constant time,
and each signature with each secret, so that both secrets are valid during a rotation. An empty secret proves nothing.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

from shared.webhooks.sources.source import RawRequest, Unverified

Algorithm = Literal["sha1", "sha256", "sha512"]
TOLERANCE: Final = 300.0  # seconds that a signed time may be off, to both sides, unless the route says otherwise


def header(request: RawRequest, name: str) -> str:
    """The value of a header. Raises Unverified when it is missing."""
    value = request.headers.get(name.lower(), "").strip()
    if not value:
        raise Unverified(f"The header {name} is missing.")
    return value


def octets(text: str) -> bytes:
    """A text in UTF-8, whatever it holds: the host may pass on half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def mac(secret: str | bytes, message: bytes, algorithm: Algorithm = "sha256") -> bytes:
    """The HMAC of a message, RFC 2104; empty for an empty secret, whose HMAC anybody could make."""
    key = octets(secret) if isinstance(secret, str) else secret
    return hmac.digest(key, message, algorithm) if key else b""


def signed_body(request: RawRequest, name: str, prefix: str, secrets: Sequence[str]) -> None:
    """A header with the prefix, then the HMAC-SHA256 of the body in hex. Raises Unverified."""
    given = header(request, name)
    if not given.startswith(prefix):
        raise Unverified(f"The header {name} does not begin with {prefix}.")
    one_of([unhex(given.removeprefix(prefix))], [mac(secret, request.body) for secret in secrets])


def unhex(text: str) -> bytes:
    """Decode hex digits. Raises Unverified."""
    try:
        return binascii.unhexlify(octets(text))
    except binascii.Error:
        raise Unverified("The signature is not hexadecimal.") from None


def unbase64(text: str) -> bytes:
    """Decode base64, RFC 4648, section 4: with its padding and without anything else. Raises Unverified."""
    try:
        return base64.b64decode(octets(text), validate=True)
    except binascii.Error:
        raise Unverified("The signature or password is not base64.") from None


def one_of(given: Iterable[bytes], expected: Iterable[bytes]) -> None:
    """Return if any of the given values equals any of the expected ones; raise Unverified otherwise.

    Their digests are compared, so that not even the length of a secret can be measured.
    """
    wanted = [hashlib.sha256(one).digest() for one in expected if one]
    found = [hashlib.sha256(one).digest() for one in given]
    matches = [hmac.compare_digest(one, other) for one in found for other in wanted]
    if not any(matches):
        raise Unverified("The request is not signed with this route's secret, or contains another secret.")


def recent(timestamp: str, now: datetime, tolerance: float = TOLERANCE) -> None:
    """Return if a time in seconds since 1970 is at most so many seconds from now; raise Unverified otherwise."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004 - the year 33658
        raise Unverified("The timestamp is not a number of seconds since 1970.")
    if abs(now.timestamp() - int(timestamp)) > tolerance:
        raise Unverified("The timestamp is too old, or in the future.")


def bearer(request: RawRequest, secrets: Sequence[str]) -> None:
    """`Authorization: Bearer <secret>`."""
    scheme, _, value = header(request, "authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise Unverified("The Authorization header is not Bearer.")
    one_of([octets(value.strip())], map(octets, secrets))


def basic(request: RawRequest, secrets: Sequence[str]) -> None:
    """`Authorization: Basic`, RFC 7617; the secrets are `user:password`."""
    scheme, _, value = header(request, "authorization").partition(" ")
    if scheme.lower() != "basic":
        raise Unverified("The Authorization header is not Basic.")
    one_of([unbase64(value.strip())], (octets(secret) for secret in secrets if ":" in secret))


def basic_or_bearer(request: RawRequest, secrets: Sequence[str]) -> None:
    """`Authorization` in either scheme."""
    is_basic = header(request, "authorization").partition(" ")[0].lower() == "basic"
    (basic if is_basic else bearer)(request, secrets)


def in_header(request: RawRequest, name: str, secrets: Sequence[str]) -> None:
    """A header with one of the secrets and nothing else."""
    one_of([octets(header(request, name))], map(octets, secrets))


def in_chosen_header(request: RawRequest, name: str, secrets: Sequence[str]) -> None:
    """The same, for a header that the route chooses: in `Authorization` the secret follows the word Bearer."""
    if name.lower() == "authorization":
        bearer(request, secrets)
    else:
        in_header(request, name, secrets)


def in_query(request: RawRequest, name: str, secrets: Sequence[str]) -> None:
    """A parameter of the URL with one of the secrets."""
    one_of([octets(request.query.get(name, ""))], map(octets, secrets))
