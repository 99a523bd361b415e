"""Selects from any JSON the values that tell a reader something, those closest to the event's subject first.

Nothing here depends on the sender. Envelopes are opened (`data`, `event`, `payload`, …), objects that have a name are
shown by it, lists of like objects become tables, and what only programs read is passed over: ids, hashes, avatars,
addresses of other things, nulls.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from shared.webhooks.rendering.event_file import hide_in_text, is_secret
from shared.webhooks.rendering.event_subject import opened, path_to_subject
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
    SAME_LEVEL,
    TITLES,
    UNTOLD,
    WORD_ENDS,
    for_programs,
    pair_in,
    parent_of,
    plain_name,
    words_of,
)

MOST_SEEN: Final = 2_000  # values that are looked at
DEEPEST: Final = 6  # levels below what the event is about
ROW_SEEN: Final = 60  # of a table's row
MOST_ROWS: Final = 20  # of a table
MOST_COLUMNS: Final = 4
MOST_LISTED: Final = 10  # items of a list in one line
LONGEST_WORD: Final = 200  # characters of an object's name

# Ids and hashes by their form: GUIDs, long hex, and long runs of letters with digits.
_OPAQUE: Final = re.compile(
    r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|(?=\S*\d)[0-9a-f]{16,}"
    r"|(?=\S*\d)(?=\S*[a-z])[A-Za-z0-9+/_=-]{24,}",
    re.IGNORECASE,
)


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
    chain = path_to_subject(opened(data), {plain_name(word) for word in WORD_ENDS.split(kind) if word}, DEEPEST)
    inner: Any = None
    for distance, (_, node) in enumerate(reversed(chain)):
        walk.go(node, distance, "", inner)
        inner = node
    about = chain[-1][0]
    walk.found.about = "" if plain_name(about) in ENVELOPES or plain_name(about) in SAME_LEVEL else words_of(about)
    walk.found.values.sort(key=lambda one: one.distance)  # stable
    return walk.found


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
        pairs = [pair for item in there if (pair := pair_in(item))]
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
