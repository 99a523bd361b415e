"""Any sender of JSON that includes the secret itself: as a bearer token, in a header, or as a password.

[options]
accept = ["header"]
header = "X-Gitlab-Token"
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shared.webhooks.sources import signatures
from shared.webhooks.sources.any_json import AnyJson
from shared.webhooks.sources.hmac_signed import HeaderName
from shared.webhooks.sources.source import RawRequest, Unverified


class Key(AnyJson, frozen=True, kw_only=True):
    """accept: how the secret may be sent. header: the name of the header that holds it and nothing else.

    bearer: `Authorization: Bearer <secret>`. basic: RFC 7617, for secrets of the form `user:password`.
    """

    name: ClassVar[str] = "key"

    accept: Annotated[tuple[Literal["bearer", "header", "basic"], ...], Meta(min_length=1)] = (
        "bearer",
        "header",
        "basic",
    )
    header: HeaderName = "x-api-key"

    def __post_init__(self) -> None:
        super().__post_init__()
        if "header" not in self.accept and self.given("header"):
            raise ValueError("header: nothing uses this unless accept contains header")

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        for way in self.accept:
            with suppress(Unverified):
                match way:
                    case "bearer":
                        return signatures.bearer(request, secrets)
                    case "basic":
                        return signatures.basic(request, secrets)
                    case "header":
                        return signatures.in_header(request, self.header, secrets)
        raise Unverified(f"The request has no secret of this route, which accepts: {', '.join(self.accept)}.")

    def fault_of(self, secret: str) -> str | None:
        if set(self.accept) == {"basic"} and ":" not in secret:
            return "expected user:password, since the route takes basic authentication only"
        return None

    def secret_headers(self) -> frozenset[str]:
        return super().secret_headers() | {self.header.lower()}
