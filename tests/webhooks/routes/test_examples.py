"""Every example of every ready route becomes just the mail that stands beside it."""

import re
from dataclasses import replace
from functools import cache

import pytest

from sandbox.examples import Example, ExampleMail, Studio, examples_of, expected_text
from shared.webhooks.rendering.mails import Rendered
from shared.webhooks.rendering.plain_text import text_of
from shared.webhooks.routing.catalog import load
from shared.webhooks.routing.route import Route
from tests.webhooks.routing.samples import event

CATALOG = load()
STUDIO = Studio()

EXAMPLES = [pytest.param(*pair, id=f"{pair[0].name}/{pair[1].name}") for pair in examples_of(CATALOG)]


@cache
def mails_of(route: str, example: Example) -> list[ExampleMail]:
    return STUDIO.mails(CATALOG.routes[route], example)


@pytest.mark.parametrize(("route", "example"), EXAMPLES)
def test_an_example_becomes_the_mail_beside_it(route: Route, example: Example) -> None:
    """`python -m sandbox.preview --write` writes them anew; read what has changed."""
    mails = mails_of(route.name, example)
    assert expected_text(mails) == example.expected.read_text("utf-8")
    assert not [mail.rendered.failed for mail in mails if mail.rendered.failed]


@pytest.mark.parametrize("route", list(CATALOG.routes.values()), ids=CATALOG.routes)
def test_no_mail_is_titled_with_the_bare_type_of_its_event(route: Route) -> None:
    """Its reader would have to know the sender's API."""
    for example in (example for of, example in examples_of(CATALOG) if of is route):
        kinds = {event.type for event in route.source.events(example.request())}
        assert [
            bare(mail.rendered, kinds) for mail in mails_of(route.name, example) if bare(mail.rendered, kinds)
        ] == []


def bare(rendered: Rendered, kinds: set[str]) -> list[str]:
    """The subject or the title, if it is no more than the type of an event."""
    title = re.search(r"<h1[^>]*>(.*?)</h1>", rendered.html, re.DOTALL)
    subject = re.sub(r"^\[[^\]]*\] *", "", rendered.subject)
    said = {text.strip().casefold() for text in (rendered.subject, subject, text_of(title[1] if title else ""))}
    types = {kind.casefold() for kind in kinds}
    return sorted(said & {"event", *types, *(kind.partition(".")[0] for kind in types)})


def test_every_ready_route_has_examples_and_every_mail_has_its_example() -> None:
    with_examples = {route.name for route, _ in examples_of(CATALOG)}
    assert with_examples == set(CATALOG.routes)
    for route in CATALOG.routes.values():
        folder = route.folder / "examples"
        assert {file.stem for file in folder.glob("*.txt")} == {file.stem for file in folder.glob("*.json")}


@pytest.mark.parametrize("route", list(CATALOG.routes.values()), ids=CATALOG.routes)
def test_every_template_of_a_ready_route_is_used_by_an_example(route: Route) -> None:
    used = {
        mail.rendered.template
        for of, example in examples_of(CATALOG)
        if of is route
        for mail in mails_of(of.name, example)
    }
    own = {file.name.removesuffix(".html.j2") for file in (route.folder / "templates").glob("[!_]*.html.j2")}
    assert own <= used


@pytest.mark.parametrize("route", list(CATALOG.routes.values()), ids=CATALOG.routes)
def test_an_event_that_nobody_has_thought_of_gets_the_table(route: Route) -> None:
    """Never an error: an unknown type is a plain but complete mail."""
    mail = STUDIO._composer.renderer.render(
        replace(event(), type="something.never.seen"), route.name, route.folder / "templates"
    )
    assert mail.template == "table"
    assert mail.failed is None
