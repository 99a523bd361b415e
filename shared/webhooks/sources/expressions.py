"""JMESPath (https://jmespath.org/specification.html) in routes and templates.

Whatever an expression meets in an event, evaluating it raises nothing. The library's functions raise more than its own
errors for foreign values: `avg` of numbers with hundreds of digits is an OverflowError.
"""

from functools import cache
from typing import Any


@cache
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
        raise ValueError(f"no JMESPath: {' '.join(str(error).split())}") from None
    todo: list[Any] = [parsed.parsed]
    while todo:
        node = todo.pop()
        if not isinstance(node, dict):
            continue  # the numbers of a slice
        if node["type"] == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
            raise ValueError(f"JMESPath has no function {node['value']}()")
        todo += node["children"]
    return parsed


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
