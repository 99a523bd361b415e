"""CloudEvents 1.0 over HTTP: binary, structured and batched, from any sender that follows the standard.

Sending events: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
The JSON format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
Authorisation, and answers: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

from msgspec import Meta

from shared.errors import Malformed
from shared.parsing.charsets import CODECS, charset_of, decode, sniffed
from shared.webhooks.sources import signatures
from shared.webhooks.sources.json_values import canonical, counted, digest, moment, read_json, text
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent, WebhookReply

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PREFIX: Final = "ce-"
LONGEST_ATTRIBUTE: Final = 16_384  # characters of one in a header
REQUIRED: Final = ("specversion", "id", "source", "type")
# May differ at the next try: the trace of the request, and the form in which the event was sent.
NOT_TOLD: Final = frozenset({"traceparent", "tracestate", "traceid", "baggage", "datacontenttype"})
Rate = Annotated[int, Meta(ge=1)]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# A "DNS expression"; nothing else that a stranger sends is written into a header of ours.
_ORIGIN = re.compile(r"[A-Za-z0-9.*:_-]{1,253}", re.ASCII)
# An unterminated quote matches to the end, and is kept as it is: searching on behind it would take quadratic time.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class CloudEvents(Source, frozen=True, kw_only=True):
    """Any sender of CloudEvents. allowed_rate: requests per minute that a handshake grants; None: any number."""

    name: ClassVar[str] = "cloudevents"
    overloaded: ClassVar[int] = 429
    body_allowed: ClassVar[bool] = False  # http-webhook.md, 2.2: only 200 and 201 may have one

    allowed_rate: Rate | None = None

    def preflight(self, request: RawRequest) -> WebhookReply:
        return allow(request, self.allowed_rate)

    def authenticate(self, request: RawRequest, secrets: Sequence[str], now: datetime) -> None:  # noqa: ARG002
        """The two ways of RFC 6750 that the standard names. A header takes precedence and decides alone."""
        if "authorization" in request.headers:
            signatures.bearer(request, secrets)
        else:
            signatures.in_query(request, "access_token", secrets)

    def events(self, request: RawRequest) -> list[SourceEvent]:
        return read(request)


def read(request: RawRequest) -> list[SourceEvent]:
    """The events of a request in any of the three modes.

    Raises Malformed: 415 for a content type of none of these modes, 400 for everything else.
    """
    kind = request.media_type
    if kind == STRUCTURED:
        return [from_json(read_json(request.body, request.charset))]
    if kind == BATCH:
        batch = read_json(request.body, request.charset)
        if not isinstance(batch, list):
            raise Malformed(400, "BadRequest", "Expected a batch of CloudEvents, a JSON array.", "$")
        return _batch(batch)
    # Structured modes in other formats begin like this, and may have copies of the headers of the binary mode.
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
    attributes = {name.removeprefix(PREFIX): _header_value(name, request.headers[name]) for name in names}
    if content_type := request.headers.get("content-type"):
        attributes["datacontenttype"] = content_type
    return [event_of(attributes, content(request.body, kind, request.charset), PREFIX)]


def is_binary(request: RawRequest) -> bool:
    """Whether the headers of a request have an event's attributes."""
    return any(name.startswith(PREFIX) for name in request.headers)


def allow(request: RawRequest, rate: int | None) -> WebhookReply:
    """The answer to OPTIONS: any origin may send, if it has the secret.

    The handshake protects receivers that expect no events from a misdirected sender; it proves nothing to us.
    """
    headers = {"Allow": "POST"}
    origin = request.headers.get("webhook-request-origin", "").strip()
    if _ORIGIN.fullmatch(origin):
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(rate or "*")}
    return WebhookReply(200, headers)


def from_json(value: Any, path: str = "$") -> SourceEvent:
    """The event in the JSON format. path: where the value is in the body. Raises Malformed, 400, with the attribute."""
    if not isinstance(value, dict):
        raise Malformed(400, "BadRequest", "Expected a CloudEvent, a JSON object.", path)
    attributes = dict(value)
    data = attributes.pop("data", None)
    if "data" not in value and "data_base64" in value:
        data = _decoded(attributes.pop("data_base64"), text(value, "datacontenttype"), f"{path}.data_base64")
    return event_of(attributes, data, f"{path}.")


