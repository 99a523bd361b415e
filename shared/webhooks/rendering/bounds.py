"""Limits how much of an event templates see, so that no template takes too long.

A template may iterate over an object once for each of its entries. So the width of the event is limited, whoever has
written the template. The mail says what was left out.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from shared.webhooks.rendering.filters import shown

MOST_ENTRIES: Final = 500  # of one object
MOST_ITEMS: Final = 2_500  # of one list; GitHub has 2,048 commits in a push
MOST_VALUES: Final = 50_000  # in all
LONGEST_TEXT: Final = 100_000  # characters of one text; GitHub has 65,536 in a comment
MOST_CHARACTERS: Final = 1_000_000  # of all names and texts
MOST_NOTES: Final = 5
LONGEST_PLACE: Final = 100  # characters
Path = tuple[str | int, ...]


def bounded(data: Any) -> tuple[Any, tuple[str, ...]]:
    """The data as far as templates see it, and sentences that say what is left out."""
    cutter = _Cutter()
    return cutter.cut(data, ()), tuple(cutter.notes)


def size_of(data: Any, most: int) -> int:
    """The approximate size of a value as bytes of JSON, up to about this number."""
    size, todo = 0, [data]
    while todo and size <= most:
        value = todo.pop()
        size += 8 + (len(value) if isinstance(value, str) else 0)
        if isinstance(value, Mapping):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return size


class _Cutter:
    """Copies a value up to its bounds, in document order. Depth is bounded by the reader of the event."""

    def __init__(self) -> None:
        self.values = MOST_VALUES
        self.characters = MOST_CHARACTERS
        self.notes: list[str] = []

    def cut(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            kept = self._few(len(value), MOST_ENTRIES, path, "entries")
            entries = islice(value.items(), kept)
            return {self._text(name, path): self.cut(one, (*path, name)) for name, one in entries}
        if isinstance(value, list):
            kept = self._few(len(value), MOST_ITEMS, path, "items")
            return [self.cut(one, (*path, at)) for at, one in enumerate(value[:kept])]
        return value

    def _few(self, there: int, most: int, path: Path, what: str) -> int:
        kept = max(0, min(there, most, self.values))
        self.values -= kept
        if kept < there:
            self._note(f"Of {there:,} {what} of {_place(path)} only the first {kept:,} are read for this mail.")
        return kept

    def _text(self, text: str, path: Path) -> str:
        kept = max(0, min(len(text), LONGEST_TEXT, self.characters))
        self.characters -= kept
        if kept < len(text):
            self._note(f"Of the text {_place(path)} only the first {kept:,} of {len(text):,} characters are read.")
        return text[:kept]

    def _note(self, text: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)


def _place(path: Path) -> str:
    """As JMESPath, `alert.labels[0]`, with long names cut."""
    place = ""
    for step in path:
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            place = f"{place[:LONGEST_PLACE]}{'.' if place else ''}{shown(step)[:LONGEST_PLACE]}"
    return place or "the event"
