"""Reads values from the JSON of senders, and makes keys of events from them.

Most senders do not repeat an event that was refused, so this code is lenient where mails are read strictly: it accepts
whatever its sender considers JSON, in any encoding. A missing value is None. A value of an unexpected type is ignored,
but still appears in the mail's table.
"""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from shared.errors import Malformed
from shared.parsing.charsets import SURROGATE, decode
from shared.parsing.json_text import NotRead, load

FORM: Final = "application/x-www-form-urlencoded"
DEEPEST: Final = 200  # levels; code that reads a value later may recurse
MOST_EVENTS: Final = 5_000  # in one request: Event Grid's largest batch
MOST_VALUES: Final = 400_000  # some 60 MB of memory; in 25 MB (GitHub's largest body) one for each 60 bytes
MOST_PIECES: Final = 100_000  # items that are read one at a time: of ten megabytes, one for each hundred bytes
MOST_IN_PIECES: Final = 1_000_000  # values in all of them
_HALF = re.compile(r"\\u[dD]")


def read_json(body: bytes, charset: str = "") -> Any:
    """The value in a body. charset: as its Content-Type declares it. Raises Malformed, 400, with the position.

    Strings may contain line ends and other control characters: templates of monitoring systems paste several lines
    between quotes, and do not resend what was refused. Bytes that are not UTF-8 are read as Windows-1252.
    """
    text = decode(body, charset, repair=True)
    try:
        value = load(text, values=MOST_VALUES, levels=DEEPEST, read=_READ)
    except NotRead as error:
        raise Malformed(400, "BadRequest", f"The body cannot be read as JSON: {error}.", "$") from None
    if not _HALF.search(text):
        return value
    # No mail can hold half a surrogate pair.
    return json.loads(SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))


def read_object(body: bytes, charset: str = "") -> dict[str, Any]:
    """The object in a body. Raises Malformed, 400."""
    value = read_json(body, charset)
    if not isinstance(value, dict):
        raise Malformed(400, "BadRequest", "Expected a JSON object.", "$")
    return value


def form_field(body: bytes, name: str) -> bytes:
    """The field of a form, application/x-www-form-urlencoded. Raises Malformed, 400."""
    try:
        found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10).get(name, [])
    except ValueError:
        found = []
    if len(found) != 1:
        raise Malformed(400, "BadRequest", f"The form has no field `{name}`, or more than one.")
    return found[0].encode()


def in_pieces(body: bytes, name: str) -> tuple[dict[str, Any], Iterator[tuple[int, Any]]] | None:
    """An object without its list of this name, and the items of the list, each read when it is asked for.

    So a long list needs the memory of one item, and other threads run between two. Each item comes with about how many
    values it has. None: it can only be read as a whole. Raises Malformed, the iterator too.
    """
    if _values(body) > MOST_IN_PIECES:
        return None
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(members.pop(name), type=list[msgspec.Raw])
    except (msgspec.DecodeError, KeyError, RecursionError):
        return None
    if len(items) > MOST_PIECES:
        return None
    rest = {member: read_json(bytes(raw)) for member, raw in members.items()}
    return rest, ((_values(piece := bytes(raw)), read_json(piece)) for raw in items)


def counted(events: list[Any]) -> list[Any]:
    """The events of one request, before any of them is read. Raises Malformed, 413, for too many."""
    if len(events) > MOST_EVENTS:
        text = f"Found {len(events)} events, expected at most {MOST_EVENTS} in one request."
        raise Malformed(413, "RequestEntityTooLarge", text, f"$[{MOST_EVENTS}]")
    return events


def pick(value: Any, *path: str | int) -> Any:
    """The value at a path of names and indices; None where there is none."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str | None:
    """The text at a path, or a number as text; None for everything else, and for an empty text."""
    found = pick(value, *path)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def first_text(value: Any, *paths: str) -> str | None:
    """The text at the first of these paths, such as `pages.0.title`, that has one."""
    for path in paths:
        if found := text(value, *(int(step) if step.isdecimal() else step for step in path.split("."))):
            return found
    return None


def moment(value: Any) -> datetime | None:
    """A time in UTC: from RFC 3339, with any number of digits, or seconds since 1970. None for everything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


# Keys of events. An event that is taken for a copy is answered as done and lost, so a key joins only what the sender
# itself repeats (docs/decisions/0013-copies.md). Where an event has no name, the same bytes are the same event while
# its sender retries (`Source.retries_for`); for senders that document no time, the event gets a key of its own.


def unique_key() -> str:
    """A key that no other event has, so that this one is no copy. Made once, when the event arrives."""
    return str(uuid.uuid4())


def same_bytes(body: bytes) -> str:
    """A key for these bytes: 32 hex digits of their SHA-256."""
    return hashlib.sha256(body).hexdigest()[:32]


def digest(*parts: str) -> str:
    """A key for these texts together: 32 hex digits of a SHA-256 over them and their lengths."""
    result = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        result.update(b"%d:%b" % (len(data), data))
    return result.hexdigest()[:32]


def canonical(value: Any) -> str:
    """A JSON value as text that is the same for equal values, whatever the order of their names.

    For an event, never for a request: senders batch events anew when they retry.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _values(text: bytes) -> int:
    """At least as many values as a JSON text has: commas and opening brackets, those inside strings too."""
    return 1 + sum(text.count(sign) for sign in (b",", b"[", b"{"))


def _number(written: str) -> float | str:
    """A number; one that is too large for a float, such as 1e999, stays as it was written."""
    value = float(written)
    return value if math.isfinite(value) else written


# NaN and Infinity are written by Python and others.
_READ: Final = partial(json.loads, parse_constant=str, parse_float=_number)
