"""Summarises any event: what has happened, its state, a link to the page about it, and at most twelve facts."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from markupsafe import Markup

from shared.webhooks.rendering.event_file import hide_in_text
from shared.webhooks.rendering.event_subject import NO_TYPE, happened
from shared.webhooks.rendering.filters import first_line, one_line, shorten, shown, told
from shared.webhooks.rendering.free_text import LONGEST_TEXT, Paragraph, paragraph, plain_first_line
from shared.webhooks.rendering.loose_values import page_of, time_in
from shared.webhooks.rendering.markup import html_to_text, link, web_address
from shared.webhooks.rendering.status_words import Status, is_now, status_of
from shared.webhooks.rendering.telling import RowTable, Value, telling
from shared.webhooks.rendering.value_names import BESIDE, LONGEST_NAME, NAMES, TEXTS, THINGS, TITLES, words_of
from shared.webhooks.sources.source import SOURCES, SourceEvent

MOST_TIMES: Final = 2
MOST_FACTS: Final = 12
MOST_TABLES: Final = 3
MOST_TEXTS: Final = 4
LONGEST_TITLE: Final = 140  # characters
LONGEST_FACT: Final = 160
SHORT_TITLE: Final = 25  # a noun; what the message says completes it
SHORT_MESSAGE: Final = 80
# Where something has happened, by the names of values: repository, host or service.
_REPOSITORIES: Final = ("fullname", "pathwithnamespace", "repofullname", "reponame", "repository", "repo")
_PLACES: Final = re.compile(
    r"(?:host|hostname|computer|machine|server|node|nodename|instance|device|repository|project|service|servicename|app|"
    r"application|site|website|sitename|cluster|system|vm|endpoint|entity|board)$"
)
_FAR: Final = 3  # levels from what the event is about
_SPEAKS: Final = re.compile(
    r"(?:message|text|details?|description|reason|errors?|output|comment|notes?|body|info|why)$"
)
# Names that say nothing without what they are of.
_BARE: Final = frozenset({
    "author", "body", "code", "content", "count", "date", "description", "duration", "email", "failed", "login",
    "message", "name", "number", "passed", "size", "state", "status", "subject", "success", "text", "time", "title",
    "total", "value",
})  # fmt: skip
_TICKET: Final = re.compile(r"[A-Z][A-Z0-9]{1,9}-\d{1,7}")


@dataclass(slots=True)
class Summary:
    """subject: without the name. name: where it has happened. left_out: there is more in the event."""

    name: str
    title: str
    subject: str
    status: Status | None = None
    page: str | None = None
    paragraphs: list[Paragraph] = field(default_factory=list)
    facts: list[tuple[str, Any]] = field(default_factory=list)
    tables: list[RowTable] = field(default_factory=list)
    left_out: bool = False
    empty: bool = False

    @property
    def button(self) -> str | None:
        return f"Open {urlsplit(self.page).hostname}" if self.page else None


def summary_of(event: SourceEvent, route: str, time: Any) -> Summary:
    """time: writes a time for people."""
    return _Writer(event, route, time).summary()


class _Writer:
    def __init__(self, event: SourceEvent, route: str, time: Any) -> None:
        self.event, self.route, self.time = event, route, time
        self.found = telling(event.data, "" if event.type == NO_TYPE else event.type)
        self.happened = happened(event, route, self.found.about)
        self.used: set[Value] = set()

    def summary(self) -> Summary:
        found = self.found
        there = [one for one in (*found.values, *found.quiet) if is_now(one.parent.replace(" ", "").lower())]
        said = sorted(there, key=lambda one: one.distance)
        status = status_of((one.name, one.value) for one in said)
        title = self._title(status.keys if status else frozenset())
        place = self._place(title)
        paragraphs = self._paragraphs(title)
        heading, subject = self._headings(title, status, paragraphs)
        result = Summary(place, heading, subject, status, page_of(self.found.addresses, self.event.source), paragraphs)
        result.tables = [self._table(one) for one in found.tables[:MOST_TABLES]]
        result.left_out = found.skipped or any(one.total > len(one.rows) for one in found.tables)
        self._facts(result, status)
        result.empty = not (found.values or found.tables or found.skipped)
        return result

    def _place(self, title: Value | None) -> str:
        """The repository, host or service; else the source, where it tells something; else the route."""
        near = [one for one in self.found.values if one is not title and one.distance <= _FAR]
        places = [one for name in _REPOSITORIES for one in near if one.name == name]
        places += [one for one in near if _PLACES.search(one.name)]
        if title and title.name in ("title", "subject"):
            places += [one for one in near if one.name == "name" and not one.parent]
        for one in places:
            text = one_line(one.value) if isinstance(one.value, str) else ""
            if text and len(text) <= LONGEST_NAME and not web_address(text) and not text.isdecimal():
                self.used.add(one)
                return text
        source = self.event.source
        if source in SOURCES or source in ("generic", self.route):
            return "" if self.route in SOURCES or self.route == "generic" else self.route
        if web_address(source) and (urlsplit(source).hostname or "").startswith("api."):
            return ""
        if address := web_address(source):
            parts = urlsplit(address)
            steps = parts.path.strip("/").split("/")
            return "/".join(steps) if len(steps) == 2 else parts.hostname or ""  # noqa: PLR2004 - owner and repository
        return shorten(one_line(source.rstrip("/").rpartition("/")[2]), LONGEST_NAME) or self.route

    def _title(self, status: frozenset[str]) -> Value | None:
        """The value that says what the event is about. status: names of the values that say how it is."""
        near = [
            one for one in self.found.values if one.distance <= _FAR and one.name not in status and is_now(one.name)
        ]
        texts = [one for one in near if isinstance(one.value, str) and not web_address(one.value)]
        free = [one for one in texts if not _PLACES.search(one.name.removesuffix("name"))]

        def named(*names: str, ending: bool = False) -> Value | None:
            return next((one for name in names for one in free if _is_named(one, name, ending=ending)), None)

        best = named(*TITLES)
        if best is None and (subject := self._event_subject()):
            same = (one for one in texts if one.value == self.event.subject)
            best = next(same, Value("subject", "Subject", "", subject, 0))
        top = next((one for one in free if not one.distance and _is_named(one, "title", ending=True)), None)
        best = best or top or named(*NAMES) or named(*THINGS) or named("message", ending=True) or named(*TEXTS)
        best = best or named("title", "name", "text", "summary", ending=True)
        if best is None and not self.happened and not self.found.tables:
            plain = [one for one in near if time_in(one, self.time) is None]
            best = next((one for one in plain if not _PLACES.search(one.name) and not BESIDE.search(one.name)), None)
            best = next((one for one in plain if self._speaks(one)), best) or next(iter(plain), None)
        if best is not None:
            self.used.add(best)
        return best

    def _event_subject(self) -> str:
        subject = one_line(self.event.subject or "")
        return subject.rpartition("/")[2] if subject.startswith("/") and " " not in subject else subject

    def _headings(self, title: Value | None, status: Status | None, paragraphs: list[Paragraph]) -> tuple[str, str]:
        """Title and subject. A noun alone is completed by what the event says of it."""
        what = self.happened
        text = self._titled(title)
        state = status.state if status else ""
        ongoing = status is not None and status.tone == "info" and bool(what)
        said = not state or _spaced(state) in _spaced(f"{text} {what}")
        sentence = len(text) > LONGEST_NAME or (title is not None and title.name in TITLES and " " in text and said)
        if self.event.type == NO_TYPE and title is not None and title.name not in NAMES + THINGS:
            what = what if not text else ""
        if what and text and not sentence and what.casefold() not in text.casefold():
            text = f"{what}: {text}"
        if not text and what and " " not in what:  # "Public", a bare type
            what = f"{what} event"
        heading = text or what or words_of(self.route)
        if not said and not ongoing:
            heading = f"{shorten(heading, LONGEST_TITLE)} \u2013 {state if state.isupper() else state.lower()}"
        heading = one_line(heading)
        first = paragraphs[0] if paragraphs and not paragraphs[0].heading else None
        if first and len(heading) <= SHORT_TITLE:
            message = first_line(html_to_text(first.text) if isinstance(first.text, Markup) else first.text)
            if message and len(message) <= SHORT_MESSAGE and message.casefold() not in heading.casefold():
                return heading, f"{heading}: {message}"
        return heading, heading

    def _titled(self, title: Value | None) -> str:
        if title is None:
            tables = self.found.tables
            if not tables or not any(told(cell) for cell in tables[0].rows[0]):
                return ""
            cells = [one_line(cell) for cell in tables[0].rows[0] if told(cell)]
            alone = " " in cells[0] or self.happened
            first = ", ".join(cells[: 1 if alone else 3])
            more = tables[0].total - 1
            return shorten(first, LONGEST_TITLE) + (f" and {more} more" if more else "")
        text = plain_first_line(shown(title.value))
        number = next(
            (one for one in self.found.values if one.name == "key" and _TICKET.fullmatch(shown(one.value))), None
        )
        if number:
            self.used.add(number)
            text = f"{number.value} {text}"
        known = TITLES + NAMES + THINGS + TEXTS
        speaks = title.name in known or title.name.endswith(("title", "name", "message", "text", "summary"))
        return text if speaks else f"{title.label}: {text}"

    def _paragraphs(self, title: Value | None) -> list[Paragraph]:
        """Texts of several words or lines, the message first."""
        order = {name: at for at, name in enumerate(("message", "text", "msg", *TEXTS))}
        texts = [one for one in self.found.values if isinstance(one.value, str) and self._is_text(one, title)]
        texts.sort(key=lambda one: (one.distance, order.get(one.name, len(order))))
        found: list[Paragraph] = []
        seen = {shown(title.value).strip()} if title else set[str]()
        for one in texts:
            text = one.value.strip()
            if text in seen and one is not title:
                self.used.add(one)
            elif len(found) < MOST_TEXTS:
                seen.add(text)
                self.used.add(one)
                self.found.skipped |= len(text) > LONGEST_TEXT
                plain = not one.parent and (one.name in order or not found)
                heading = one.parent if one.parent and one.name in _BARE else one.label
                found.append(paragraph("" if plain or one is title else heading, one.name, text))
        return found

    def _is_text(self, one: Value, title: Value | None) -> bool:
        text: str = one.value.strip()
        if one is title:  # what the title could not hold
            return plain_first_line(text) != text
        if web_address(text) or time_in(one, self.time):
            return False
        return self._speaks(one) or "\n" in text or len(text) > LONGEST_FACT

    def _speaks(self, one: Value) -> bool:
        return bool(_SPEAKS.search(one.name)) and one.distance <= _FAR and " " in shown(one.value).strip()

    def _table(self, table: RowTable) -> RowTable:
        """With times as people write them."""
        rows = [
            [
                time_in(Value(key.lower().replace(" ", ""), key, "", cell, 0), self.time) or _linked(cell, None)
                for key, cell in zip(table.columns, row, strict=True)
            ]
            for row in table.rows
        ]
        return replace(table, rows=rows)

    def _facts(self, result: Summary, status: Status | None) -> None:
        keys = status.keys if status else frozenset()
        headings = f"{result.title}\n{result.name}".casefold()
        texts = "\n".join(shown(one.text) for one in result.paragraphs)
        rows: list[tuple[int, int, Value, Any]] = []
        times = 0
        for at, one in enumerate(self.found.values):
            text = shown(one.value).strip()
            in_heading = isinstance(one.value, str) and not text.isdecimal() and text.casefold() in headings
            in_text = " " in text and text in texts
            in_badge = one.name in keys and len(text) <= LONGEST_NAME
            if (
                one in self.used
                or text == self.event.type
                or (result.page and one.value == hide_in_text(result.page))
                or in_heading
                or in_text
                or in_badge
            ):
                continue
            value: Any = one.value
            if isinstance(value, bool) and (not value or one.distance):
                result.left_out = True
                continue
            if (written := time_in(one, self.time)) is not None:
                times += 1
                value = written
                if not written or times > MOST_TIMES:
                    result.left_out = True
                    continue
            elif isinstance(value, str) and (len(value) > LONGEST_FACT or "\n" in value):
                value = shorten(first_line(value), LONGEST_FACT)
                result.left_out = True
            rows.append((one.distance, at, one, _linked(value, one.url)))
        rows.sort(key=lambda row: row[:2])
        result.left_out |= len(rows) > MOST_FACTS
        shortest = Counter(one.key for _, _, one, _ in rows)
        for _, _, one, value in rows[:MOST_FACTS]:
            result.facts.append((one.label if shortest[one.key] > 1 or one.name in _BARE else one.key, value))


def _is_named(one: Value, name: str, *, ending: bool) -> bool:
    """ending: also "problemTitle", but not "userName", which is of somebody."""
    if one.name == name or not ending or not one.name.endswith(name):
        return one.name == name
    of = one.name.removesuffix(name)
    return not BESIDE.search(of) and not (one.distance and of in ("first", "last"))


def _spaced(text: str) -> str:
    """To look for whole words in: "Backup" does not say "up"."""
    return f" {' '.join(re.sub(r'\W', ' ', text.casefold()).split())} "


def _linked(value: Any, url: str | None) -> Any:
    address = url or (web_address(value) if isinstance(value, str) else None)
    return link(value, address) if address else value
