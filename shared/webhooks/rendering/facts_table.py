"""Any JSON as names and values, for the mail of an event without a template of its own.

Names are JMESPath, as the author of a route writes them in `at("…")`: `alert.labels[0].name`. The event's direct values
come first, then a group for each object and list in it. Bounded, whatever the event contains.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from shared.webhooks.rendering.filters import cut, shown

ROWS: Final = 200
CHARACTERS: Final = 60_000  # of all names and values; escaped in a link, one can become ten
LONGEST_VALUE: Final = 2_000  # characters
LONGEST_NAME: Final = 200  # characters
COUNTED: Final = 10_000  # of those left out
# Names of secrets, which do not belong in a mail.
_SECRET: Final = re.compile(
    r"(?:secret|password|passwd|passphrase|api_?key|access_?token|refresh_?token|private_?key)\W*$", re.IGNORECASE
)
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Fact:
    """A value and its name within its group. empty: the value has no text of its own."""

    name: str
    text: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class FactGroup:
    """Facts under one name; "" for the event's direct values."""

    name: str
    rows: list[Fact] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FactsTable:
    """left_out: how many more values there are. uncounted: there are more than that."""

    groups: list[FactGroup]
    left_out: int = 0
    uncounted: bool = False


def table_of(data: Any) -> FactsTable:
    """The first 200 values of the event, each cut at 2,000 characters; secrets, by their names, are not shown."""
    groups: list[FactGroup] = []
    leaves, room = _leaves(data), CHARACTERS
    for group, name, value in islice(leaves, ROWS):
        text, empty = _text(value)
        if not empty and _SECRET.search(name):
            text, empty = "not shown here", True
        if not groups or groups[-1].name != group:
            groups.append(FactGroup(group))
        groups[-1].rows.append(Fact(name, text, empty))
        room -= len(group) + len(name) + len(text)
        if room <= 0:
            break
    left_out = sum(1 for _ in islice(leaves, COUNTED))
    return FactsTable(groups, left_out, uncounted=next(leaves, None) is not None)


def _leaves(data: Any) -> Iterator[tuple[str, str, Any]]:
    """Group, name and value of everything that has no values of its own. No recursion: the sender chooses the depth."""
    if not _is_branch(data):
        if data is not None and data not in ({}, []):
            yield "", "data", data
        return
    branches = []
    for step, value in _children(data):
        if _is_branch(value):
            branches.append((step, value))
        else:
            yield "", step, value
    for group, branch in branches:
        stack = [iter([("", branch)])]
        while stack:
            for path, value in stack[-1]:
                if _is_branch(value):
                    stack.append(_below(path, value))
                    break
                yield group, path, value
            else:
                stack.pop()


def _below(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    for step, child in _children(value):
        if len(path) >= LONGEST_NAME:
            yield path, child
        else:
            joint = "." if path and not step.startswith("[") else ""
            yield _short(f"{path}{joint}{step}"), child


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            name = shown(key)
            yield _short(name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)), child
    else:
        for index, child in enumerate(value):
            yield f"[{index}]", child


def _is_branch(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and len(value) > 0


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _text(value: Any) -> tuple[str, bool]:
    """The text of a value without values of its own, and whether it is empty."""
    if value is None:
        return "none", True
    text = shown(value) if not isinstance(value, Mapping | list | tuple) else ""
    return (cut(text, LONGEST_VALUE), False) if text.strip() else ("empty", True)
