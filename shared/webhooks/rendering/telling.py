"""What of any JSON tells its reader something, the closest to what the event is about first.

Nothing here knows a sender. Envelopes are opened (`data`, `event`, `payload`, …), objects that have a name are shown by
it, lists of like objects become tables, and what only programs read is passed over: ids, hashes, avatars, addresses of
other things, nulls.
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
from shared.webhooks.sources.json_values import read_json

MOST_SEEN: Final = 2_000  # values that are looked at
DEEPEST: Final = 6  # levels below what the event is about
ROW_SEEN: Final = 60  # of a table's row
MOST_ROWS: Final = 20  # of a table
MOST_COLUMNS: Final = 4
MOST_LISTED: Final = 10  # items of a list in one line
LONGEST_NAME: Final = 60  # characters of a value's name
DEEPEST_JSON: Final = 40  # levels in which JSON in texts is read
LONGEST_ACRONYM: Final = 4  # letters
LONGEST_PARENT: Final = 30  # characters
LONGEST_WORD: Final = 200  # characters of an object's name
LONGEST_JSON: Final = 100_000  # characters of JSON in a text

# Names, without signs and in lower case. Titles in the order in which they are preferred.
TITLES: Final = ("title", "headline", "issuetitle", "summary", "subject", "alarmname", "alertname", "rulename")
NAMES: Final = (
    "name", "displayname", "monitorname", "monitorfriendlyname", "checkname", "jobname", "message", "text", "msg",
)  # fmt: skip
TEXTS: Final = (
    "description",
    "shortdescription",
    "body",
    "details",
    "content",
    "reason",
    "error",
    "errormessage",
    "info",
    "output",
)
# Objects that an event is about, or that are around it.
THINGS: Final = (
    "issue", "incident", "alert", "alertgroup", "problem", "monitor", "check", "pullrequest", "build", "pipeline",
    "workflow", "job", "task", "run", "deployment", "order", "invoice", "ticket", "card", "item", "record",
)  # fmt: skip
_ENVELOPES: Final = (
    "data", "event", "eventdata", "payload", "body", "objectattributes", *THINGS, "notification", "detail", "details",
    "object", "message", "resource", "content", "result", "push", "pushdata", "fields", "attributes", "params",
    "entity", "context",
)  # fmt: skip
# Who or where, never what.
BESIDE: Final = re.compile(
    r"(?:user|sender|actor|agent|author|owner|creator|assignee|requester|customer|account|org|organization|team|company|"
    r"repository|repo|project|pusher|committer|service|host|source|app|meta|policy|server|space|page|channel|rule|"
    r"board|model|manager|decoder|method|by)$"
)
_UNTOLD: Final = re.compile(r"(?:webhook|hook|installation|subscription|integration|signature|workspace)$")
_LINKS: Final = re.compile(r"(?:links|urls)$")
_NAMED_BY: Final = (
    "displayname", "fullname", "pathwithnamespace", "repofullname", "reponame", "name", "title", "summary", "login",
    "username", "friendlyname", "nickname", "email", "key", "value",
)  # fmt: skip
_PAIR: Final = frozenset({"name", "title", "key", "label", "value", "short", "inline", "type"})
_SAME_LEVEL: Final = frozenset(
    {"labels", "annotations", "fields", "attributes", "metadata", "details", "tags", "extra"}
)
_FOR_PROGRAMS: Final = re.compile(
    r"(?:^|[a-z])(?:uuid|guid|sha|sha1|sha256|hash|md5|etag|checksum|digest|signature|fingerprint|nonce|cursor|arn|"
    r"groupkey|apiversion|specversion|schemaversion|signatureversion|schema|type|kind|color|inline|private|fork|archived|defaultbranch|timezone)$"
    r"|^(?:self|object)$|avatar|icon|emoji|thumbnail|signing|unsubscribe"
)
_ID: Final = re.compile(r"(?:^|[_\-. ])(?:id|ids|iid|sid)$|[a-z0-9](?:Id|ID|Ids|IDs|Sid|SID)$|^(?:ID|Id)$", re.ASCII)
_ADDRESS_NAME: Final = re.compile(r"(?:url|uri|href|link|links|webhook)$")
# Ids and hashes by their form: GUIDs, long hex, and long runs of letters with digits.
_OPAQUE: Final = re.compile(
    r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|(?=\S*\d)[0-9a-f]{16,}"
    r"|(?=\S*\d)(?=\S*[a-z])[A-Za-z0-9+/_=-]{24,}",
    re.IGNORECASE,
)
_BASE64_JSON: Final = re.compile(r"e[yw][A-Za-z0-9+/]{14,}={0,2}")  # what begins with a brace
_PLAIN_SIGNS: Final = re.compile(r"[\W_]+")
_WORD_ENDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_.:/-]+")


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
class Found:
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


def telling(data: Any, kind: str) -> Found:
    """What an event of this type tells; "" where it has none. data: bounded."""
    walk = _Walk()
    chain = _chain(_opened(data), {_plain(word) for word in _WORD_ENDS.split(kind) if word})
    inner: Any = None
    for distance, (_, node) in enumerate(reversed(chain)):
        walk.go(node, distance, "", inner)
        inner = node
    about = chain[-1][0]
    walk.found.about = "" if _plain(about) in _ENVELOPES or _plain(about) in _SAME_LEVEL else words_of(about)
    walk.found.values.sort(key=lambda one: one.distance)  # stable
    return walk.found


def words_of(name: str) -> str:
    """A name as words: "jobName" is "Job name", "SCANNING_COMPLETED" is "Scanning completed"."""
    name = name[:LONGEST_NAME].lower() if name.isupper() and len(name) > LONGEST_ACRONYM else name[:LONGEST_NAME]
    text = " ".join(part if part.isupper() else part.lower() for part in _WORD_ENDS.split(name) if part)
    return text[:1].upper() + text[1:]


def _plain(name: str) -> str:
    return _PLAIN_SIGNS.sub("", name[:LONGEST_NAME]).lower()


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
        chosen = next((name for name in children if _plain(name) in kinds and not BESIDE.search(_plain(name))), None)
        if chosen is None and not _has(node, NAMES):
            chosen = _best(children)
        if chosen is None:
            break
        node = children[chosen]
        chain.append((chosen, node))
    return chain


def _best(children: Mapping[str, Any]) -> str | None:
    """The name of the object that says most clearly what has happened."""
    names = {_plain(name): name for name in children}
    envelopes = [names[plain] for plain in _ENVELOPES if plain in names]
    others = [name for plain, name in names.items() if not BESIDE.search(plain) and not _UNTOLD.search(plain)]
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
        _titled(child, levels - 1) for name, child in islice(node.items(), 50) if not BESIDE.search(_plain(name))
    )


def _has(node: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Whether the object has a text of one of these names; as a title also "problemTitle"."""
    return any(
        isinstance(one, str) and told(one) and ((plain := _plain(name)) in names or _has_title(names, plain))
        for name, one in node.items()
    )


