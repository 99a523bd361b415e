"""Values, texts and bodies of JSON that cost more than they look."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.readers.shapes import TEXTS, bound

__all__ = ["HOSTILE", "VALUES", "as_json"]

# Kinds of text for where a whole document is read with each.
HOSTILE: Final = (
    "letters",
    "combining marks, unsorted",
    "em spaces",
    "tabs",
    "line breaks",
    "quotes",
    "backslashes",
    "angle brackets",
    "nested tables",
    "links",
    "markdown",
    "surrogates",
    "halves of pairs",
    "digits",
    "percents",
)


def as_json(value: Any, *, ascii_only: bool = False) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _deep(size: int, levels: int) -> Any:
    """Long names above many members: the path of each is far longer than the member."""
    value: Any = [0] * max(1, (size - levels * 66) // 2)
    for level in range(levels):
        value = {f"{'n' * 57}{level:03}": value}
    return value


def _faulty(size: int) -> Any:
    return {"deep": _deep(size - 20, 60), "last": "\ud800"}


VALUES: Final[Mapping[str, Callable[[int], Any]]] = {
    **{f"a text of {name}": bound(lambda kind, size: {"a": TEXTS[kind](size)}, name) for name in HOSTILE},
    "a wide array": lambda size: [0] * (size // 2),
    "an array of texts": lambda size: ["aaa"] * (size // 6),
    "an array of objects": lambda size: [{"a": n} for n in range(size // 13)],
    "small objects": lambda size: [{"": 0}] * (size // 7),
    "empty objects": lambda size: [{}] * (size // 3),
    "a wide object": lambda size: {f"n{n}": 0 for n in range(size // 11)},
    "long names": lambda size: {"n" * (size // 4) + str(n): 0 for n in range(4)},
    "long names above many": lambda size: _deep(size, 60),
    "a fault behind many": _faulty,
    "a wide tree": lambda size: [[[0] * 20] * 20] * (size // 900),
    "long numbers": lambda size: [int("9" * 4000)] * (size // 4001),
    "fractions": lambda size: [0.123456789012345] * (size // 18),
}
