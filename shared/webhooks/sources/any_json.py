"""Any JSON, form or text: the route says by JMESPath where the attributes of the events are.

    [options]
    type = "data.kind"
    subject = "data.host.name"
    thread = "join('/', [data.host.name, data.check])"
    key = 'headers."x-request-id"'

Each expression sees `{"data": <the body>, "headers": {…}}`, the names of the headers in lower case, without those that
hold secrets. A result counts where it is a text or a number.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs

from shared.errors import Malformed
from shared.parsing.charsets import decode
from shared.webhooks.sources.expressions import check, search
from shared.webhooks.sources.json_values import FORM, moment, read_json, text, unique_key
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

MOST_FIELDS: Final = 1_000
SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-functions-key"})

SEEN: Final = ("data", "headers")


class AnyJson(Source, frozen=True, kw_only=True):
    """One event for each request. All options are JMESPath; a wrong one is a ValueError.

    key: identifies the event; where it finds nothing, the header `Idempotency-Key` does. Without either, every request
    is an event of its own, and a repeated one gives two mails: equal bodies may well be two events.
    Defaults: id is the key, type is "event", source is the kind of source; subject, time and thread are none.
    """

    attributes: ClassVar[tuple[str, ...]] = ("key", "id", "type", "source", "subject", "time", "thread")

    key: str | None = None
    id: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    thread: str | None = None

    def __post_init__(self) -> None:
        for name, expression in self._expressions():
            try:
                check(expression, SEEN)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    def event(self, request: RawRequest) -> SourceEvent:
        data = read_any(request)
        hidden = self.secret_headers()
        seen = {"data": data, "headers": {name: text for name, text in request.headers.items() if name not in hidden}}
        found = {name: text(search(expression, seen)) for name, expression in self._expressions()}
        given = found.get("key") or request.headers.get("idempotency-key", "").strip()
        key = given or unique_key()
        return SourceEvent(
            id=found.get("id") or key,
            source=found.get("source") or self.name,
            type=found.get("type") or "event",
            key=key,
            known_by="route-key" if given else "nothing",
            signed=self.signed_part(request),
            data=data,
            subject=found.get("subject"),
            time=_time(found.get("time")),
            thread=found.get("thread"),
        )

    def signed_part(self, request: RawRequest) -> str | None:  # noqa: ARG002
        """A digest of what the request's signature covers; None: it has no signature. See SourceEvent.signed."""
        return None

    def secret_headers(self) -> frozenset[str]:
        """The names, in lower case, of headers that no expression sees."""
        return SECRET

    def _expressions(self) -> Iterator[tuple[str, Any]]:
        return ((name, one) for name in self.attributes if (one := getattr(self, name)) is not None)


def read_any(request: RawRequest) -> Any:
    """The value in a body: JSON, also within a text of JSON; the fields of a form; or the text itself.

    JSON is tried first, whatever the Content-Type: curl calls everything a form. Raises Malformed.
    """
    try:
        value = read_json(request.body, request.charset)
    except Malformed:
        if request.media_type == FORM:
            return _form(decode(request.body, request.charset, repair=True))
        if request.media_type.startswith("text/") and request.body.strip():
            return decode(request.body, request.charset, repair=True)
        raise
    return _inner(value)


def _inner(value: Any) -> Any:
    """JSON in a text as its value; everything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return read_json(value.encode("utf-8", "replace"))
    except Malformed:
        return value


def _form(text: str) -> dict[str, Any]:
    """The fields of a form, those that occur twice as lists. A field `payload` of JSON is the event itself."""
    try:
        fields = parse_qs(text.strip(), max_num_fields=MOST_FIELDS, keep_blank_values=True)
    except ValueError:
        raise Malformed(413, "RequestEntityTooLarge", f"Found more than {MOST_FIELDS} fields in a form.", "$") from None
    found = {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    inner = _inner(found.get("payload"))
    return inner if isinstance(inner, dict) else found


def _time(value: str | None) -> datetime | None:
    """A time in RFC 3339, or in seconds since 1970."""
    try:
        return None if value is None else moment(float(value))
    except ValueError:
        return moment(value)