def _has_title(names: tuple[str, ...], plain: str) -> bool:
    return "title" in names and plain.endswith("title") and not BESIDE.search(plain.removesuffix("title"))


class _Walk:
    """Goes through objects, the closest first. tables: whether lists of objects are read."""

    def __init__(self, room: int = MOST_SEEN, *, tables: bool = True) -> None:
        self.found = Found()
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
        plain = _plain(name)
        if _LINKS.search(plain):
            self.links(value, distance)
            return
        if not value or distance >= DEEPEST or _FOR_PROGRAMS.search(plain) or _UNTOLD.search(plain):
            self.found.skipped |= bool(value)
            return
        if plain in _SAME_LEVEL:
            self.go(value, distance, parent)
            return
        fields = {_plain(key): one for key, one in value.items()}
        by = next((by for by in _NAMED_BY if _is_word(fields.get(by))), None)
        if by is None:
            self.go(value, distance + 1, "" if plain in _ENVELOPES else _parent(name))
            return
        pages = (web_address(fields[key]) for key in ("htmlurl", "weburl") if isinstance(fields.get(key), str))
        if not _OPAQUE.fullmatch(fields[by]):
            page = next(filter(None, pages), None)
            self.found.values.append(Value(plain, words_of(name), parent, fields[by], distance, page))
        if BESIDE.search(plain):
            self.found.skipped |= len(value) > 1
            self.addresses(value, distance + 2)
        else:
            self.go({key: one for key, one in value.items() if _plain(key) != by}, distance + 2, _parent(name))

    def addresses(self, value: Mapping[str, Any], distance: int) -> None:
        for name, one in value.items():
            if isinstance(one, str) and (address := web_address(one)) and not _FOR_PROGRAMS.search(_plain(name)):
                self.note_address(_plain(name), address, distance)

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
        plain = _plain(name)
        objects = [item for item in there if isinstance(item, Mapping)]
        pairs = [pair for item in there if (pair := _pair(item))]
        if not there:
            return
        if len(pairs) == len(there):
            for key, one in pairs:
                self.scalar(key, one, distance, "")
        elif len(objects) == len(there) and self.tables:
            self.rows_of(name, objects, distance, len(items))
        elif objects or any(isinstance(item, list) for item in there) or _for_programs(name, plain):
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
            self.found.values.append(Value(_plain(name), words_of(name), parent, text, distance))

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
                _plain(key) not in TITLES + NAMES,
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
        plain = _plain(name)
        if value is None or not told(value):
            return
        if is_secret(name):
            self.found.skipped = True
            return
        opaque = isinstance(value, str) and _OPAQUE.fullmatch(value)
        address = web_address(value) if isinstance(value, str) else None
        useless = _for_programs(name, plain)
        if address and not useless:
            self.note_address(plain, address, distance)
        text = hide_in_text(value) if isinstance(value, str) else value
        self.found.skipped |= text != value
        said = Value(plain, words_of(name), parent, text, distance)
        if useless and not opaque and isinstance(value, str) and len(value) <= LONGEST_NAME:
            self.found.quiet.append(said)
        if useless or opaque or _ADDRESS_NAME.search(plain) or (address and distance):
            self.found.skipped = True
            return
        self.found.values.append(said)


def _parent(name: str) -> str:
    return words_of(name) if len(name) <= LONGEST_PARENT else ""


def _for_programs(name: str, plain: str) -> bool:
    return bool(_FOR_PROGRAMS.search(plain) or _ID.search(name))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(told(value)) and len(value) <= LONGEST_WORD and not web_address(value)


def _pair(item: Any) -> tuple[str, Any] | None:
    """A name and its value: {"name": "Host", "value": "web-1"} or ["Host", "web-1"]."""
    name: Any = None
    value: Any = None
    if isinstance(item, list) and len(item) == len(("name", "value")):
        name, value = item
    elif isinstance(item, Mapping) and len(item) <= len(_PAIR):
        given = {_plain(str(key)): one for key, one in item.items()}
        if not given.keys() <= _PAIR:
            return None
        name = next((one for key in ("name", "title", "key", "label") if isinstance(one := given.get(key), str)), None)
        value = given.get("value")
    is_pair = isinstance(name, str) and value is not None and not isinstance(value, list | Mapping)
    return (name, value) if is_pair else None
