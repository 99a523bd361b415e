"""CloudEvents 1.0 as events: the JSON format, and the rules that its HTTP binding shares with it.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.errors import Malformed
from shared.parsing.charsets import CODECS, charset_of, decode, sniffed
from shared.webhooks.sources.copies import canonical
from shared.webhooks.sources.json_values import digest, moment, read_json, text
from shared.webhooks.sources.source import Event

__all__ = ["content", "event_of", "from_json"]

REQUIRED: Final = ("specversion", "id", "source", "type")
# What may be another one at the next try: of which request it was a part, and in which form it came.
NOT_TOLD: Final = frozenset({"traceparent", "tracestate", "traceid", "baggage", "datacontenttype"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def from_json(value: Any, path: str = "$") -> Event:
    """The event that a JSON value in the format of CloudEvents describes; path: where the value stands in the body.

    Raises Malformed, 400, that names the attribute.
    """
    if not isinstance(value, dict):
        raise Malformed(400, "BadRequest", "Expected a CloudEvent, a JSON object.", path)
    attributes = dict(value)
    data = attributes.pop("data", None)
    if "data" not in value and "data_base64" in value:
        data = _decoded(attributes.pop("data_base64"), text(value, "datacontenttype"), f"{path}.data_base64")
    return event_of(attributes, data, f"{path}.")


def event_of(attributes: Mapping[str, Any], data: Any, prefix: str) -> Event:
    """The event with these attributes and data; prefix: what stands before an attribute's name in the request.

    Attributes that Event has no place for, `datacontenttype` and `dataschema` too, are its extensions. Raises
    Malformed, 400, when a required one is missing.

    By the specification `source` and `id` name an event. Some senders give one id to different events all the same, as
    Azure IoT Hub does (https://github.com/MicrosoftDocs/azure-docs/issues/77475), so what an event says is in its key.
    """
    for name in REQUIRED:
        if text(attributes, name) is None:
            raise Malformed(400, "BadRequest", f"The CloudEvent has no {name}.", f"{prefix}{name}")
    version, name, source, kind = (text(attributes, name) or "" for name in REQUIRED)
    if version.partition(".")[0] != "1":
        raise Malformed(400, "BadRequest", "Expected CloudEvents 1.0.", f"{prefix}specversion")
    time, subject = moment(attributes.get("time")), text(attributes, "subject")
    # As texts, which they all are in the binary mode.
    told = {name: _as_text(value) for name, value in attributes.items() if name not in NOT_TOLD}
    placed = {*REQUIRED, *(["time"] if time else []), *(["subject"] if subject else [])}
    return Event(
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
    """What data of a content type is as a JSON value. Raises Malformed, 400, where it claims to be JSON and is not.

    JSON is that value; text is a string; what is neither is `{"data_base64": …}`, as the JSON format writes it. Without
    a content type, whatever it can be is tried in this order.
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


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def _text(body: bytes, media_type: str, charset: str) -> str:
    """Raises UnicodeDecodeError. Only what calls itself text may be in an encoding that it does not name."""
    codec = CODECS.get(charset, "utf-8")
    if codec.startswith("utf-16"):
        mark, told = sniffed(body)  # it need not begin with ASCII
        return body[mark:].decode(told or codec)
    if codec != "utf-8":
        return body.decode(codec)
    return decode(body, repair=True) if media_type.startswith("text/") else body.decode("utf-8-sig")


def _decoded(value: Any, content_type: str | None, path: str) -> Any:
    """A `data_base64`, read by its content type. Without one nothing may be assumed: it stays base64."""
    try:
        body = base64.b64decode(b"".join(value.encode("ascii").split()), validate=True)  # some write it in lines
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise Malformed(400, "BadRequest", "Expected base64.", path) from None
    if not content_type:
        return {"data_base64": value}
    return content(body, content_type.partition(";")[0].strip().lower(), charset_of(content_type))
