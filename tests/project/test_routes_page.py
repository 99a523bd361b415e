"""docs/routes.md names everything that a route can say, and nothing that there is not."""

import re
from pathlib import Path

import pytest
from jinja2 import nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.tests import TESTS as JINJA_TESTS

from sandbox.unreachable import TYPES
from shared.webhooks.rendering.checks import CONTEXT, filter_parameters, macro_parameters
from shared.webhooks.rendering.environment import TemplateSandbox
from shared.webhooks.rendering.mails import Renderer
from shared.webhooks.routing.catalog import BUILT_IN, template_faults
from shared.webhooks.routing.route import RouteRules
from shared.webhooks.routing.route_file import _RouteFile, read_route
from shared.webhooks.sources.source import SOURCES, source_named

LAYOUT = BUILT_IN / "_layout"
PAGE = (Path(__file__).parents[2] / "docs" / "routes.md").read_text()
SANDBOX = TemplateSandbox(LAYOUT, [])
OPTIONS = {name: source_named(name).__struct_fields__ for name in SOURCES}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under this row of headings."""
    lines = PAGE.partition(f"| {heading} |\n")[2].splitlines()[1:]
    table = lines[: next(at for at, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def names(heading: str) -> list[str]:
    return [word for row in rows(heading) for word in words(row[0])]


def called(name: str, parameters: list[str]) -> str:
    return f"{name}({', '.join(parameters)})" if parameters else name


def test_every_entry_of_a_route_is_in_the_examples_and_they_can_be_read(tmp_path: Path) -> None:
    named = set()
    for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)):
        folder = tmp_path / f"route-{number}"
        (folder / "templates").mkdir(parents=True)
        (folder / "route.toml").write_text(text)
        (folder / "templates" / "order.html.j2").write_text('{% extends "mail.html.j2" %}')
        assert list(template_faults(read_route(folder.name, folder), Renderer(LAYOUT))) == []
        named |= {*re.findall(r"^(\w+) =", text, re.MULTILINE)}
    assert named | {"cc", "bcc", "reply_to"} == {*_RouteFile.__struct_fields__}
    (listed,) = re.findall(r"These can also be set for types of events: (.*?)\.\s", PAGE, re.DOTALL)
    assert words(listed) == [*RouteRules.__struct_fields__]


def test_every_source_has_its_row_with_its_options_and_types() -> None:
    table = {words(row[0])[0]: row for row in rows("source | types of its events | options")}
    assert list(table) == list(SOURCES)
    for name, row in table.items():
        assert tuple(words(row[2])) == OPTIONS[name], name
        for kind in TYPES.get(name, ()) if name != "github" else ():
            assert kind in words(row[1]) or kind.split(".")[1] in words(row[1]), kind


def test_every_option_is_explained_where_it_exists() -> None:
    explained = names("option | meaning | default")
    assert set(explained) == {option for options in OPTIONS.values() for option in options}
    for row in rows("option | meaning | default"):
        for source in set(words(row[1].partition(":")[0])) & SOURCES.keys():
            assert set(words(row[0])) <= set(OPTIONS[source]), row[0]


def test_every_part_and_filter_has_its_signature() -> None:
    text = (LAYOUT / "parts.html.j2").read_text()
    parts = {macro.name: macro_parameters(macro) or [] for macro in SANDBOX.parse(text).find_all(nodes.Macro)}
    assert sorted(names("part | shows")) == sorted(called(*part) for part in parts.items())
    own = {name: SANDBOX.filters[name] for name in SANDBOX.filters.keys() - JINJA_FILTERS.keys()}
    assert sorted(names("filter | gives")) == sorted(called(name, filter_parameters(one)) for name, one in own.items())


def test_every_function_and_test_is_named() -> None:
    inner = {"caller", "kwargs", "left_out", "look", "loop", "self", "super", "varargs"}  # Jinja's, and the layout's
    functions = (CONTEXT | SANDBOX.globals.keys()) - DEFAULT_NAMESPACE.keys() - inner
    tests = {f"x is {name}" for name in SANDBOX.tests.keys() - JINJA_TESTS.keys()}
    found = {word if " is " in word else word.partition("(")[0] for word in names("name | is")}
    assert found == functions | tests


@pytest.mark.parametrize("example", re.findall(r"^```jinja\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_the_example_of_a_template_has_no_fault(tmp_path: Path, example: str) -> None:
    (tmp_path / "order.html.j2").write_text(example)
    assert Renderer(LAYOUT).check(tmp_path) == []
