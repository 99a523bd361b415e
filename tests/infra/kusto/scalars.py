"""What Kusto's scalar operators and functions give, as documented: only those that Mailroom's queries use.

A string is never null; every other type has a null, which is None here. A whole number is an int, a `real` a float, a
`datetime` one with its zone, a `timespan` a timedelta; a `dynamic` is what JSON can say.
https://learn.microsoft.com/kusto/query/scalar-data-types/null-values
"""

import json
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "int": int,
    "long": int,
    "real": float,
    "bool": bool,
    "datetime": datetime,
    "timespan": timedelta,
}
TICKS: Final = 10  # of a timespan in a microsecond


class Unsupported(Exception):  # noqa: N818 - a limit of these tests, not an error of the query
    """A query uses a part of Kusto that is not implemented here: implement it, with a test of its meaning."""


def equal(left: Any, right: Any) -> bool | None:
    """Two nulls: null. A null and a value: false."""
    if left is None and right is None:
        return None
    return left is not None and right is not None and bool(left == right)


def inverse(value: bool | None) -> bool | None:  # noqa: FBT001 - Kusto's value
    return None if value is None else not value


def both(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def member(value: Any, key: str) -> Any:
    """A property of a dynamic: null where it has none, or is no object."""
    return value.get(key) if isinstance(value, dict) else None


def _known(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Null where one side is."""
    return lambda left, right: None if left is None or right is None else function(left, right)


def has(text: str, term: str) -> bool:
    """Whether a whole term is there, whatever its case: terms are runs of letters and digits."""
    return re.search(rf"(?<![^\W_]){re.escape(term)}(?![^\W_])", text, re.IGNORECASE) is not None


COMPARISONS: Final[dict[str, Callable[[Any, Any], bool | None]]] = {
    "EqualExpression": equal,
    "NotEqualExpression": lambda left, right: inverse(equal(left, right)),
    "GreaterThanExpression": _known(operator.gt),
    "GreaterThanOrEqualExpression": _known(operator.ge),
    "LessThanExpression": _known(operator.lt),
    "LessThanOrEqualExpression": _known(operator.le),
    # These look at strings whatever their case.
    "StartsWithExpression": lambda text, part: text.lower().startswith(part.lower()),
    "NotStartsWithExpression": lambda text, part: not text.lower().startswith(part.lower()),
    "EndsWithExpression": lambda text, part: text.lower().endswith(part.lower()),
    "NotEndsWithExpression": lambda text, part: not text.lower().endswith(part.lower()),
    "HasExpression": has,
}
OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = COMPARISONS | {
    "AndExpression": both,
    "OrExpression": either,
    "AddExpression": _known(operator.add),
    "SubtractExpression": _known(operator.sub),
    "MultiplyExpression": _known(operator.mul),
}
LITERALS: Final[dict[str, Callable[[Any], Any]]] = {
    "StringLiteralExpression": lambda value: value,
    "LongLiteralExpression": lambda value: value,
    "IntLiteralExpression": lambda value: value,
    "BooleanLiteralExpression": lambda value: value,
    "RealLiteralExpression": float,
    "TimespanLiteralExpression": lambda ticks: timedelta(microseconds=ticks / TICKS),
    "DateTimeLiteralExpression": lambda text: text and datetime.fromisoformat(f"{text[:26]}+00:00"),
}


@cache
def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # documented: the text itself, as a dynamic
        return text


def _tostring(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise Unsupported(f"tostring({value!r})")


def _number[T: (int, float)](value: Any, kind: type[T]) -> T | None:
    if isinstance(value, bool):
        return kind(value)
    if isinstance(value, int | float):
        return kind(value)
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            return None
    return None


def _iff(condition: bool | None, then: Any, otherwise: Any) -> Any:  # noqa: FBT001
    return then if condition else otherwise


def _coalesce(*values: Any) -> Any:
    """The first that is neither null nor, among strings, empty; else the last."""
    return next((value for value in values if value not in (None, "")), values[-1])


def _bin(value: Any, size: Any) -> Any:
    """Down to a multiple; of datetimes: of the day."""
    if value is None or size is None:
        return None
    if isinstance(value, datetime):
        if timedelta(days=1) % size:
            raise Unsupported(f"bin by {size}")
        return value - (value - datetime.min.replace(tzinfo=UTC)) % size
    return value - value % size


def _isempty(value: Any) -> bool:
    return value is None or value == ""


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "parse_json": _parse_json,
    "tostring": _tostring,
    "toint": lambda value: _number(value, int),
    "tolong": lambda value: _number(value, int),
    "toreal": lambda value: _number(value, float),
    "todouble": lambda value: _number(value, float),
    "iff": _iff,
    "iif": _iff,
    "coalesce": _coalesce,
    "bin": _bin,
    "isempty": _isempty,
    "isnotempty": lambda value: not _isempty(value),
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "not": inverse,
    "strcat": lambda *parts: "".join(_tostring(part) for part in parts),
}


def _of_known(function: Callable[[list[Any]], Any], default: Any = None) -> Callable[..., list[Any]]:
    """Of the values that are not null; a second argument says which rows count."""

    def aggregate(_: int, values: list[Any], wanted: list[Any] | None = None) -> list[Any]:
        counted = zip(values, wanted or [True] * len(values), strict=True)
        known = [value for value, yes in counted if yes is True and value is not None]
        return [function(known) if known else default]

    return aggregate


def _arg_max(_: int, best: list[Any], *others: list[Any]) -> list[Any]:
    known = [value for value in best if value is not None]
    at = best.index(max(known)) if known else None
    return [None if at is None else values[at] for values in (best, *others)]


def _percentile(_: int, values: list[Any], share: list[int]) -> list[Any]:
    """By nearest rank; Kusto's own is an estimate."""
    known = sorted(value for value in values if value is not None)
    return [known[max(0, -(-len(known) * share[0] // 100) - 1)] if known else None]


# Each takes the number of rows and the values of its arguments. Without any row count and sum are 0, the others null:
# https://learn.microsoft.com/kusto/query/summarize-operator, "default values".
AGGREGATES: Final[dict[str, Callable[..., list[Any]]]] = {
    "count": lambda rows: [rows],
    "countif": lambda _, wanted: [sum(yes is True for yes in wanted)],
    "sum": _of_known(sum, 0),
    "sumif": _of_known(sum, 0),
    "max": _of_known(max),
    "maxif": _of_known(max),
    "min": _of_known(min),
    "minif": _of_known(min),
    "dcount": _of_known(lambda values: len(set(values)), 0),
    "arg_max": _arg_max,
    "percentile": _percentile,
}
