"""A mail states only what a field of the event proves, and shows nothing of a field that is missing.

Each example of each route is taken apart: every field that its mail depends on is left out, emptied, and given values
of other types and words that nobody knows, one at a time. What the mail states then is held against statements.tsv.
"""

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache, lru_cache, reduce
from itertools import chain, groupby, islice
from typing import Any, Final

import pytest

from sandbox.examples import Example, examples_of
from shared.errors import Malformed
from shared.webhooks.rendering.mails import Rendered, Renderer
from shared.webhooks.rendering.markdown import markdown
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.routing.catalog import BUILT_IN, load
from shared.webhooks.routing.compose import templates_of
from shared.webhooks.routing.route import Route
from shared.webhooks.sources.expressions import holds, search
from shared.webhooks.sources.json_values import moment
from shared.webhooks.sources.source import RawRequest, SourceEvent
from tests.webhooks.routes.statements import Statement, read_statements
from tests.webhooks.sources.anything import put

type Path = tuple[str | int, ...]

CATALOG: Final = load()
EXAMPLES: Final = {name: list(pairs) for name, pairs in groupby(examples_of(CATALOG), key=lambda pair: pair[0].name)}
ODD: Final[tuple[Any, ...]] = (None, "", "odd_word", 7, True, [], {}, {"odd": 1}, ["odd"], [None], "[no value]", "  ")
STATEMENTS: Final = read_statements()
# What no mail shows, whatever the event left out: words of programs, and what a value that is missing leaves behind.
ARTEFACTS: Final = (
    r"\bNone\b", r"\bnull\b", r"\bundefined\b", r"\bnan\b", r"\[no value\]", r"\{\}", r"\[\]", r"\{'", r"\['",
    r"\(\s*\)",     r"#(?![\w/-])", r" [.,;:](?=\s|$)", r"\b(?:by|of|in|to|from|with|and|than)(?:[.,;)]|$)", r": ?[.,]",
    r"^\s*[·,:.→]", r"[→·,\u2013]\s*$", r"\?(?=[ ,:]|$)", r"^[^ ]+: *$", r"__\w+__", r"PanelId|datasource_uid",
)  # fmt: skip
PATTERNS: Final = [re.compile(pattern, re.MULTILINE) for pattern in ARTEFACTS]


@cache
def pattern_of(statement: Statement) -> re.Pattern[str]:
    """Compiled when it is needed: all of them take seconds, and every worker collects this file."""
    return re.compile(statement.said, re.MULTILINE)


class _Plain:
    """In place of the inliner of styles: they say nothing, and take most of the time."""

    def inline(self, html: str) -> str:
        return html


@cache
def renderer() -> Renderer:
    made = Renderer(BUILT_IN / "_layout")
    made._inliner = _Plain()  # type: ignore[assignment]
    return made


def mails(route: Route, body: Any, request: RawRequest) -> list[tuple[SourceEvent, Rendered]]:
    """What becomes of a body, for the events that are to be mailed. Raises Malformed, for what is no event."""
    changed = RawRequest(body=json.dumps(body).encode(), headers=request.headers, query=request.query)
    found = []
    for event in route.source.events(changed):
        rules = route.rules_for(event.type)
        if not rules.skip and (not rules.when or holds(rules.when, event.as_object())):
            rendered = renderer().render(
                route.source.for_mail(event),
                route.name,
                templates_of(route),
                route.rules.template,
                rules.subject,
                chosen=rules.template,
            )
            found.append((event, rendered))
    return found


@cache
def mails_of(route: str, example: Example) -> list[tuple[SourceEvent, Rendered]]:
    """Of an example as it is."""
    request = example.request()
    return mails(CATALOG.routes[route], json.loads(request.body), request)


@lru_cache(16)  # many fields change nothing in the mail
def shown(subject: str, html: str) -> str:
    """What is read in a mail, but for the line about Mailroom itself."""
    body = text_of("<body" + html.partition("<body")[2])
    return f"Subject: {subject}\n\n{body}".rpartition("\n\nYou get this because")[0]


def own_words(text: str, data: Any) -> str:
    """The text without what people wrote, which may say anything: texts of the event that have more than one word."""
    for written in sorted(set(texts_in(data)), key=len, reverse=True):
        text = text.replace(" ".join(written.split()), "…")
    return text


