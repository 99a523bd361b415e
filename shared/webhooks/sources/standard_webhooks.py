"""Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.

The project's library for Python is used in the tests only, as the reference: it depends on several packages that
nothing else here needs, and raises ValueError for a malformed header.

Senders retry for days. A 410 makes them disable the endpoint, and they do not follow redirects.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import ClassVar, Final, Literal

from shared.webhooks.sources.json_values import moment, pick, read_object, text
from shared.webhooks.sources.signatures import header, mac, octets, one_of, recent, unbase64
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent, Unverified

PREFIX: Final = "whsec_"
VERSION: Final = "v1,"
ASYMMETRIC: Final = re.compile(r"(?:v1a,)?wh[ps]k_")
# No plain text of a secret: one in quotes, or with the prefix of another form somewhere in it.
OTHER: Final = re.compile(r"""["'`]|v1a?,|.*wh(?:sec|[ps]k)_""", re.DOTALL)


class StandardWebhooks(Source, frozen=True, kw_only=True):
    """Any sender that follows the specification. headers: the prefix of its three headers; `svix` is the older one."""

    name: ClassVar[str] = "standard-webhooks"
    retries_for: ClassVar[float | None] = 75 * 3600.0 + 2105  # ten tries, the last after 75 h, 35 min and 5 s
    headers: Literal["webhook", "svix"] = "webhook"

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """One of several signatures, `v1,<base64>`, over `{id}.{timestamp}.{body}`; v1a, asymmetric, is ignored."""
        identifier = header(request, f"{self.headers}-id")
        timestamp = header(request, f"{self.headers}-timestamp")
        given = list(_signatures(header(request, f"{self.headers}-signature")))
        recent(timestamp, now)
        signed = b"%b.%b.%b" % (octets(identifier), octets(timestamp), request.body)
        one_of(given, [mac(key, signed) for secret in secrets for key in _keys(secret)])

    def fault_of(self, secret: str) -> str | None:
        if _keys(secret):
            return None
        if ASYMMETRIC.match(secret):
            return "it is a key for asymmetric signatures (v1a), which are not supported"
        return "expected whsec_ and the key in base64, as the sender shows it, or the key alone"

    def event(self, request: RawRequest) -> SourceEvent:
        """The specification recommends `{type, timestamp, data}` but does not require it."""
        data = read_object(request.body, request.charset)
        identifier = header(request, f"{self.headers}-id")
        return SourceEvent(
            **self.known(identifier, request),
            source=self.name,
            type=text(data, "type") or "event",
            data=data,
            time=moment(pick(data, "timestamp")),
        )


def _signatures(value: str) -> Iterator[bytes]:
    for part in value.split():
        version, comma, signature = part.partition(",")
        if not comma:
            raise Unverified("The header with the signatures has a signature without a version.")
        decoded = unbase64(signature)
        if version == "v1":
            yield decoded


def _keys(secret: str) -> list[bytes]:
    """The keys that a secret may mean; none if it cannot be read.

    With its prefix it is base64; some senders, such as Supabase, put the version of the signature before the prefix.
    Without the prefix it is base64, as for the specification's libraries, or the text itself, as for Polar's. A caller
    who does not know the secret can sign with neither.
    """
    plain = secret.removeprefix(VERSION)
    encoded = plain.removeprefix(PREFIX)
    keys = []
    with suppress(Unverified):
        bare = encoded.rstrip("=")
        keys.append(unbase64(bare + "=" * (-len(bare) % 4)))
    if not OTHER.match(secret):
        keys.append(octets(secret))
    return [key for key in keys if key]
