"""CloudEvents over HTTP: binary, structured and batched, from any sender that follows the standard.

How events are sent: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
Who may send, and what is answered: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

from msgspec import Meta

from shared.errors import Malformed
from shared.webhooks.sources import signatures
from shared.webhooks.sources.cloudevents_json import content, event_of, from_json
from shared.webhooks.sources.json_values import counted, read_json
from shared.webhooks.sources.source import Event, RawRequest, Reply, Source

__all__ = ["CloudEvents", "Rate", "allow", "is_binary", "read"]

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PREFIX: Final = "ce-"
LONGEST_ATTRIBUTE: Final = 16_384  # characters of one in a header
VERSION: Final = "specversion"  # every CloudEvent has it
Rate = Annotated[int, Meta(ge=1)]

# A "DNS expression"; what else a stranger puts there is not written into a header of ours.
_ORIGIN = re.compile(r"[A-Za-z0-9.*:_-]{1,253}", re.ASCII)
# One that does not end is taken to the end, and stays as it is: looking on behind its quote would take the square.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class CloudEvents(Source, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Any sender of CloudEvents. allowed_rate: requests per minute that a handshake grants, None: any."""

    name: ClassVar[str] = "cloudevents"
    overloaded: ClassVar[int] = 429
    body_allowed: ClassVar[bool] = False  # http-webhook.md, 2.2: one of 200 or 201 may have it; 202 is for what waits

    allowed_rate: Rate | None = None

    def preflight(self, request: RawRequest) -> Reply:
        return allow(request, self.allowed_rate)

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        """The two ways of RFC 6750 that the standard names. A header is the stronger one and decides alone."""
        if "authorization" in request.headers:
            signatures.bearer(request, secrets)
        else:
            given = signatures.octets(request.query.get("access_token", ""))
            signatures.one_of([given], map(signatures.octets, secrets))

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002
        """Raises Malformed: 415 for a content type that is none of the three modes, 400 for everything else."""
        return read(request)


def read(request: RawRequest) -> list[Event]:
    """The events of a request in any of the three modes. Raises Malformed, 415 or 400."""
    kind = request.media_type
    if kind == STRUCTURED:
        return [from_json(read_json(request.body, request.charset))]
    if kind == BATCH:
        batch = read_json(request.body, request.charset)
        if not isinstance(batch, list):
            raise Malformed(400, "BadRequest", "Expected a batch of CloudEvents, a JSON array.", "$")
        return _batch(batch)
    # Structured modes in other formats begin like this, and may have the headers of the binary mode as copies.
    if kind.startswith("application/cloudevents") or not is_binary(request):
        if (events := _undeclared(request)) is not None:
            return events
        raise Malformed(
            415,
            "UnsupportedMediaType",
            f"Expected {STRUCTURED}, {BATCH}, or a CloudEvent in the headers {PREFIX}id, {PREFIX}source, "
            f"{PREFIX}type and {PREFIX}specversion.",
        )
    names = [name for name in request.headers if name.startswith(PREFIX)]
    attributes = {name.removeprefix(PREFIX): _value(name, request.headers[name]) for name in names}
    if content_type := request.headers.get("content-type"):
        attributes["datacontenttype"] = content_type
    return [event_of(attributes, content(request.body, kind, request.charset), PREFIX)]


def _undeclared(request: RawRequest) -> list[Event] | None:
    """Whole events in JSON under another content type, as many senders write them; None for anything else.

    Raises Malformed where it says that it is JSON and is none.
    """
    try:
        value = read_json(request.body, request.charset)
    except Malformed:
        if request.body.strip() and request.media_type == "application/json":
            raise
        return None
    if isinstance(value, list) and value and all(isinstance(item, dict) and VERSION in item for item in value):
        return _batch(value)
    return [from_json(value)] if isinstance(value, dict) and VERSION in value else None


def _batch(values: list[Any]) -> list[Event]:
    return [from_json(value, f"$[{index}]") for index, value in enumerate(counted(values))]


def is_binary(request: RawRequest) -> bool:
    """Whether a request has an event's attributes in its headers."""
    return any(name.startswith(PREFIX) for name in request.headers)


def allow(request: RawRequest, rate: int | None) -> Reply:
    """The answer to OPTIONS: whoever names its origin may send, if it has the secret.

    The handshake keeps a sender from being aimed at those who expect nothing of it; it proves nothing to us.
    """
    headers = {"Allow": "POST"}
    origin = request.headers.get("webhook-request-origin", "").strip()
    if _ORIGIN.fullmatch(origin):
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(rate or "*")}
    return Reply(200, headers)


def _in_utf8(header: str) -> str:
    """A header whose UTF-8 was not percent-encoded, as the binding demands, whatever server has made a text of it:
    Latin-1 (RFC 9112, section 5.5), or escaped bytes. What is no UTF-8 stays as it is.
    """
    for encoding, errors in (("latin-1", "strict"), ("utf-8", "surrogateescape")):
        try:
            return header.encode(encoding, errors).decode()
        except UnicodeError:
            continue
    return header


def _value(name: str, header: str) -> str:
    """An attribute's value out of its header: first the quotes of RFC 7230, 3.2.6, then one round of percent-decoding.

    Raises Malformed where the bytes are not UTF-8, as the binding demands.
    """
    if len(header) > LONGEST_ATTRIBUTE:
        raise Malformed(400, "BadRequest", f"Expected {LONGEST_ATTRIBUTE:,} characters at most.", name)
    plain = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]) if quoted[2] else quoted[0], _in_utf8(header))
    try:
        return unquote_to_bytes(plain.encode("utf-8", "replace")).decode()
    except UnicodeDecodeError:
        raise Malformed(400, "BadRequest", "Expected percent-encoded UTF-8.", name) from None