def texts_in(value: Any) -> Iterator[str]:
    """Texts of several words in the event, and the first lines of them, as mails show them."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str) and " " in value.strip() and value not in ODD:
        yield value
        yield from filter(None, map(str.strip, value.splitlines()))
        yield from read_lines(value)


@cache
def read_lines(value: str) -> tuple[str, ...]:
    """The lines of a text that is Markdown or HTML, as a mail has them."""
    lines = text_of(markdown(value) or "").splitlines()
    return tuple(line.removeprefix("- ") for line in lines if " " in line.strip())


@cache
def statements_of(kind: str) -> tuple[Statement, ...]:
    return tuple(statement for statement in STATEMENTS if fnmatchcase(kind, statement.kinds))


def untrue(statement: Statement, event: SourceEvent, own: str) -> str | None:
    """What the mail states without proof; None: nothing."""
    pattern = pattern_of(statement)
    found = list(pattern.finditer(own))
    proved = search(statement.proof, event.as_object()) if found else None
    values = [str(one) for one in proved if one not in (None, "")] if isinstance(proved, list) else []
    for match in found:
        word = next((group for group in match.groups() if group), None)
        if word is None and proved in (None, False, "", [], {}):
            return match.group()
        if word and not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", one) for one in values):
            return match.group()
    return None


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def parts(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths directly below one."""
    found = at(value, path)
    if isinstance(found, dict):
        yield from ((*path, name) for name in found)
    elif isinstance(found, list):
        yield from ((*path, place) for place in range(min(2, len(found))))


def general(path: Path) -> Path:
    """The same path in all entries of its lists."""
    return tuple(0 if isinstance(step, int) else step for step in path)


def mentioned(value: Any, texts: list[str]) -> bool:
    """Whether mails show something of a value."""
    if isinstance(value, dict | list):
        return any(mentioned(inner, texts) for inner in (value.values() if isinstance(value, dict) else value))
    if isinstance(value, str) and moment(value):
        return True  # in other words
    word = re.compile(rf"(?<![^\W_]){re.escape(str(value)).replace('_', '.')}(?![^\W_])", re.IGNORECASE)
    return any(word.search(text) for text in texts)


def problems_with(route: Route, body: Any, request: RawRequest, before: set[str]) -> tuple[list[str], list[str]]:
    """What is wrong with the mails of a body, and how they read."""
    try:
        return problems(route, mails(route, body, request), before)
    except Malformed:
        return [], ["refused"]


def problems(route: Route, made: list[tuple[SourceEvent, Rendered]], before: set[str]) -> tuple[list[str], list[str]]:
    """What is wrong with mails, and how they read. before: artefacts that the example itself has."""
    found, read = [], []
    for event, rendered in made:
        text = shown(rendered.subject, rendered.html)
        read.append(text)
        if rendered.failed:
            found.append(rendered.failed)
        if rendered.template == "table":
            continue  # it shows the event as it came, and states nothing
        own = own_words(text, event.data)
        found += [
            f"{match.group()!r} in {text!r}"
            for pattern in PATTERNS
            if pattern.pattern not in before and (match := pattern.search(own))
        ]
        found += [
            f"{said!r} without {statement.proof} in {text!r}"
            for statement in statements_of(f"{route.name}/{event.type}")
            if (said := untrue(statement, event, own))
        ]
    return found, read


