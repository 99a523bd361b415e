"""How requests prove where they come from: signatures over the raw bytes, and secrets that come along.

Every comparison takes the same time whatever the content, and every secret is compared, so that the answer's time says
nothing of which one is right, nor how far. Whatever a stranger's header holds, the only error is Unverified. An empty
secret proves nothing.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from shared.webhooks.sources.source import RawRequest, Unverified

__all__ = ["Algorithm", "basic", "bearer", "carried", "fresh", "header", "mac", "octets", "one_of", "unbase64", "unhex"]

Algorithm = Literal["sha1", "sha256", "sha512"]


def header(request: RawRequest, name: str) -> str:
    """The one value of a header. Raises Unverified when it is missing."""
    value = request.headers.get(name.lower(), "").strip()
    if not value:
        raise Unverified(f"The header {name} is missing.")
    return value


def octets(text: str) -> bytes:
    """A text in UTF-8, whatever it holds: the host may hand on half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def mac(secret: str | bytes, message: bytes, algorithm: Algorithm = "sha256") -> bytes:
    """The HMAC of a message, RFC 2104; nothing for an empty secret, whose HMAC anybody could make."""
    key = octets(secret) if isinstance(secret, str) else secret
    return hmac.digest(key, message, algorithm) if key else b""


def unhex(text: str) -> bytes:
    """The bytes that hex digits stand for. Raises Unverified."""
    try:
        return binascii.unhexlify(octets(text))
    except binascii.Error:
        raise Unverified("The signature is not hexadecimal.") from None


def unbase64(text: str) -> bytes:
    """The bytes that base64 stands for, RFC 4648, section 4: with its padding and nothing else. Raises Unverified."""
    try:
        return base64.b64decode(octets(text), validate=True)
    except binascii.Error:
        raise Unverified("What should be base64 is not.") from None


def one_of(given: Iterable[bytes], expected: Iterable[bytes]) -> None:
    """Return if any of the given values is any of the expected ones; raise Unverified otherwise.

    Their digests are compared, so that not even the length of a secret can be measured.
    """
    wanted = [hashlib.sha256(one).digest() for one in expected if one]
    found = [hashlib.sha256(one).digest() for one in given]
    matches = [hmac.compare_digest(one, other) for one in found for other in wanted]
    if not any(matches):
        raise Unverified("The request is not signed with this route's secret, or carries another one.")


def fresh(timestamp: str, now: datetime, tolerance: float) -> None:
    """Return if a time in seconds since 1970 is within so many seconds of now; raise Unverified otherwise."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004 - the year 33658
        raise Unverified("The timestamp is none.")
    if abs(now.timestamp() - int(timestamp)) > tolerance:
        raise Unverified("The timestamp is too old, or in the future.")


def bearer(request: RawRequest, secrets: Sequence[str]) -> None:
    """Return if `Authorization: Bearer` carries one of the secrets; raise Unverified otherwise."""
    scheme, _, value = header(request, "authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise Unverified("The Authorization header is not Bearer.")
    one_of([octets(value.strip())], map(octets, secrets))


def basic(request: RawRequest, secrets: Sequence[str]) -> None:
    """Return if `Authorization: Basic` (RFC 7617) carries one of the secrets, `user:password`; else Unverified."""
    scheme, _, value = header(request, "authorization").partition(" ")
    if scheme.lower() != "basic":
        raise Unverified("The Authorization header is not Basic.")
    one_of([unbase64(value.strip())], (octets(secret) for secret in secrets if ":" in secret))


def carried(request: RawRequest, name: str, secrets: Sequence[str]) -> None:
    """Return if the header of this name holds one of the secrets and nothing else; raise Unverified otherwise."""
    one_of([octets(header(request, name))], map(octets, secrets))
