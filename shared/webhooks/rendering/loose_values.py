"""Finds times and web pages among values whose names and formats follow no convention."""

import re
from collections.abc import Iterable
from math import inf
from typing import Any, Final
from urllib.parse import urlsplit

from shared.webhooks.rendering.markup import web_address
from shared.webhooks.rendering.telling import Value
from shared.webhooks.sources.json_values import moment

_PAGES: Final = ("htmlurl", "weburl", "html", "web", "url", "link", "permalink")
_NO_PAGE: Final = re.compile(
    r"api|avatar|image|icon|logo|picture|photo|thumb|callback|hook|clone|git|ssh|download|raw|badge|snapshot|cert|"
    r"unsubscribe|documentation|cancel|reschedul|delet|remov|reject|declin|revok|^self$"
)
_TIME_NAME: Final = re.compile(
    r"(?:at|on|time|timestamp|date|datetime|ts|now|updated|since|created|modified|changed|started|finished)$"
)
_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?")
_MILLISECONDS: Final = 1e11
_EPOCH: Final = (946_684_800, 4_102_444_800)  # seconds: the years 2000 to 2099


def time_in(one: Value, write: Any) -> str | None:
    """A time as people write it: ISO 8601, or seconds, milliseconds or microseconds since 1970 in what is called a
    time. "" for one that means that there is none. A time without a zone stays one. write: writes a time for people.
    """
    value = one.value
    if isinstance(value, str):
        if _NAIVE.fullmatch(value):
            return value[:16].replace("T", " ")
        if _NAIVE.match(value):
            value = value.replace(" UTC", "+00:00")
            return (write(value) or "") if moment(value) else None
    if not _TIME_NAME.search(one.name) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    while _MILLISECONDS < seconds < inf:
        seconds /= 1000
    return write(seconds) if _EPOCH[0] <= seconds <= _EPOCH[1] else None


def page_of(addresses: Iterable[tuple[str, str, int]], source: str) -> str | None:
    """The best page for people, of addresses with their names and distances; else the event's source, if it is one."""
    ranked = sorted(
        (
            bool(_NO_PAGE.search(name)) or "/api/" in url or url.startswith("https://api."),
            distance > 1,
            _rank(name),
            distance,
            at,
            url,
        )
        for at, (name, url, distance) in enumerate(addresses)
    )
    if ranked and not ranked[0][0]:
        return ranked[0][-1]
    page = web_address(source)
    return None if page is None or (urlsplit(page).hostname or "").startswith("api.") else page


def _rank(name: str) -> int:
    return next(
        (at for at, ending in enumerate(_PAGES) if name == ending), len(_PAGES) + (not name.endswith(("url", "link")))
    )
