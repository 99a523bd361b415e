"""No regular expression of the app takes the square of a text: two repeats without end beside each other over the same
characters, one within another, or one at the beginning of what is searched for.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from re import _constants as c  # where CPython keeps its parser
from re import _parser
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FUNCTIONS: Final = {"compile", "sub", "subn", "search", "match", "fullmatch", "findall", "finditer", "split"}
# These look for the beginning of a match at every character.
SEARCHING: Final = {"sub", "subn", "search", "findall", "finditer", "split"}
# What tells characters apart: ASCII, Latin-1, blanks, and some mails.
ALPHABET: Final = [
    chr(code) for code in (*range(0x180), *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0xFF21, 0x0300, 0x0661)
]
ZERO: Final = (c.AT, c.ASSERT, c.ASSERT_NOT)
REPEATS: Final = (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)
# Patterns that are searched for with a repeat at their beginning: reason. Each is over a text whose length is small.
SMALL: Final = {
    "[\\s,]+": "splits settings, the operator's own",
}
FILES: Final = sorted(path for folder in ("shared",) for path in (ROOT / folder).rglob("*.py"))


def _patterns() -> Iterator[tuple[str, str, int, set[str]]]:
    """Where each stands, its text and flags, and by which functions it is used."""
    uses: dict[tuple[Path | None, str], set[str]] = defaultdict(set)  # in its own file, or in any
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS:
                owners = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                for owner in owners:
                    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                    uses[path, name].add(node.attr)
                    uses[None, name].add(node.attr)
    for path in FILES:
        tree = ast.parse(path.read_text())
        named = {
            id(node.value): target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and node.value
        }
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS
            ):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            values = vars(import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
            used = (
                (uses[path, name := named.get(id(node), "")] or uses[None, name])
                if node.func.attr == "compile"
                else {node.func.attr}
            )
            flags = int(_evaluated(_flags(node), values, place) or 0)
            choice = node.args[0]
            for one in (choice.body, choice.orelse) if isinstance(choice, ast.IfExp) else (choice,):
                text = _evaluated(one, values, place)
                yield place, text if isinstance(text, str) else text.decode("latin-1"), flags, used or SEARCHING


@cache
def patterns() -> list[tuple[str, str, int, set[str]]]:
    return list(_patterns())


def _flags(node: ast.Call) -> ast.expr | None:
    given = [keyword.value for keyword in node.keywords if keyword.arg == "flags"]
    return given[0] if given else node.args[1] if node.func.attr == "compile" and len(node.args) > 1 else None  # type: ignore[attr-defined]


def _evaluated(node: ast.expr | None, values: dict[str, Any], place: str) -> Any:
    if node is None:
        return None
    try:
        return eval(compile(ast.Expression(node), place, "eval"), dict(values))  # noqa: S307 - the app's own constants
    except NameError:
        pytest.fail(f"{place}: a pattern of which nobody can say what it is; make it of constants of the module")


def faults(text: str, flags: int, *, searched: bool) -> list[str]:
    items = list(_parser.parse(text, flags & ~re.DEBUG))
    found = list(_beside(items))
    if searched and text not in SMALL:
        for at, item in enumerate(items):
            if _endless(item) and any(not _nullable(one) or one[0] in ZERO for one in items[at + 1 :]):
                found.append("a repeat without end at its beginning")
            if not _nullable(item) or _endless(item):
                break
    return found


def _beside(items: list[Any], *, again: bool = False) -> Iterator[str]:
    """again: after the last of these comes the first."""
    row = [*items, *items] if again else items
    for at, item in enumerate(row):
        if not _endless(item) or item[0] is c.POSSESSIVE_REPEAT:
            continue
        for other in row[at + 1 :]:
            if _endless(other) and _edge(item, last=True) & _edge(other, last=False):
                yield "two repeats without end over the same characters"
            if not _nullable(other) and not (_edge(item, last=True) & _edge(other, last=False)):
                break  # what the first takes ends here for certain
    for item in items:
        for inner in _inner(item):
            again = item[0] in (c.MAX_REPEAT, c.MIN_REPEAT) and item[1][1] is c.MAXREPEAT
            yield from _beside(inner, again=again)


def _inner(item: Any) -> list[list[Any]]:
    kind, value = item
    if kind in REPEATS:
        return [list(value[2])]
    if kind is c.SUBPATTERN:
        return [list(value[3])]
    if kind is c.BRANCH:
        return [list(one) for one in value[1]]
    if kind is c.ATOMIC_GROUP:
        return [list(value)]
    return [list(value[1])] if kind in (c.ASSERT, c.ASSERT_NOT) else []


def _endless(item: Any) -> bool:
    kind, value = item
    if kind is c.SUBPATTERN and len(value[3]) == 1:
        return _endless(value[3][0])
    return kind in REPEATS and value[1] is c.MAXREPEAT


def _nullable(item: Any) -> bool:
    kind, value = item
    if kind in REPEATS:
        return value[0] == 0 or all(map(_nullable, value[2]))
    if kind is c.SUBPATTERN:
        return all(map(_nullable, value[3]))
    if kind is c.BRANCH:
        return any(all(map(_nullable, one)) for one in value[1])
    return kind in (c.AT, c.ASSERT, c.ASSERT_NOT)


def _edge(item: Any, *, last: bool) -> set[str]:
    """The characters that it may end with, or begin with."""
    kind = item[0]
    if kind in (c.LITERAL, c.NOT_LITERAL, c.IN, c.ANY):
        return _characters(item)
    found: set[str] = set()
    for inner in _inner(item) if kind not in (c.ASSERT, c.ASSERT_NOT) else []:
        for one in reversed(inner) if last else inner:
            found |= _edge(one, last=last)
            if not _nullable(one):
                break
    return found


def _characters(item: Any) -> set[str]:
    kind, value = item
    if kind is c.ANY:
        return set(ALPHABET)
    if kind is c.LITERAL:
        return {chr(value)}
    if kind is c.NOT_LITERAL:
        return set(ALPHABET) - {chr(value)}
    negated = value[0][0] is c.NEGATE
    found: set[str] = set()
    for what, which in value[1:] if negated else value:
        if what is c.LITERAL:
            found.add(chr(which))
        elif what is c.RANGE:
            found |= {sign for sign in ALPHABET if which[0] <= ord(sign) <= which[1]}
        elif what is c.CATEGORY:
            found |= {sign for sign in ALPHABET if _in_category(sign, which)}
    return set(ALPHABET) - found if negated else found


def _in_category(sign: str, category: Any) -> bool:
    signs = {
        c.CATEGORY_DIGIT: sign.isdigit(),
        c.CATEGORY_SPACE: sign.isspace(),
        c.CATEGORY_WORD: sign.isalnum() or sign == "_",
    }
    signs |= {
        c.CATEGORY_NOT_DIGIT: not sign.isdigit(),
        c.CATEGORY_NOT_SPACE: not sign.isspace(),
        c.CATEGORY_NOT_WORD: not (sign.isalnum() or sign == "_"),
    }
    return signs[category]


def test_no_pattern_takes_the_square_of_a_text() -> None:
    found = [
        f"{place}: {fault}: {text}"
        for place, text, flags, used in patterns()
        for fault in faults(text, flags, searched=bool(used & SEARCHING))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (r"\s*\n\s*\n\s*", "two"),
        (r"[a-z]+[a-z0-9]*x", "two"),
        (r"(?:a+)+b", "two"),
        (r"(?:a*b?)*c", "two"),
        (r"a+(?=b)?\w*c", "two"),
        (r"[ \t]+\n", "beginning"),
        (r"(\s+)$", "beginning"),
        (r"[a-z]++(?:\.[a-z]++)*+", None),
        (r"(?:[^\"\\]|\\.)*", None),
        (r"<[^>]*>", None),
        (r"a*b*c*", None),
    ],
)
def test_what_takes_the_square_is_found_and_nothing_else(text: str, fault: str | None) -> None:
    found = faults(text, 0, searched=True)
    assert any(fault in one for one in found) if fault else not found, found


def test_all_patterns_are_looked_at() -> None:
    assert len(patterns()) > 100