def unused(paths: list[Path], same: Callable[[list[Path]], bool]) -> Iterator[Path]:
    """Of fields, those without which, all at once, nothing changes: halves of them are tried, and halves of these."""
    if paths and same(paths):
        yield from paths
    elif len(paths) > 1:
        for half in (paths[: len(paths) // 2], paths[len(paths) // 2 :]):
            yield from unused(half, same)


def taken_apart(route: Route, example: Example, odd: int, done: dict[Path, bool] | None = None) -> Iterator[str]:
    """Problems of the mails of an example with one field changed.

    odd: how many other values than none each field gets. done: fields that another example has tried, and
    whether its mail depends on them; this one's are added. Fields without which, all at once, the mail is the same
    are not tried one by one then.
    """
    request = example.request()
    body = json.loads(request.body)
    found, as_it_is = problems(route, mails_of(route.name, example), set())
    before = {pattern.pattern for pattern in PATTERNS if any(pattern.search(text) for text in as_it_is)}
    yield from (f"{example.name} as it is: {problem}" for problem in found if " without " in problem)

    def same(paths: list[Path]) -> bool:
        changed = reduce(lambda rest, path: put(rest, path, ...), paths, body)
        return problems_with(route, changed, request, before) == ([], as_it_is)

    def below(path: Path) -> Iterator[Path]:
        if done is not None and isinstance(at(body, path), dict):
            unseen = [one for one in parts(body, path) if general(one) not in done]
            unshown = [one for one in unseen if not mentioned(at(body, one), as_it_is)]
            done.update((general(one), False) for one in unused(unshown, same))
        return parts(body, path)

    todo, turn = list(below(())) if isinstance(body, dict | list) else [], 0
    while todo:
        path = todo.pop()
        if done is not None and general(path) in done:
            todo += below(path) if done[general(path)] else ()
            continue
        found, read = problems_with(route, put(body, path, ...), request, before)
        yield from (f"{example.name} without {path}: {problem}" for problem in found)
        if done is not None:
            done[general(path)] = read != as_it_is
        if read == as_it_is:
            continue  # the mail does not depend on it
        todo += below(path)
        turn += 5
        for value in islice(ODD * 2, turn % len(ODD), turn % len(ODD) + odd):
            found, _ = problems_with(route, put(body, path, value), request, before)
            yield from (f"{example.name} with {value!r} at {path}: {problem}" for problem in found)


def by_template(route: str) -> dict[str, list[tuple[Route, Example]]]:
    """The examples of a route, by the template of their first mail."""
    found: dict[str, list[tuple[Route, Example]]] = {}
    for its_route, example in EXAMPLES[route]:
        made = mails_of(its_route.name, example)
        found.setdefault(made[0][1].template if made else "filtered", []).append((its_route, example))
    return found


# All others are shown in the table, which states nothing.
TEMPLATED: Final = [name for name, route in CATALOG.routes.items() if (route.folder / "templates").is_dir()]


@pytest.mark.parametrize("route", TEMPLATED)
def test_a_mail_states_nothing_that_a_missing_field_no_longer_proves(route: str) -> None:
    """Each field of each template's events, left out in the first example that has it. Strange values: in the proof."""
    found = []
    for examples in by_template(route).values():
        done: dict[Path, bool] = {}
        found += [problem for one, example in examples for problem in taken_apart(one, example, 0, done)]
    assert found[:5] == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("route", "example"),
    [pytest.param(*pair, id=f"{pair[0].name}/{pair[1].name}") for pair in chain(*EXAMPLES.values())],
)
def test_the_same_with_every_strange_value_in_every_field_of_every_example(route: Route, example: Example) -> None:
    assert list(islice(taken_apart(route, example, len(ODD)), 5)) == []


def test_every_statement_is_made_by_an_example_and_every_template_makes_one() -> None:
    """Else a check of it could not fail."""
    made: set[Statement] = set()
    silent: dict[str, bool] = {}
    for route, example in chain(*EXAMPLES.values()):
        for event, rendered in mails_of(route.name, example):
            own = own_words(shown(rendered.subject, rendered.html), event.data)
            here = {
                statement
                for statement in statements_of(f"{route.name}/{event.type}")
                if pattern_of(statement).search(own)
            }
            made |= here
            silent[rendered.template] = silent.get(rendered.template, True) and not here
    assert [statement for statement in STATEMENTS if statement not in made] == []
    assert [template for template, none in silent.items() if none and template not in ("table", "event")] == []


@pytest.mark.parametrize("runbook", [{}, [None], ["https://a.example"], 7])
def test_a_runbook_that_is_no_text_leaves_the_template_usable(runbook: Any) -> None:
    route, example = next(pair for pair in EXAMPLES["grafana"] if pair[1].name == "firing-one")
    body = json.loads(example.request().body)
    body["alerts"][0]["annotations"]["runbook_url"] = runbook
    ((_, mail),) = mails(route, body, example.request())
    assert mail.failed is None
