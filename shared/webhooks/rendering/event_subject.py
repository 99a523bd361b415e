"""What an event is about: by its objects, whose envelopes are opened, and by its type."""

import re
from base64 import b64decode
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from shared.errors import Malformed
from shared.webhooks.rendering.filters import one_line, shorten, told
from shared.webhooks.rendering.value_names import (
    BESIDE,
    ENVELOPES,
    LONGEST_NAME,
    NAMES,
    TITLES,
    UNTOLD,
    pair_in,
    plain_name,
    words_of,
)
from shared.webhooks.sources.json_values import read_json
from shared.webhooks.sources.source import SOURCES, SourceEvent

NO_TYPE: Final = "event"  # of any_json.py
_VERSION: Final = re.compile(r"v?\d+(?:[._]\d+)*")
DEEPEST_JSON: Final = 40  # levels in which JSON in texts is read
LONGEST_JSON: Final = 100_000  # characters of JSON in a text
_BASE64_JSON: Final = re.compile(r"e[yw][A-Za-z0-9+/]{14,}={0,2}")  # what begins with a brace
_DOMAINS: Final = frozenset({"com", "org", "net", "io", "dev", "de", "microsoft", "azure", "jira", "ms"})


def opened(value: Any, levels: int = DEEPEST_JSON) -> Any:
    """The value with JSON in texts as what it stands for, and a list of one object as that object."""
    if isinstance(value, str) and _BASE64_JSON.fullmatch(value) and len(value) <= LONGEST_JSON and levels:
        try:
            return opened(read_json(b64decode(value, validate=True)), levels - 1)
        except (ValueError, Malformed):
            return value
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"') and len(value) <= LONGEST_JSON and levels:
        try:
            return opened(read_json(value.encode("utf-8", "replace")), levels - 1)
        except Malformed:
            return value
    if isinstance(value, list) and levels:
        found = [opened(one, levels - 1) for one in value]
        alone = len(found) == 1 and isinstance(found[0], Mapping) and not pair_in(found[0])
        return found[0] if alone else found
    if isinstance(value, Mapping) and levels:
        return {str(name): opened(one, levels - 1) for name, one in value.items()}
    return value


def path_to_subject(root: Any, kinds: set[str], deepest: int) -> list[tuple[str, Any]]:
    """From the whole event to the object that it is about, with their names. kinds: words of its type."""
    chain, node = [("", root)], root
    while isinstance(node, Mapping) and len(chain) < deepest and not _has(node, TITLES):
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


def happened(event: SourceEvent, route: str, about: str) -> str:
    """The type of the event as words, without domain and version: "Object deleted". "" where it has none.

    about: what the event is about, by its objects.
    """
    kind = event.type
    if kind.partition(".")[0] in (*SOURCES, route):  # a type that Mailroom has made up
        return ""
    if kind in (NO_TYPE, event.source):
        return about
    if " " in kind.strip():  # words for people
        return shorten(one_line(kind), LONGEST_NAME)
    parts = [part for part in re.split(r"[./:\s]+", kind) if part and not _VERSION.fullmatch(part)]
    parts = [part for part in parts if part.lower() not in _DOMAINS]
    return shorten(words_of(" ".join(parts[-2:])), LONGEST_NAME)
