"""JMESPath in templates: `at("pull_request.user.login")`. See https://jmespath.org/specification.html.

Where there is nothing, or something of another type than a function takes, there is the default: senders leave out
what they like. An expression that is none fails, at the check of a route's templates where it stands there in full.
"""

from typing import Any

from shared.sources.expressions import compiled

__all__ = ["at_in", "fault_of"]


def at_in(value: Any, path: str, default: Any = None) -> Any:
    """What the path finds in the value; the default for null and nothing. Raises ValueError for a wrong path."""
    expression = compiled(path)
    try:
        found = expression.search(value)
    except Exception:  # noqa: BLE001 - of types, mostly; of numbers that are too large, others
        return default
    return default if found is None else found


def fault_of(path: str) -> str | None:
    """What is wrong with an expression, in one line; None: nothing."""
    try:
        compiled(path)
    except ValueError as error:
        return str(error)
    return None
