"""Reads JSON from callers strictly: returns Python objects, or raises Malformed with the path of the fault.

Strict means: in its declared encoding or otherwise UTF-8 (charsets.py), without NaN, without the same name twice in one
object, without half of a surrogate pair, without an OData annotation that would change something, and with no more
values than a mail can have. The parsers of Python and msgspec take the last of two equal names, fail later, or drop
what they do not know.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from shared.errors import Malformed
from shared.parsing.charsets import SURROGATE, decode
from shared.parsing.json_text import NotRead, load

# Annotations that describe the sender's own copy of the data. https://docs.oasis-open.org/odata/odata-json-format/v4.01
DROPPED: Final = frozenset(
    {
        "context", "etag", "id", "count", "nextLink", "editLink", "readLink", "navigationLink", "associationLink",
        "mediaContentType", "mediaEtag", "mediaEditLink", "mediaReadLink",
    }
)  # fmt: skip
ANNOTATION: Final = "@odata."
TYPE: Final = "@odata.type"
# Mailroom's own, above any mail: 2,000 addresses and 250 files are some 20,000 values; messages within messages to the
# depth that mail/limits.py allows are 60 levels.
MOST_VALUES: Final = 40_000
DEEPEST: Final = 100
_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]")
_PLAIN_NAME: Final = re.compile(r"[\w@.-]{1,60}", re.ASCII)
_SHOWN: Final = 60


def read_json(body: bytes, charset: str = "") -> Any:
    """The value that the JSON text holds, without annotations that change nothing.

    charset: as its Content-Type declares it. A string may hold control characters as they are (json_text.py).

    Raises Malformed: 400 BadRequest, with the position, for what is not JSON; 400 RequestBodyRead, with the path, for
    JSON that would lose something on its way.
    """
    text = _text(body, charset)
    reader = _JsonReader()
    try:
        tree = load(text, values=MOST_VALUES, levels=DEEPEST, read=reader.read)
    except NotRead as error:
        raise _no_json(str(error)) from None
    if reader.faults or _HALF_PAIR.search(text):
        _explain(tree, reader.faults)
    return tree


def member(path: str, name: str) -> str:
    """The path of a property, in JSONPath's notation; long names are cut, odd ones quoted."""
    if _PLAIN_NAME.fullmatch(name):
        return f"{path}.{name}"
    return f"{path}[{json.dumps(name if len(name) <= _SHOWN else name[:_SHOWN] + '…')}]"


class _JsonReader:
    """Reads objects, inner ones first, and notes for each a fault of its names."""

    def __init__(self) -> None:
        self.faults: dict[int, tuple[str, str]] = {}  # id of the object -> name, what is wrong with it

    def read(self, text: str, *, strict: bool) -> Any:
        self.faults = {}  # those of an earlier pass are of objects that are gone
        return json.loads(text, strict=strict, object_pairs_hook=self.read_object, parse_constant=_no_constant)

    def read_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        names = [name for name, _ in pairs]
        if len(result) != len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            self.faults[id(result)] = twice, "Found this property twice in its object; expected it once."
        for name in names:
            if "@" in name and ANNOTATION in name:
                self._annotation(result, name)
        return result

    def _annotation(self, result: dict[str, Any], name: str) -> None:
        value = result.get(name)
        if name == TYPE:
            if value is None:
                result.pop(name, None)
            return
        on, _, term = name.partition(ANNOTATION)
        if term in DROPPED or (term == "type" and on):
            result.pop(name, None)
        else:
            self.faults.setdefault(id(result), (name, "Graph does not accept this annotation in a message."))


def _explain(tree: Any, faults: dict[int, tuple[str, str]]) -> None:
    """Raise for the first fault in document order; return when there is none after all (whole surrogate pairs)."""
    for steps, value in _walk(tree, []):
        if isinstance(value, dict):
            for name in value:
                if SURROGATE.search(name):
                    raise Malformed(400, "RequestBodyRead", "A name contains half of a surrogate pair.", path_of(steps))
            if id(value) in faults:
                name, wrong = faults[id(value)]
                raise Malformed(400, "RequestBodyRead", wrong, member(path_of(steps), name))
        elif isinstance(value, str) and SURROGATE.search(value):
            raise Malformed(400, "RequestBodyRead", "The text contains half of a surrogate pair.", path_of(steps))
    if faults:  # in an object that a second one of the same name has hidden, or inside an annotation
        raise Malformed(400, "RequestBodyRead", next(iter(faults.values()))[1], "$")


def _walk(value: Any, steps: list[str | int]) -> Iterator[tuple[list[str | int], Any]]:
    """Every value in document order, with the steps that lead to it: one list, which changes from value to value.

    A path is written out for a fault only: the paths of all values together can be a thousand times the document.
    """
    yield steps, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inner:
        steps.append(step)
        yield from _walk(one, steps)
        steps.pop()


def path_of(steps: list[str | int]) -> str:
    """The JSON path of these names and indices."""
    path = "$"
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else member(path, step)
    return path


def _text(body: bytes, charset: str) -> str:
    try:
        text = decode(body, charset)
    except UnicodeDecodeError as error:
        raise _no_json(f"byte {error.start} is not {error.encoding.upper()}") from None
    if not text.strip():
        raise Malformed(400, "BadRequest", "Empty payload. JSON content expected.", "$")
    return text


def _no_json(why: str) -> Malformed:
    return Malformed(400, "BadRequest", f"Unable to read the JSON request payload: {why}.", "$")


def _no_constant(name: str) -> None:
    raise NotRead(f"{name} is not JSON")
