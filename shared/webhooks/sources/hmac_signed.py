"""Any sender of JSON that signs it with an HMAC (RFC 2104) and says so in a header.

    [options]
    header = "X-Signature"
    prefix = "v0="
    timestamp_header = "X-Request-Timestamp"
    signed = "v0:{timestamp}:{body}"

Headers are not signed, `Idempotency-Key` neither: whoever has seen a request can send it again under another key. A
timestamp bounds how long that works; a `key` out of the body ends it. What is signed and comes a second time under
another key within a day is told to the operator.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from shared.webhooks.sources.any_json import AnyJson
from shared.webhooks.sources.copies import same_bytes
from shared.webhooks.sources.signatures import Algorithm, fresh, header, mac, octets, one_of, unbase64, unhex
from shared.webhooks.sources.source import RawRequest, Unverified

__all__ = ["HeaderName", "Hmac"]

BODY: Final = "{body}"
TIMESTAMP: Final = "{timestamp}"

HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]  # RFC 9110, section 5.1


class Hmac(AnyJson, frozen=True, kw_only=True):
    """header: holds `prefix`, then the signature in hex or base64. algorithm: of the hash.

    timestamp_header: holds the seconds since 1970 at which the request was signed, at most `tolerance` seconds ago or
    ahead. signed: what the signature is of; `{body}`, or `{timestamp}.{body}` where there is a timestamp.
    """

    name: ClassVar[str] = "hmac"

    header: HeaderName
    algorithm: Algorithm = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: HeaderName | None = None
    tolerance: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    signed: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.timestamp_header and self.given("tolerance"):
            raise ValueError("tolerance: nothing uses this without timestamp_header")
        names = re.findall(r"\{[a-z]*\}", self._signed)
        expected = [BODY, TIMESTAMP] if self.timestamp_header else [BODY]
        if sorted(names) != expected:
            raise ValueError(f"signed: expected {' and '.join(expected)}, each once, and no other name in braces")

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        given = header(request, self.header)
        if not given.startswith(self.prefix):
            raise Unverified("The signature does not begin as the route says.")
        value = given.removeprefix(self.prefix)
        signature = unhex(value) if self.encoding == "hex" else unbase64(value)
        if self.timestamp_header:
            fresh(header(request, self.timestamp_header), now, self.tolerance)
        message = self._message(request)
        one_of([signature], [mac(secret, message, self.algorithm) for secret in secrets])

    def signed_part(self, request: RawRequest) -> str | None:
        """Two events may be the same bytes, in the same second too; so none is dropped for that, but it is told."""
        return same_bytes(self._message(request))

    def secret_headers(self) -> frozenset[str]:
        return super().secret_headers() | {self.header.lower()}

    @property
    def _signed(self) -> str:
        default = f"{TIMESTAMP}.{BODY}" if self.timestamp_header else BODY
        return default if self.signed is None else self.signed

    def _message(self, request: RawRequest) -> bytes:
        timestamp = header(request, self.timestamp_header) if self.timestamp_header else ""
        before, _, after = (octets(part.replace(TIMESTAMP, timestamp)) for part in self._signed.partition(BODY))
        return before + request.body + after
