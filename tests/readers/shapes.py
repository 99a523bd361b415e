"""Texts that cost more than they look: each function makes one of about so many bytes in UTF-8."""

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["TEXTS", "bound"]

# Of one class each (ccc 220 and 230), so that a run of both has to be sorted.
_BELOW, _ABOVE = "\u0316", "\u0300"


def bound[T](make: Callable[[T, int], Any], value: T) -> Callable[[int], Any]:
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
