"""JMESPath in templates: `at("pull_request.user.login")`. See https://jmespath.org/specification.html.

Where there is nothing, or something of another type than a function takes, there is the default: senders leave out
what they like. An expression that is none fails, at the check of a route's templates where it stands there in full.

What a mail says in words is read with `text_at`, `list_at` and `object_at`: a sentence must not be made of a value that
is no text.
"""

import math
from collections.abc import Mapping
from typing import Any

from shared.webhooks.rendering.filters import told
from shared.webhooks.sources.expressions import compiled

__all__ = ["at_in", "fault_of", "list_in", "object_in", "text_in"]


def at_in(value: Any, path: str, default: Any = None) -> Any:
    """What the path finds in the value; the default for null and nothing. Raises ValueError for a wrong path."""
    expression = compiled(path)
    try:
        found = expression.search(value)
    except Exception:  # noqa: BLE001 - of types, mostly; of numbers that are too large, others
        return default
    return default if found is None else found


def text_in(value: Any, *paths: str) -> str | None:
    """The first of what the paths find that is a text with something in it, or a number, as text; None: none is."""
    for path in paths:
        found = at_in(value, path)
        if isinstance(found, str) and told(found):
            return found
        if isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
            return told(found)
    return None


def list_in(value: Any, path: str) -> list[Any]:
    """The list that the path finds, without nulls; an empty one where there is something else."""
    found = at_in(value, path)
    return [item for item in found if item is not None] if isinstance(found, list) else []


def object_in(value: Any, path: str) -> Mapping[str, Any]:
    """The object that the path finds; an empty one where there is something else."""
    found = at_in(value, path)
    return found if isinstance(found, Mapping) else {}


def fault_of(path: str) -> str | None:
    """What is wrong with an expression, in one line; None: nothing."""
    try:
        compiled(path)
    except ValueError as error:
        return str(error)
    return None
