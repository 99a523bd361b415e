"""Bodies that no sender means to send: any JSON, and payloads of which one place holds something else."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from shared.errors import Malformed
from shared.webhooks.sources.source import RawRequest, Source, SourceEvent

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "firing", "Fired", "1.0", "\ud800", 1e308]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def damaged(payload: Any) -> st.SearchStrategy[Any]:
    """The payload with any JSON at any one place, or without it."""
    return st.builds(damage, st.just(payload), st.integers(0, 100_000), any_json | st.just(...))


def damage(payload: Any, where: int, value: Any) -> Any:
    """The payload with this value at one of its places, of which a number chooses one, or without it: `...`."""
    places = list(_places(payload))
    return put(payload, places[where % len(places)], value)


def event_of(source: Source, body: Any, **headers: str) -> SourceEvent:
    """The one event of a body."""
    (event,) = source.events(RawRequest(json.dumps(body).encode(), headers))
    return event


def events_or_malformed(source: Source, body: Any, headers: Mapping[str, str] | None = None) -> list[SourceEvent]:
    """The events of a body; none when it is refused with a 400. Whatever else happens fails the test."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = RawRequest(raw, headers or {})
    try:
        if source.handshake(request) is not None:
            return []
        events = source.events(request)
    except Malformed as error:
        if error.status != 400:
            raise
        return []
    for event in events:
        for named in (event.id, event.source, event.type, event.key):
            assert isinstance(named, str)
            assert named
            named.encode()
        assert event.subject is None or isinstance(event.subject, str)
        assert event.thread is None or event.thread
        assert event.time is None or event.time.utcoffset() is not None
        json.dumps([event.data, dict(event.extensions)]).encode()
    return events


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The value with another one at a path, or without it: `...`."""
    if not path:
        return None if new is ... else new
    copy = value.copy()
    if new is ... and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy
