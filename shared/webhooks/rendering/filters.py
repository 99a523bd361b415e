"""Filters of templates for texts, times and amounts.

Every filter passes None on, so that a list of facts leaves out `at("a.b")|moment` if there is no value. A value that a
filter cannot read stays as it is, because a plain mail is better than none.
"""

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import wraps
from typing import Any, Final

from markupsafe import Markup

from shared.webhooks.sources.alert_groups import is_internal
from shared.webhooks.sources.json_values import moment as time_of

SUBJECT: Final = 255  # characters that Exchange keeps of a subject

# Minor units: https://docs.stripe.com/currencies, which is ISO 4217 but for MGA. ISK and UGX are sent with two digits.
_NO_DECIMALS: Final = frozenset({
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
_THREE_DECIMALS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
_CURRENCY: Final = re.compile(r"[A-Z0-9]{3,10}")
_DECIMAL: Final = re.compile(r"-?[0-9]+\.[0-9]+")
LONGEST_AMOUNT: Final = 40  # characters
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# What the templates of Go and Grafana print for a missing value.
_NOTHING: Final = frozenset({"[no value]", "<no value>", "<nil>"})
LONGEST_NOTHING: Final = 40  # characters, white space too
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
# What no mail can hold: halves of surrogate pairs, and Unicode's noncharacters.
IMPOSSIBLE: Final = re.compile(r"[\ud800-\udfff\ufffe\uffff]")
# Controls, line and paragraph separators; and marks that change the direction of the text.
_BREAKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def shown(value: Any) -> str:
    """A value as text. None is nothing; true and false are yes and no; lists of plain values are joined by commas."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Markup():
            return html.unescape(value)
        case str():
            return value
        case datetime():
            return _written(value)
        case list() | tuple() if not any(isinstance(item, list | tuple | Mapping) for item in value):
            return ", ".join(shown(item) for item in value)
        case Mapping() if not value:
            return ""
    try:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | Mapping) else str(value)
    except (TypeError, ValueError):  # a number with more digits than Python writes
        return "…"


def told(value: Any) -> str | None:
    """The value as text; None where it tells a reader nothing: empty, or a program's word for "nothing"."""
    text = shown(value)
    return None if not text or text.isspace() or (len(text) < LONGEST_NOTHING and text.strip() in _NOTHING) else text


def cut(value: Any, length: int = 4000) -> str:
    """The text, or its beginning and how much follows."""
    text = shown(value)
    return text if len(text) <= length else f"{text[:length]} … ({len(text) - length:,} more characters)"


def one_line(value: Any) -> str:
    """A text for a header: no controls or line separators, at most 255 characters; empty if nothing is visible."""
    begin = value[: 20 * SUBJECT] if isinstance(value, str) else value  # an escaped character has up to five
    text = IMPOSSIBLE.sub("\ufffd", _BREAKS.sub(" ", shown(begin))).strip()
    return shorten(text, SUBJECT) if any(sign.isprintable() for sign in text) else ""


def shorten(value: Any, length: int) -> str:
    """At most `length` characters, the last of them "…" where the text was cut."""
    text = shown(value)
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def first_line(value: Any) -> str:
    """The first line that is not blank."""
    return next((line.strip() for line in shown(value).splitlines() if line.strip()), "")


def words(value: Any) -> str:
    """An identifier as words: "pull_request" is "Pull request"."""
    text = re.sub(r"[\s_.-]+", " ", shown(value)).strip()
    return text[:1].upper() + text[1:]


def moment(value: Any, zone: tzinfo | None = None) -> str | None:
    """A time of RFC 3339, or in seconds since 1970, as "22 Nov 2026, 10:00 UTC"; a date alone as "22 Nov 2026".

    With a time zone, "22 Nov 2026, 11:00 CET (10:00 UTC)".

    Year 1 is the zero of Go's clock, as 0 is that of others, and means that there is no time: None.
    """
    if value == 0 or isinstance(value, bool | list | tuple | Mapping):
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        time = time_of(value)
        return _day(time) if time else value
    time = value.astimezone(UTC) if isinstance(value, datetime) else time_of(value)
    if time is None or (isinstance(value, str) and not _DATE.match(value)):
        return told(value)
    return None if time.year == 1 else _written(time, zone)


def money(value: Any, currency: Any) -> str | None:
    """An amount in minor units, such as cents: 1234 and "eur" are "EUR 12.34".

    A text with a decimal point has its decimals already. None for any other value, or without a currency.
    """
    code = currency[:11].upper() if isinstance(currency, str) else ""
    if not _CURRENCY.fullmatch(code):
        return None
    if isinstance(value, str) and len(value) <= LONGEST_AMOUNT and _DECIMAL.fullmatch(value):
        return f"{code} {value}"
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    digits = 0 if code in _NO_DECIMALS else 3 if code in _THREE_DECIMALS else 2
    whole, rest = divmod(abs(value), 10**digits)
    return f"{code} {'-' if value < 0 else ''}{whole:,}{f'.{rest:0{digits}}' if digits else ''}"


def duration(value: Any) -> str | None:
    """Seconds as "3 min 20 s", the two largest units of days, hours, minutes and seconds."""
    if isinstance(value, bool | list | tuple | Mapping):
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return shown(value)
    if 0 < abs(value) < 1:
        return f"{round(value * 1000)} ms"
    rest, parts = round(abs(value)), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts.append((count, unit))
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    text = " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"
    return f"-{text}" if value < 0 else text


def earliest(values: Any) -> Any:
    """The earliest of a list of times, as it is written there; other values, and year 1, are ignored."""
    return min(_known(values), key=lambda known: known[0], default=(None, None))[1]


def latest(values: Any) -> Any:
    """The latest of a list of times, like `earliest`."""
    return max(_known(values), key=lambda known: known[0], default=(None, None))[1]


def _known(values: Any) -> list[tuple[datetime, Any]]:
    """Each time with how it is written."""
    times = [(time_of(value), value) for value in values] if isinstance(values, list) else []
    return [(time, value) for time, value in times if time is not None and time.year > 1]


def labels(value: Any) -> list[tuple[str, str]]:
    """The labels, or annotations, of an alert that tell a person something: names and texts, sorted by name.

    Names that begin with two underscores, and some ids, are internal to Prometheus and Grafana.
    """
    pairs = value.items() if isinstance(value, Mapping) else ()
    found = [(str(name), text) for name, given in pairs if (text := told(given)) is not None]
    return sorted((name, text) for name, text in found if not is_internal(name))


def since(value: Any, begin: Any) -> float | None:
    """Seconds from `begin` to `value`, read like `moment`; None where one is missing, or the order is reversed."""
    late, early = (one.astimezone(UTC) if isinstance(one, datetime) else time_of(one) for one in (value, begin))
    if late is None or early is None or early.year == 1 or late < early:
        return None
    return (late - early).total_seconds()


def _written(time: datetime, zone: tzinfo | None = None) -> str:
    try:
        local = time.astimezone(zone or UTC)
    except OverflowError:  # the first and the last day of the calendar
        local = time
    if local.utcoffset() == time.utcoffset():
        return f"{_day(time)}, {time:%H:%M} UTC"
    other_day = f"{_day(time)}, " if time.date() != local.date() else ""
    return f"{_day(local)}, {local:%H:%M %Z} ({other_day}{time:%H:%M} UTC)"


def _day(time: datetime) -> str:
    return f"{time.day} {_MONTHS[time.month - 1]} {time.year}"


def _optional[**P, R](apply: Callable[P, R]) -> Callable[P, R | None]:
    """The filter, passing None through."""

    @wraps(apply)
    def filtered(*arguments: P.args, **options: P.kwargs) -> R | None:
        return None if arguments[0] is None else apply(*arguments, **options)

    return filtered


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    apply.__name__: _optional(apply)
    for apply in (
        cut, duration, earliest, first_line, labels, latest, moment, money, one_line, shorten, shown, since, told,
        words,
    )
}  # fmt: skip
