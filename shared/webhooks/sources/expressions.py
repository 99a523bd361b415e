"""JMESPath, https://jmespath.org/specification.html: read once, and checked further than its library does."""

from functools import cache
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(expression: str) -> Any:
    """The parsed expression; its `search(value)` finds. Cached: expressions stand in routes and templates.

    Raises ValueError where it cannot be read, or calls a function that there is none of: the library says that only
    when the function is called.
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
