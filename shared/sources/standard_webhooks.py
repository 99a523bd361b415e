"""Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.

The project's library for Python is not used here but in the tests, as the judge: it asks for several packages that
nothing else here needs, and lets the errors of a malformed header out as ValueError.

Senders try again for days; an answer of 410 makes them switch the endpoint off, and none follows a redirect.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal

from shared.sources.proofs import fresh, header, mac, octets, one_of, unbase64
from shared.sources.reading import moment, pick, read_object, text
from shared.sources.source import Event, RawRequest, Source, Unverified

__all__ = ["StandardWebhooks"]

TOLERANCE: Final = 300.0  # seconds, to both sides
PREFIX: Final = "whsec_"


class StandardWebhooks(Source, frozen=True, kw_only=True):
    """Any sender that keeps to the specification.

    headers: what the names of the three headers begin with; `svix` is what they were called before.
    """

    name: ClassVar[str] = "standard-webhooks"
    headers: Literal["webhook", "svix"] = "webhook"

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:
        """One signature of several, each `v1,<base64>`, over `{id}.{timestamp}.{body}`.

        Asymmetric signatures, v1a, prove nothing here. A secret that is not base64 is none.
        """
        identifier = header(request, f"{self.headers}-id")
        timestamp = header(request, f"{self.headers}-timestamp")
        given = list(_signatures(header(request, f"{self.headers}-signature")))
        fresh(timestamp, now, TOLERANCE)
        signed = b"%b.%b.%b" % (octets(identifier), octets(timestamp), request.body)
        one_of(given, [mac(key, signed) for key in _keys(secrets)])

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002 - what the sender says
        """The specification recommends `{type, timestamp, data}` and does not demand it: what is missing may be."""
        data = read_object(request.body, request.charset)
        identifier = header(request, f"{self.headers}-id")
        return [
            Event(
                id=identifier,
                source=self.name,
                type=text(data, "type") or "event",
                key=identifier,
                data=data,
                time=moment(pick(data, "timestamp")),
            )
        ]


def _signatures(value: str) -> Iterator[bytes]:
    for part in value.split():
        version, comma, signature = part.partition(",")
        if not comma:
            raise Unverified("The header with the signatures has one without a version.")
        decoded = unbase64(signature)
        if version == "v1":
            yield decoded


def _keys(secrets: Sequence[str]) -> Iterator[bytes]:
    for secret in secrets:
        encoded = secret.removeprefix(PREFIX).rstrip("=")
        try:
            yield unbase64(encoded + "=" * (-len(encoded) % 4))
        except Unverified:
            continue  # the one beside it still counts
