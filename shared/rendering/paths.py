"""JMESPath in templates: `at("pull_request.user.login")`. See https://jmespath.org/specification.html.

Where there is nothing, or something of another type than a function takes, there is the default: senders leave out
what they like. An expression that is none fails, at the check of a route's templates where it stands there in full.
"""

from functools import lru_cache
from typing import Any, Final

import jmespath
import jmespath.exceptions
import jmespath.functions
from jmespath.parser import ParsedResult

__all__ = ["at_in", "fault_of"]

_FUNCTIONS: Final = frozenset(jmespath.functions.Functions.FUNCTION_TABLE)


def at_in(value: Any, path: str, default: Any = None) -> Any:
    """What the path finds in the value; the default for null and nothing. Raises JMESPathError for a wrong path."""
    try:
        found = _compiled(path).search(value)
    except jmespath.exceptions.JMESPathTypeError:
        return default
    return default if found is None else found


def fault_of(path: str) -> str | None:
    """What is wrong with an expression, in one line; None: nothing."""
    try:
        tree = _compiled(path).parsed
    except jmespath.exceptions.JMESPathError as error:
        return " ".join(str(error).split())
    return next((f"there is no function {name}()" for name in _called(tree) if name not in _FUNCTIONS), None)


@lru_cache(maxsize=1000)
def _compiled(path: str) -> ParsedResult:
    return jmespath.compile(path)


def _called(tree: Any) -> list[str]:
    """The names of all functions in an expression."""
    here = [tree["value"]] if tree.get("type") == "function_expression" else []
    return here + [name for child in tree.get("children", ()) if isinstance(child, dict) for name in _called(child)]
