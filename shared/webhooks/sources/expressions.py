"""JMESPath (https://jmespath.org/specification.html) in routes and templates.

Evaluating an expression never raises, whatever the event contains. The library's functions raise other exceptions than
its own for strange values: `avg` of numbers with hundreds of digits is an OverflowError.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, Final

COMPARATORS: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
CONSTANTS: Final = frozenset({"true", "false", "null"})
# What JMESPath evaluates the rest of an expression on, instead of the value that the whole expression sees.
STEPS: Final = frozenset({
    "filter_projection", "index_expression", "pipe", "projection", "subexpression", "value_projection",
})  # fmt: skip
HINTS: Final = {
    "NUMBER": "a number is written between backticks, `100`",
    "UNKNOWN TOKEN '='": "a comparison is written ==",
    "UNKNOWN TOKEN '-'": 'a name with a dash is written in double quotes, "request-id"',
    "LBRACE": "a JMESPath is no template: expected it without {{ }}",
    "and": "expected &&",
    "or": "expected ||",
    "not": "expected !",
}


@lru_cache(maxsize=4096)  # a template of the operator may build expressions from an event
def compiled(expression: str) -> Any:
    """The parsed expression. Cached, since expressions are in routes and templates.

    Raises ValueError where it cannot be read, or calls an unknown function: the library reports that only when the
    function is called.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions

    try:
        parsed = jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(f"no JMESPath: {_fault(error, expression)}") from None
    for node in _nodes(parsed.parsed):
        if node["type"] == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
            raise ValueError(f"JMESPath has no function {node['value']}()")
    return parsed


def check(expression: str, names: Collection[str] = ()) -> None:
    """Raise ValueError for an expression that cannot be meant. names: what its value has at its top; none: unknown."""
    tree = compiled(expression).parsed
    for name in _compared_names(expression):
        text = f"`{name}`" if name in CONSTANTS else f"'{name}'"
        raise ValueError(f"in JMESPath {name if name in CONSTANTS else f'"{name}"'} is a name; the value is {text}")
    for node in _nodes(tree):
        if node["type"] == "subexpression" and node["children"][0]["type"] == "not_expression":
            raise ValueError("JMESPath reads !a.b as (!a).b, which is nothing; expected !(a.b), or a.b != `true`")
    for name in _first_names(tree) if names else ():
        if name not in names:
            raise ValueError(
                f"there is no {name} here, only {', '.join(names)}; expected data.{name}, or the text '{name}'"
            )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):  # a slice has numbers
            yield node
            todo += node["children"]


def _first_names(node: Any) -> Iterator[str]:
    """The names that are looked up in the value of the whole expression."""
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] != "expref":
        for child in node["children"][:1] if node["type"] in STEPS else node["children"]:
            yield from _first_names(child) if isinstance(child, dict) else ()


def _compared_names(expression: str) -> Iterator[str]:
    """Names beside a comparator, alone in quotes or a word for a constant, that are not compared with a literal."""
    from jmespath.lexer import Lexer

    tokens = [{"type": "start"}, *Lexer().tokenize(expression), {"type": "end"}]
    for before, left, operator, right, after in zip(*(tokens[at:] for at in range(5)), strict=False):
        if operator["type"] not in COMPARATORS:
            continue
        for name, other, beside in ((right, left, after), (left, right, before)):
            alone = beside["type"] not in {"dot", "lbracket", "filter", "flatten"}
            if not alone or other["type"] == "literal":
                continue
            if name["type"] == "quoted_identifier" or name.get("value") in CONSTANTS:
                yield name["value"]


def _fault(error: Any, expression: str) -> str:
    """What the library says, as a sentence with the place."""
    if not expression:
        return "it is empty"
    at, found, kind = error.lex_position, error.token_value, str(error.token_type)
    if found is None:
        return f"{expression} ends too early"
    hint = HINTS.get(str(found)) or HINTS.get(kind) or ("it has no end" if kind.startswith("UNCLOSED") else None)
    return f"found {found} in column {at + 1} of {expression}" + (f"; {hint}" if hint else "")


def search(expression: str, value: Any) -> Any:
    """What the expression finds; None where there is nothing, or a function does not take what it meets.

    Raises ValueError for a wrong expression.
    """
    parsed = compiled(expression)
    try:
        return parsed.search(value)
    except Exception:  # noqa: BLE001 - see above
        return None


def holds(expression: str, value: Any) -> bool:
    """Whether the result counts as true: it is not false, null or empty.

    An expression that fails on a value holds: an unwanted mail is better than a missing one.
    """
    try:
        found = compiled(expression).search(value)
    except Exception:  # noqa: BLE001 - see above
        return True
    return found is not None and found is not False and found not in ("", [], {})
