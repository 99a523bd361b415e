"""Any sender of JSON that puts an HMAC of it (RFC 2104) into a header.

    [options]
    header = "X-Signature"
    prefix = "v0="
    timestamp_header = "X-Request-Timestamp"
    signed = "v0:{timestamp}:{body}"

Headers are not signed, nor is `Idempotency-Key`: whoever has seen a request can send it again with another key. A
timestamp limits how long that works; a `key` taken from the body prevents it. Signed bytes that arrive a second time
with another key within a day are reported to the operator.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from shared.webhooks.sources.any_json import AnyJson
from shared.webhooks.sources.json_values import same_bytes
from shared.webhooks.sources.signatures import (
    TOLERANCE,
    Algorithm,
    header,
    mac,
    octets,
    one_of,
    recent,
    unbase64,
    unhex,
)
from shared.webhooks.sources.source import RawRequest, Unverified

BODY: Final = "{body}"
TIMESTAMP: Final = "{timestamp}"

HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]  # RFC 9110, section 5.1


class Hmac(AnyJson, frozen=True, kw_only=True):
    """header: holds `prefix`, then the signature in hex or base64. algorithm: of the hash.

    timestamp_header: holds the time of the signature in seconds since 1970, at most `tolerance` seconds ago or ahead.
    signed: the text that is signed; `{body}`, or `{timestamp}.{body}` where there is a timestamp.
    """

    name: ClassVar[str] = "hmac"

    header: HeaderName
    algorithm: Algorithm = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: HeaderName | None = None
    tolerance: Annotated[float, Meta(gt=0, le=86_400)] = TOLERANCE
    signed: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.timestamp_header and self.given("tolerance"):
            raise ValueError("tolerance: nothing uses this without timestamp_header")
        expected = [BODY, TIMESTAMP] if self.timestamp_header else [BODY]
        if sorted(re.findall(r"\{[a-z]*\}", self._template)) != expected:
            raise ValueError(f"signed: expected {' and '.join(expected)}, each once, and no other name in braces")

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        given = header(request, self.header)
        if not given.startswith(self.prefix):
            raise Unverified("The signature does not begin with the prefix that the route expects.")
        value = given.removeprefix(self.prefix)
        signature = unhex(value) if self.encoding == "hex" else unbase64(value)
        if self.timestamp_header:
            recent(header(request, self.timestamp_header), now, self.tolerance)
        message = self._message(request)
        one_of([signature], [mac(secret, message, self.algorithm) for secret in secrets])

    def signed_part(self, request: RawRequest) -> str | None:
        """Two events may be the same bytes, even in the same second; so none is dropped, but the operator is told."""
        return same_bytes(self._message(request))

    def secret_headers(self) -> frozenset[str]:
        return super().secret_headers() | {self.header.lower()}

    @property
    def _template(self) -> str:
        if self.signed is not None:
            return self.signed
        return f"{TIMESTAMP}.{BODY}" if self.timestamp_header else BODY

    def _message(self, request: RawRequest) -> bytes:
        timestamp = header(request, self.timestamp_header) if self.timestamp_header else ""
        before, _, after = (octets(part.replace(TIMESTAMP, timestamp)) for part in self._template.partition(BODY))
        return before + request.body + after