def event_of(attributes: Mapping[str, Any], data: Any, prefix: str) -> SourceEvent:
    """The event with these attributes and data; prefix: of an attribute's name in the request.

    Attributes without a field in Event, `datacontenttype` and `dataschema` too, are its extensions. Raises Malformed,
    400, when a required one is missing.

    By the specification `source` and `id` identify an event. Yet some senders give one id to different events, as Azure
    IoT Hub does (https://github.com/MicrosoftDocs/azure-docs/issues/77475), so the content of an event is in its key.
    """
    for name in REQUIRED:
        if text(attributes, name) is None:
            raise Malformed(400, "BadRequest", f"The CloudEvent has no {name}.", f"{prefix}{name}")
    version, name, source, kind = (text(attributes, name) or "" for name in REQUIRED)
    if version.partition(".")[0] != "1":
        raise Malformed(400, "BadRequest", "Expected CloudEvents 1.0.", f"{prefix}specversion")
    time, subject = moment(attributes.get("time")), text(attributes, "subject")
    # As texts, which they all are in the binary mode.
    told = {
        name: value if isinstance(value, str) else canonical(value)
        for name, value in attributes.items()
        if name not in NOT_TOLD
    }
    placed = {*REQUIRED, *(["time"] if time else []), *(["subject"] if subject else [])}
    return SourceEvent(
        id=name,
        source=source,
        type=kind,
        key=digest(source, name, kind, canonical([told, data])),
        data=data,
        subject=subject,
        time=time,
        extensions={name: value for name, value in attributes.items() if name not in placed},
    )


def content(body: bytes, media_type: str, charset: str = "") -> Any:
    """Data of a content type as a JSON value. Raises Malformed, 400, where it claims to be JSON and is not.

    JSON is itself; text is a string; everything else is `{"data_base64": …}`, as the JSON format writes it. Without a
    content type, these are tried in this order.
    """
    if not body:
        return None
    subtype = media_type.rpartition("/")[2]
    if subtype == "json" or subtype.endswith("+json"):
        return read_json(body, charset)
    if not media_type:
        try:
            return read_json(body, charset)
        except Malformed:
            pass
    try:
        found = _text(body, media_type, charset)
        if not _CONTROL.search(found):
            return found
    except UnicodeDecodeError:
        pass
    return {"data_base64": base64.b64encode(body).decode("ascii")}


def _undeclared(request: RawRequest) -> list[SourceEvent] | None:
    """Whole events in JSON with another content type, as many senders write them; None for anything else.

    Raises Malformed where the content type says JSON and the body is not.
    """
    try:
        value = read_json(request.body, request.charset)
    except Malformed:
        if request.body.strip() and request.media_type == "application/json":
            raise
        return None
    if isinstance(value, list) and value and all(isinstance(item, dict) and "specversion" in item for item in value):
        return _batch(value)
    return [from_json(value)] if isinstance(value, dict) and "specversion" in value else None


def _batch(values: list[Any]) -> list[SourceEvent]:
    return [from_json(value, f"$[{index}]") for index, value in enumerate(counted(values))]


def _in_utf8(header: str) -> str:
    """A header whose UTF-8 was not percent-encoded, as the binding requires, however the server decoded it: as Latin-1
    (RFC 9112, section 5.5), or with escaped bytes. What is not UTF-8 stays as it is.
    """
    for encoding, errors in (("latin-1", "strict"), ("utf-8", "surrogateescape")):
        try:
            return header.encode(encoding, errors).decode()
        except UnicodeError:
            continue
    return header


def _header_value(name: str, header: str) -> str:
    """An attribute from its header: first the quotes of RFC 7230, 3.2.6, then one round of percent-decoding.

    Raises Malformed where the bytes are not UTF-8, as the binding requires.
    """
    if len(header) > LONGEST_ATTRIBUTE:
        raise Malformed(400, "BadRequest", f"Expected at most {LONGEST_ATTRIBUTE:,} characters.", name)
    plain = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]) if quoted[2] else quoted[0], _in_utf8(header))
    try:
        return unquote_to_bytes(plain.encode("utf-8", "replace")).decode()
    except UnicodeDecodeError:
        raise Malformed(400, "BadRequest", "Expected percent-encoded UTF-8.", name) from None


def _text(body: bytes, media_type: str, charset: str) -> str:
    """Raises UnicodeDecodeError. Only a content type of text may be in an encoding that it does not declare."""
    codec = CODECS.get(charset, "utf-8")
    if codec.startswith("utf-16"):
        mark, told = sniffed(body)  # it need not begin with ASCII
        return body[mark:].decode(told or codec)
    if codec != "utf-8":
        return body.decode(codec)
    return decode(body, repair=True) if media_type.startswith("text/") else body.decode("utf-8-sig")


def _decoded(value: Any, content_type: str | None, path: str) -> Any:
    """A `data_base64`, read by its content type. Without one it stays base64."""
    try:
        body = base64.b64decode(b"".join(value.encode("ascii").split()), validate=True)  # some write it in lines
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise Malformed(400, "BadRequest", "Expected base64.", path) from None
    if not content_type:
        return {"data_base64": value}
    return content(body, content_type.partition(";")[0].strip().lower(), charset_of(content_type))
