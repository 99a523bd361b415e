"""Selects from any JSON the values that tell a reader something, those closest to the event's subject first.

Nothing here depends on the sender. Envelopes are opened (`data`, `event`, `payload`, …), objects that have a name are
shown by it, lists of like objects become tables, and what only programs read is passed over: ids, hashes, avatars,
addresses of other things, nulls.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from shared.errors import Malformed
from shared.webhooks.rendering.event_file import hide_in_text, is_secret
from shared.webhooks.rendering.filters import shown, told
from shared.webhooks.rendering.markup import web_address
from shared.webhooks.rendering.value_names import (
    ADDRESS_NAME,
    BESIDE,
    ENVELOPES,
    FOR_PROGRAMS,
    LINKS,
    LONGEST_NAME,
    NAMED_BY,
    NAMES,
    PAIR,
    SAME_LEVEL,
    TITLES,
    UNTOLD,
    WORD_ENDS,
    for_programs,
    parent_of,
    plain_name,
    words_of,
)
from shared.webhooks.sources.json_values import read_json

MOST_SEEN: Final = 2_000  # values that are looked at
DEEPEST: Final = 6  # levels below what the event is about
ROW_SEEN: Final = 60  # of a table's row
MOST_ROWS: Final = 20  # of a table
MOST_COLUMNS: Final = 4
MOST_LISTED: Final = 10  # items of a list in one line
DEEPEST_JSON: Final = 40  # levels in which JSON in texts is read
LONGEST_WORD: Final = 200  # characters of an object's name
LONGEST_JSON: Final = 100_000  # characters of JSON in a text

# Ids and hashes by their form: GUIDs, long hex, and long runs of letters with digits.
_OPAQUE: Final = re.compile(
    r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|(?=\S*\d)[0-9a-f]{16,}"
    r"|(?=\S*\d)(?=\S*[a-z])[A-Za-z0-9+/_=-]{24,}",
    re.IGNORECASE,
)
_BASE64_JSON: Final = re.compile(r"e[yw][A-Za-z0-9+/]{14,}={0,2}")  # what begins with a brace


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """name: in lower case without signs. key: as words. parent: of the object that has it, as words; "" at the top.

    distance: from what the event is about. url: its page.
    """

    name: str
    key: str
    parent: str
    value: Any
    distance: int
    url: str | None = None

    @property
    def label(self) -> str:
        return f"{self.parent} {self.key[:1].lower()}{self.key[1:]}" if self.parent else self.key


@dataclass(frozen=True, slots=True)
class RowTable:
    label: str
    columns: list[str]
    rows: list[list[Any]]
    total: int


@dataclass(slots=True)
class TellingData:
    """values: by distance, then as they are written. addresses: name, page, distance. quiet: what is not shown, but may
    say how something is, such as its type. skipped: there is more.

    about: the name of the object that the event is about; "" where that says nothing.
    """

    about: str = ""
    values: list[Value] = field(default_factory=list)
    addresses: list[tuple[str, str, int]] = field(default_factory=list)
    tables: list[RowTable] = field(default_factory=list)
    quiet: list[Value] = field(default_factory=list)
    skipped: bool = False


def telling(data: Any, kind: str) -> TellingData:
    """What an event of this type tells; "" where it has none. data: bounded."""
    walk = _Walk()
    chain = _chain(_opened(data), {plain_name(word) for word in WORD_ENDS.split(kind) if word})
    inner: Any = None
    for distance, (_, node) in enumerate(reversed(chain)):
        walk.go(node, distance, "", inner)
        inner = node
    about = chain[-1][0]
    walk.found.about = "" if plain_name(about) in ENVELOPES or plain_name(about) in SAME_LEVEL else words_of(about)
    walk.found.values.sort(key=lambda one: one.distance)  # stable
    return walk.found


def _opened(value: Any, levels: int = DEEPEST_JSON) -> Any:
    """The value with JSON in texts as what it stands for, and a list of one object as that object."""
    if isinstance(value, str) and _BASE64_JSON.fullmatch(value) and len(value) <= LONGEST_JSON and levels:
        try:
            return _opened(read_json(b64decode(value, validate=True)), levels - 1)
        except (ValueError, Malformed):
            return value
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and len(value) <= LONGEST_JSON and levels:
        try:
            return _opened(read_json(value.encode("utf-8", "replace")), levels - 1)
        except Malformed:
            return value
    if isinstance(value, list) and levels:
        opened = [_opened(one, levels - 1) for one in value]
        alone = len(opened) == 1 and isinstance(opened[0], Mapping) and not _pair(opened[0])
        return opened[0] if alone else opened
    if isinstance(value, Mapping) and levels:
        return {str(name): _opened(one, levels - 1) for name, one in value.items()}
    return value


def _chain(root: Any, kinds: set[str]) -> list[tuple[str, Any]]:
    """From the whole event to the object that it is about, with their names."""
    chain, node = [("", root)], root
    while isinstance(node, Mapping) and len(chain) < DEEPEST and not _has(node, TITLES):
        children = {name: child for name, child in node.items() if isinstance(child, Mapping) and child}
        chosen = next(
            (name for name in children if plain_name(name) in kinds and not BESIDE.search(plain_name(name))), None
        )
        if chosen is None and not _has(node, NAMES):
            chosen = _best(children)
        if chosen is None:
            break
        node = children[chosen]
        chain.append((chosen, node))
    return chain


def _best(children: Mapping[str, Any]) -> str | None:
    """The name of the object that says most clearly what has happened."""
    names = {plain_name(name): name for name in children}
    envelopes = [names[plain] for plain in ENVELOPES if plain in names]
    others = [name for plain, name in names.items() if not BESIDE.search(plain) and not UNTOLD.search(plain)]
    found = [
        *(name for name in envelopes if _titled(children[name], 3)),
        *(name for name in others if _has(children[name], TITLES)),
        *(name for name in others if _has(children[name], NAMES)),
        *(envelopes if len(children) == 1 else []),  # around everything else
    ]
    return found[0] if found else None


def _titled(node: Any, levels: int) -> bool:
    if not isinstance(node, Mapping) or not levels:
        return False
    return _has(node, TITLES + NAMES) or any(
        _titled(child, levels - 1) for name, child in islice(node.items(), 50) if not BESIDE.search(plain_name(name))
    )


def _has(node: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Whether the object has a text of one of these names; as a title also "problemTitle"."""
    return any(
        isinstance(one, str) and told(one) and ((plain := plain_name(name)) in names or _has_title(names, plain))
        for name, one in node.items()
    )


