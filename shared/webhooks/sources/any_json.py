"""Senders of any JSON: what the attributes of their events are is said by JMESPath in the route.

    [options]
    type = "data.kind"
    subject = "data.host.name"
    thread = "join('/', [data.host.name, data.check])"
    key = 'headers."x-request-id"'

Each expression (https://jmespath.org/specification.html) sees `{"data": <the body>, "headers": {…}}`, the names of the
headers in lower case, and without those that hold secrets. What it finds counts where it is a text or a number.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.webhooks.sources.copies import fresh
from shared.webhooks.sources.expressions import compiled
from shared.webhooks.sources.json_values import moment, read_json, text
from shared.webhooks.sources.source import Event, RawRequest, Source

__all__ = ["AnyJson"]

SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-functions-key"})


class AnyJson(Source, frozen=True, kw_only=True):
    """One event for each request. All options are JMESPath; a wrong one is a ValueError.

    key: names the event; where it finds nothing, the header `Idempotency-Key` does. Without either every request is an
    event of its own, and one that comes twice is two mails: two bodies that are the same may well be two events.
    id: where it finds nothing, the key. type: "event". source: the kind of source. subject, time, thread: none.
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
                compiled(expression)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    def events(self, request: RawRequest, now: datetime) -> list[Event]:  # noqa: ARG002 - what the sender says
        data = read_json(request.body, request.charset)
        found = self._found(data, request.headers)
        given = found.get("key") or request.headers.get("idempotency-key", "").strip()
        key = given or fresh()
        return [
            Event(
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
        ]

    def signed_part(self, request: RawRequest) -> str | None:  # noqa: ARG002 - most sign nothing
        """A digest of what the request's signature is of; None: there is none. See Event.signed."""
        return None

    def secret_headers(self) -> frozenset[str]:
        """The names, in lower case, of headers that no expression sees."""
        return SECRET

    def _expressions(self) -> Iterator[tuple[str, str]]:
        for name in self.attributes:
            if (expression := getattr(self, name)) is not None:
                yield name, expression

    def _found(self, data: Any, headers: Mapping[str, str]) -> dict[str, str]:
        """By name, what each expression finds."""
        if not any(self._expressions()):
            return {}
        hidden = self.secret_headers()
        seen = {"data": data, "headers": {name: value for name, value in headers.items() if name not in hidden}}
        result = {}
        for name, expression in self._expressions():
            try:
                value = text(compiled(expression).search(seen))
            except Exception:  # noqa: BLE001 - a function met a value that it does not take: nothing is found
                value = None
            if value:
                result[name] = value
        return result


def _time(value: str | None) -> datetime | None:
    """A time of RFC 3339, or in seconds since 1970."""
    if value is None:
        return None
    try:
        return moment(float(value))
    except ValueError:
        return moment(value)
