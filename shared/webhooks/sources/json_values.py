"""What sources read out of other people's JSON.

An event that cannot be read is lost with most senders, so this is generous where the reading of mails is strict: what
is JSON to its sender is read, in whatever encoding. What is not there is None; what has another type than expected is
passed over, and stands in the mail's table all the same.
"""

import hashlib
import json
import math
import re
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from shared.errors import Malformed
from shared.parsing.charsets import decode
from shared.parsing.json_text import TooMuch, load

__all__ = ["MOST_EVENTS", "counted", "digest", "moment", "pick", "read_json", "read_object", "text"]

DEEPEST: Final = 200  # levels; what reads a value later may do so in functions that call themselves
MOST_EVENTS: Final = 5_000  # of one request: Event Grid's largest batch
MOST_VALUES: Final = 400_000  # some 60 MB of memory, of 25 MB (GitHub's largest) one for each 60 bytes
_HALVES = re.compile("[\ud800-\udfff]")
_HALF = re.compile(r"\\u[dD]")


def read_json(body: bytes, charset: str = "") -> Any:
    """The value that a body holds. charset: as its Content-Type declares it. Raises Malformed, 400, with the position.

    Line ends and other control characters may stand in a string as they are: templates of monitoring systems paste
    several lines between quotes, and do not send again what was refused. Bytes that are no UTF-8 are Windows-1252.
    """
    text = decode(body, charset, repair=True)
    try:
        value = load(text, values=MOST_VALUES, levels=DEEPEST, read=_READ)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise Malformed(400, "BadRequest", f"The body is not JSON: {error.msg}, at {where}.") from None
    except ValueError:
        raise Malformed(400, "BadRequest", "The body is not JSON: a number of thousands of digits.") from None
    except TooMuch as error:
        raise Malformed(400, "BadRequest", f"The body is not read: {error}.", "$") from None
    return _whole(value) if _HALF.search(text) else value


def read_object(body: bytes, charset: str = "") -> dict[str, Any]:
    """The object that a body holds. Raises Malformed, 400."""
    value = read_json(body, charset)
    if not isinstance(value, dict):
        raise Malformed(400, "BadRequest", "Expected a JSON object.", "$")
    return value


def counted(events: list[Any]) -> list[Any]:
    """The events of one request, before any of them is read. Raises Malformed, 413, for too many."""
    if len(events) > MOST_EVENTS:
        text = f"Found {len(events)} events, expected {MOST_EVENTS} at most in one request."
        raise Malformed(413, "RequestEntityTooLarge", text, f"$[{MOST_EVENTS}]")
    return events


def pick(value: Any, *path: str | int) -> Any:
    """What stands at a path of names and indices; None where there is no such thing."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str | None:
    """The text at a path, or a number as text; None for everything else, and for an empty one."""
    found = pick(value, *path)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def moment(value: Any) -> datetime | None:
    """A time in UTC: of RFC 3339, with any number of digits, or in seconds since 1970. None for everything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def digest(*parts: str) -> str:
    """A short name for these texts together: 32 hex digits of a SHA-256 over them and where each ends."""
    result = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        result.update(b"%d:%b" % (len(data), data))
    return result.hexdigest()[:32]


def _number(written: str) -> float | str:
    """A number; one that is larger than any that there is, such as 1e999, stays as it was written."""
    value = float(written)
    return value if math.isfinite(value) else written


# NaN and Infinity are written by Python and others.
_READ: Final = partial(json.loads, parse_constant=str, parse_float=_number)


def _whole(value: Any) -> Any:
    """The value without halves of surrogate pairs, which no mail can hold: U+FFFD stands for each."""
    return json.loads(_HALVES.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
