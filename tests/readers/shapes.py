"""Texts and documents that cost more than their size suggests: each shape makes one of about so many bytes in UTF-8."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Shape = Callable[[int], Any]

# Of one class each (ccc 220 and 230), so that a run of both has to be sorted.
_BELOW, _ABOVE = "\u0316", "\u0300"


def bound[T](make: Callable[[T, int], Any], value: T) -> Shape:
    """A shape that is made with this value."""
    return lambda size: make(value, size)


_UNITS: Final[Mapping[str, str]] = {
    "letters": "a",
    "words": "word ",
    "combining marks, unsorted": _ABOVE + _BELOW,
    "ligatures that grow": "\ufdfa",
    "full-width letters": "\uff41",
    "em spaces": "\u2003",
    "tabs": "\t",
    "blanks": " ",
    "line breaks": "\n",
    "blank lines": " \n",
    "carriage returns": "\r",
    "line separators": "\u2028",
    "controls": "\x01",
    "zero-width": "\u200b",
    "quotes": '"',
    "apostrophes": "'",
    "backslashes": "\\",
    "escaped quotes": '\\"',
    "quoted pairs": "\\a",
    "quoted words": '"a b" ',
    "percents": "%",
    "percent-encoded": "%41",
    "percent-encoded bytes": "%ff",
    "parentheses": "(",
    "comments": "(a) ",
    "angle brackets": "<",
    "angle addresses": "<a@b.test>, ",
    "commas": ",",
    "semicolons": ";",
    "parameters": "a=b; ",
    "colons": ":",
    "dots": ".",
    "dashes": "-",
    "underscores": "_",
    "slashes": "/",
    "at signs": "@",
    "equals": "=",
    "encoded words": "=?utf-8?q?a?= ",
    "empty encoded words": "=??q??=",
    "encoded words begun": "=?",
    "ampersands": "&",
    "entities": "&amp;",
    "braces": "{{",
    "tags": "<b>",
    "closed tags": "<b></b>",
    "nested tables": "<table><tr><td>",
    "links": '<a href="https://a.test">',
    "end tags": "</p>",
    "html comments": "<!--",
    "html comments closed": "<!-->",
    "attributes": '<a b="',
    "doctypes": "<!doctype ",
    "scripts": "<script>",
    "markdown": "* _`#[](",
    "diff": "+-\n",
    "names of labels": "xn--",
    "labels": "a.",
    "IDN labels": "\u00fc.",
    "arabic": "\u0627",
    "kana marks": "\uff9e",
    "surrogates": "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "halves of pairs": "\ud800",
    "digits": "9",
    "status prefixes": "[firing] ",
    "prefixes": "RE: ",
}
TEXTS: Final[Mapping[str, Callable[[int], str]]] = {
    name: bound(lambda unit, size: unit * (size // len(unit.encode("utf-8", "surrogatepass"))), unit)
    for name, unit in _UNITS.items()
}
# Kinds of text for whole documents.
HOSTILE: Final = (
    "letters", "combining marks, unsorted", "em spaces", "tabs", "line breaks", "quotes", "backslashes",
    "angle brackets", "nested tables", "links", "markdown", "surrogates", "halves of pairs", "digits", "percents",
)  # fmt: skip


def as_json(value: Any, *, ascii_only: bool = False) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _deep(size: int, levels: int) -> Any:
    """Long names above many members: the path of each is far longer than the member."""
    value: Any = [0] * max(1, (size - levels * 66) // 2)
    for level in range(levels):
        value = {f"{'n' * 57}{level:03}": value}
    return value


VALUES: Final[Mapping[str, Shape]] = {
    **{f"a text of {name}": bound(lambda kind, size: {"a": TEXTS[kind](size)}, name) for name in HOSTILE},
    "a wide array": lambda size: [0] * (size // 2),
    "an array of texts": lambda size: ["aaa"] * (size // 6),
    "an array of objects": lambda size: [{"a": n} for n in range(size // 13)],
    "small objects": lambda size: [{"": 0}] * (size // 7),
    "empty objects": lambda size: [{}] * (size // 3),
    "a wide object": lambda size: {f"n{n}": 0 for n in range(size // 11)},
    "long names": lambda size: {"n" * (size // 4) + str(n): 0 for n in range(4)},
    "long names above many": lambda size: _deep(size, 60),
    "a fault behind many": lambda size: {"deep": _deep(size - 20, 60), "last": "\ud800"},
    "a wide tree": lambda size: [[[0] * 20] * 20] * (size // 900),
    "long numbers": lambda size: [int("9" * 4000)] * (size // 4001),
    "fractions": lambda size: [0.123456789012345] * (size // 18),
}


def documents(*, around: Callable[[Any], Any] = lambda value: value, without: str = "\0") -> dict[str, Shape]:
    """Each of VALUES as JSON, in what `around` puts around it; not those with this word in their names."""
    return {
        name: bound(lambda shape, size: as_json(around(shape(size))), shape)
        for name, shape in VALUES.items()
        if without not in name
    }


def of_texts(*, begin: str = "", end: str = "", only: tuple[str, ...] = ()) -> dict[str, Shape]:
    """A text of each kind, between these."""

    def made(kind: str, size: int) -> str:
        return f"{begin}{TEXTS[kind](size - len(begin) - len(end))}{end}"

    return {kind: bound(made, kind) for kind in only or TEXTS}


def many(*units: str) -> dict[str, Shape]:
    """Each of these texts, again and again."""
    return {f"many {unit!r}": bound(lambda unit, size: unit * (size // len(unit)), unit) for unit in units}