def _has_title(names: tuple[str, ...], plain: str) -> bool:
    return "title" in names and plain.endswith("title") and not BESIDE.search(plain.removesuffix("title"))


class _Walk:
    """Goes through objects, the closest first. tables: whether lists of objects are read."""

    def __init__(self, room: int = MOST_SEEN, *, tables: bool = True) -> None:
        self.found = TellingData()
        self.room = room
        self.tables = tables

    def go(self, node: Any, distance: int, parent: str, known: Any = None) -> None:
        """Note what a node has. known: a child that has been gone through."""
        if isinstance(node, list):
            self.listed(node, "", distance, parent)
            return
        if not isinstance(node, Mapping):
            self.scalar("text" if isinstance(node, str) else "value", node, distance, parent)
            return
        for name, value in node.items():
            self.room -= 1
            if self.room < 0:
                self.found.skipped = True
                return
            if known is not None and value is known:
                continue
            if is_secret(name):
                self.found.skipped |= value not in (None, "")
            elif isinstance(value, Mapping):
                self.branch(name, value, distance, parent)
            elif isinstance(value, list):
                self.listed(value, name, distance, parent)
            else:
                self.scalar(name, value, distance, parent)

    def branch(self, name: str, value: Mapping[str, Any], distance: int, parent: str) -> None:
        """An object: by its name, or what it has."""
        plain = plain_name(name)
        if LINKS.search(plain):
            self.links(value, distance)
            return
        if not value or distance >= DEEPEST or FOR_PROGRAMS.search(plain) or UNTOLD.search(plain):
            self.found.skipped |= bool(value)
            return
        if plain in SAME_LEVEL:
            self.go(value, distance, parent)
            return
        fields = {plain_name(key): one for key, one in value.items()}
        by = next((by for by in NAMED_BY if _is_word(fields.get(by))), None)
        if by is None:
            self.go(value, distance + 1, "" if plain in ENVELOPES else parent_of(name))
            return
        pages = (web_address(fields[key]) for key in ("htmlurl", "weburl") if isinstance(fields.get(key), str))
        if not _OPAQUE.fullmatch(fields[by]):
            page = next(filter(None, pages), None)
            self.found.values.append(Value(plain, words_of(name), parent, fields[by], distance, page))
        if BESIDE.search(plain):
            self.found.skipped |= len(value) > 1
            self.addresses(value, distance + 2)
        else:
            self.go({key: one for key, one in value.items() if plain_name(key) != by}, distance + 2, parent_of(name))

    def addresses(self, value: Mapping[str, Any], distance: int) -> None:
        for name, one in value.items():
            if isinstance(one, str) and (address := web_address(one)) and not FOR_PROGRAMS.search(plain_name(name)):
                self.note_address(plain_name(name), address, distance)

    def note_address(self, name: str, address: str, distance: int) -> None:
        if "@" not in urlsplit(address).netloc:  # a password
            self.found.addresses.append((name, address, distance))

    def links(self, value: Mapping[str, Any], distance: int) -> None:
        """`{"html": {"href": "https://…"}}`, or the address itself."""
        self.found.skipped = True
        self.addresses(
            {name: one.get("href") if isinstance(one, Mapping) else one for name, one in islice(value.items(), 20)},
            distance + 1,
        )

    def listed(self, items: list[Any], name: str, distance: int, parent: str) -> None:
        self.found.skipped |= len(items) > 5 * MOST_ROWS
        there = [item for item in items[: 5 * MOST_ROWS] if item not in (None, "", [], {})]
        plain = plain_name(name)
        objects = [item for item in there if isinstance(item, Mapping)]
        pairs = [pair for item in there if (pair := _pair(item))]
        if not there:
            return
        if len(pairs) == len(there):
            for key, one in pairs:
                self.scalar(key, one, distance, "")
        elif len(objects) == len(there) and self.tables:
            self.rows_of(name, objects, distance, len(items))
        elif objects or any(isinstance(item, list) for item in there) or for_programs(name, plain):
            self.found.skipped = True
        else:
            texts = [
                hide_in_text(shown(item))
                for item in there
                if not _OPAQUE.fullmatch(shown(item)) and not web_address(item)
            ]
            self.line(name or "Items", texts, distance, parent)
            self.found.skipped |= len(texts) < len(there)

    def line(self, name: str, texts: list[str], distance: int, parent: str) -> None:
        """A list in one line."""
        more = len(texts) - MOST_LISTED
        self.found.skipped |= more > 0
        if texts:
            text = ", ".join(texts[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
            self.found.values.append(Value(plain_name(name), words_of(name), parent, text, distance))

    def rows_of(self, name: str, objects: list[Mapping[str, Any]], distance: int, total: int) -> None:
        """A list of like objects: a table of the names that most of them have, those that tell them apart first."""
        rows = []
        for one in objects:
            walk = _Walk(ROW_SEEN, tables=False)
            walk.go(one, DEEPEST - 2, "")
            kinds = [value for value in walk.found.quiet if value.name == "eventtype"]
            values = [value for value in (*kinds, *walk.found.values) if value.distance < DEEPEST]
            rows.append({value.key: value.value for value in reversed(values)})
        keys = dict.fromkeys(value for row in rows for value in reversed(row))
        order = sorted(
            keys,
            key=lambda key: (
                len({shown(row.get(key)) for row in rows}) == 1,
                plain_name(key) not in TITLES + NAMES,
                -sum(key in row for row in rows),
            ),
        )
        kept = order[:MOST_COLUMNS]
        self.found.skipped = True  # ids at least
        if len(kept) == 1:
            self.line(name, [shown(row[kept[0]]) for row in rows if kept[0] in row], distance, "")
        elif kept:
            cells = [[row.get(key) for key in kept] for row in rows[:MOST_ROWS]]
            self.found.tables.append(RowTable(words_of(name), kept, cells, total))

    def scalar(self, name: str, value: Any, distance: int, parent: str) -> None:
        plain = plain_name(name)
        if value is None or not told(value):
            return
        if is_secret(name):
            self.found.skipped = True
            return
        opaque = isinstance(value, str) and _OPAQUE.fullmatch(value)
        address = web_address(value) if isinstance(value, str) else None
        useless = for_programs(name, plain)
        if address and not useless:
            self.note_address(plain, address, distance)
        text = hide_in_text(value) if isinstance(value, str) else value
        self.found.skipped |= text != value
        said = Value(plain, words_of(name), parent, text, distance)
        if useless and not opaque and isinstance(value, str) and len(value) <= LONGEST_NAME:
            self.found.quiet.append(said)
        if useless or opaque or ADDRESS_NAME.search(plain) or (address and distance):
            self.found.skipped = True
            return
        self.found.values.append(said)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(told(value)) and len(value) <= LONGEST_WORD and not web_address(value)


def _pair(item: Any) -> tuple[str, Any] | None:
    """A name and its value: {"name": "Host", "value": "web-1"} or ["Host", "web-1"]."""
    name: Any = None
    value: Any = None
    if isinstance(item, list) and len(item) == len(("name", "value")):
        name, value = item
    elif isinstance(item, Mapping) and len(item) <= len(PAIR):
        given = {plain_name(str(key)): one for key, one in item.items()}
        if not given.keys() <= PAIR:
            return None
        name = next((one for key in ("name", "title", "key", "label") if isinstance(one := given.get(key), str)), None)
        value = given.get("value")
    is_pair = isinstance(name, str) and value is not None and not isinstance(value, list | Mapping)
    return (name, value) if is_pair else None
